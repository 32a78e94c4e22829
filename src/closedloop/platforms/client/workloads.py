"""Deployments and StatefulSets: their state in one line, their logs, their restart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from closedloop import seldon
from closedloop.platforms import parts
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import met
from closedloop.platforms.client.connection import NoSuchKind
from closedloop.platforms.client.diagnosis import containers, describe, is_ready, pods_of
from closedloop.platforms.client.waiting import wait, wait_for_new_pods
from closedloop.platforms.protocol import PartStatus, PlatformError

Object = dict[str, Any]

KINDS = ("Deployment", "StatefulSet")
NOTE = "closedloop.dev/note"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
_RESTART = 300.0
_HOPELESS = {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"}


class NothingRuns(PlatformError):
    """There is no workload of that name."""


def find(api: Api, name: str) -> list[Object]:
    """The workloads that a name stands for: a part, an alias, `namespace/name` of one or of the
    SeldonDeployment that made some. Raises `NothingRuns` when there is none.
    """
    paths = [(one.kind, one.namespace, one.name) for one in parts.named(name)]
    namespace, _, own = name.partition("/")
    if not paths and own:
        paths = [(kind, namespace, own) for kind in KINDS]
    found = [thing for kind, *place in paths if (thing := api.get(kind, place[1], place[0]))]
    if not found and own:
        found = api.list("Deployment", namespace, labels=seldon.selector(own))[0]
    if not found:
        raise NothingRuns(
            f"nothing runs by the name {name}: `closedloop status` lists all there are, and parts"
            f" are {', '.join(parts.PARTS)}"
        )
    return found


def everything(api: Api, namespaces: Iterable[str]) -> Iterator[Object]:
    """Every workload of these namespaces; of all for the namespace ""."""
    for namespace in namespaces:
        for kind in KINDS:
            try:
                yield from api.list(kind, namespace)[0]
            except NoSuchKind:
                continue


def rows(api: Api, workloads: Iterable[Object], urls: Mapping[str, str]) -> Iterator[PartStatus]:
    """A row of `closedloop status` for each, with its URL by `namespace/name`.

    The pods of a namespace are asked for once.
    """
    pods: dict[str, Sequence[Object]] = {}
    for each in workloads:
        namespace, name = each["metadata"]["namespace"], each["metadata"]["name"]
        if namespace not in pods:
            pods[namespace] = api.list("Pod", namespace)[0]
        own = [pod for pod in pods[namespace] if selects(each["spec"]["selector"], pod)]
        yield status(each, own, urls.get(f"{namespace}/{name}", ""))


def selects(selector: Object, thing: Object) -> bool:
    """Whether the labels of a thing are among those that a workload's selector asks for."""
    labels = thing["metadata"].get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def status(workload: Object, pods: Sequence[Object], url: str = "") -> PartStatus:
    """The row of a workload with these pods."""
    own = workload["metadata"]
    restarts = sum(
        each.get("restartCount", 0)
        for pod in pods
        for each in (pod.get("status") or {}).get("containerStatuses") or []
    )
    troubles = [describe(pod) for pod in pods if not is_ready(pod)]
    wanted = workload["spec"].get("replicas", 1)
    note = str((own.get("annotations") or {}).get(NOTE, ""))
    if wanted == 0 or met(workload, "Ready"):
        state = "ready"
    elif any(word in trouble for trouble in troubles for word in _HOPELESS):
        state = "failed"
    else:
        state = "restarting" if restarts else "starting"
    if wanted == 0 and not note:
        note = "scaled to zero: not used"
    if state != "ready" and not troubles:
        troubles = [
            str(each["message"])
            for each in (workload.get("status") or {}).get("conditions") or []
            if each.get("type") == "Available" and each.get("status") != "True"
        ]
    return PartStatus(
        f"{own['namespace']}/{own['name']}",
        _tag(workload),
        state,
        url,
        restarts,
        "; ".join(filter(None, (*troubles, note))),
    )


def logs(api: Api, workloads: Sequence[Object], lines: int) -> str:
    """The last lines of each container of each pod, under its name when there are several."""
    texts = []
    for pod in [pod for each in workloads for pod in pods_of(api, each)]:
        own = pod["metadata"]
        for container in containers(pod):
            said = api.log(own["namespace"], own["name"], container, lines=lines)
            if not said and not is_ready(pod):
                said = api.log(own["namespace"], own["name"], container, lines=lines, previous=True)
            if said:
                texts.append((f"==> {own['name']} {container} <==", said.rstrip("\n")))
    if len(texts) == 1:
        return texts[0][1] + "\n"
    return "".join(f"{title}\n{said}\n" for title, said in texts)


def restart(api: Api, workload: Object, *, kill: bool) -> None:
    """Replace the pods, all at once and without time to end if `kill`, until new ones are ready.

    Raises `PlatformError`.
    """
    own = workload["metadata"]
    pods = pods_of(api, workload)
    old = {str(pod["metadata"]["uid"]) for pod in pods}
    if kill:
        for pod in pods:
            api.delete("Pod", pod["metadata"]["name"], own["namespace"], grace=0)
    else:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        api.merge(
            workload["kind"],
            own["name"],
            own["namespace"],
            {"spec": {"template": {"metadata": {"annotations": {RESTARTED: now}}}}},
        )
    wait_for_new_pods(api, workload, old, timeout=_RESTART)
    wait(api, workload["kind"], own["name"], own["namespace"], timeout=_RESTART)


def _tag(workload: Object) -> str:
    labels = workload["metadata"].get("labels") or {}
    if version := labels.get("app.kubernetes.io/version"):
        return str(version)
    image = str(workload["spec"]["template"]["spec"]["containers"][0].get("image", ""))
    name = image.partition("@")[0]
    return name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
