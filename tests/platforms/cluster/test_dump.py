import tarfile
from pathlib import Path

import yaml

from closedloop.platforms.client.dump import redacted
from closedloop.suite.bundle import write_bundle
from closedloop.suite.setup import install_everything
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi


def _read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as packed:
        return {
            name.removeprefix("bundle/"): file.read()
            for name in packed.getnames()
            if (file := packed.extractfile(name)) is not None
        }


def _pod(fake: FakeApi) -> None:
    fake.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "seldon"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running"},
        }
    )
    fake.logs |= {"web-1/main": "now\n", "web-1/main/previous": "before\n"}


def test_a_bundle_has_objects_logs_releases_and_the_run(
    on_kind: Open, fake: FakeApi, tmp_path: Path
) -> None:
    install_everything(on_kind(), lambda *_: None)
    _pod(fake)
    run = tmp_path / "run"
    run.mkdir()
    (run / "01.ipynb").write_text("{}")
    write_bundle(on_kind(), run / "bundle.tar.gz", run)
    files = _read(run / "bundle.tar.gz")
    assert files["logs/seldon/web-1/main.log"] == b"now\n"
    assert files["logs/seldon/web-1/main.previous.log"] == b"before\n"
    assert b"request-logger" in files["objects/Deployment.yaml"]
    assert files["versions/kubernetes.txt"] == b"v1.35.8"
    assert files["run/01.ipynb"] == b"{}"
    assert "run/bundle.tar.gz.partial" not in files


def test_no_password_is_in_a_bundle(on_kind: Open, fake: FakeApi, tmp_path: Path) -> None:
    install_everything(on_kind(), lambda *_: None)
    secret = fake.get("Secret", "elasticsearch-credentials", "seldon-logs")
    assert secret is not None
    password = secret["data"]["password"].encode()
    write_bundle(on_kind(), tmp_path / "bundle.tar.gz")
    files = _read(tmp_path / "bundle.tar.gz")
    assert not [name for name, content in files.items() if password in content]
    kept = list(yaml.safe_load_all(files["objects/Secret.yaml"]))
    assert len(kept) == 2
    assert all(v.startswith("redacted") for each in kept for v in each["data"].values())


def test_what_cannot_be_read_says_why_and_the_rest_is_there(
    on_kind: Open, fake: FakeApi, tmp_path: Path
) -> None:
    on_kind().apply("namespaces")
    fake.fail("GET", "/deployments", 403, "deployments.apps is forbidden", times=99)
    write_bundle(on_kind(), tmp_path / "bundle.tar.gz")
    files = _read(tmp_path / "bundle.tar.gz")
    assert b"cannot be read: " in files["objects/Deployment.yaml"]
    assert b"seldon-logs" in files["objects/Namespace.yaml"]


def test_without_a_cluster_there_is_still_a_bundle(on_kind: Open, tmp_path: Path) -> None:
    write_bundle(on_kind(), tmp_path / "bundle.tar.gz")
    assert "versions/python.txt" in _read(tmp_path / "bundle.tar.gz")


def test_literal_passwords_are_redacted() -> None:
    container = {"env": [{"name": "ES_PASSWORD", "value": "x"}, {"name": "PORT", "value": "1"}]}
    thing = {"kind": "Pod", "metadata": {}, "spec": {"containers": [container]}}
    (kept,) = redacted(thing)["spec"]["containers"]
    assert [each["value"] for each in kept["env"]] == ["redacted", "1"]
