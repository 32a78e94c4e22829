"""Pairs of two logs about the same rows: joined by request id, row and content."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

from elasticsearch import Elasticsearch

from closedloop.log.pages import PAGE, SCORED, Key, Source, by_request, correct, open_log
from closedloop.log.period import ALWAYS, REQUEST_TIME, Period
from closedloop.loop import rfc3339

_FIELDS = (
    "score.correct",
    "feedback.ce-time",
    REQUEST_TIME,
    "request.instance",
    "request.names",
    "request.cut",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One row that is scored for both predictors.

    `time` is the later of the two latest pieces of feedback, RFC 3339: since
    then both verdicts are as they are. `asked` is when the first of the two was
    asked, and `content` a digest of the row in the request, None where neither
    has logged it.
    """

    request_id: str
    row: int
    document_id: str
    champion_correct: bool
    challenger_correct: bool
    time: str
    asked: str
    content: bytes | None

    @property
    def discordant(self) -> bool:
        """Exactly one of the two is right."""
        return self.champion_correct != self.challenger_correct


def pairs(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
    *,
    page: int = PAGE,
) -> Iterator[Pair]:
    """Pair the rows scored for both predictors, by request id and row, repeats among them.

    Raises NothingLoggedError when one of them has no log.
    """
    for pair, _ in _with_requests(
        client, namespace, deployment, champion, challenger, period, page=page
    ):
        yield pair


def disagreements(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
    *,
    most: int = 20,
) -> list[Mapping[str, object]]:
    """Logged requests, as SeldonMessages of one row, that the two answered differently.

    They are rows on which exactly one is right, so their classes differ: the answer to
    one tells which of the two models is serving. None comes twice.
    """
    seen = set[bytes]()

    def differing() -> Iterator[Mapping[str, object]]:
        for pair, request in _with_requests(
            client, namespace, deployment, champion, challenger, period
        ):
            if pair.discordant and pair.content is not None and pair.content not in seen:
                seen.add(pair.content)
                names = request.get("names", [])
                yield {"data": {"names": names, "ndarray": [request["instance"]]}}

    return list(islice(differing(), most))


def content_of(instance: object) -> bytes:
    """A digest of one row of a request: equal for rows that JSON says are the same.

    The order of an object's members does not matter, nor whether a whole number
    is written as 1 or as 1.0.
    """
    text = json.dumps(_canonical(instance), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _with_requests(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period,
    *,
    page: int = PAGE,
) -> Iterator[tuple[Pair, Source]]:
    """Every pair, with the `request` section of its document, which may be empty."""
    filters = [SCORED, *period.filters()]
    left, right = (
        by_request(
            client, open_log(client, namespace, deployment, name), filters, _FIELDS, page=page
        )
        for name in (champion, challenger)
    )
    for key, ours, theirs in _join(left, right):
        for document_id in sorted(ours.keys() & theirs.keys()):
            one, other = ours[document_id], theirs[document_id]
            logged = [*filter(_known, map(_request, (one, other)))]
            contents = {content_of(each["instance"]) for each in logged}
            if len(contents) > 1:  # answers to two different requests under one id are no pair
                continue
            pair = Pair(
                *key,
                document_id,
                champion_correct=correct(one),
                challenger_correct=correct(other),
                time=max(_judged(one), _judged(other), key=rfc3339.nanoseconds),
                asked=min(_asked(one), _asked(other), key=rfc3339.nanoseconds),
                content=next(iter(contents), None),
            )
            yield pair, logged[0] if logged else {}


def _join(
    left: Iterator[tuple[Key, dict[str, Source]]], right: Iterator[tuple[Key, dict[str, Source]]]
) -> Iterator[tuple[Key, dict[str, Source], dict[str, Source]]]:
    """Both sides of every key that both have; each side comes sorted by key."""
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one[0], one[1], other[1]
            one, other = next(left, None), next(right, None)
        elif one[0] < other[0]:
            one = next(left, None)
        else:
            other = next(right, None)


def _canonical(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    return value


def _request(source: Source) -> Source:
    return cast(Source, source.get("request") or {})


def _known(request: Source) -> bool:
    """Whether a row is in its request: one that is too large is logged without it."""
    return "instance" in request and not (request.get("cut") and request["instance"] is None)


def _asked(source: Source) -> str:
    return str(source[REQUEST_TIME])


def _judged(source: Source) -> str:
    return str(cast(Source, source["feedback"])["ce-time"])
