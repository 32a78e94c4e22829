"""The pods of one workload, brought step by step to the state that is desired."""

from collections.abc import Callable, Container, Sequence

from closedloop.loop.rfc3339 import now
from closedloop.platforms.embedded.desired import Pod
from closedloop.platforms.embedded.run.pods import LivePod


class Workload:
    """A Deployment, as on a cluster: n equal pods, replaced without a gap.

    `start` makes and starts a pod; `stop` ends one, and takes it out of `pods`
    when it is gone.
    """

    def __init__(
        self,
        name: str,
        owner: str,
        *,
        start: Callable[["Workload", Pod], LivePod],
        stop: Callable[["Workload", LivePod], None],
    ) -> None:
        self.name = name
        self.owner = owner
        self.target: tuple[Pod, ...] = ()
        self.pods: list[LivePod] = []
        self._rolled_out: tuple[frozenset[str], str] | None = None
        self._start = start
        self._stop = stop

    @property
    def rolled_out(self) -> str:
        """Since when all its pods are of the revision that they should be, empty while they are
        not; a pod that only starts again is no matter."""
        known = self._rolled_out
        return known[1] if known is not None and known[0] == self._revisions else ""

    @property
    def _revisions(self) -> frozenset[str]:
        return frozenset(pod.revision for pod in self.target)

    @property
    def updated(self) -> list[LivePod]:
        """The pods that are as they should be."""
        return [
            one for one in self.pods if one.pod.revision in self._revisions and not one.draining
        ]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The reasons why pods that are missing are not started."""
        missing = self.target[len(self.updated) :]
        return tuple(dict.fromkeys(reason for pod in missing for reason in pod.waits_for))

    @property
    def settled(self) -> bool:
        """Whether exactly the pods that should be there are, and all of them are ready."""
        return len(self.pods) == len(self.updated) == len(self.target) and all(
            one.ready for one in self.pods
        )

    def step(self, *, unseen: Container[LivePod], needed: bool) -> bool:
        """Take one step; says whether pods were taken out of traffic, which others must hear.

        `unseen` are the draining pods to which nothing sends new traffic any
        more; while the workload is `needed`, its last good pods stay although
        nothing describes them.
        """
        if any(one.pod.revision not in self._revisions for one in self.pods):
            self._rolled_out = None
        elif self.settled and not self.rolled_out:
            self._rolled_out = (self._revisions, now("microseconds"))
        # Equal pods that are ready come first, so that of too many the others go.
        fresh = sorted(self.updated, key=lambda one: not one.ready)
        surplus = fresh[len(self.target) :]
        fresh = fresh[: len(self.target)]
        fresh += [self._start(self, pod) for pod in self.target[len(fresh) :] if not pod.waits_for]
        complete = len(fresh) == len(self.target) and all(one.ready for one in fresh)
        done = complete and not (needed and not self.target)
        leaving = [
            one
            for one in self.pods
            if not one.draining
            and one not in fresh
            # A pod that never worked is missed by nobody.
            and (done or one in surplus or not one.was_ready)
        ]
        for one in leaving:
            one.draining = True
        for one in [one for one in self.pods if one.draining and one in unseen]:
            self._stop(self, one)
        return bool(leaving)


def of_workloads(pods: Sequence[Pod]) -> dict[str, tuple[Pod, ...]]:
    """Pods by their workload."""
    grouped: dict[str, list[Pod]] = {}
    for pod in pods:
        grouped.setdefault(pod.workload, []).append(pod)
    return {name: tuple(group) for name, group in grouped.items()}
