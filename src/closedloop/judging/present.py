"""The present pair of models, and since when it answers: earlier rows are not about it.

A predictor's name and its log outlive its model. So a comparison looks, unless
it is told otherwise, at rows that were asked since both predictors have the
models that they have now. The API server says since when:

1. A promotion swaps the roles and keeps the models, although it replaces the
   pods. It writes since when the pair is the same into an annotation, beside
   the generation that its own change makes. That holds until the spec is
   changed again.
2. Else it is since the pods of every Deployment that the SeldonDeployment names
   in its status are all of the present template: the last update of condition
   `Progressing` with reason `NewReplicaSetAvailable`, which Kubernetes sets when
   no other pod is left, and lets stand when pods are replaced by equal ones. A
   Deployment at revision 1 never had another template; there its creation is
   taken. The termination grace is added, in which old pods that are ending still
   answer, and nothing before the last change of the SeldonDeployment itself
   counts, which its operator may not have seen yet. Changes that leave the model
   as it is, such as the number of replicas, can so start the evidence anew; a
   change of the model always does, unless it is in a file that a manifest only
   points at, such as one in a bucket: then say since when.
3. While pods are being replaced, no row counts yet.
4. Where Deployments cannot be read it is since the SeldonDeployment was changed
   or made, and where that is not known either all rows count. `sentence` says
   which it was.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from closedloop.log.period import Period
from closedloop.loop import rfc3339
from closedloop.platforms.protocol import Object, Platform, PlatformError

KIND = "SeldonDeployment"
ANNOTATION = "closedloop.dev/same-models-since"

_REVISION = "deployment.kubernetes.io/revision"

_Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Present:
    """The moment since which the present pair answers, None where unknown, and its grounds."""

    since: datetime | None
    grounds: str

    @property
    def period(self) -> Period:
        """The rows that are about the present pair."""
        return Period(since=self.since)

    @property
    def sentence(self) -> str:
        """The rows that count, and why, in words."""
        if self.since is None:
            return f"Rows of all times count: {self.grounds}."
        return f"Rows asked since {rfc3339.written(self.since)} count: {self.grounds}."


def present_pair(platform: Platform, namespace: str, name: str) -> Present:
    """Find since when the models of a SeldonDeployment are those that they are now.

    Raises PlatformError when there is no such object.
    """
    deployment = platform.get(KIND, name, namespace)
    if (kept := _kept(deployment)) is not None:
        return Present(kept, "a promotion swapped the roles of the same two models")
    changed = _changed(deployment)
    moments = [changed] if changed else []
    names = cast(_Fields, deployment.get("status") or {}).get("deploymentStatus") or {}
    try:
        for each in sorted(cast(_Fields, names)):
            moment = _rolled_out(platform.get("Deployment", each, namespace))
            if moment is None:
                return Present(datetime.now(UTC), f"the pods of {each} are being replaced")
            moments.append(moment)
    except (PlatformError, KeyError):
        names = {}
    if names:
        return Present(max(moments), "since then both predictors have their present models")
    if changed:
        return Present(changed, f"then {KIND} {namespace}/{name} was changed last")
    return Present(
        None,
        "the platform does not say since when both have their present models;"
        " if one was replaced, say since when",
    )


def annotated(after: Object, before: Object, present: Present) -> Object:
    """The object to apply when `after` changes the spec of `before` and leaves both models alone.

    Says in an annotation since when they are the same, where that is known.
    """
    generation = _metadata(before).get("generation")
    if present.since is None or not isinstance(generation, int):
        return after
    said = {"since": rfc3339.written(present.since), "generation": generation + 1}
    metadata = _metadata(after)
    annotations = {**cast(_Fields, metadata.get("annotations") or {}), ANNOTATION: json.dumps(said)}
    return {**after, "metadata": {**metadata, "annotations": annotations}}


def _kept(deployment: Object) -> datetime | None:
    """The moment that a promotion wrote, if nothing was changed since."""
    metadata = _metadata(deployment)
    annotations = cast(_Fields, metadata.get("annotations") or {})
    try:
        said = json.loads(str(annotations[ANNOTATION]))
        return _moment(said["since"]) if said["generation"] == metadata["generation"] else None
    except (KeyError, TypeError, ValueError):
        return None  # there is none, or it is not ours


def _rolled_out(deployment: Object) -> datetime | None:
    """The moment since which all pods are of the present template; None while they are not.

    Raises KeyError where the object does not say.
    """
    metadata, spec = _metadata(deployment), cast(_Fields, deployment["spec"])
    pod = cast(_Fields, cast(_Fields, spec.get("template") or {}).get("spec") or {})
    grace = timedelta(seconds=cast(int, pod.get("terminationGracePeriodSeconds", 0)))
    if cast(_Fields, metadata.get("annotations") or {}).get(_REVISION) == "1":
        return _moment(metadata["creationTimestamp"]) + grace
    status = cast(_Fields, deployment["status"])
    for condition in cast(list[_Fields], status.get("conditions") or []):
        if condition["type"] == "Progressing":
            done = condition["status"] == "True" and condition["reason"] == "NewReplicaSetAvailable"
            return _moment(condition["lastUpdateTime"]) + grace if done else None
    raise KeyError("Progressing")


def _changed(deployment: Object) -> datetime | None:
    """The time of the object's last change, its status apart; where unknown, that of its making."""
    metadata = _metadata(deployment)
    times = [
        each["time"]
        for each in cast(list[_Fields], metadata.get("managedFields") or [])
        if not each.get("subresource") and each.get("time")
    ]
    times += [made] if (made := metadata.get("creationTimestamp")) else []
    return max(map(_moment, times), default=None)


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def _metadata(deployment: Object) -> _Fields:
    return cast(_Fields, deployment["metadata"])
