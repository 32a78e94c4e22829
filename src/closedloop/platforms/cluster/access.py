"""URLs of Services as seen from this machine."""

import base64
import contextlib
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.diagnosis import pods_of
from closedloop.platforms.cluster.forwarding import Forwarder
from closedloop.platforms.cluster.ports import Published
from closedloop.platforms.cluster.relaying import Relay, proxied
from closedloop.platforms.parts import behind
from closedloop.platforms.protocol import PlatformError

_PATIENCE = 30.0
_ANSWER = 5.0  # seconds for the answer to one request
_LOOK_AGAIN = 0.25


def url(
    api: Api,
    forwarder: Forwarder,
    published: Mapping[str, Published],
    service: str,
    port: str | int | None,
    relay: Relay | None = None,
) -> str:
    """The URL of Service `namespace/name`, without a trailing slash.

    Through the node's port where one is published, else forwarded; HTTP is
    answered there, or is not within half a minute. User and password are in
    it where the Service asks for them. With `relay`, for an account that may
    not do everything, in the way that its roles give. Raises `PlatformError`.
    """
    namespace, _, name = service.partition("/")
    if not namespace or not name:
        raise PlatformError(f"{service!r} is no Service: name it as namespace/name")
    found = api.get("Service", name, namespace)
    if found is None:
        raise PlatformError(f"there is no Service {service}: apply it or install its part first")
    number = _number(found, port)
    entry = published.get(service)
    if entry is not None and number == _number(found, None):
        host_port = entry.host_port
    elif relay is not None and _is_relayed(api, found, number):
        host_port = relay.port(namespace, name, number)
    else:
        host_port = forwarder.port(namespace, name, number)
    _await_answer(host_port)
    return f"http://{_userinfo(api, namespace, name)}127.0.0.1:{host_port}"


def _is_relayed(api: Api, service: dict[str, Any], port: int) -> bool:
    """Whether the account has to reach a port by the API server's proxy, and not by forwarding.

    Raises `PlatformError` when it may do neither.
    """
    own = service["metadata"]
    namespace, name = own["namespace"], own["name"]
    if api.allowed("get", "", "services/proxy", namespace, proxied(name, port)):
        return True
    pods = ["", *(pod["metadata"]["name"] for pod in pods_of(api, service))]
    if any(api.allowed("create", "", "pods/portforward", namespace, pod) for pod in pods):
        return False
    raise PlatformError(
        f"your account may not reach Service {namespace}/{name}: ask an administrator for one of"
        " the roles of manifests/access, see docs/access.md"
    )


def _await_answer(port: int) -> None:
    """Until HTTP is answered behind a port of ours, whatever the answer, or for a while.

    Docker and a forwarder accept at once and close again when nobody listens
    behind them, such as the gateway before Istio has told it of its first
    Gateway: that a connection holds says nothing, for the refusal may be on its way.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError, HTTPException),
            contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=_ANSWER)) as asking,
        ):
            asking.request("HEAD", "/")
            asking.getresponse()
            return
        time.sleep(_LOOK_AGAIN)


def _number(service: Mapping[str, Any], port: str | int | None) -> int:
    """The Service's port of this name or number; the one for HTTP when None."""
    ports = service["spec"].get("ports") or []
    if port is None:
        # The gateway's first port is its health.
        web = [each for each in ports if str(each.get("name", "")).startswith("http")]
        port = next((each["port"] for each in web or ports), None)
    for each in ports:
        if str(port) in {str(each["port"]), each.get("name")}:
            return int(each["port"])
    own = service["metadata"]
    raise PlatformError(
        f"Service {own.get('namespace')}/{own['name']} has no port {port}: it has"
        f" {[each['port'] for each in ports]}"
    )


def _userinfo(api: Api, namespace: str, name: str) -> str:
    workload = behind(f"{namespace}/{name}")
    if workload is None or workload.login is None:
        return ""
    asked = workload.login
    found = api.get("Secret", asked.secret, namespace)
    if found is None:
        return ""  # one that asks for none
    data = found.get("data") or {}
    try:
        words = [base64.b64decode(data[key]).decode() for key in (asked.user, asked.password)]
    except KeyError as error:
        raise PlatformError(
            f"Secret {namespace}/{asked.secret} has no key {error}: add it, or remove the Secret"
            " and install elasticsearch again"
        ) from None
    return f"{quote(words[0], safe='')}:{quote(words[1], safe='')}@"
