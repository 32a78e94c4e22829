"""Seldon's own client, pointed at the gateway as at a cluster's, is part of the loop."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from closedloop.notebook.waiting import until
from tests.end_to_end.loop import FLOWERS, PATIENCE, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

# Runs in the model servers' environment, where the client lives. Its feedback cannot carry
# a header, so the id of the request is in the `meta` of the answer that it quotes.
_CLIENT = """
import json, sys
import numpy as np
from seldon_core.seldon_client import SeldonClient

endpoint, puid, flower, reward, with_truth = sys.argv[1:]
client = SeldonClient(
    gateway="istio", gateway_endpoint=endpoint, namespace="seldon", deployment_name="iris-perf",
    payload_type="ndarray", client_return_type="proto",
)
answer = client.predict(data=np.array([json.loads(flower)]), headers={"Seldon-Puid": puid})
assert answer.success, answer.msg
answer.response.meta.puid = puid
truth = answer.response if json.loads(with_truth) else None
judged = client.feedback(answer.request, answer.response, truth, reward=float(reward))
assert judged.success, judged.msg
"""


@pytest.mark.parametrize(
    ("reward", "with_truth", "right"),
    [
        pytest.param("1.0", "true", True, marks=pytest.mark.nightly),
        pytest.param("1.0", "false", True, marks=pytest.mark.nightly),
        ("0.0", "false", False),  # JSON of a proto leaves out what is 0
        pytest.param("0.0", "true", True, marks=pytest.mark.nightly),  # the truth is what counts
    ],
)
def test_the_real_client_predicts_and_gives_feedback_through_the_gateway(
    loop: Loop, model_python: Path, reward: str, with_truth: str, right: bool
) -> None:
    puid, endpoint = loop.prefix(), loop.gateway.removeprefix("http://")
    told = loop.scores_of_model("logistic")
    before = loop.settle()
    arguments = (endpoint, puid, str(FLOWERS[0]), reward, with_truth)
    words = (str(model_python), "-W", "ignore", "-c", _CLIENT, *arguments)
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    until(
        lambda: loop.scores_of_model("logistic"),
        lambda seen: seen == (told[0] + right, told[1] + (not right)),
        what="the model to count it",
        timeout=PATIENCE,
    )
    after = loop.settle()
    for predictor in ("logistic", "perceptron"):  # feedback is mirrored, too
        was, now = (seen.get(f"iris-perf/{predictor}") for seen in (before, after))
        counted = (was.right, was.wrong) if was else (0, 0)
        assert now is not None
        assert (now.right - counted[0], now.wrong - counted[1]) == (right, not right)
    documents: dict[str, Any] = loop.logged(puid)
    assert {one["Ce-Endpoint"] for one in documents.values()} == {"logistic", "perceptron"}
    for document in documents.values():
        assert document["response"]
        assert document["score"]["correct"] is right
