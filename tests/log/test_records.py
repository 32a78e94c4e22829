import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.log.records import Refused, Row, read
from closedloop.loop import events
from closedloop.loop.documents import merge
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.loop.output import Output
from closedloop.loop.sections import Document, sections_of

IRIS = Predictor("ns", "iris", "default")
CSV = "request_id,time,prediction,truth,feedback_time,sepal length,colour\n"


def lines(path: Path, text: str | bytes, kind: str = ".csv") -> list[Row | Refused]:
    file = path / f"history{kind}"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(file, IRIS))


def document(row: Row | Refused, *classes: str) -> Document:
    assert isinstance(row, Row), row
    output = Output("probabilities", classes=classes)
    merged: Document = {}
    for event in row.events:
        for part in sections_of(observe(event), 1):
            merged, _ = merge(merged, part, output)
    return merged


def score(of: Document) -> dict[str, object]:
    found = of["score"]
    assert isinstance(found, dict)
    return {name: found[name] for name in ("state", "correct", "predicted", "actual")}


def instances(row: Row | Refused) -> list[object]:
    """Prediction and truth of a line, as they are sent."""
    found = document(row)
    return [found[section]["instance"] for section in ("response", "feedback")]  # type: ignore[index]  # plain JSON


def reasons(path: Path, text: str | bytes, kind: str = ".csv") -> dict[int, str]:
    return {each.line: each.reason for each in lines(path, text, kind) if isinstance(each, Refused)}


def test_a_csv_line_becomes_what_the_model_would_have_logged(tmp_path: Path) -> None:
    (row,) = lines(
        tmp_path, CSV + 'r1,2025-05-01T10:00:00Z,"[0.1,0.9]",0,2025-05-02T00:00:00Z,5.1,red\n'
    )
    found = document(row, "0", "1")
    assert found["RequestId"] == "r1"
    assert found["@timestamp"] == "2025-05-01T10:00:00Z"
    assert score(found) == {
        "state": "scored",
        "correct": False,
        "predicted": "1",
        "actual": "0",
    }
    request, feedback = found["request"], found["feedback"]
    assert isinstance(request, dict)
    assert isinstance(feedback, dict)
    assert request["elements"] == {"sepal length": 5.1, "colour": "red"}
    assert feedback["ce-time"] == "2025-05-02T00:00:00Z"


def test_ndjson_says_the_same(tmp_path: Path) -> None:
    (from_csv,) = lines(tmp_path, CSV + "r1,2025-05-01T10:00:00Z,1,0,,5.1,red\n")
    said = {
        "request_id": "r1",
        "time": "2025-05-01T10:00:00Z",
        "prediction": 1,
        "truth": 0,
        "features": {"sepal length": 5.1, "colour": "red"},
    }
    (from_ndjson,) = lines(tmp_path, json.dumps(said) + "\n\n", ".ndjson")
    assert isinstance(from_csv, Row)
    assert isinstance(from_ndjson, Row)
    assert from_csv.events == from_ndjson.events


def test_class_names_tags_and_reward(tmp_path: Path) -> None:
    said = {
        "request_id": "r1",
        "time": "2025-05-01T10:00:00Z",
        "prediction": [0.2, 0.8],
        "class_names": ["cat", "dog"],
        "truth": "dog",
        "reward": 1,
        "tags": {"user": "ada"},
        "features": [1, 2],
    }
    (row,) = lines(tmp_path, json.dumps(said), ".jsonl")
    found = document(row, "cat", "dog")
    assert score(found) == {
        "state": "scored",
        "correct": True,
        "predicted": "dog",
        "actual": "dog",
    }
    feedback = found["feedback"]
    assert isinstance(feedback, dict)
    assert (feedback["reward"], feedback["truth"]["meta"]) == (1, {"tags": {"user": "ada"}})


def test_without_truth_there_is_no_feedback_and_without_features_no_request(
    tmp_path: Path,
) -> None:
    (row,) = lines(tmp_path, "request_id,time,prediction\nr1,2025-05-01T10:00:00Z,1\n")
    assert isinstance(row, Row)
    assert [event.type for event in row.events] == [events.RESPONSE]


def test_the_same_line_makes_the_same_events_and_another_line_others(tmp_path: Path) -> None:
    def ids(truth: int) -> list[str]:
        (row,) = lines(tmp_path, CSV + f"r1,2025-05-01T10:00:00Z,1,{truth},,5.1,red\n")
        assert isinstance(row, Row)
        return [event.id for event in row.events]

    assert ids(0) == ids(0)
    assert ids(0)[:2] == ids(1)[:2]
    assert ids(0)[2] != ids(1)[2]


