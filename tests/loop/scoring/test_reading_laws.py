"""What holds of any row that is read, whatever is in it."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.output import InvalidOutput, Output, read_output
from closedloop.loop.scoring.reading import REASONS, read_answer, read_truth
from closedloop.loop.scoring.verdict import judge
from tests.json_values import JSON
from tests.loop.scoring.verdicts import FLOWER, IRIS, SHARES, seen

CLASSES = st.lists(
    st.text("abT0123:-. ", min_size=1, max_size=3) | st.integers(-3, 3) | st.booleans(),
    min_size=1, max_size=4,
)  # fmt: skip


@st.composite
def outputs(draw: st.DrawFn) -> Output | None:
    kind = draw(st.sampled_from(["class", "probabilities", "score", "regression", "multilabel"]))
    said: dict[str, object] = {"kind": kind, "classes": draw(CLASSES)}
    if kind == "regression":
        del said["classes"]
    if kind == "score":
        said |= {"threshold": 0.5, "classes": draw(st.just([0, 1]) | st.just(["a", "b"]))}
    way = st.sampled_from([None, "name", "index", "code"])
    if kind != "regression":
        said |= {"truth": draw(way), "answer": draw(way)}
    said["column"] = draw(st.sampled_from([None, 0, 1, "a", "b"]))
    try:
        return read_output(said)
    except InvalidOutput:
        return None


@given(
    outputs(), JSON, JSON, st.lists(st.text("ab"), max_size=3), st.lists(st.text("ab"), max_size=3)
)
def test_any_row_is_scored_or_says_why_not(
    declared: Output | None, answer: object, truth: object, names: list[str], true_names: list[str]
) -> None:
    said = read_answer(declared, answer, names), read_truth(declared, truth, true_names)
    verdict = judge(declared, *said, None)
    assert verdict.state in ("scored", "unscorable")
    assert (verdict.state == "unscorable") == (verdict.reason in REASONS)
    if verdict.pair is not None and declared is not None:
        assert {*verdict.pair} <= {*declared.classes}
    if verdict.labels is not None and declared is not None:
        assert verdict.labels[0] | verdict.labels[1] <= {*declared.classes}


@given(outputs(), JSON, st.lists(st.text("ab"), max_size=3))
def test_a_row_says_the_same_each_time_and_can_be_shared(
    declared: Output | None, row: object, names: list[str]
) -> None:
    for read in (read_answer, read_truth):
        said = read(declared, row, names)
        assert said == read(declared, row, names)
        assert hash(said) == hash(read(declared, row, names))


@given(st.permutations(IRIS), st.permutations(IRIS), st.integers(0, 2))
def test_the_order_of_named_columns_does_not_matter(
    answered: list[str], truths: list[str], index: int
) -> None:
    shares = dict(zip(IRIS, SHARES, strict=True))
    hot = [int(name == IRIS[index]) for name in truths]
    for said in (FLOWER, None):
        verdict = seen(
            said, [shares[name] for name in answered], hot, tuple(answered), tuple(truths)
        )
        assert verdict.pair == ("virginica", IRIS[index])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5).filter(lambda s: sum(s) > 0))
def test_the_first_of_the_greatest_is_predicted(weights: list[float]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    with suppress(InvalidOutput):
        said = read_answer(None, shares)
        assert said.index == shares.index(max(shares))
