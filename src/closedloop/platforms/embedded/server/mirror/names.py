"""How what runs here is called on a cluster."""

from closedloop.platforms.embedded.run.part import Part
from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.parts import Workload, named


def of_part(part: Part) -> Workload:
    """The workload that a part is on a cluster."""
    return named(part.name)[0]


def pod_of_part(part: Part, pod: LivePod) -> str:
    """The name of a part's only pod."""
    workload = of_part(part)
    if workload.kind == "StatefulSet":
        return f"{workload.name}-0"
    return f"{workload.name}-{revision_of_part(part)}-{pod.uid[:5]}"


def revision_of_part(part: Part) -> str:
    """A part is replaced by none of another revision while the platform is up."""
    return "".join(letter for letter in part.version.lower() if letter.isalnum())[-10:] or "0"


def replica_set(deployment: str, revision: str) -> str:
    return f"{deployment}-{revision[:8]}"
