import sys
from pathlib import Path

import pytest

from closedloop.manifests import ManifestError
from closedloop.paths import manifests_folder
from closedloop.platforms.client.faults import Fault, Passing, passing
from closedloop.platforms.cluster import versions
from closedloop.platforms.cluster.commands import CommandFailed, run
from closedloop.platforms.cluster.images import images, mirrored, rewritten
from closedloop.platforms.cluster.sources import Sources
from closedloop.platforms.cluster.versions import Chart
from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.stand_ins import StandIns


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_gives_what_a_program_printed() -> None:
    assert run(_python("print(input())"), stdin="a b; c") == "a b; c\n"


def test_a_failure_is_one_sentence_with_its_last_words() -> None:
    code = "import sys; sys.exit('line 1\\n\\nthe reason')"
    with pytest.raises(CommandFailed, match=r"status 1: line 1 \| the reason") as caught:
        run(_python(code))
    assert "\n" not in str(caught.value).replace("\\n", "")


def test_a_program_that_hangs_is_ended() -> None:
    # If it were not ended, this test would run into its own limit.
    with pytest.raises(PlatformError, match=r"did not end within 0\.3 s"):
        run(_python("import time; time.sleep(600)"), timeout=0.3)


def test_a_missing_program() -> None:
    with pytest.raises(PlatformError, match="no-such-program is not on PATH: install it"):
        run(["no-such-program"])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("docker.io/istio/pilot:1.30.4", "m:5000/istio/pilot:1.30.4"),
        ("seldonio/sklearnserver:1.17.1", "m:5000/seldonio/sklearnserver:1.17.1"),
        ("gcr.io/knative-releases/a@sha256:12", "m:5000/knative-releases/a@sha256:12"),
        ("localhost/a:1", "m:5000/a:1"),
        ("busybox", "m:5000/busybox"),
    ],
)
def test_a_mirror_has_an_image_under_its_path(image: str, expected: str) -> None:
    assert mirrored(image, "m:5000") == expected
    assert mirrored(image, "") == image


def test_images_are_found_and_rewritten_wherever_containers_are() -> None:
    pod = {"spec": {"containers": [{"image": "a:1"}], "initContainers": [{"image": "b:1"}]}}
    thing = {"spec": {"predictors": [{"componentSpecs": [pod]}], "image": "not a container"}}
    assert sorted(images(thing)) == ["a:1", "b:1"]
    assert sorted(images(rewritten(thing, "m"))) == ["m/a:1", "m/b:1"]
    assert rewritten(thing, "m")["spec"]["image"] == "not a container"
    assert rewritten(thing, "") == thing


def test_the_webhooks_service_is_read_from_the_error() -> None:
    text = (
        'failed calling webhook "x": Post "https://a-webhook.some-ns.svc:443/?timeout=1s":'
        " dial tcp 10.0.0.1:443: connect: connection refused"
    )
    assert passing(500, text) == Fault(Passing.WEBHOOK, "some-ns/a-webhook")


def test_a_conflict_of_fields_does_not_pass() -> None:
    assert passing(409, 'Apply failed with 1 conflict: conflict with "kubectl": .data.a') is None


# Charts and files

_CHART = Chart(release="a", chart="a", namespace="n", version="1.0", repository="https://x.example")


def test_a_chart_is_fetched_once(programs: StandIns, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "cache")
    assert sources.chart(_CHART) == sources.chart(_CHART)
    assert len(programs.calls("helm pull")) == 1


def test_a_chart_is_fetched_again_when_the_network_failed(
    programs: StandIns, tmp_path: Path
) -> None:
    programs.fail("helm pull", "Error: Get https://x.example: dial tcp: i/o timeout")
    assert Sources(tmp_path / "cache").chart(_CHART).is_file()
    assert len(programs.calls("helm pull")) == 2


def test_a_chart_that_does_not_exist_is_an_error_at_once(
    programs: StandIns, tmp_path: Path
) -> None:
    programs.fail("helm pull", 'Error: chart "a" version "1.0" not found', times=9)
    with pytest.raises(CommandFailed, match="not found"):
        Sources(tmp_path / "cache").chart(_CHART)
    assert len(programs.calls("helm pull")) == 1


def test_an_offline_folder_is_the_only_place(programs: StandIns, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"holds no charts/a-1\.0\.tgz"):
        Sources(tmp_path / "cache", tmp_path).chart(_CHART)
    with pytest.raises(PlatformError, match="holds no manifests/"):
        Sources(tmp_path / "cache", tmp_path).file("https://x.example/a.yaml")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "a-1.0.tgz").touch()
    assert Sources(tmp_path / "cache", tmp_path).chart(_CHART).parent == tmp_path / "charts"
    assert not programs.calls("helm")


def test_sources_may_be_local_folders(tmp_path: Path) -> None:
    (tmp_path / "a-1.0.tgz").touch()
    (tmp_path / "b.yaml").touch()
    local = _CHART.model_copy(update={"repository": str(tmp_path)})
    assert Sources(tmp_path / "cache").chart(local) == tmp_path / "a-1.0.tgz"
    assert Sources(tmp_path / "cache").file(str(tmp_path / "b.yaml")) == tmp_path / "b.yaml"


# versions.yaml


def test_every_part_has_charts_files_or_an_image() -> None:
    parts = versions.read(manifests_folder()).parts
    assert list(parts) == list(PARTS)
    assert all(part.charts or part.files or part.image for part in parts.values())
    for name, part in parts.items():
        namespaces = {part.namespace, *(chart.namespace for chart in part.charts)} - {""}
        assert namespaces == set(PARTS[name].namespaces)
        releases = {chart.release for chart in part.charts}
        assert {one.release for one in PARTS[name].workloads} - {""} <= releases
        assert set(PARTS[name].files) == set(part.files)
    assert all(
        chart.version and chart.repository for part in parts.values() for chart in part.charts
    )


def test_values_files_exist() -> None:
    for chart in versions.read(manifests_folder()).charts():
        assert all((manifests_folder() / file).is_file() for file in chart.values)


def test_a_mistake_in_the_file_is_named(tmp_path: Path) -> None:
    text = (manifests_folder() / "versions.yaml").read_text()
    (tmp_path / "versions.yaml").write_text(text.replace("release: istiod,", "relase: istiod,"))
    with pytest.raises(ManifestError, match=r"versions\.yaml: parts\.istio\.charts\.1"):
        versions.read(tmp_path)
