"""With programs that stand in for helm and docker and write down how they were called."""

import functools
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from closedloop.platforms.cluster.images import chart_values, mirrored, tagged
from closedloop.platforms.cluster.mirror import IMAGES, NODE, Contents, archive_of, contents, fill
from closedloop.platforms.cluster.sources import Sources, file_name
from closedloop.platforms.cluster.versions import Chart, Versions, read
from closedloop.platforms.protocol import PlatformError

DIGEST = "0123456789abcdef" * 4
TAG = "sha256-" + DIGEST[:32]

# What `helm template` says, by release.
RENDERED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator}
spec:
  template:
    spec:
      initContainers: [{name: a, image: docker.io/library/busybox:1}]
      containers:
        - name: discovery
          image: registry.istio.io/release/pilot:1.30.4
        - name: b
          image: quay.io/op/operator:v1
          args: [--config-reloader=quay.io/op/reloader:v2, --url=http://quay.io/docs]
          env: [{name: EXECUTOR, value: "docker.io/op/executor:v3"}]
---
kind: Prometheus
spec: {image: quay.io/prom/prometheus:v4, version: v4}
---
kind: Pod
spec: {containers: [{name: proxy, image: auto}]}
---
kind: CustomResourceDefinition
spec: {description: {image: gcr.io/not/one:v1}}
"""

UPSTREAM = f"""
kind: Deployment
spec:
  template:
    spec:
      containers:
        - image: gcr.io/kn/controller@sha256:{DIGEST}
          env: [{{name: HANDLER, value: "gcr.io/kn/handler@sha256:{DIGEST}"}}]
"""

OURS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: logger, namespace: ns}
spec: {template: {spec: {containers: [{name: a, image: closedloop/components:0.1.0}]}}}
"""

PROGRAM = f"""#!{sys.executable}
import os, pathlib, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
here = pathlib.Path(sys.argv[0]).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join([name, *arguments]) + "\\n")
if (here / "fails").is_file() and (here / "fails").read_text() in " ".join(arguments):
    sys.exit("manifest unknown")
if arguments[0] == "template":
    print((here / "rendered").read_text())
if arguments[:1] == ["pull"] and "--destination" in arguments:
    folder = arguments[arguments.index("--destination") + 1]
    pathlib.Path(folder, "whatever.tgz").write_text(arguments[1])
if arguments[0] == "save":
    pathlib.Path(arguments[arguments.index("--output") + 1]).write_text(arguments[-1])
if arguments[0] in ("info", "version"):
    print((here / arguments[0]).read_text())
"""


class Programs:
    """helm and docker, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("helm", "docker"):
            (folder / name).write_text(PROGRAM)
            (folder / name).chmod(0o755)
        (folder / "rendered").write_text(RENDERED)
        self.store("overlay2", "1.50")

    def store(self, driver: str, version: str) -> None:
        """How docker keeps images, and the version of its interface."""
        (self._folder / "info").write_text(json.dumps([["driver-type", driver]]))
        (self._folder / "version").write_text(f"linux/arm64 {version}")

    def calls(self, *beginnings: str) -> list[str]:
        said = (self._folder / "calls").read_text().splitlines()
        return [line for line in said if line.startswith(beginnings)]

    def fail(self, text: str) -> None:
        (self._folder / "fails").write_text(text)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return Programs(folder)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "upstream"
    folder.mkdir()
    (folder / "core.yaml").write_text(UPSTREAM)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def manifests(tmp_path: Path, upstream: str) -> Path:
    folder = tmp_path / "manifests"
    (folder / "logger").mkdir(parents=True)
    (folder / "logger" / "deployment.yaml").write_text(OURS)
    (folder / "versions.yaml").write_text(
        yaml.safe_dump(
            {
                "kubernetes": {
                    "cluster": {
                        "kind": "v0.33.0",
                        "node": f"kindest/node:v1.35.8@sha256:{DIGEST}",
                        "minimum": "1.34",
                        "maximum": "1.36",
                    }
                },
                "istio": {
                    "cluster": {
                        "version": "1.30.4",
                        "repository": "https://charts.example",
                        "charts": [
                            {
                                "release": "istiod",
                                "chart": "istiod",
                                "namespace": "istio-system",
                                "values": ["istio/values.yaml"],
                            }
                        ],
                    }
                },
                "knative-eventing": {
                    "cluster": {"version": "1", "source": upstream, "files": ["core.yaml"]}
                },
                "images": {"components": "closedloop/components:0.1.0"},
            }
        )
    )
    return folder


@pytest.fixture
def versions(manifests: Path) -> Versions:
    return read(manifests)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path / "cache")


EXPECTED = [
    "busybox:1",
    f"gcr.io/kn/controller@sha256:{DIGEST}",
    f"gcr.io/kn/handler@sha256:{DIGEST}",
    "op/executor:v3",
    "quay.io/op/operator:v1",
    "quay.io/op/reloader:v2",
    "quay.io/prom/prometheus:v4",
    "registry.istio.io/release/pilot:1.30.4",
    "registry.istio.io/release/proxyv2:1.30.4",
]


def test_every_image_is_found_once_and_nothing_else(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources
) -> None:
    found = contents(versions, manifests, sources)
    assert list(found.images) == EXPECTED
    assert found.own == {"components": "closedloop/components:0.1.0"}
    (template,) = programs.calls("helm template")
    assert template.endswith(
        f"--namespace istio-system --kube-version 1.35.8 --values {manifests / 'istio/values.yaml'}"
    )


def test_a_folder_has_everything_under_the_names_that_an_offline_run_looks_for(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    found = fill(folder, versions, manifests, sources, lambda _: None)
    offline = Sources(tmp_path / "unused", folder)
    (chart,), (url,) = found.charts, found.urls
    assert offline.chart(chart) == folder / "charts" / "istiod-1.30.4.tgz"
    assert f"gcr.io/kn/controller:{TAG}" in offline.file(url).read_text()
    assert "@sha256" not in offline.file(url).read_text()
    saved = {path.read_text() for path in (folder / IMAGES).glob("*.tar")}
    assert saved == {*map(tagged, found.images)} | {"closedloop/components:0.1.0"}
    assert not list((folder / "images").glob("*.partial"))


def test_an_image_by_digest_is_saved_under_a_tag(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    fill(tmp_path / "folder", versions, manifests, sources, lambda _: None)
    source, name = f"gcr.io/kn/handler@sha256:{DIGEST}", f"gcr.io/kn/handler:{TAG}"
    handler = [call for call in programs.calls("docker") if "handler" in call]
    assert handler[:2] == [f"docker pull {source}", f"docker tag {source} {name}"]
    assert handler[2].startswith("docker save")
    assert handler[2].endswith(name)


def test_the_node_is_saved_under_a_tag_too(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    found = fill(folder, versions, manifests, sources, lambda _: None)
    assert (folder / NODE).read_text() == tagged(found.node) == f"kindest/node:{TAG}"


def test_a_second_run_pulls_nothing_again(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    fill(folder, versions, manifests, sources, lambda _: None)
    before = programs.calls("docker pull", "helm pull")
    fill(folder, versions, manifests, sources, lambda _: None)
    assert programs.calls("docker pull", "helm pull") == before
    assert len(before) == 1 + 1 + len(EXPECTED)


def test_a_run_that_broke_off_is_continued(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    programs.fail("proxyv2")
    with pytest.raises(PlatformError, match="manifest unknown"):
        fill(folder, versions, manifests, sources, lambda _: None)
    programs.fail("nothing")
    fill(folder, versions, manifests, sources, lambda _: None)
    pulls = programs.calls("docker pull")
    assert pulls.count("docker pull registry.istio.io/release/proxyv2:1.30.4") == 2
    assert len(pulls) == 1 + len(EXPECTED) + 1


def test_a_mirror_gives_the_images_and_they_keep_their_names(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources, tmp_path: Path
) -> None:
    fill(tmp_path / "f", versions, manifests, sources, lambda _: None, registry="mirror.example/x")
    assert "docker pull mirror.example/x/op/operator:v1" in programs.calls("docker pull")
    assert "docker tag mirror.example/x/op/operator:v1 quay.io/op/operator:v1" in (
        programs.calls("docker tag")
    )


@pytest.mark.parametrize("hub", ["docker.io/istio", "istio", "registry.istio.io/release"])
def test_a_mirror_has_the_proxy_where_the_injector_looks_for_it(hub: str) -> None:
    istiod = Chart(release="istiod", chart="istiod", namespace="istio-system")
    looked_for = chart_values(istiod, "mirror.example/x")["global"]["hub"]
    has = mirrored(f"{hub}/proxyv2:1.30.4", "mirror.example/x")
    assert has == f"{looked_for}/proxyv2:1.30.4"


@pytest.mark.parametrize(
    ("driver", "version", "told"),
    [
        ("io.containerd.snapshotter.v1", "1.51", True),
        ("io.containerd.snapshotter.v1", "1.47", False),  # it does not know the option
        ("overlay2", "1.51", False),
    ],
)
def test_an_archive_has_one_platform_where_docker_lists_all(
    programs: Programs,
    versions: Versions,
    manifests: Path,
    sources: Sources,
    tmp_path: Path,
    driver: str,
    version: str,
    told: bool,
) -> None:
    programs.store(driver, version)
    fill(tmp_path / "folder", versions, manifests, sources, lambda _: None)
    saves = programs.calls("docker save")
    assert len(saves) == 1 + len(EXPECTED) + 1
    assert all(("--platform linux/arm64 " in call) is told for call in saves)


def test_what_is_listed_has_a_line_each(
    programs: Programs, versions: Versions, manifests: Path, sources: Sources
) -> None:
    found = contents(versions, manifests, sources)
    lines = list(found.lines())
    assert len(lines) == 1 + 1 + 1 + len(EXPECTED) + 1
    assert lines[-1] == "image     closedloop/components:0.1.0  (built from docker/components)"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a/b:v1", "a/b:v1"),
        (f"gcr.io/a/b@sha256:{DIGEST}", f"gcr.io/a/b:{TAG}"),
        (f"gcr.io/a/b:v1@sha256:{DIGEST}", f"gcr.io/a/b:{TAG}"),
    ],
)
def test_names(image: str, name: str) -> None:
    assert tagged(image) == tagged(name) == name
    assert len(name.rpartition(":")[2]) <= 128


def test_archives_of_different_images_have_different_names() -> None:
    names = [*map(archive_of, EXPECTED)]
    assert len(set(names)) == len(names)
    assert not any("/" in name or ":" in name for name in names)


def test_the_manifest_of_a_file_is_kept_under_its_own_name() -> None:
    assert file_name("https://a/v1/core.yaml") != file_name("https://a/v2/core.yaml")
    assert Contents("n", (), (), (), {}).images == ()
