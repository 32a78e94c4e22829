"""Seldon's own client, pointed at the gateway as at a cluster's, is part of the loop."""

import subprocess
from pathlib import Path

import pytest

from closedloop.waiting import until
from tests.end_to_end.loop import FLOWERS, PATIENCE, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

# Runs in the model servers' environment, where the client lives.
_CLIENT = """
import json, sys
import numpy as np
from seldon_core.seldon_client import SeldonClient

client = SeldonClient(
    gateway="istio", gateway_endpoint=sys.argv[1], namespace="seldon", deployment_name="iris-perf",
    payload_type="ndarray", client_return_type="proto",
)
flower = np.array([json.loads(sys.argv[3])])
answer = client.predict(data=flower, headers={"Seldon-Puid": sys.argv[2]})
assert answer.success, answer.msg
judged = client.feedback(answer.request, answer.response, answer.response, reward=1.0)
assert judged.success, judged.msg
"""


def _judged(loop: Loop) -> int:
    events = loop.stream.events()
    return sum(one.kind == "feedback" and one.who == "iris-perf/logistic" for one in events)


def test_the_real_client_predicts_and_gives_feedback_through_the_gateway(
    loop: Loop, model_python: Path
) -> None:
    puid, endpoint = loop.prefix(), loop.gateway.removeprefix("http://")
    right, wrong = loop.scores_of_model("logistic")
    judged = _judged(loop)
    words = (str(model_python), "-W", "ignore", "-c", _CLIENT, endpoint, puid, str(FLOWERS[0]))
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    # Its feedback cannot carry the request's id: the model counts by the answer that it quotes.
    until(
        lambda: loop.scores_of_model("logistic"),
        lambda seen: seen == (right + 1, wrong),
        what="the model to count it",
        timeout=PATIENCE,
    )
    loop.settle()
    assert _judged(loop) == judged + 1
    documents = loop.logged(puid).values()
    assert {one["Ce-Endpoint"] for one in documents} == {"logistic", "perceptron"}
    assert all(one["response"] for one in documents)
