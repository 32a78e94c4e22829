"""Ask a process whether it works."""

import asyncio
import contextlib
import os

from closedloop.platforms.embedded.desired import Probe


async def check(probe: Probe, host: str) -> str:
    """Why the process at `host` does not work, or the empty string.

    A probe with a path passes on a status from 200 to 399 within its timeout,
    one without when a TCP connection opens.
    """
    try:
        async with asyncio.timeout(probe.timeout):
            if probe.path is None:
                return await _connect(host, probe.port)
            return await _get(host, probe.port, probe.path)
    except TimeoutError:
        return f"no answer from {host}:{probe.port} within {probe.timeout:g} s"
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return f"{host}:{probe.port}: {reason}"


async def _connect(host: str, port: int) -> str:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def _get(host: str, port: int, path: str) -> str:
    # By hand: a connection for each probe, as kubelet does, needs no client session.
    reader, writer = await asyncio.open_connection(host, port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        status_line = await reader.readline()
        fields = status_line.split(maxsplit=2)
        if len(fields) < 2 or not fields[1].isdigit():
            return f"GET {host}:{port}{path}: no HTTP answer"
        status = int(fields[1])
        if 200 <= status < 400:
            return ""
        head, _, body = (b"\r\n" + await reader.read()).partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = body.partition(b"\r\n")[2]
        reason = body.decode(errors="replace").strip().splitlines()[:1]
        return f"GET {host}:{port}{path}: {status}" + (f", {reason[0]}" if reason else "")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
