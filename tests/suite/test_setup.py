import pytest

from closedloop.paths import manifests_folder
from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PlatformError
from closedloop.suite.setup import STEPS, install_everything
from tests.suite.fakes import FakePlatform


def test_installs_every_part_in_order_after_the_namespaces() -> None:
    platform = FakePlatform()
    install_everything(platform, lambda *_: None)
    assert platform.calls[0] == "apply namespaces"
    assert [c for c in platform.calls if c.startswith("install")] == [f"install {p}" for p in PARTS]


def test_waits_for_the_broker_before_anything_sends_to_it() -> None:
    platform = FakePlatform()
    install_everything(platform, lambda *_: None)
    assert platform.calls.index("wait Broker seldon-logs/default Ready") < platform.calls.index(
        "apply models/outputs.yaml request-logger"
    )


def test_reports_each_step_before_it_begins() -> None:
    seen: list[tuple[str, int]] = []
    platform = FakePlatform()
    install_everything(platform, lambda step, _=None: seen.append((step, len(platform.calls))))
    assert [step for step, _ in seen] == ["machine", *(step.name for step in STEPS)]
    assert seen[0][1] == 0


def test_a_failing_step_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    platform = FakePlatform(fail="monitoring")
    with pytest.raises(PlatformError):
        install_everything(platform)
    assert platform.calls[-1] == "install monitoring"
    assert capsys.readouterr().out == "machine … namespaces … istio … monitoring … \n"


def test_every_manifest_that_is_named_exists() -> None:
    for step in STEPS:
        for manifest in step.manifests:
            assert (manifests_folder() / manifest).exists()
