"""Correct the truth about an answer, and read back every version of it.

An amendment is feedback like any other: sent to the model's gateway with the
request's Seldon-Puid, so that the model, the metrics server and the log all
learn of it. The newest counts; the log keeps the earlier ones.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import requests
from elasticsearch import Elasticsearch

from closedloop.log.blocking import BlockingDocuments
from closedloop.log.mapping import declared_outputs
from closedloop.log.pages import open_log
from closedloop.loop.documents import feedback_in, feedback_versions, read_document, row_in
from closedloop.loop.events import PUID_HEADER, InvalidEvent
from closedloop.loop.keys import document_id
from closedloop.loop.output import Output
from closedloop.loop.payload import feedback_of
from closedloop.loop.scoring.scoreboard import verdict

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Correction:
    """The truth, or the reward, that one request should have.

    `truths` has a class index or name for each row of the request, None for a
    row that stays as it is; a request of one row may have a `reward` instead.
    `request` is the SeldonMessage of the request: a model that keeps score of
    itself needs it when it has been restarted and remembers no answer.
    """

    request_id: str
    truths: Sequence[int | str | None] = ()
    reward: float | None = None
    tags: Mapping[str, object] = field(default_factory=dict)
    request: Document | None = None

    def body(self) -> dict[str, object]:
        """The feedback to send. Raises InvalidEvent when it says nothing that counts."""
        body: dict[str, object] = {} if self.request is None else {"request": dict(self.request)}
        truth: dict[str, object] = {"meta": {"tags": dict(self.tags)}} if self.tags else {}
        if self.truths:
            # Not a list for each row: Seldon's wrapper makes a numpy array of it, which
            # cannot mix lists with the nulls of rows that stay as they are.
            truth["data"] = {"ndarray": list(self.truths)}
        if truth:
            body["truth"] = truth
        if self.reward is not None:
            body["reward"] = self.reward
        feedback_of(body)
        return body


@dataclass(frozen=True, slots=True)
class Amended:
    """The fate of one correction; `reason` is "" when it was accepted."""

    request_id: str
    status: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One piece of feedback about a row, as the log has it.

    `truth` is the class it states, as JSON where it states another thing, None where it is a
    reward alone. `correct`
    is its verdict on the answer, None while there is no answer to compare, and
    where the two cannot be compared.
    The newest is the one that counts: `current`.
    """

    time: str
    truth: str | None
    reward: float | None
    tags: Mapping[str, object]
    correct: bool | None
    current: bool


def amend(url: str, corrections: Iterable[Correction], *, timeout: float = 10.0) -> list[Amended]:
    """Send corrections, one after the other, to the model at `url`, the deployment's own, such as
    `http://127.0.0.1:8003/seldon/seldon/sklearn`.

    One that says nothing that counts is not sent, and is no obstacle to the
    others. All predictors of the deployment learn of it, the shadow too.
    Feedback counts by the time at which Seldon's executor passes it on, so two
    corrections of one request want a moment between them.
    """
    with requests.Session() as session:
        session.trust_env = False
        return [_send(session, url.rstrip("/"), correction, timeout) for correction in corrections]


def audit_trail(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    predictor: str,
    request_id: str,
    *,
    row: int | None = None,
) -> list[Version]:
    """Read every version of the truth about one answer, oldest first; the last one counts.

    `row` is the row of a batch, None for a request of one row. Raises
    NothingLoggedError when the predictor has no log, LookupError when the
    request is not in it.
    """
    log = open_log(client, namespace, deployment, predictor)
    name = document_id(request_id, row or 0, rows=1 if row is None else 2)
    keys = [(log.index, each) for each in log.names(name)]
    found = BlockingDocuments(client).read(keys).values()
    ours = [each.source for each in found if each is not None and log.holds(each.source)]
    if not ours:
        raise LookupError(
            f"{name} is not in index {log.index}: check the request id, and the row of a batch"
        )
    output = declared_outputs(client).of((namespace, deployment, predictor))
    return versions(ours[0], output)


def versions(document: Document, output: Output | None = None) -> list[Version]:
    """The versions of the truth that a document of the log has, oldest first.

    `output` is the declared output of the predictor.
    """
    latest = document.get("feedback")
    return [
        _version(document, each, output, current=each is latest)
        for each in feedback_versions(document)
    ]


def _version(
    document: Document, feedback: Document, output: Output | None, *, current: bool
) -> Version:
    seen = verdict(output, row_in(read_document({**document, "feedback": feedback}), output))
    said = feedback_in(feedback)
    stated = None
    if said.truths:
        whole = said.whole()
        stated = whole if isinstance(whole, str) else json.dumps(whole)
    truth = feedback.get("truth")
    meta = truth.get("meta") if isinstance(truth, dict) else None
    tags = meta.get("tags") if isinstance(meta, dict) else None
    return Version(
        time=str(feedback.get("ce-time", "")),
        truth=seen.pair[1] if seen.pair else stated,
        reward=said.reward,
        tags=tags if isinstance(tags, dict) else {},
        correct=seen.correct,
        current=current,
    )


def _send(session: requests.Session, url: str, correction: Correction, timeout: float) -> Amended:
    try:
        body = correction.body()
        response = session.post(
            f"{url}/api/v1.0/feedback",
            json=body,
            headers={PUID_HEADER: correction.request_id.encode()},
            timeout=timeout,
        )
    except InvalidEvent as error:
        return Amended(correction.request_id, None, str(error))
    except requests.RequestException as error:
        return Amended(correction.request_id, None, f"not delivered: {error}")
    reason = "" if response.ok else f"http {response.status_code}: {response.text[:200]}"
    return Amended(correction.request_id, response.status_code, reason)
