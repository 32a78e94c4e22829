"""The one process of a platform: `python -m closedloop.platforms.embedded.daemon`.

Clients start it and find it by its state file (`state.py`). It ends, and ends
everything that it started, at SIGTERM, SIGINT, a client's `down`, or with the
process given by `--parent-pid`.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from closedloop import paths
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.parts.installation import Site
from closedloop.platforms.embedded.run import logs, network
from closedloop.platforms.embedded.run.network import Network
from closedloop.platforms.embedded.run.pods import Surroundings
from closedloop.platforms.embedded.run.process import Guardian
from closedloop.platforms.embedded.server import tls
from closedloop.platforms.embedded.server.app import Server
from closedloop.platforms.protocol import PlatformError
from closedloop.services.kit import service

_log = structlog.get_logger(__name__)

# Seldon's wrapper makes sockets in it, whose paths must be short.
_TMP = "/tmp"  # noqa: S108 - mkdtemp makes a folder of our own in it
_TMP_PREFIX = "closedloop-"
_LOGS_EVERY = 10.0
_LAST_WORDS = 1.0  # seconds in which requests may be answered when the platform goes down
# Left behind when a platform ends: logs, to find out why.
_STAYS = {"logs", "daemon.log", "daemon.log.1", "lock"}


def main() -> None:
    """Run until told to end; returns at once when this folder has a daemon already."""
    parser = argparse.ArgumentParser(prog="python -m closedloop.platforms.embedded.daemon")
    parser.add_argument("--parent-pid", type=int, help="end when this process ends")
    options = parser.parse_args()
    service.configure_logs("INFO")
    if sys.platform != "linux":
        sys.exit(f"the embedded platform needs Linux, this is {sys.platform}: use a cluster")
    folder = paths.platform_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = state.lock(folder, patience=state.MOMENT)
    if held is None:
        return
    with held:
        clean(folder)
        # Logs of the run before are kept for questions; this run starts new ones.
        shutil.rmtree(folder / "logs", ignore_errors=True)
        site = Site(paths.manifests_folder(), paths.parts_folder(), folder)
        try:
            asyncio.run(_serve(site, options.parent_pid))
        except PlatformError as error:
            sys.exit(str(error))
        finally:
            clean(folder)


def clean(folder: Path) -> None:
    """Remove the leftovers of a daemon of this folder; its logs stay."""
    left = state.read(folder)
    if left is not None and Path(left.tmp).name.startswith(_TMP_PREFIX):
        shutil.rmtree(left.tmp, ignore_errors=True)
    for path in folder.iterdir():
        if path.name in _STAYS:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


async def _serve(site: Site, parent: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    net, control = network.claim()
    tmp = Path(tempfile.mkdtemp(prefix=_TMP_PREFIX, dir=_TMP))
    # The temp folder of the process that started this one may be removed first.
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp)
    guardian = await Guardian.start()
    guardian.remember_folder(tmp)
    try:
        with control, closing(net), _ending_with(parent, stop):
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=30), trust_env=False
            ) as http:
                await _run(site, net, control, tmp, guardian, http, stop)
    finally:
        await guardian.stop()
        shutil.rmtree(tmp, ignore_errors=True)


async def _run(
    site: Site,
    net: Network,
    control: socket.socket,
    tmp: Path,
    guardian: Guardian,
    http: aiohttp.ClientSession,
    stop: asyncio.Event,
) -> None:
    folder = site.folder / "logs"
    folder.mkdir(mode=0o700)
    controller = Controller(
        site,
        net,
        lambda on_change: Surroundings(folder, tmp, guardian, on_change),
        http,
    )
    token = secrets.token_urlsafe(32)
    server = Server(controller, token, stop)
    api = web.AppRunner(server.app(), access_log=None, shutdown_timeout=_LAST_WORDS)

    async def serve() -> None:
        await controller.start()
        await api.setup()
        address, port = control.getsockname()
        context, authority = tls.certificate(address)
        await web.SockSite(api, control, ssl_context=context).start()
        kubeconfig, url = site.folder / "kubeconfig", f"https://{address}:{port}"
        tls.write_kubeconfig(kubeconfig, url, authority, token)
        state.write(site.folder, state.DaemonState(os.getpid(), str(kubeconfig), str(tmp)))
        _log.info("platform is up", server=url)
        await stop.wait()

    try:
        await _first_to_end(
            serve(), stop.wait(), controller.run(), server.mirror.run(), _keep_logs_small(folder)
        )
    finally:
        _log.info("platform goes down")
        # Nobody shall find a daemon that is about to end.
        state.remove(site.folder)
        # Open requests end first: an installation would start processes that nobody stops.
        await api.cleanup()
        await controller.stop()


async def _first_to_end(*work: Coroutine[Any, Any, object]) -> None:
    """Do all of this at once until one of it ends, raising what it raised; end the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_logs_small(folder: Path) -> None:
    while True:
        for file in folder.glob("*.log"):
            logs.rotate(file)
        await asyncio.sleep(_LOGS_EVERY)


@contextlib.contextmanager
def _ending_with(parent: int | None, stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` when the process `parent` has ended."""
    if parent is None:
        yield
        return
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        stop.set()
        yield
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        stop.set()

    loop.add_reader(descriptor, ended)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    main()
