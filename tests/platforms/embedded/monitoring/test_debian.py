import asyncio
import os
import sys
from pathlib import Path

import pytest

from closedloop.platforms.embedded.monitoring import debian
from closedloop.platforms.embedded.monitoring.debian import programs
from closedloop.platforms.protocol import PlatformError

# Stand-ins at the boundary: they note how they were called and do what the real ones would.
APT_GET = """
calls = pathlib.Path(os.environ["CALLS"])
words = sys.argv[1:]
with calls.open("a") as log:
    log.write(" ".join(word for word in words if "/" not in word) + "\\n")
own_lists = any(word.startswith("Dir::State::lists=") for word in words)
if words[-1] == "update":
    sys.exit(0 if os.environ.get("ONLINE", "1") == "1" else "Could not resolve 'deb.debian.org'")
if not own_lists and os.environ.get("LISTS", "1") == "0":
    sys.exit("E: Unable to locate package prometheus")
for name in ("prometheus", "prometheus-alertmanager"):
    pathlib.Path(f"{name}_1.2_all.deb").touch()
"""
DPKG_DEB = """
words = sys.argv[1:]
name = pathlib.Path(words[-2 if words[0] == "--extract" else -1]).name.partition("_")[0]
if words[0] == "--show" or words[1] == "--show":
    print(f"{name}\\n1.2-3")
else:
    program = pathlib.Path(words[-1]) / "usr/bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\\necho prometheus, version 1.2 '(branch: x)'\\n")
    program.chmod(0o755)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with apt-get and dpkg-deb and nothing else, and templates; returns its folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    _install(folder, "apt-get", APT_GET)
    _install(folder, "dpkg-deb", DPKG_DEB)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(debian, "_TEMPLATES", tmp_path)
    return folder


def _install(folder: Path, name: str, code: str) -> None:
    (folder / name).write_text(f"#!{sys.executable}\nimport os, pathlib, sys\n{code}")
    (folder / name).chmod(0o755)


def _calls() -> list[str]:
    return Path(os.environ["CALLS"]).read_text().splitlines()


async def test_of_several_that_ask_at_once_one_unpacks(machine: Path, tmp_path: Path) -> None:
    found = await asyncio.gather(*(programs(tmp_path / "parts") for _ in range(3)))
    assert len(set(found)) == 1
    assert len(_calls()) == 1


async def test_packages_are_unpacked_once(machine: Path, tmp_path: Path) -> None:
    parts = tmp_path / "the parts"
    found = await programs(parts)
    programs_of = parts / "debian" / "usr" / "bin"
    assert found.prometheus.argv[0] == str(programs_of / "prometheus")
    assert found.alertmanager.argv == (str(programs_of / "prometheus-alertmanager"),)
    assert (found.prometheus.version, found.alertmanager.version) == ("1.2-3", "1.2-3")
    assert len(_calls()) == 1
    assert await programs(parts) == found
    assert len(_calls()) == 1
    assert {path.name for path in parts.iterdir()} == {"debian", ".debian.lock"}


async def test_own_package_lists_where_the_machine_has_none(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTS", "0")
    await programs(tmp_path / "parts")
    assert [call.split()[-1] for call in _calls()] == [
        "prometheus-alertmanager",
        "update",
        "prometheus-alertmanager",
    ]


async def test_no_network_is_one_sentence_that_says_what_to_do(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTS", "0")
    monkeypatch.setenv("ONLINE", "0")
    with pytest.raises(PlatformError, match=r"Could not resolve.*install Prometheus and Alert"):
        await programs(tmp_path / "parts")
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [".debian.lock"]


async def test_machine_without_apt_is_told_what_to_install(machine: Path, tmp_path: Path) -> None:
    (machine / "apt-get").unlink()
    with pytest.raises(PlatformError, match=r"without apt-get .*put both on PATH"):
        await programs(tmp_path / "parts")


async def test_programs_on_path_win(machine: Path, tmp_path: Path) -> None:
    for name in ("prometheus", "alertmanager"):
        _install(machine, name, f"print('{name}, version 3.1.0 (branch: HEAD)')")
    found = await programs(tmp_path / "parts")
    assert found.prometheus.argv == (str(machine / "prometheus"),)
    assert found.alertmanager.version == "3.1.0"
    assert not Path(os.environ["CALLS"]).exists()


async def test_one_program_on_path_is_used_beside_the_other_one_unpacked(
    machine: Path, tmp_path: Path
) -> None:
    _install(machine, "alertmanager", "print('alertmanager, version 3.1.0 (branch: HEAD)')")
    found = await programs(tmp_path / "parts")
    assert found.alertmanager.argv == (str(machine / "alertmanager"),)
    assert (found.prometheus.version, found.alertmanager.version) == ("1.2-3", "3.1.0")


async def test_without_its_templates_alertmanager_runs_where_ours_are_laid_over(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_TEMPLATES", tmp_path / "absent")
    _install(machine, "unshare", "print('alertmanager, version 1.2')")
    found = (await programs(tmp_path / "parts")).alertmanager
    root = tmp_path / "parts" / "debian" / "usr"
    assert found.argv[0] == "unshare"
    assert found.argv[-2:] == (str(root / "share"), str(root / "bin" / "prometheus-alertmanager"))


async def test_a_machine_without_mount_namespaces_is_told_what_to_install(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_TEMPLATES", tmp_path / "absent")
    _install(machine, "unshare", "sys.exit('unshare failed: Operation not permitted')")
    with pytest.raises(PlatformError, match=r"not permitted.*put the Alertmanager of .* on PATH$"):
        await programs(tmp_path / "parts")


@pytest.mark.embedded
async def test_real_packages_run(tmp_path: Path) -> None:
    try:
        found = await programs(tmp_path / "parts")
    except PlatformError as error:
        pytest.skip(f"neither on PATH nor to be fetched: {error}")
    for one in (found.prometheus, found.alertmanager):
        assert await _said_version(one.argv) in one.version
    again = await programs(tmp_path / "parts")
    assert again == found


async def _said_version(argv: tuple[str, ...]) -> str:
    said = (await debian._run([*argv, "--version"], Path("/"))).split()
    return said[said.index("version") + 1].strip(",")
