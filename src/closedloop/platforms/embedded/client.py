"""The embedded platform as notebooks and the command line see it: a client of its daemon."""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

from closedloop import paths
from closedloop.manifests import Manifest, ManifestError, in_apply_order, load
from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.run import logs
from closedloop.platforms.embedded.state import DaemonState
from closedloop.platforms.protocol import Object, PartStatus, PlatformError, Report

_DAEMON = "closedloop.platforms.embedded.daemon"
_START = 30.0  # seconds until a daemon must answer
_STOP = 60.0  # seconds until it must have ended everything
_CONNECT = 5.0
_EVIDENT = (
    *("Namespace", "Deployment", "Service", "Pod", "ConfigMap", "Gateway", "Broker", "Trigger"),
    *("SeldonDeployment", "PodMonitor", "PrometheusRule"),
)
_LINES = 5000
_INSTALL = 1800.0  # packages may have to be fetched over a slow line


class EmbeddedPlatform:
    """One machine, real parts; implements `closedloop.platforms.protocol.Platform`.

    The daemon is started by the first `install` or `apply`. With `parent_pid`
    it ends together with that process.
    """

    name = "embedded"

    def __init__(self, *, parent_pid: int | None = None) -> None:
        self._parent_pid = parent_pid
        self._folder = paths.platform_folder()
        self._manifests = paths.manifests_folder()

    def start(self, report: Report) -> None:
        """Nothing: what is installed or applied first starts the daemon."""

    def install(self, part: str) -> list[PartStatus]:
        body = {
            "part": part,
            "elasticsearch_url": os.environ.get("CLOSEDLOOP_ELASTICSEARCH_URL", "").rstrip("/"),
        }
        rows = self._call("POST", "/install", json=body, timeout=_INSTALL, start=True)
        return [PartStatus(**row) for row in rows]

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        body = {
            "manifests": [
                {"source": one.source, "document": one.document} for one in self._load(manifests)
            ]
        }
        happened: list[str] = self._call("POST", "/apply", json=body, start=True)
        return happened

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        keys = [one.key for one in reversed(self._load(manifests))]  # users before what they use
        if self._there() is None:
            return [f"{key.split('/')[0]}/{key.rpartition('/')[2]} absent" for key in keys]
        happened: list[str] = self._call("POST", "/delete", json={"keys": keys}, timeout=120)
        return happened

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        query = {"kind": kind, "name": name, "namespace": namespace}
        one: dict[str, object] = self._call("GET", "/object", params=query)
        return one

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, object]]:
        query = {"kind": kind, "namespace": namespace}
        found: list[dict[str, object]] = self._call("GET", "/objects", params=query)
        return found

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        condition: str = "Ready",
        timeout: float = 120,
    ) -> dict[str, object]:
        body = {
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "condition": condition,
            "timeout": timeout,
        }
        one: dict[str, object] = self._call("POST", "/wait", json=body, timeout=timeout + 10)
        return one

    def restart(self, part: str, *, kill: bool = False) -> None:
        self._call("POST", "/restart", json={"part": part, "kill": kill}, timeout=180)

    def url(self, service: str, port: str | int | None = None) -> str:
        query = {"service": service} | ({} if port is None else {"port": str(port)})
        return str(self._call("GET", "/url", params=query))

    def logs(self, part: str, lines: int = 100) -> str:
        return str(self._call("GET", "/logs", params={"part": part, "lines": str(lines)}))

    def status(self) -> list[PartStatus]:
        if self._there() is None:
            return []
        return [PartStatus(**row) for row in self._call("GET", "/status")]

    def evidence(self) -> Iterator[tuple[str, bytes]]:
        if self._there() is None:
            return
        for kind in _EVIDENT:
            text = yaml.safe_dump_all(self.objects(kind), sort_keys=False)
            yield f"objects/{kind}.yaml", str(text).encode()
        for row in self.status():
            name = row.part.replace("/", "_")
            yield f"logs/{name}.log", self.logs(row.part, _LINES).encode()

    def down(self) -> None:
        daemon = self._find()
        if daemon is None:
            self._end_silent()
            self._clean_up()
            return
        try:
            # The process, and not a later one with its number.
            descriptor = os.pidfd_open(daemon.pid)
        except ProcessLookupError:
            return
        try:
            # Heard, or ending already: what counts is that it ends.
            with contextlib.suppress(PlatformError):
                self._call("POST", "/down")
            if not select.select([descriptor], [], [], _STOP)[0]:
                raise PlatformError(
                    f"the platform's daemon {daemon.pid} still runs after {_STOP:g} s:"
                    f" see {self._folder / 'daemon.log'}"
                )
        finally:
            os.close(descriptor)
            _reap(daemon.pid)

    def _load(self, manifests: tuple[str | Path | Object, ...]) -> list[Manifest]:
        try:
            return in_apply_order(load(self._manifests, *manifests))
        except ManifestError as error:
            raise PlatformError(str(error)) from None

    def _call(
        self,
        method: str,
        path: str,
        *,
        timeout: float = 60,
        start: bool = False,
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        daemon = (self._find() or self._start()) if start else self._there()
        if daemon is None:
            raise PlatformError("no platform runs here: start one with `closedloop up`")
        with _session(daemon) as session:
            try:
                answer = session.request(
                    method,
                    daemon.url + path,
                    json=json,
                    params=params,
                    timeout=(_CONNECT, timeout),
                )
            except requests.Timeout:
                raise PlatformError(
                    f"the platform did not finish {path[1:]} within {timeout:g} s:"
                    f" see {self._folder / 'daemon.log'}"
                ) from None
            except requests.RequestException:
                raise PlatformError(
                    f"the platform ended during {path[1:]}: {self._last_words()}"
                ) from None
        if answer.ok:
            return answer.json()
        try:
            raise PlatformError(str(answer.json()["error"]))
        except requests.JSONDecodeError:
            raise PlatformError(
                f"the platform failed at {path[1:]} (status {answer.status_code}):"
                f" see {self._folder / 'daemon.log'}"
            ) from None

    def _find(self) -> DaemonState | None:
        """The daemon of this folder, if it answers."""
        found = state.read(self._folder)
        if found is None:
            return None
        with _session(found) as session:
            try:
                answers = session.get(f"{found.url}/ping", timeout=_CONNECT).ok
            except requests.RequestException:
                answers = False
        return found if answers else None

    def _there(self) -> DaemonState | None:
        """The daemon of this folder, or None. Raises `PlatformError` for one that is silent."""
        daemon = self._find()
        if daemon is None and state.held(self._folder):
            raise PlatformError(
                f"the platform in {self._folder} runs but does not answer, because it starts,"
                " ends or hangs: try again in a moment, or end it with `closedloop down`"
            )
        return daemon

    def _end_silent(self) -> None:
        """End a daemon that holds the lock and does not answer: it starts, ends or hangs."""
        deadline = time.monotonic() + _STOP
        told = None
        while state.held(self._folder):
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"the platform's daemon{f' {told}' if told else ''} neither answers nor ends"
                    f" within {_STOP:g} s: see {self._folder / 'daemon.log'}, and kill it"
                )
            # While it starts it has no state file yet, and is told once it has.
            found = state.read(self._folder)
            if found is not None and found.pid != told and _is_daemon(found.pid):
                told = found.pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(told, signal.SIGTERM)
            time.sleep(0.05)
        if told is not None:
            while _is_daemon(told) and time.monotonic() < deadline:
                time.sleep(0.01)
            _reap(told)

    def _start(self) -> DaemonState:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise PlatformError(
                f"{self._folder} cannot be made: {error.strerror}:"
                " set CLOSEDLOOP_HOME to a folder that you may write to"
            ) from None
        log = self._folder / "daemon.log"
        logs.rotate(log, limit=1 << 20)
        argv = [sys.executable, "-m", _DAEMON]
        if self._parent_pid is not None:
            argv += ["--parent-pid", str(self._parent_pid)]
        env = {
            **os.environ,
            "CLOSEDLOOP_ROOT": str(self._manifests.parent),
            "CLOSEDLOOP_HOME": str(self._folder.parent),
        }
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            sys.executable,
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        deadline = time.monotonic() + _START
        ended = False
        while time.monotonic() < deadline:
            if (found := self._find()) is not None:
                return found
            # Another client's daemon may hold the lock, and so will answer.
            if ended and not state.held(self._folder):
                break
            ended = ended or _reap(pid)
            time.sleep(0.02)
        raise PlatformError(f"the platform did not start: {self._last_words()}")

    def _clean_up(self) -> None:
        """Remove what a daemon left that was killed."""
        # Imported here: the daemon's module brings all of its machinery with it.
        from closedloop.platforms.embedded.daemon import clean

        if not self._folder.is_dir():
            return
        held = state.lock(self._folder, patience=state.MOMENT)
        if held is not None:
            with held:
                clean(self._folder)

    def _last_words(self) -> str:
        said = [line for line in logs.tail(self._folder / "daemon.log", 20).splitlines() if line]
        last = said[-1] if said else "it said nothing"
        return f"{last} (see {self._folder / 'daemon.log'})"


def _session(daemon: DaemonState) -> requests.Session:
    session = requests.Session()
    # A proxy of the environment is for other machines.
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {daemon.token}"
    return session


def _is_daemon(pid: int) -> bool:
    """Whether the process of this number runs and is a daemon: what a state file names may have
    ended long ago, and its number be another program's by now.
    """
    try:
        return _DAEMON.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _reap(pid: int) -> bool:
    """Take the exit status of a child of ours; says whether it has ended."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True
