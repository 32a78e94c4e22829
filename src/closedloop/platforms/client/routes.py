"""Whether a SeldonDeployment is reached: by a request through the gateway, as a user's would go."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import requests

from closedloop.platforms.protocol import PlatformError

Object = Mapping[str, Any]

_ROUTED = "istioVirtualServicesReady"
# With these the route is somewhere else than at our gateway, or is asked for by another host.
_ELSEWHERE = ("seldon.io/istio-gateway", "seldon.io/istio-host")
_ANSWER = 5.0
_LOOK_AGAIN = 0.2
# In a row: the gateway's workers learn of a new cluster one after the other.
_ROUNDS = 5


def has_route(deployment: Object) -> bool:
    """Whether the operator made it a route at our gateway."""
    annotations: Mapping[str, str] = {}
    for holder in (deployment["metadata"], deployment.get("spec") or {}):
        annotations = {**annotations, **(holder.get("annotations") or {})}
    return not any(name in annotations for name in _ELSEWHERE) and any(
        each.get("type") == _ROUTED and each.get("status") == "True"
        for each in (deployment.get("status") or {}).get("conditions") or []
    )


def await_answer(
    gateway: str, deployment: Object, *, timeout: float, diagnose: Callable[[], str]
) -> None:
    """Until the executor behind the route says that it is ready, some times in a row.

    The operator makes a VirtualService about a second before the
    DestinationRule that it names, and Istio tells the gateway later still:
    meanwhile it answers 404 or 503. Raises `PlatformError` with the last
    answer after `timeout` seconds.
    """
    own = deployment["metadata"]
    # The executor's own readiness: no model is asked, and nothing is logged.
    url = f"{gateway}/seldon/{own['namespace']}/{own['name']}/ready"
    deadline = time.monotonic() + timeout
    good = 0
    while good < _ROUNDS:
        last = _ask(url)
        good = good + 1 if last == "200" else 0
        if good:
            continue
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"SeldonDeployment {own['namespace']}/{own['name']} is ready but not reached:"
                f" {url} answers {last} after {timeout:g} s: look at the gateway's log\n"
                f"{diagnose()}"
            )
        time.sleep(_LOOK_AGAIN)


def _ask(url: str) -> str:
    try:
        with requests.get(url, timeout=_ANSWER) as response:
            said = response.text.strip() if response.status_code != HTTPStatus.OK else ""
            return f"{response.status_code} {said}".strip()
    except requests.RequestException as error:
        return f"nothing ({error})"
