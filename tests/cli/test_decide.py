"""`compare` and `promote`: what they ask for and say; the work itself has its own tests."""

from typing import Any

import pytest

from closedloop import comparison, promotion
from closedloop.comparison import Comparison
from closedloop.history.evaluate import Evaluation
from closedloop.history.log import NothingLoggedError
from closedloop.promotion import Promotion, Roles
from closedloop.scoring import ConfusionMatrix
from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform

DEPLOYMENT = {
    "kind": "SeldonDeployment",
    "metadata": {"name": "iris-perf", "namespace": "seldon"},
    "spec": {"predictors": [{"name": "default"}, {"name": "shadow", "shadow": True}]},
}


class Case:
    """A deployment with a comparison that has the discordant rows given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, platform: FakePlatform) -> None:
        self.champion_only, self.challenger_only = 5, 40
        self.compared: list[Any] = []
        self.promoted: list[dict[str, Any]] = []
        monkeypatch.setattr(platform, "get", lambda *_: DEPLOYMENT)
        monkeypatch.setattr(comparison, "compare", self._compare)
        monkeypatch.setattr(comparison, "disagreements", lambda *_: [{"data": {"ndarray": [[1]]}}])
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
            champion, challenger, both, self.champion_only, self.challenger_only, neither, 0, 0
        )

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
