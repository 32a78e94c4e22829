import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from closedloop.machine import why_taken
from closedloop.paths import manifests_folder
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster import preflight
from closedloop.platforms.cluster.kind import Kind
from closedloop.platforms.cluster.ports import CONFIG
from closedloop.platforms.cluster.preflight import demand, findings, for_context, for_kind
from closedloop.platforms.cluster.versions import read
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.stand_ins import StandIns

PINNED = read(manifests_folder()).kubernetes


@pytest.fixture
def kind(home: Path, programs: StandIns) -> Kind:
    return Kind(home / "cluster", manifests_folder() / CONFIG, PINNED.node)


def _sentences(kind: Kind, ports: dict[str, int] | None = None) -> list[str]:
    return [each.sentence for each in findings(for_kind(kind, PINNED, ports or {}, Path("/")))]


def _fatal(kind: Kind) -> list[str]:
    return [each.sentence for each in findings(for_kind(kind, PINNED, {}, Path("/"))) if each.fatal]


def test_a_machine_that_has_everything(kind: Kind) -> None:
    assert _sentences(kind) == []


def test_everything_is_reported_at_once(
    on_kind: Open, programs: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.change(docker={**programs.state["docker"], "MemTotal": 4 << 30, "NCPU": 1})
    programs.fail("helm version", "broken", times=9)
    monkeypatch.setattr(preflight, "why_taken", lambda _, port: "in use" if port == 8003 else "")
    with pytest.raises(PlatformError) as caught:
        on_kind().apply("namespaces")
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing was started, because of:"
    assert len(lines) == 5
    for number, text in enumerate(("helm version", "4.0 GiB", "1 cores", "port 8003"), start=1):
        assert lines[number].strip().startswith(f"{number}.")
        assert text in lines[number]
    assert not programs.calls("kind create")


def test_a_missing_program_names_where_it_is_to_be_had(
    kind: Kind, programs: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs.bin / "kind").unlink()
    monkeypatch.setenv("PATH", str(programs.bin))
    (told,) = {each for each in _sentences(kind) if each.startswith("kind is not")}
    assert "https://kind.sigs.k8s.io" in told


@pytest.mark.parametrize(
    ("stderr", "fix"),
    [
        ("permission denied while trying to connect to the Docker daemon socket", "usermod -aG"),
        ("Cannot connect to the Docker daemon. Is the docker daemon running?", "systemctl start"),
    ],
)
def test_a_docker_that_does_not_answer(
    kind: Kind, programs: StandIns, stderr: str, fix: str
) -> None:
    programs.fail("docker info", stderr)
    (told,) = _fatal(kind)
    assert fix in told


def test_a_daemon_that_only_the_json_says_is_away(kind: Kind, programs: StandIns) -> None:
    programs.change(docker={"ServerErrors": ["Cannot connect to the Docker daemon"]})
    assert "start Docker" in _fatal(kind)[0]


def test_a_full_disk(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=2 << 30)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "2.0 GiB free" in _fatal(kind)[0]


def test_too_few_watches_are_a_warning(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "max_user_watches").write_text("8192\n")
    (tmp_path / "max_user_instances").write_text("512\n")
    monkeypatch.setattr(preflight, "_PROC", tmp_path)
    (found,) = findings(for_kind(kind, PINNED, {}, Path("/")))
    assert "sudo sysctl fs.inotify.max_user_watches=524288" in found.sentence
    assert not found.fatal


def test_a_port_that_is_taken_is_found(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "why_taken", why_taken)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (found,) = _sentences(kind, {"a/b": port})
    assert f"port {port} of 127.0.0.1, for a/b, is taken" in found


def test_a_cluster_of_others_with_our_name(kind: Kind, programs: StandIns) -> None:
    programs.change(clusters=["closedloop"])
    assert "kind delete cluster --name closedloop" in _fatal(kind)[0]


def test_ports_of_our_own_cluster_are_not_looked_at(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.create(lambda: None)
    monkeypatch.setattr(preflight, "why_taken", lambda *_: "in use")
    assert _sentences(kind, {"a/b": 1}) == []


def _on_context(api: Api, registry: str = "mirror") -> list[preflight.Finding]:
    return findings(for_context(lambda: api, PINNED, registry))


def test_a_cluster_that_has_everything(api: Api, programs: StandIns) -> None:
    assert _on_context(api) == []
    assert not programs.calls("kind")
    assert not programs.calls("docker")


@pytest.mark.parametrize(("version", "fatal"), [("v1.30.1", True), ("v1.38.0", False)])
def test_a_server_of_another_version(
    api: Api, programs: StandIns, fake: FakeApi, version: str, fatal: bool
) -> None:
    fake.git_version = version
    (found,) = _on_context(api)
    assert version in found.sentence
    assert found.fatal is fatal


def test_rights_that_are_missing_are_named_together(
    api: Api, programs: StandIns, fake: FakeApi
) -> None:
    fake.denied = {("create", "namespaces"), ("create", "deployments")}
    (found,) = _on_context(api)
    assert "create namespaces, create deployments.apps" in found.sentence
    assert found.fatal


def test_forwarding_a_port_takes_two_rights(api: Api, programs: StandIns, fake: FakeApi) -> None:
    fake.denied = {("get", "pods"), ("create", "pods")}
    (found,) = _on_context(api)
    assert "get pods/portforward, create pods/portforward" in found.sentence


def test_a_context_without_a_registry_is_warned_of(api: Api, programs: StandIns) -> None:
    (found,) = _on_context(api, registry="")
    assert "--registry" in found.sentence
    assert not found.fatal


def test_a_context_that_is_not_there(home: Path, programs: StandIns) -> None:
    from closedloop.platforms.cluster.platform import ClusterPlatform

    with pytest.raises(PlatformError, match="context nowhere"):
        ClusterPlatform(context="nowhere").apply("namespaces")


def test_a_warning_does_not_stop() -> None:
    said: list[str] = []
    demand([preflight.Finding("slow", fatal=False)], said.append)
    assert said == ["slow"]
