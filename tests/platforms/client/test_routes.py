from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from closedloop.platforms.client.routes import await_answer, has_route
from closedloop.platforms.protocol import PlatformError


def _deployment(*, routed: str = "True", **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "iris", "namespace": "seldon", "annotations": annotations},
        "spec": {},
        "status": {"conditions": [{"type": "istioVirtualServicesReady", "status": routed}]},
    }


@contextmanager
def _gateway(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """A gateway that answers with these in turn, the last for ever, and the paths it was asked."""
    left, asked = list(statuses), []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_deployment_has_a_route_when_the_operator_says_so() -> None:
    assert has_route(_deployment())
    assert not has_route(_deployment(routed="False"))
    assert not has_route({"metadata": {}, "spec": {}})


@pytest.mark.parametrize("name", ["seldon.io/istio-gateway", "seldon.io/istio-host"])
def test_a_route_at_another_gateway_or_host_is_not_ours_to_ask(name: str) -> None:
    assert not has_route(_deployment(**{name: "other"}))
    inside = _deployment()
    inside["spec"]["annotations"] = {name: "other"}
    assert not has_route(inside)


def test_waits_until_the_route_answers_some_times_in_a_row() -> None:
    with _gateway(404, 503, 200, 503, 200) as (url, asked):
        await_answer(url, _deployment(), timeout=30, diagnose=str)
    assert asked == ["/seldon/seldon/iris/ready"] * 9


def test_too_late_says_what_the_gateway_answered_last() -> None:
    with _gateway(503) as (url, _), pytest.raises(PlatformError) as caught:
        await_answer(url, _deployment(), timeout=0, diagnose=lambda: "pods: none")
    message = str(caught.value)
    assert message.startswith("SeldonDeployment seldon/iris is ready but not reached: http://127")
    assert "answers 503 after 0 s" in message
    assert message.endswith("\npods: none")


def test_a_gateway_that_does_not_answer_is_waited_for() -> None:
    with pytest.raises(PlatformError, match=r"answers nothing .*refused"):
        await_answer("http://127.0.0.1:9", _deployment(), timeout=0, diagnose=str)
