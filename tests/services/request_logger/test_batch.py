import json
from typing import Any

from closedloop.log.operations import Known, Operation, Result
from closedloop.loop import events
from closedloop.loop.documents import merge
from closedloop.loop.observation import observe
from closedloop.loop.sections import Section, sections_of
from closedloop.services.request_logger.batch import Batch
from closedloop.services.request_logger.dead_letters import DeadLetter, dead_letter
from closedloop.services.request_logger.entry import Answer, Entry
from tests.services.request_logger.running import entry_of, event, log_of, loop_of

INDEX = log_of("iris")
PUID = (INDEX, "puid")


def reject(entry: Entry, reason: str, error: str) -> DeadLetter:
    return dead_letter(entry.headers, entry.body, reason, error, keep=100)


def first_part(said: events.Event) -> Section:
    return sections_of(observe(said))[0]


def absent(batch: Batch) -> list[Operation]:
    keys = batch.documents()
    return batch.operations(keys, dict.fromkeys(keys))


def lines(operation: Operation) -> tuple[dict[str, Any], dict[str, Any]]:
    action, document = operation.lines.splitlines()
    return json.loads(action), json.loads(document)


async def test_several_events_about_one_document_are_one_write() -> None:
    entries = [entry_of(one) for one in loop_of("puid", "iris")]
    batch = Batch(entries, reject)
    [operation] = absent(batch)
    action, document = lines(operation)
    assert action == {"create": {"_index": INDEX, "_id": "puid"}}
    assert {"request", "response", "feedback", "logged_at"} <= set(document)
    batch.resolve(operation, Result(201))
    assert not batch
    assert [one.answer.result() for one in entries] == [Answer.KEPT] * 3


async def test_a_known_document_is_replaced_only_at_its_version() -> None:
    request, response, _ = loop_of("puid", "iris")
    known, _ = merge(None, first_part(request))
    batch = Batch([entry_of(response)], reject)
    [operation] = batch.operations([PUID], {PUID: Known(known, 7, 2)})
    action, document = lines(operation)
    assert action["index"]["if_seq_no"] == 7
    assert action["index"]["if_primary_term"] == 2
    assert document["request"] == known["request"]


async def test_what_a_document_says_already_is_not_written() -> None:
    request, *_ = loop_of("puid", "iris")
    known, _ = merge(None, first_part(request))
    known["DocumentId"] = "puid"
    again = entry_of(request)
    batch = Batch([again], reject)
    assert batch.operations([PUID], {PUID: Known(known, 7, 2)}) == []
    assert again.answer.result() is Answer.KEPT


async def test_of_new_documents_one_an_index_is_read_to_see_that_the_index_is_there() -> None:
    names = ("a", "b", "c")
    batch = Batch([entry_of(loop_of(name, "iris")[0]) for name in names], reject)
    [probe] = batch.to_read(batch.documents())
    operations = batch.operations(batch.documents(), {probe: None})
    assert [operation.key for operation in operations] == [(INDEX, name) for name in names]


async def test_a_document_that_was_not_new_is_read_and_is_no_conflict() -> None:
    batch = Batch([entry_of(loop_of(name, "iris")[0]) for name in ("a", "puid")], reject)
    _, operation = absent(batch)
    batch.resolve(operation, Result(409))
    assert PUID in batch.to_read(batch.documents())
    assert PUID not in {operation.key for operation in batch.operations([PUID], {})}
    assert batch.tally.conflicts == 0
    [operation] = absent(batch)[1:]
    batch.resolve(operation, Result(409))
    assert batch.tally.conflicts == 1


async def test_answers_and_feedback_alone_are_about_documents_to_be_read() -> None:
    _, response, feedback = loop_of("puid", "iris")
    batch = Batch([entry_of(response), entry_of(feedback)], reject)
    assert batch.to_read([PUID]) == [PUID]
    assert batch.operations([PUID], {}) == []  # it could not be read


async def test_conflicts_and_refusals_for_now_stay() -> None:
    for status in (404, 409, 429, 500, 503):
        waiting = entry_of(loop_of("puid", "iris")[0])
        batch = Batch([waiting], reject)
        [operation] = absent(batch)
        batch.resolve(operation, Result(status))
        assert batch.documents() == [(INDEX, "puid")]
        assert not waiting.settled


async def test_of_several_refused_parts_only_the_bad_one_becomes_a_dead_letter() -> None:
    entries = [entry_of(one) for one in loop_of("puid", "iris")]
    batch = Batch(entries, reject)
    batch.resolve(absent(batch)[0], Result(400, "bad response"))
    for status in (201, 400, 201):  # now one at a time
        [operation] = absent(batch)
        batch.resolve(operation, Result(status, "bad response"))
    assert [one.settled for one in entries] == [True, False, True]
    [letter] = batch.letters()
    assert "bad response" in lines(letter)[1]["error"]
    batch.resolve(letter, Result(201))
    assert not batch
    assert batch.tally.letters == [(entries[1], "rejected")]
    assert entries[1].answer.result() is Answer.KEPT


async def test_a_batch_of_refused_rows_is_one_dead_letter() -> None:
    rows = event(events.REQUEST, {"data": {"ndarray": [[1], [2], [3]]}}, "puid", deployment="iris")
    waiting = entry_of(rows)
    batch = Batch([waiting], reject)
    for operation in absent(batch):
        batch.resolve(operation, Result(400, "no"))
    [letter] = batch.letters()
    assert not waiting.settled
    batch.resolve(letter, Result(409))  # there since an earlier delivery
    assert waiting.answer.result() is Answer.KEPT


async def test_a_refused_dead_letter_is_not_acknowledged() -> None:
    waiting = entry_of(loop_of("puid", "iris")[0])
    batch = Batch([waiting], reject)
    batch.resolve(absent(batch)[0], Result(400, "no"))
    batch.resolve(batch.letters()[0], Result(400, "not that either"))
    assert waiting.answer.result() is Answer.REFUSED
    assert batch.tally.letters_refused == ["not that either"]


async def test_given_up_entries_are_forgotten() -> None:
    waiting, late = (entry_of(one) for one in loop_of("puid", "iris")[:2])
    batch = Batch([waiting, late], reject)
    late.settle(Answer.UNAVAILABLE)
    batch.forget_settled()
    assert absent(batch)[0].pieces == 1
    batch.give_up()
    assert waiting.answer.result() is Answer.UNAVAILABLE
    assert not batch
