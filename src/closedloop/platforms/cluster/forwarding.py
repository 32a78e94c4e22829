"""Ports of this machine that lead to pods through the API server, for as long as we live.

Each connection is forwarded on its own, to a pod that is ready at that moment:
when a pod is replaced the next connection goes to the new one.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.diagnosis import is_ready, pods_of
from closedloop.platforms.protocol import PlatformError

_PATIENCE = 15.0  # seconds for a pod to become ready while a connection waits
_LOOK_AGAIN = 0.5
_CHUNK = 1 << 16


class Forwarder:
    """Forwards to Services of one cluster; everything ends with `close` or the process."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._listeners: dict[tuple[str, str, int], socket.socket] = {}

    def port(self, namespace: str, service: str, port: int) -> int:
        """The port of 127.0.0.1 that leads to a Service's port. Raises `PlatformError`."""
        key = namespace, service, port
        with self._lock:
            if key not in self._listeners:
                if self._api.get("Service", service, namespace) is None:
                    raise PlatformError(
                        f"there is no Service {namespace}/{service}: apply it first"
                    )
                listener = socket.create_server(("127.0.0.1", 0), backlog=128)
                self._listeners[key] = listener
                threading.Thread(
                    target=self._serve,
                    args=(listener, namespace, service, port),
                    name=f"forward {namespace}/{service}:{port}",
                    daemon=True,
                ).start()
            found: int = self._listeners[key].getsockname()[1]
            return found

    def close(self) -> None:
        """Stop listening; connections that are open end by themselves."""
        with self._lock:
            for listener in self._listeners.values():
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self._listeners.clear()

    def _serve(self, listener: socket.socket, namespace: str, service: str, port: int) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._forward,
                args=(connection, namespace, service, port),
                daemon=True,
            ).start()

    def _forward(self, connection: socket.socket, namespace: str, service: str, port: int) -> None:
        # A connection that cannot be served is closed, which its client reports.
        with connection, contextlib.suppress(PlatformError, ApiException, OSError):
            pod, target = self._pod(namespace, service, port)
            _pump(connection, lambda: self._open(namespace, pod, target))

    def _pod(self, namespace: str, service: str, port: int) -> tuple[str, int]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = self._api.get("Service", service, namespace)
            if found is None:
                raise PlatformError(f"there is no Service {namespace}/{service}: apply it first")
            ready = [pod for pod in pods_of(self._api, found) if _serves(pod)]
            if ready:
                newest = max(ready, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
                return newest["metadata"]["name"], target_port(found, port, newest)
            if time.monotonic() > deadline:
                raise PlatformError(f"no pod of Service {namespace}/{service} is ready")
            time.sleep(_LOOK_AGAIN)

    def _open(self, namespace: str, pod: str, port: int) -> Any:
        # A client of its own: the library swaps a method of it while it connects.
        core = client.CoreV1Api(client.ApiClient(self._api.configuration))
        return portforward(
            core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port)
        ).socket(port)


def target_port(service: dict[str, Any], port: int, pod: dict[str, Any]) -> int:
    """The container port behind a Service's port, names resolved. Raises `PlatformError`."""
    for each in service["spec"].get("ports") or []:
        if each["port"] == port:
            target = each.get("targetPort", port)
            if isinstance(target, int):
                return target
            for container in pod["spec"]["containers"]:
                for own in container.get("ports") or []:
                    if own.get("name") == target:
                        return int(own["containerPort"])
    own = service["metadata"]
    raise PlatformError(
        f"Service {own.get('namespace')}/{own['name']} has no port {port}: it has"
        f" {[each['port'] for each in service['spec'].get('ports') or []]}"
    )


def _serves(pod: dict[str, Any]) -> bool:
    return is_ready(pod) and not pod["metadata"].get("deletionTimestamp")


def _pump(near: socket.socket, connect: Callable[[], Any]) -> None:
    far = connect()
    far.setblocking(True)
    try:
        open_ends = {near: far, far: near}
        while open_ends:
            readable, _, _ = select.select(list(open_ends), [], [])
            for end in readable:
                data = end.recv(_CHUNK)
                if data:
                    open_ends[end].sendall(data)
                    continue
                # The kubelet cannot be told of a half-closed connection: an end ends both.
                return
    finally:
        far.close()
