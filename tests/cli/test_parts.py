import io
import re
import tarfile
from pathlib import Path

import pytest
from rich.console import Console

from closedloop.cli.parts import NOT_COUNTED
from closedloop.cli.table import status_table
from closedloop.loop.scoring.said import ADVICE
from closedloop.notebook.dashboards import Prometheus, Series
from closedloop.paths import manifests_folder
from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PartStatus, PlatformError
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
    head, envoy, logger, unknown = result.output.splitlines()
    assert head.split() == ["part", "version", "state", "URL", "restarts", "note"]
    assert envoy.split() == ["envoy", "1.40.0", "ready", "http://127.0.0.1:8003", "0"]
    assert logger.split() == ["seldon-logs/logger", "0.1.0", "restarting", "3", "crashed"]
    assert unknown.startswith("Whether all feedback counted is not known: Prometheus at http://")
    assert unknown.endswith("is the platform up?")
    assert result.exit_code == 1


LABELS = ("deployment_namespace", "deployment_name", "predictor_name", "outcome", "reason")


@pytest.fixture
def counted(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> list[Series]:
    """What Prometheus answers to the platform that is up."""
    found: list[Series] = []

    def query(_: Prometheus, promql: str) -> list[Series]:
        assert promql == NOT_COUNTED
        return found

    monkeypatch.setattr(Prometheus, "query", query)
    platform.up = True
    return found


def piece(count: float, *values: str) -> Series:
    return Series(dict(zip(LABELS, values, strict=True)), [(0, count)])


def test_status_lists_feedback_that_did_not_count(invoke: Invoke, counted: list[Series]) -> None:
    counted += [
        piece(12, "seldon", "sklearn", "default", "unscorable", "no_column"),
        piece(3, "seldon", "iris-perf", "logistic", "unmatched", "no_answer"),
        piece(1, "other", "other", "other", "refused", "bad_[json]"),
    ]
    _, _, _, title, *lines = invoke("status").output.splitlines()
    assert title.strip() == "Feedback that did not count"
    assert [re.split(" {2,}", line.strip()) for line in lines] == [
        ["predictor", "outcome", "reason", "pieces", "what to do"],
        [
            "other/other/other",
            "refused",
            "bad_[json]",
            "1",
            lines[1][lines[1].index("see index") :],
        ],
        [
            *("seldon/iris-perf/logistic", "unmatched", "no_answer", "3"),
            "no answer is known for it: send the Seldon-Puid of the prediction with it",
        ],
        ["seldon/sklearn/default", "unscorable", "no_column", "12", ADVICE["no_column"]],
    ]


@pytest.mark.usefixtures("counted")
def test_status_says_nothing_of_feedback_where_all_counted(invoke: Invoke) -> None:
    assert len(invoke("status").output.splitlines()) == 3


def test_status_goes_on_where_prometheus_is_not_installed(
    invoke: Invoke, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def url(service: str, port: str | int | None = None) -> str:
        raise PlatformError(f"there is no Service {service}: install it")

    monkeypatch.setattr(platform, "url", url)
    platform.up = True
    said = "Whether all feedback counted is not known: there is no Service monitoring/"
    assert said in invoke("status").output


def test_what_status_asks_for_is_recorded() -> None:
    rules = (manifests_folder() / "monitoring" / "rules.yaml").read_text()
    assert f"record: {NOT_COUNTED.split()[0]}\n" in rules


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
