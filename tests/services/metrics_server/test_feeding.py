from typing import Any

import pytest

from closedloop.loop.documents import read_document
from closedloop.loop.events import Event, InvalidEvent
from closedloop.loop.scoring.scoreboard import Scoreboard
from closedloop.loop.sections import Document
from closedloop.services.metrics_server.feeding import show_document
from tests.services.metrics_server.running import answer, documents_of, reward, truth


def told(documents: list[Document]) -> tuple[list[bool], Any]:
    """Whether each document was news, and all that is held and counted after them."""
    board = Scoreboard()
    news = [show_document(board, read_document(document)) for document in documents]
    return news, (dict(board.items()), dict(board.numbers()), board.matrix.counts())


@pytest.mark.parametrize(
    "happened",
    [
        [answer("cat")],
        [answer("cat"), truth("dog")],
        [answer([0.2, 0.7, 0.1]), truth(1), truth(2, second=2)],
        [answer("cat"), reward(1)],
        [answer("cat"), reward(0.4)],
        [answer("cat"), truth("cat", "dog")],
        [truth("cat")],
        [answer("cat", "dog"), truth("cat", "dog")],
        [answer("cat"), answer("cat", "dog"), truth("cat")],
        [answer("cat", request_id="s"), truth("cat"), answer("dog", second=3)],
    ],
)
def test_a_row_held_at_once_is_the_one_that_its_parts_make(
    happened: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [*documents_of(happened).values()] * 2
    at_once = told(documents)
    monkeypatch.setattr(Scoreboard, "hold", lambda *_: False)
    assert at_once == told(documents)
    assert not any(at_once[0][len(documents) // 2 :])


def test_an_answer_is_held_whose_feedback_cannot_be_read() -> None:
    ((_, document),) = documents_of([answer("cat"), truth("cat")]).items()
    broken = {**document, "feedback": {"instance": "cat", "ce-time": "yesterday"}}
    board = Scoreboard()
    with pytest.raises(InvalidEvent, match="yesterday"):
        show_document(board, read_document(broken))
    assert board.states["unlabelled"] == 1
    assert show_document(board, read_document(document))
    assert board.states["scored"] == 1
