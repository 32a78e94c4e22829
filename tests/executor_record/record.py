"""Calls to an executor, and what came of them: read, sent, and recorded from a real one.

Recorded of an answer are its status, the headers that an executor sets and its
body; of the events that the executor posted their headers and bodies. What is
new each time, ids and times, is replaced by a word. Bodies that equal the
request's or the answer's, and long ones, are named rather than repeated.

To record anew, run Seldon's executor of the pinned version in front of a model
that answers as `MODEL` says, with a logger of mode `all` whose URL is the sink's,
for the deployment and predictor of `WHO`; then

    python -m tests.executor_record.sink 127.0.0.1 8099 > events.jsonl &
    python -m tests.executor_record.record http://127.0.0.1:8000 events.jsonl
"""

import base64
import gzip
import hashlib
import http.client
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from closedloop.notebook.waiting import until

FOLDER = Path(__file__).parent
RECORDED = FOLDER / "recorded.yaml"
WHO = {"deployment": "recorded", "namespace": "closedloop-recorded", "predictor": "default"}
MODEL = {"class": "closedloop.models.sklearn_server.SKLearnServer", "method": "predict"}
PATIENCE = 60.0

_JSON = {"Content-Type": "application/json"}
_ROW = '{"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}'
_TRUTH = '{"truth": {"data": {"ndarray": [0]}}}'
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
_KEPT = re.compile(r"content-type|content-encoding|seldon-puid|x-content-.*|ce-.*")
_USUAL = "usual headers"
_HEAD = """\
# What Seldon's executor 1.17.1 made of the calls of calls.yaml. Written by record.py, never by
# hand. Headers are told as they differ from the usual ones; null: it is not there.
"""
_NOT_ROUTED = (404, 405)  # of which the words are the router's
_LONG = 600  # bytes: longer bodies are known by their digest

Event = dict[str, Any]  # headers and body, as the sink prints them


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    name: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    chunked: bool = False


@dataclass
class Seen:
    """What came of one call."""

    status: int
    headers: dict[str, str]
    body: bytes
    events: list[Event] = field(default_factory=list)


def calls() -> Iterator[Call]:
    """All calls, in the order of the file."""
    for number, (name, said) in enumerate(_read("calls.yaml").items()):
        path = said.get("path", "predictions")
        feedback = path.endswith("feedback")
        headers = said.get("headers", {**_JSON, "Seldon-Puid": f"call-{number}"})
        lines = [
            (header, line)
            for header, value in headers.items()
            for line in (value if isinstance(value, list) else [value])
        ]
        yield Call(
            name,
            said.get("method", "POST"),
            path if path.startswith("/") else f"/api/v1.0/{path}",
            lines,
            _body(said.get("body", _TRUTH if feedback else _ROW)),
            said.get("chunked", False),
        )


def recorded() -> dict[str, Any]:
    """What the real executor made of each call, by the call's name."""
    found = _read("recorded.yaml")
    usual = found.pop(_USUAL)
    for one in found.values():
        one["headers"] = _whole(usual["answer"], one["headers"])
        for event in one.get("events", []):
            event["headers"] = _whole(usual["event"], event["headers"])
    return found


def send(url: str, call: Call) -> Seen:
    """Send one call to the executor at `url`, which may have a path of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.putrequest(call.method, parts.path + call.path, skip_accept_encoding=True)
        for name, value in call.headers:
            connection.putheader(name, value.encode())
        if call.chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif call.body or call.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(call.body)))
        body: object = iter([call.body[:10], call.body[10:]]) if call.chunked else call.body
        connection.endheaders(body or None, encode_chunked=call.chunked)  # type: ignore[arg-type]  # its stub lacks iterators
        response = connection.getresponse()
        kept = {
            name.lower(): _text(value)
            for name, value in response.getheaders()
            if _KEPT.fullmatch(name.lower())
        }
        return Seen(response.status, kept, response.read())
    finally:
        connection.close()


def replay(
    url: str, events: Callable[[], list[Event]], wanted: Mapping[str, int]
) -> dict[str, Any]:
    """Send every call, wait for `wanted` events of each, and say what came in the form recorded.

    `events` are all that the sink got so far. The last call is sent once more at
    the end: when its events are there, those of all others had their time.
    """
    every = list(calls())
    seen = {call.name: send(url, call) for call in every}
    total = sum(wanted.values())
    until(
        lambda: len(events()),
        lambda found: found >= total,
        what=f"{total} events",
        timeout=PATIENCE,
        diagnose=lambda: _missing(events(), seen, wanted),
    )
    _give_time(url, events)
    for event in events():
        _whose(event, seen).events.append(event)
    return {call.name: described(call, seen[call.name]) for call in every}


def described(call: Call, seen: Seen) -> dict[str, Any]:
    """What came of a call, as it is recorded."""
    puid = seen.headers.get("seldon-puid", "")
    answer: dict[str, Any] = {"status": seen.status, "headers": {}}
    if seen.status not in _NOT_ROUTED:
        answer["headers"] = {
            name: _UUID.sub("<uuid>", value) for name, value in sorted(seen.headers.items())
        }
        answer["body"] = _said(seen.body)
    told: list[dict[str, Any]] = []
    for event in sorted(seen.events, key=lambda one: str(one["headers"].get("ce-type"))):
        headers = {name: value for name, value in event["headers"].items() if _an_events(name)}
        for name, form in (("ce-id", _UUID), ("ce-time", _TIME), ("ce-traceparent", _TRACE)):
            if form.fullmatch(headers.get(name, "")):
                headers[name] = f"<{name.removeprefix('ce-')}>"
        if headers.get("ce-requestid") == puid:
            headers["ce-requestid"] = "<puid>"
        told.append(
            {"headers": dict(sorted(headers.items())), "body": _named(event["body"], call, seen)}
        )
    return answer | ({"events": told} if told else {})


def write(found: Mapping[str, Any]) -> None:
    """Keep what came of all calls; headers that most answers and events have are said once."""
    events = [event for one in found.values() for event in one.get("events", [])]
    usual = {"answer": _usual([*found.values()]), "event": _usual(events)}
    for what, told in (("answer", found.values()), ("event", events)):
        for one in told:
            one["headers"] = _beside(usual[what], one["headers"])
    text = yaml.safe_dump(
        {_USUAL: usual, **found}, sort_keys=False, allow_unicode=True, width=100_000
    )
    RECORDED.write_text(f"{_HEAD}{text}", encoding="utf-8")


def printed(text: str) -> list[Event]:
    """The events among the lines that a sink printed."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith('{"headers"')]
    for event in events:
        event["headers"] = {name: _text(value) for name, value in event["headers"].items()}
    return events


