"""A real nats-server, the broker as a process and a subscriber, on free ports."""

import asyncio
import contextlib
import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import requests
from aiohttp import web

from closedloop.platforms.embedded.broker.config import to_json
from closedloop.platforms.embedded.desired import Delivery, Trigger
from tests.ports import free_port

NATS_SERVER = Path(sys.executable).with_name("nats-server")


def until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


async def awhile(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


class Part:
    """A process that can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / f"{type(self).__name__}.log").open("ab") as log:
            self.process = subprocess.Popen(self.argv(), stdout=log, stderr=log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Nats(Part):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.limits = ""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        config = self.folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder}/store", max_mem: 64MB, max_file: 256MB }}\n'
            f"{self.limits}\n"
        )
        return [str(NATS_SERVER), "-c", str(config)]

    def start(self) -> None:
        super().start()
        until(self._listens)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class BrokerProcess(Part):
    def __init__(self, folder: Path, nats: Nats) -> None:
        super().__init__(folder)
        self.nats = nats
        self.config = folder / "broker.json"
        self.max_bytes = 64 << 20
        self.hold = 60  # seconds; no limit to how long a restart of NATS may take
        self.url = f"http://127.0.0.1:{self.port}"
        self.ingress = f"{self.url}/seldon-logs/default"
        self.configure()

    def argv(self) -> list[str]:
        options = {
            "--port": str(self.port),
            "--nats": self.nats.url,
            "--config": str(self.config),
            "--max-bytes": str(self.max_bytes),
            "--hold": str(self.hold),
        }
        module = "closedloop.platforms.embedded.broker"
        return [sys.executable, "-m", module, *(word for pair in options.items() for word in pair)]

    def configure(self, *triggers: Trigger, brokers: tuple[str, ...] = ("default",)) -> None:
        self.config.write_text(to_json([f"seldon-logs/{name}" for name in brokers], triggers))

    def start(self) -> None:
        super().start()
        until(self._ready)

    def reload(self) -> requests.Response:
        return requests.post(f"{self.url}/-/reload", timeout=60)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/-/status", timeout=60).json()
        return answer

    def log(self) -> str:
        return (self.folder / "BrokerProcess.log").read_text()

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/ready", timeout=60).ok
        return False


class OwnBroker(BrokerProcess):
    """A broker of a test's own, with triggers of its own, on a process that other tests use too."""

    _numbers = itertools.count(1)

    def __init__(self, process: BrokerProcess) -> None:
        self._all, self._number = process, next(self._numbers)
        self._triggers: tuple[Trigger, ...] = ()
        self._before = len(process.log())
        self.url = process.url
        self.name = f"seldon-logs/own-{self._number}"
        self.ingress = f"{self.url}/{self.name}"

    def configure(self, *triggers: Trigger, brokers: tuple[str, ...] = ()) -> None:
        assert not brokers
        self._triggers = tuple(
            replace(one, name=f"{one.name}-{self._number}", broker=self.name) for one in triggers
        )

    def start(self) -> None:
        self._all.configure(*self._triggers, brokers=(self.name.partition("/")[2],))
        answer = self._all.reload()
        assert answer.ok, answer.text

    def status(self) -> dict[str, Any]:
        """With the triggers as the test calls them."""
        said = self._all.status()
        triggers = said["triggers"].items()
        return {**said, "triggers": {name.rpartition("-")[0]: one for name, one in triggers}}

    def log(self) -> str:
        return self._all.log()[self._before :]


class Subscriber:
    """Takes events in a thread of its own and remembers them; `answer` says what it replies."""

    def __init__(self) -> None:
        self.events: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[dict[str, str]], web.Response] = lambda _: web.Response()
        self.url = ""
        self.delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def ids(self) -> Counter[str]:
        return Counter(headers["ce-id"] for headers, _ in list(self.events))

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        self._thread.start()
        runner = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _serve(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        self.url = f"http://{host}:{port}/"
        return runner

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.events.append((headers, await request.read()))
        await asyncio.sleep(self.delay)
        return self.answer(headers)


QUICK = Delivery(retry=3, delay=0.05)


def trigger(
    name: str,
    subscriber: str,
    *,
    broker: str = "default",
    filters: dict[str, str] | None = None,
    delivery: Delivery = QUICK,
) -> Trigger:
    """A trigger that gives up fast, unless told otherwise."""
    return Trigger(
        f"seldon-logs/{name}", f"seldon-logs/{broker}", filters or {}, subscriber, delivery
    )


def event(number: int | str, **attributes: str) -> dict[str, str]:
    """Headers of one event in binary mode."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"e{number}",
        "ce-source": "http://tests",
        "ce-type": "io.seldon.serving.feedback",
        "content-type": "application/json",
    }
    return headers | {f"ce-{name}": value for name, value in attributes.items()}
