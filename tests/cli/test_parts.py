import io
import tarfile
from pathlib import Path

from rich.console import Console

from closedloop.cli.table import status_table
from closedloop.platforms.protocol import PARTS, PartStatus
from closedloop.suite.setup import STEPS
from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform


def test_up_installs_everything_and_shows_where_it_is(
    invoke: Invoke, platform: FakePlatform
) -> None:
    result = invoke("up")
    assert result.exit_code == 0
    assert [c for c in platform.calls if c.startswith("install")] == [f"install {p}" for p in PARTS]
    assert f"{len(STEPS)} of {len(STEPS)}" in result.output
    assert "http://127.0.0.1:8003" in result.output


def test_up_that_fails_says_which_step(invoke: Invoke, platform: FakePlatform) -> None:
    platform.fail = "monitoring"
    result = invoke("up")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith("monitoring")
    assert result.stderr == "monitoring does not start: see its log\n"


def test_status_of_nothing(invoke: Invoke) -> None:
    result = invoke("status")
    assert result.exit_code == 1
    assert "Nothing is running" in result.output


def test_status_is_a_table_and_its_exit_status_tells_whether_all_is_ready(
    invoke: Invoke, platform: FakePlatform
) -> None:
    platform.up = True
    result = invoke("status")
    head, envoy, logger = result.output.splitlines()
    assert head.split() == ["part", "version", "state", "URL", "restarts", "note"]
    assert envoy.split() == ["envoy", "1.40.0", "ready", "http://127.0.0.1:8003", "0"]
    assert logger.split() == ["seldon-logs/logger", "0.1.0", "restarting", "3", "crashed"]
    assert result.exit_code == 1


def test_names_are_not_read_as_markup() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(status_table([PartStatus("[bold]x", "1", "ready")]))
    assert isinstance(console.file, io.StringIO)
    assert "[bold]x" in console.file.getvalue()


def test_logs_of_a_part(invoke: Invoke) -> None:
    assert invoke("logs", "envoy").output == "last words of envoy\n"


def test_logs_of_a_piece_of_a_name(invoke: Invoke, platform: FakePlatform) -> None:
    platform.up = True
    assert invoke("logs", "logger").output == "last words of seldon-logs/logger\n"
    assert invoke("logs", "nobody").output == "last words of nobody\n"


def test_logs_of_a_piece_of_several_names(invoke: Invoke, platform: FakePlatform) -> None:
    platform.up = True
    result = invoke("logs", "o")
    assert result.exit_code == 1
    assert result.stderr == (
        "o is a piece of several names: name one of envoy, seldon-logs/logger\n"
    )


def test_a_table_that_is_piped_is_not_cut(invoke: Invoke, platform: FakePlatform) -> None:
    platform.note = "crashed " * 40
    result = invoke("up")
    (row,) = (line for line in result.output.splitlines() if "seldon-logs/logger" in line)
    assert row.rstrip().endswith(platform.note.rstrip())


def test_down(invoke: Invoke, platform: FakePlatform) -> None:
    assert invoke("down").exit_code == 0
    assert platform.calls == ["down"]


def test_a_bundle_has_the_files_of_the_run(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "index.html").touch()
    archive = tmp_path / "b.tgz"
    assert invoke("bundle", str(tmp_path / "run"), "--out", str(archive)).exit_code == 0
    with tarfile.open(archive) as packed:
        assert "bundle/run/index.html" in packed.getnames()


def test_a_bundle_of_a_run_that_is_not_there_is_none(invoke: Invoke, tmp_path: Path) -> None:
    typo, archive = tmp_path / "typo", tmp_path / "b.tgz"
    result = invoke("bundle", str(typo), "--out", str(archive))
    assert result.exit_code == 1
    assert result.stderr == f"{typo} is no folder: name one that `closedloop run` wrote\n"
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_down_says_what_stays(invoke: Invoke) -> None:
    shown = " ".join(invoke("down", "--help").output.split())
    assert "logs of a platform on this machine stay until the next start" in shown
