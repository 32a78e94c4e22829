"""The drawing of a view: signs and words besides colours, and no markup of others."""

import re

import pytest

from closedloop.judging.decision import Verdict
from closedloop.live import drawing
from closedloop.live.diagram import diagram
from closedloop.live.shown import Alarm, Curve, Pair, Refusal, Side

SIDES = Side("logistic", 50, 0.9, 0.8, 0.95, 3), Side("perceptron", 50, 0.8, 0.7, 0.9, 1)


def pair(position: float, odds: float, verdict: Verdict, needed: int | None = None) -> str:
    return drawing.pair(Pair(*SIDES, position, odds, 20.0, verdict, needed, "So it is."), "")


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_labels_of_others_are_text_and_no_markup() -> None:
    evil = "<script>x</script>"
    drawn = [
        drawing.alarms([Alarm(evil, evil, "delivered", 0.0, evil)], Curve()),
        drawing.refusals([Refusal(evil, 1, evil, evil)]),
        drawing.pair(None, evil),
        drawing.accuracy(Curve(sentence=evil)),
        diagram({"server": evil}, {}, alert=False, evidence=evil),
    ]
    assert not [each for each in drawn if "<script" in each]


def test_an_alert_has_its_words_whichever_state_it_is_in() -> None:
    def said(state: str) -> str:
        return text(drawing.alarms([Alarm("Low", "sklearn", state, None, "it is 40%")], Curve()))

    assert said("pending").startswith("✓ No alert Low may follow")
    assert said("firing") == "▲ Low sklearn On its way to its receiver"
    assert said("delivered") == "▲ Low sklearn it is 40%"


def test_without_an_alert_the_page_says_when_one_would_fire() -> None:
    curve = Curve(threshold=0.6, threshold_pieces=30.0)
    assert "below 60% of at least 30 truths" in text(drawing.alarms([], curve))
    assert text(drawing.alarms([], Curve())) == "✓ No alert"  # nobody tells


def test_several_alerts_of_one_name_are_one_chip() -> None:
    alarms = [Alarm("Low", model, "firing", None, "") for model in "abc"]
    assert "Low 2 times" in text(drawing.alarms(alarms, Curve()))


def test_the_needle_stands_where_the_evidence_is() -> None:
    needles = [
        float(re.findall(r'needle" style="left:([\d.]+)%', pair(at, 5.0, Verdict.UNDECIDED))[0])
        for at in (-1, 0, 0.5, 1)
    ]
    assert needles == [2.0, 50.0, 74.0, 98.0]
    assert 'aria-valuenow="0.50"' in pair(0.5, 5.0, Verdict.UNDECIDED)


@pytest.mark.parametrize(
    ("odds", "verdict", "needed", "said"),
    [
        (0.3, Verdict.UNDECIDED, None, ("1.0 to 1", "Undecided")),
        (3.61, Verdict.UNDECIDED, 55, ("3.6 to 1", "Undecided, about 55 more rows")),
        (21.2, Verdict.PROMOTE, 0, ("21 to 1", "Promote perceptron")),
        (1e9, Verdict.KEEP, 0, ("over 1000 to 1", "Keep logistic")),
    ],
)
def test_evidence_and_verdict_in_words(
    odds: float, verdict: Verdict, needed: int | None, said: tuple[str, str]
) -> None:
    drawn = text(pair(0.5, odds, verdict, needed))
    assert all(each in drawn for each in said)


def test_an_arrow_has_its_rate_and_a_box_its_state() -> None:
    drawn = diagram({"server": "restarting"}, {"received": 12.34}, alert=True, evidence="evidence")
    assert ">12/s<" in drawn
    assert ">— requests/s<" in drawn  # nobody tells
    assert re.search(r'"box bad">.{0,200}metrics server.{0,100}restarting', drawn)
    assert re.search(r'"box fires">.{0,200}alerts', drawn)