def _usual(told: list[dict[str, Any]]) -> dict[str, str]:
    """Headers of one value in more than half of what was told."""
    counts = Counter(item for one in told for item in one["headers"].items())
    return {name: value for (name, value), count in counts.items() if count > len(told) / 2}


def _beside(usual: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str | None]:
    """Headers as they differ from the usual ones; None for one that is not there."""
    missing: dict[str, str | None] = {name: None for name in usual if name not in headers}
    return missing | {name: value for name, value in headers.items() if usual.get(name) != value}


def _whole(usual: Mapping[str, str], beside: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**usual, **beside}.items() if value is not None}


def _give_time(url: str, events: Callable[[], list[Event]]) -> None:
    """Until what was sent last has come, and no sooner than that."""
    headers = [*_JSON.items(), ("Seldon-Puid", "the-last")]
    last = Call("the last", "POST", "/api/v1.0/predictions", headers, _ROW.encode())
    send(url, last)
    until(
        lambda: sum(one["headers"].get("ce-requestid") == "the-last" for one in events()),
        lambda count: count == 2,
        what="the last events",
        timeout=PATIENCE,
    )


def _whose(event: Event, seen: Mapping[str, Seen]) -> Seen:
    puid = event["headers"].get("ce-requestid")
    for one in seen.values():
        if one.headers.get("seldon-puid") == puid:
            return one
    return Seen(0, {}, b"") if puid == "the-last" else _stray(event)


def _stray(event: Event) -> Seen:
    raise AssertionError(f"an event of no call: {event['headers']}")


def _missing(found: list[Event], seen: Mapping[str, Seen], wanted: Mapping[str, int]) -> str:
    lines = []
    for name, one in seen.items():
        puid = one.headers.get("seldon-puid")
        count = sum(event["headers"].get("ce-requestid") == puid for event in found)
        if puid and count != wanted.get(name, 0):
            lines.append(f"{name}: {count} of {wanted.get(name, 0)} events")
    return "\n".join(lines)


def _text(header: str) -> str:
    """A header that the standard library read as Latin-1, as UTF-8."""
    return header.encode("latin-1").decode(errors="replace")


def _an_events(name: str) -> bool:
    return name == "content-type" or name.startswith("ce-")


def _named(told: object, call: Call, seen: Seen) -> object:
    """An event's body as it is recorded, from what the sink told of it."""
    if isinstance(told, dict):  # too long for the sink
        digests = {"<the request's>": call.body, "<the answer's>": seen.body}
        return next((name for name, body in digests.items() if _digest(body) == told), told)
    body = base64.b64decode(str(told))
    if body == call.body:
        return "<the request's>"
    if body == seen.body:
        return "<the answer's>"
    if call.body[:2] == b"\x1f\x8b" and body == gzip.decompress(call.body):
        return "<the request's, unpacked>"
    return _said(body)


def _said(body: bytes) -> object:
    if len(body) > _LONG:
        return _digest(body)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    return text


def _digest(body: bytes) -> dict[str, object]:
    return {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _body(said: Any) -> bytes:
    match said:
        case str():
            return said.encode()
        case {"base64": text}:
            return base64.b64decode(text)
        case {"gzip": text}:
            return gzip.compress(text.encode(), mtime=0)
        case {"encoding": encoding, "text": text}:
            return str(text).encode(str(encoding))
        case {"repeat": text, "times": times}:
            whole: str = said.get("before", "") + text * times + said.get("after", "")
            return whole.encode()
    raise ValueError(f"a call's body is {said!r}: see the head of calls.yaml")


def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


if __name__ == "__main__":
    file = Path(sys.argv[2])
    write(replay(sys.argv[1], lambda: printed(file.read_text(encoding="utf-8")), {}))
