"""What a cluster does when a port of a pod is forwarded."""

import asyncio
import struct
from collections.abc import Mapping

from aiohttp import WSMsgType, web


async def portforward(
    request: web.Request, ports: Mapping[tuple[str, int], int]
) -> web.StreamResponse:
    """Forward by the websocket way: channel 2n is data, 2n+1 errors, each begins with the port.

    `ports` are those of this machine that stand for those of pods.
    """
    pod, port = request.path.split("/")[-2], int(request.query["ports"])
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await socket.prepare(request)
    for channel in (0, 1):
        await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[pod, port])
    except (KeyError, OSError):
        await socket.send_bytes(b"\x01nothing listens there")
        await socket.close()
        return socket

    async def back() -> None:
        while data := await reader.read(65536):
            await socket.send_bytes(b"\x00" + data)
        await socket.close()

    task = asyncio.create_task(back())
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
            writer.write(message.data[1:])
            await writer.drain()
    writer.close()
    task.cancel()
    return socket
