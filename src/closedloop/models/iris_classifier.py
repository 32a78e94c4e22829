"""The model that keeps its own score: a class for Seldon's Python wrapper.

It answers each row with a class value, `{"data": {"names": [], "ndarray": [1]}}`,
as the origin's did: Seldon names only the columns of two-dimensional answers.
The meaning of the values is in the model's metadata.

One worker, one thread. The score lives in the process that judged the
feedback, and begins at 0 with it; with two workers each has a part of it, under
a `worker_id` of its own, and neither is right.
"""
# ruff: noqa: ARG002  # the wrapper decides the arguments

import json
import logging
import os
import threading
from typing import Any, NoReturn

import joblib
import numpy as np
from flask import has_request_context, request
from google.protobuf.json_format import MessageToDict
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonNotImplementedError

from closedloop.loop.events import PUID_HEADER, InvalidEvent
from closedloop.loop.output import read_output
from closedloop.loop.scoring.scoreboard import Capacity
from closedloop.models.folder import model_folder
from closedloop.models.scorekeeper import Gauge, Rows, Scorekeeper

CLASS_NAMES = ("setosa", "versicolor", "virginica")
DEFAULT_OUTPUT = json.dumps({"kind": "class", "classes": CLASS_NAMES})

_log = logging.getLogger(__name__)


class IrisClassifier:
    """A scikit-learn classifier of iris that scores the feedback it gets.

    `model_name` is a joblib file in `model_folder()`, or a path. At most
    `max_rows` judged rows are held; later ones are not scored, and `over_limit`
    says so.

    Raises `SeldonMicroserviceException` when there is no such file.
    """

    def __init__(
        self,
        model_name: str = "iris-lr.joblib",
        output: str = DEFAULT_OUTPUT,
        max_rows: int = 200_000,
    ) -> None:
        path = model_folder() / model_name
        if not path.is_file():
            raise _refusal(
                f"model_name is {model_name!r} and {path} is no file:"
                " name a file there, or train one with python -m closedloop.models.train"
            )
        self._model = joblib.load(path)
        try:
            declared = read_output(json.loads(output), "output")
        except ValueError as error:
            raise _refusal(f"output is {output!r}: {error}") from None
        self._keeper = Scorekeeper(declared, self._classes_of, Capacity(max_rows))
        self._lock = threading.Lock()
        self._call = threading.local()
        self._changed = True

    def load(self) -> None:
        """Called by the wrapper in each worker."""
        if os.environ.get("GUNICORN_WORKERS", "1") != "1":
            _log.warning("GUNICORN_WORKERS is not 1: each worker keeps a score of its own")

    def init_metadata(self) -> dict[str, object]:
        """Seldon's model metadata: the meaning of the class values."""
        named = ", ".join(f"{index} {name}" for index, name in enumerate(CLASS_NAMES))
        return {"custom": {"classes": named}}

    def predict(self, features: Any, names: Any = None, meta: Any = None) -> Any:
        """One class value a row, as an array of shape (rows,)."""
        answer = self._classes_of(features)
        if request_id := _request_id(meta):
            with self._lock:
                self._keeper.remember(request_id, answer)
        return np.array(answer)

    def send_feedback_raw(self, feedback: Any) -> NoReturn:
        """Keep the whole feedback for `send_feedback`, which the wrapper then calls.

        The plain signature lacks the answer that was served, and protobuf
        cannot tell a reward of 0 from none.
        """
        said = request.get_json(silent=True) if has_request_context() else None
        if not isinstance(said, dict):
            said = {**MessageToDict(feedback), "reward": feedback.reward}
        self._call.feedback = said
        raise SeldonNotImplementedError("send_feedback does the rest")

    def send_feedback(
        self, features: Any, feature_names: Any, reward: Any, truth: Any, routing: Any = None
    ) -> list[object]:
        """Score one piece of feedback, as `Scorekeeper.judge` says. Refuses with 400."""
        feedback = self._call.__dict__.pop("feedback")
        with self._lock:
            try:
                self._keeper.judge(_request_id(_meta(feedback)), feedback)
            except InvalidEvent as error:
                raise _refusal(str(error)) from None
            self._changed = True
        return []

    def metrics(self) -> list[Gauge]:
        """The score, if it changed since it was last asked for: Seldon keeps gauges by method, and
        copies made at a prediction would only grow stale beside those made at feedback."""
        with self._lock:
            if not self._changed:
                return []
            self._changed = False
            return self._keeper.gauges()

    def _classes_of(self, features: Any) -> Rows:
        wanted = self._model.n_features_in_
        try:
            rows = np.asarray(features, dtype=float)
        except (TypeError, ValueError):
            rows = np.empty(0)
        if (
            rows.ndim != 2
            or not rows.size
            or rows.shape[1] != wanted
            or not np.isfinite(rows).all()
        ):
            raise _refusal(f"the request is not made of rows of {wanted} numbers: send such rows")
        answer: Rows = self._model.predict(rows).tolist()
        return answer


def _request_id(meta: Any) -> str:
    """The Seldon-Puid that the executor forwards; else the one in the body's `meta`."""
    header = request.headers.get(PUID_HEADER, "") if has_request_context() else ""
    puid = meta.get("puid", "") if isinstance(meta, dict) else ""
    return header or (puid if isinstance(puid, str) else "")


def _meta(feedback: dict[str, object]) -> object:
    for side in ("response", "request"):
        message = feedback.get(side)
        if isinstance(message, dict) and isinstance(message.get("meta"), dict):
            return message["meta"]
    return {}


def _refusal(message: str) -> SeldonMicroserviceException:
    error = SeldonMicroserviceException(message, status_code=400, reason="MICROSERVICE_BAD_DATA")
    error.args = (message,)  # so that a traceback says it too
    return error
