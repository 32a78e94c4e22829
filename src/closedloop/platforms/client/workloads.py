"""Deployments and StatefulSets: their state in one line, their logs, their restart."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import met
from closedloop.platforms.client.diagnosis import containers, describe, is_ready, pods_of
from closedloop.platforms.client.waiting import wait, wait_for_new_pods
from closedloop.platforms.protocol import PartStatus, PlatformError

Object = dict[str, Any]

KINDS = ("Deployment", "StatefulSet")
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_RESTART = 300.0
_HOPELESS = {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"}


def find(api: Api, part: str) -> Object:
    """The workload `namespace/name`. Raises `PlatformError`."""
    namespace, _, name = part.partition("/")
    for kind in KINDS:
        if name and (found := api.get(kind, name, namespace)) is not None:
            return found
    raise PlatformError(
        f"there is no workload {part}: `closedloop status --platform cluster` lists what there is"
    )


def everything(api: Api, namespaces: Iterable[str]) -> Iterator[Object]:
    """Every workload of these namespaces."""
    for namespace in namespaces:
        for kind in KINDS:
            yield from api.list(kind, namespace)[0]


def status(api: Api, workload: Object, url: str = "", note: str = "") -> PartStatus:
    """Its row of `closedloop status`."""
    own = workload["metadata"]
    pods = pods_of(api, workload)
    restarts = sum(
        each.get("restartCount", 0)
        for pod in pods
        for each in (pod.get("status") or {}).get("containerStatuses") or []
    )
    troubles = [describe(pod) for pod in pods if not is_ready(pod)]
    wanted = workload["spec"].get("replicas", 1)
    if wanted == 0 or met(workload, "Ready"):
        state = "ready"
    elif any(word in trouble for trouble in troubles for word in _HOPELESS):
        state = "failed"
    else:
        state = "restarting" if restarts else "starting"
    return PartStatus(
        f"{own['namespace']}/{own['name']}",
        _tag(workload),
        state,
        url,
        restarts,
        "; ".join(troubles) or note or ("scaled to zero: not used" if wanted == 0 else ""),
    )


def logs(api: Api, workload: Object, lines: int) -> str:
    """The last lines of each container of each pod, under its name when there are several."""
    texts = []
    for pod in pods_of(api, workload):
        own = pod["metadata"]
        for container in containers(pod):
            said = api.log(own["namespace"], own["name"], container, lines=lines)
            if not said and not is_ready(pod):
                said = api.log(own["namespace"], own["name"], container, lines=lines, previous=True)
            if said:
                texts.append((f"--- {own['name']} {container}", said.rstrip("\n")))
    if len(texts) == 1:
        return texts[0][1] + "\n"
    return "".join(f"{title}\n{said}\n" for title, said in texts)


def restart(api: Api, part: str, *, kill: bool) -> None:
    """Replace the pods, all at once and without a word if `kill`; returns when they are ready.

    Raises `PlatformError`.
    """
    workload = find(api, part)
    own = workload["metadata"]
    old = {str(pod["metadata"]["uid"]) for pod in pods_of(api, workload)}
    if kill:
        for pod in pods_of(api, workload):
            api.delete("Pod", pod["metadata"]["name"], own["namespace"], grace=0)
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        api.merge(
            workload["kind"],
            own["name"],
            own["namespace"],
            {"spec": {"template": {"metadata": {"annotations": {_RESTARTED: now}}}}},
        )
    wait_for_new_pods(api, workload, old, timeout=_RESTART)
    wait(
        api,
        workload["kind"],
        own["name"],
        own["namespace"],
        condition="Available" if workload["kind"] == "Deployment" else "Ready",
        timeout=_RESTART,
    )


def _tag(workload: Object) -> str:
    labels = workload["metadata"].get("labels") or {}
    if version := labels.get("app.kubernetes.io/version"):
        return str(version)
    image = str(workload["spec"]["template"]["spec"]["containers"][0].get("image", ""))
    name = image.partition("@")[0]
    return name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
