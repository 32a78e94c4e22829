"""The log of a container, at once or as it grows."""

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.supervisor import Supervised
from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.requests import is_set

_LOOK = 0.1  # seconds between two looks at a log that is followed
_CHUNK = 1 << 16
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_TIME_WITHIN = 200  # characters of a line in which its time is looked for


async def answer(
    request: web.Request, name: str, live: LivePod, is_there: Callable[[], bool]
) -> web.StreamResponse:
    """The log that a request asks for. Raises `Refusal`."""
    query = request.query
    if is_set(query, "timestamps"):
        raise Refusal(400, "the platform keeps no time of each line: leave out timestamps")
    process = _process(name, live, query.get("container", ""))
    previous = is_set(query, "previous")
    lines = _number(query.get("tailLines"), "tailLines")
    limit = _number(query.get("limitBytes"), "limitBytes")
    since = _since(query)
    file = logs.previous(process.log) if previous else process.log
    if previous and (not file.exists() or not live.restarts_of(process)):
        text = f'previous terminated container "{process.process.name}" in pod "{name}" not found'
        raise Refusal(400, text)
    if not file.exists():
        text = f'container "{process.process.name}" in pod "{name}" is waiting to start'
        raise Refusal(400, f"{text}: {process.reason or 'ContainerCreating'}")
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    if not is_set(query, "follow"):
        said = "".join(f"{line}\n" for line in _lines(file, lines, since)).encode()
        return web.Response(body=said if limit is None else said[:limit], content_type="text/plain")
    await response.prepare(request)
    try:
        async for chunk in _followed(file, lines, since, is_there):
            await response.write(chunk)
    except ConnectionError:
        pass  # the client has gone
    return response


def _process(name: str, live: LivePod, container: str) -> Supervised:
    known = [one.process.name for one in live.processes]
    if not container:
        if len(known) > 1:
            raise Refusal(
                400,
                f"a container name must be specified for pod {name}, choose one of:"
                f" [{' '.join(known)}]",
            )
        return live.processes[0]
    for one in live.processes:
        if one.process.name == container:
            return one
    raise Refusal(400, f"container {container} is not valid for pod {name}")


def _lines(file: Path, lines: int | None, since: datetime | None) -> list[str]:
    """The last lines of a log that is not longer than two files."""
    return list(deque(_after(_all(file), since), maxlen=lines))


def _all(file: Path) -> Iterator[str]:
    for one in (file.with_name(file.name + ".1"), file):
        try:
            with one.open(encoding="utf-8", errors="replace") as stream:
                yield from (line.rstrip("\n") for line in stream)
        except FileNotFoundError:
            continue


def _after(lines: Iterator[str], since: datetime | None) -> Iterator[str]:
    """Lines from a time on; one that does not say when it was written goes with the one before.

    Those before the first that says it are kept.
    """
    keep = True
    for line in lines:
        if since is not None and (found := _TIME.search(line[:_TIME_WITHIN])):
            when = datetime.fromisoformat(found[0])
            keep = (when if when.tzinfo else when.replace(tzinfo=UTC)) >= since
        if keep:
            yield line


async def _followed(
    file: Path, lines: int | None, since: datetime | None, is_there: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The lines of a log and those to come, until its process ends."""
    with file.open("rb") as stream:
        own = os.fstat(stream.fileno()).st_ino
        said = "".join(f"{line}\n" for line in _lines(file, lines, since)).encode()
        stream.seek(0, os.SEEK_END)
        if said:
            yield said
        while True:
            ended = not is_there()
            while chunk := stream.read(_CHUNK):
                yield chunk
            try:
                now = file.stat()
            except FileNotFoundError:
                return
            if ended or now.st_ino != own:
                return
            if now.st_size < stream.tell():
                stream.seek(0)  # it was made smaller
                continue
            await asyncio.sleep(_LOOK)


def _since(query: Mapping[str, str]) -> datetime | None:
    seconds = _number(query.get("sinceSeconds"), "sinceSeconds")
    if seconds is not None:
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() - seconds, UTC)
    if time := query.get("sinceTime"):
        try:
            return datetime.fromisoformat(time)
        except ValueError:
            raise Refusal(400, f"sinceTime is {time!r}: write it as RFC 3339") from None
    return None


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise Refusal(400, f"{name} is {text!r}: it must be a whole number")
    return int(text)