def test_a_moment_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    texts = ("2025-05-01T10:00:00Z", "2025-05-01 12:00:00+02:00", "2025-05-01t10:00:00.000z")
    found = [lines(tmp_path, CSV + f"r1,{text},1,0,,5.1,red\n") for text in texts]
    assert found[0] == found[1] == found[2]
    assert isinstance(found[0][0], Row)
    assert {event.time for event in found[0][0].events} == {"2025-05-01T10:00:00Z"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",2025-05-01T10:00:00Z,1,0,,1,red", "request_id is missing"),
        ("r1,,1,0,,1,red", "time is missing"),
        ("r1,yesterday,1,0,,1,red", "yesterday"),
        ("r1,2025-05-01T10:00:00Z,,0,,1,red", "prediction is missing"),
        ("r1,2025-05-01T10:00:00Z,1e999,0,,1,red", "prediction is '1e999': give a number"),
        ('r1,2025-05-01T10:00:00Z,1,"{""a"":1,""a"":2}",,1,red', "the key 'a' comes twice"),
        ("r1,2025-05-01T10:00:00Z,1,[0;1],,1,red", "truth is '[0;1]', not JSON"),
        ("r1,2025-05-01T10:00:00Z,1,0,later,1,red", "later"),
        ("r1,2025-05-01T10:00:00Z,1,,2025-05-01T10:00:00Z,1,red", "without truth or reward"),
        ("r1,2025-05-01T10:00:00Z,1,0", "4 cells where the heading has 7"),
        ('r1,2025-05-01T10:00:00Z,1,0,,1,"red"x', "not CSV"),
        (f"{'r' * 600},2025-05-01T10:00:00Z,1,0,,1,red", "600 bytes"),
    ],
)
def test_a_bad_line_of_csv_is_refused_alone(tmp_path: Path, line: str, reason: str) -> None:
    good = "g{},2025-05-01T10:00:00Z,1,0,,1,red\n"
    found = reasons(tmp_path, CSV + good.format(1) + line + "\n" + good.format(2))
    assert list(found) == [3]
    assert reason in found[3]


GOOD = {"request_id": "g", "time": "2025-05-01T10:00:00Z", "prediction": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no JSON object"),
        (json.dumps({**GOOD, "request_id": 7}), "request_id is 7: give text"),
        (json.dumps({**GOOD, "prediciton": 1}), "the key 'prediciton' is unknown"),
        (json.dumps({**GOOD, "prediction": [float("inf")]}), "cannot be sent as JSON"),
        (json.dumps(GOOD)[:-1] + ', "prediction": 2}', "the key 'prediction' comes twice"),
        (json.dumps({**GOOD, "features": [float("nan")]}), "cannot be sent as JSON"),
        (json.dumps({**GOOD, "features": 3}), "features is 3"),
        (json.dumps({**GOOD, "reward": "a"}), "reward is 'a'"),
        (json.dumps({**GOOD, "class_names": "ab"}), "class_names is 'ab'"),
        (json.dumps({**GOOD, "truth": 1, "tags": "ada"}), "tags is 'ada'"),
    ],
)
def test_a_bad_line_of_ndjson_is_refused_alone(tmp_path: Path, line: str, reason: str) -> None:
    good = json.dumps(GOOD) + "\n"
    found = reasons(tmp_path, good + line + "\n" + good, ".ndjson")
    assert list(found) == [2]
    assert reason in found[2]


@pytest.mark.parametrize(
    "text",
    [
        *("1_0", "01234", "nan", "inf", "-Infinity", "+1", ".5", "1.", "0x1f", "1e", "--1", "00"),
        *(" 7", "7 ", "٣", "true", "null", "1 000", "1,5", "७"),
    ],
)
def test_what_is_no_number_in_json_is_a_name(tmp_path: Path, text: str) -> None:
    (row,) = lines(tmp_path, CSV + f'r1,2025-05-01T10:00:00Z,"{text}","{text}",,"{text}",red\n')
    assert instances(row) == [text, text]
    request = document(row)["request"]
    assert isinstance(request, dict)
    assert request["elements"]["sepal length"] == text


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_a_number_in_json_is_that_number(
    tmp_path_factory: pytest.TempPathFactory, number: float
) -> None:
    text = json.dumps(number)
    (row,) = lines(
        tmp_path_factory.mktemp("numbers"), CSV + f"r1,2025-05-01T10:00:00Z,{text},{text},,1,red\n"
    )
    assert json.dumps(instances(row)) == json.dumps([number, number])


def test_an_odd_byte_spoils_its_line_alone(tmp_path: Path) -> None:
    good = b"g,2025-05-01T10:00:00Z,1,0,,1,red\n"
    found = reasons(tmp_path, CSV.encode() + good + good.replace(b"red", b"r\xe9d") + good)
    assert list(found) == [3]
    assert found[3].isprintable()


def test_a_missing_quote_is_pointed_at(tmp_path: Path) -> None:
    text = CSV + 'a,2025-05-01T10:00:00Z,"1\nb,2025-05-01T10:00:00Z,1",0\n'
    assert "4 cells where the heading has 7, and goes on to line 3" in reasons(tmp_path, text)[2]


def test_a_byte_order_mark_and_blank_lines_are_fine(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + CSV.encode() + b"\r\nr1,2025-05-01T10:00:00Z,1,0,,1,red\r\n\r\n"
    (row,) = lines(tmp_path, text)
    assert isinstance(row, Row)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("h.xlsx", "", "give .csv, .ndjson or .jsonl"),
        ("h.csv", "", "lacks request_id, time, prediction"),
        ("h.csv", "request_id,time\n", "lacks prediction"),
        ("h.csv", "request_id,time,prediction,x,x\n", "has 'x' twice"),
    ],
)
def test_a_file_that_cannot_be_is_an_error(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        list(read(tmp_path / name, IRIS))


@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_a_file_holds_every_line_is_a_row_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    for kind, heading in ((".csv", CSV.encode()), (".ndjson", b"")):
        for each in lines(folder, heading + content, kind):
            assert isinstance(each, (Row, Refused))
