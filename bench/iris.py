"""Events of the iris example, as its gateway and broker send them."""

import json
import uuid
from collections.abc import Iterator

from closedloop.loop import events
from closedloop.loop.events import Event

_FEATURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
_REQUEST = {"data": {"names": _FEATURES, "ndarray": [[5.1, 3.5, 1.4, 0.2]]}}
_RESPONSE = {
    "data": {
        "names": ["t:0", "t:1", "t:2"],
        "ndarray": [[0.0006985194531162841, 0.003668039039435755, 0.9956334415074478]],
    },
    "meta": {"requestPath": {"classifier": "seldonio/sklearnserver:1.17.1"}},
}
_FEEDBACK = {
    "reward": 1,
    "truth": {
        "data": {"ndarray": [2]},
        "meta": {"tags": {"user": "Seldon Admin", "date": "11/07/2020"}},
    },
}
_BODIES = {events.REQUEST: _REQUEST, events.RESPONSE: _RESPONSE, events.FEEDBACK: _FEEDBACK}


def loop(predictions: int, deployment: str = "iris") -> Iterator[Event]:
    """The answer and the feedback of each prediction, in turn."""
    for i in range(predictions):
        request_id = str(uuid.uuid4())
        yield event(events.RESPONSE, request_id, i, deployment)
        yield event(events.FEEDBACK, request_id, i, deployment)


def event(kind: str, request_id: str, i: int, deployment: str = "iris") -> Event:
    """An event of prediction number `i`, by its type."""
    return Event(
        id=str(uuid.uuid4()),
        source="http://:8000/",
        type=kind,
        time=f"2026-11-23T18:{i // 60 % 60:02d}:{i % 60:02d}.378621945Z",
        request_id=request_id,
        namespace="seldon",
        deployment=deployment,
        predictor="default",
        model="classifier",
        content_type="application/json",
        body=json.dumps(_BODIES[kind]).encode(),
    )
