"""`compare` and `promote`: what they ask for and say; the work itself has its own tests."""

from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from closedloop.cli import app
from closedloop.judging import comparison, present, promotion
from closedloop.judging.comparison import Comparison
from closedloop.judging.decision import ALPHA
from closedloop.judging.present import Present
from closedloop.judging.promotion import Promotion, Roles
from closedloop.log.evaluate import Evaluation
from closedloop.log.pages import NothingLoggedError
from closedloop.loop.scoring import ConfusionMatrix
from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform

SINCE = datetime(2026, 5, 1, tzinfo=UTC)
DEPLOYMENT = {
    "kind": "SeldonDeployment",
    "metadata": {"name": "iris-perf", "namespace": "seldon"},
    "spec": {"predictors": [{"name": "default"}, {"name": "shadow", "shadow": True}]},
}


class Case:
    """A deployment with a comparison that has the discordant rows given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, platform: FakePlatform) -> None:
        self.champion_only, self.challenger_only = 5, 40
        self.repeats = self.unlogged = 0
        self.probed: list[Any] = []
        self.compared: list[Any] = []
        self.promoted: list[dict[str, Any]] = []
        monkeypatch.setattr(platform, "get", lambda *_: DEPLOYMENT)
        monkeypatch.setattr(comparison, "compare", self._compare)
        monkeypatch.setattr(comparison, "disagreements", self._disagreements)
        monkeypatch.setattr(
            present, "present_pair", lambda *_: Present(SINCE, "that is how it is here")
        )
        monkeypatch.setattr(promotion, "promote", self._promote)

    def _compare(self, _client: object, *arguments: Any) -> Comparison:
        self.compared.append(arguments)
        both, neither = 50, 5
        right = both + self.champion_only
        wrong = neither + self.challenger_only
        states = {"scored": right + wrong, "unlabelled": 100, "unmatched": 0, "unscorable": 0}
        champion = Evaluation("default", right, wrong, ConfusionMatrix({}), states)
        challenger = Evaluation("shadow", 90, 10, ConfusionMatrix({}), states)
        return Comparison(
            champion,
            challenger,
            both,
            self.champion_only,
            self.challenger_only,
            neither,
            champion_unpaired=3,
            challenger_unpaired=0,
            repeats=self.repeats,
            unlogged=self.unlogged,
        )

    def _disagreements(self, _client: object, *arguments: Any) -> list[dict[str, object]]:
        self.probed.append(arguments)
        return [{"data": {"ndarray": [[1]]}}]

    def _promote(self, *_: object, dry_run: bool, probes: object, timeout: float) -> Promotion:
        self.promoted.append({"dry_run": dry_run, "probes": probes})
        before, after = Roles("default", "shadow"), Roles("shadow", "default")
        if dry_run:
            return Promotion(before, after, "-  shadow: true", applied=False)
        return Promotion(before, after, "-  shadow: true", True, "default", "shadow")


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch, platform: FakePlatform) -> Case:
    return Case(monkeypatch, platform)


def test_compare_shows_both_and_the_verdict(invoke: Invoke, case: Case) -> None:
    result = invoke("compare", "--since", "2026-05-01T00:00:00Z")
    assert result.exit_code == 0
    for text in ("default", "55.0%", "50.0%", "champion alone 5, challenger alone 40", "Promote"):
        assert text in result.output
    (arguments,) = case.compared
    assert arguments[:4] == ("seldon", "iris-perf", "default", "shadow")
    assert arguments[4].since == "2026-05-01T00:00:00Z"
    assert "Rows asked since 2026-05-01T00:00:00Z count, as you say." in result.output
    assert "Scored for one of the two only: 3 rows of the champion, 0 of the" in result.output
    assert "repeat" not in result.output


@pytest.mark.parametrize("command", ["compare", "promote"])
def test_only_rows_of_the_present_pair_count_unless_said_otherwise(
    invoke: Invoke, case: Case, command: str
) -> None:
    result = invoke(command)
    assert "Rows asked since 2026-05-01T00:00:00Z count: that is how it is here." in result.output
    said = invoke(command, "--since", "2025-01-01T00:00:00Z")
    assert "Rows asked since 2025-01-01T00:00:00Z count, as you say." in said.output
    assert [each[4].since for each in case.compared] == [SINCE, "2025-01-01T00:00:00Z"]
    if command == "promote":
        assert [each[4].since for each in case.probed] == [SINCE, "2025-01-01T00:00:00Z"]


def test_until_goes_with_the_present_pair(invoke: Invoke, case: Case) -> None:
    assert invoke("compare", "--until", "2026-06-01T00:00:00Z").exit_code == 0
    (arguments,) = case.compared
    assert (arguments[4].since, arguments[4].until) == (SINCE, "2026-06-01T00:00:00Z")


def test_what_is_left_out_is_told(invoke: Invoke, case: Case) -> None:
    case.repeats, case.unlogged = 375, 4
    output = " ".join(invoke("compare").output.split())
    assert "Left out: 375 repeats of rows that count already." in output
    assert "4 rows count whose request is in no log" in output
    assert "375 repeated rows left out" in output


@pytest.mark.parametrize("command", ["compare", "promote"])
def test_alpha_is_what_it_is_everywhere(command: str) -> None:
    (option,) = (each for each in _commands()[command].params if each.name == "alpha")
    assert option.help == ALPHA


def _commands() -> dict[str, Any]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group's
    return commands


def test_promote_swaps_when_the_evidence_says_so(invoke: Invoke, case: Case) -> None:
    result = invoke("promote")
    assert result.exit_code == 0
    assert case.promoted == [{"dry_run": False, "probes": [{"data": {"ndarray": [[1]]}}]}]
    assert "shadow serves and default is its shadow" in result.output
    assert "those of default before and are those of shadow now" in result.output


def test_without_evidence_nothing_is_changed(invoke: Invoke, case: Case) -> None:
    case.challenger_only = 6
    result = invoke("promote")
    assert result.exit_code == 1
    assert result.stderr.startswith("seldon/iris-perf is left as it is: wait for more feedback")
    assert "Undecided" in result.output
    assert case.promoted == []


def test_anyway_asks_for_no_evidence(invoke: Invoke, case: Case) -> None:
    assert invoke("promote", "--anyway").exit_code == 0
    assert case.compared == []
    assert len(case.promoted) == 1


def test_a_dry_run_shows_the_change_and_applies_nothing(invoke: Invoke, case: Case) -> None:
    case.challenger_only = 6
    result = invoke("promote", "--dry-run")
    assert result.exit_code == 0
    assert case.promoted == [{"dry_run": True, "probes": ()}]
    assert case.probed == []
    assert "-  shadow: true" in result.output
    assert "Nothing was applied: shadow would serve, default shadow." in result.output


def test_what_the_library_refuses_is_one_sentence(
    invoke: Invoke, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> Comparison:
        raise NothingLoggedError("index x does not exist: check its name")

    monkeypatch.setattr(comparison, "compare", nothing)
    result = invoke("compare")
    assert result.exit_code == 1
    assert result.stderr == "index x does not exist: check its name\n"


def test_a_period_that_ends_before_it_begins(invoke: Invoke, case: Case) -> None:
    result = invoke("compare", "--since", "2026-05-02", "--until", "2026-05-01")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_a_deployment_that_is_not_there(invoke: Invoke) -> None:
    result = invoke("compare", "nobody")
    assert result.exit_code == 1
    assert result.stderr == "there is no SeldonDeployment seldon/nobody: apply it first\n"


def test_elasticsearch_that_does_not_answer(
    invoke: Invoke, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "get", lambda *_: DEPLOYMENT)
    result = invoke("compare")
    assert result.exit_code == 1
    assert result.stderr.startswith("Elasticsearch at http://127.0.0.1:1 does not answer")
