from dataclasses import dataclass

from closedloop.platforms.embedded.desired import Pod
from closedloop.platforms.embedded.run.workload import Workload, of_workloads


@dataclass(eq=False)
class FakePod:
    """What a workload looks at of a pod, without processes."""

    pod: Pod
    ready: bool = False
    was_ready: bool = False
    draining: bool = False

    def become_ready(self) -> None:
        self.ready = self.was_ready = True


def _pod(revision: str) -> Pod:
    """A pod of a revision; one with a question mark waits for something."""
    waits_for = ("something",) if revision.endswith("?") else ()
    return Pod("ns/a", "Deployment/ns/a", {}, (), {}, revision.rstrip("?"), waits_for)


class Case:
    def __init__(self, *revisions: str) -> None:
        self.stopped: list[FakePod] = []
        self.workload = Workload("ns/a", "", start=self._start, stop=self._stop)  # type: ignore[arg-type]  # fakes
        self.aim(*revisions)

    def aim(self, *revisions: str) -> None:
        self.workload.target = tuple(map(_pod, revisions))

    @property
    def pods(self) -> list[FakePod]:
        return self.workload.pods  # type: ignore[return-value]  # fakes

    def _start(self, workload: Workload, pod: Pod) -> FakePod:
        self.pods.append(FakePod(pod))
        return self.pods[-1]

    def _stop(self, workload: Workload, pod: FakePod) -> None:
        self.stopped.append(pod)
        self.pods.remove(pod)

    def step(self, *, needed: bool = False, unseen: bool = False) -> bool:
        draining = {pod for pod in self.pods if pod.draining} if unseen else set()
        return self.workload.step(unseen=draining, needed=needed)  # type: ignore[arg-type]  # fakes

    @property
    def revisions(self) -> str:
        return " ".join(("-" if one.draining else "") + one.pod.revision for one in self.pods)


def _settled(*revisions: str) -> Case:
    case = Case(*revisions)
    case.step()
    for pod in case.pods:
        pod.become_ready()
    return case


def test_missing_pods_are_started() -> None:
    case = Case("1", "1")
    assert not case.step()
    assert case.revisions == "1 1"
    assert not case.workload.settled
    case.step()
    assert case.revisions == "1 1"


def test_a_pod_that_waits_is_started_when_it_need_not_wait_any_more() -> None:
    case = Case("1?")
    case.step()
    assert case.revisions == ""
    assert not case.workload.settled
    assert list(case.workload.waits_for) == ["something"]
    case.aim("1")
    case.step()
    assert case.revisions == "1"
    assert list(case.workload.waits_for) == []


def test_what_runs_goes_on_when_what_it_needed_to_start_is_gone() -> None:
    case = _settled("1")
    case.aim("1?")
    case.step(unseen=True)
    assert case.revisions == "1"
    assert case.workload.settled
    assert case.workload.waits_for == ()


def test_old_pods_stay_while_the_new_ones_wait() -> None:
    case = _settled("1")
    case.aim("2?")
    case.step(unseen=True)
    assert case.revisions == "1"
    assert not case.workload.settled


def test_old_pods_leave_only_when_the_new_ones_are_ready_and_traffic_has_moved() -> None:
    case = _settled("1")
    case.aim("2")
    assert not case.step()
    assert case.revisions == "1 2"
    case.pods[1].become_ready()
    assert case.step()  # says that traffic must move
    assert case.revisions == "-1 2"
    case.step()
    assert case.stopped == []
    case.step(unseen=True)
    assert case.revisions == "2"
    assert case.workload.settled


def test_pods_that_never_worked_are_replaced_at_once() -> None:
    case = _settled("1")
    case.aim("bad")
    case.step()
    case.aim("2")
    case.step()
    assert case.revisions == "1 -bad 2"


def test_fewer_replicas_keep_the_ready_ones() -> None:
    case = _settled("1", "1")
    case.pods[0].ready = False
    case.aim("1")
    case.step()
    assert case.revisions == "-1 1"


def test_pods_of_a_removed_workload_stay_while_a_route_needs_them() -> None:
    case = _settled("1")
    case.aim()
    assert not case.step(needed=True)
    assert case.revisions == "1"
    assert case.step(needed=False)
    case.step(unseen=True)
    assert case.pods == []
    assert case.workload.settled


def test_going_back_keeps_the_pods_that_are_there() -> None:
    case = _settled("1")
    case.aim("2")
    case.step()
    case.aim("1")
    case.step()
    assert case.revisions == "1 -2"


def test_pods_are_grouped_by_workload() -> None:
    assert of_workloads([_pod("1"), _pod("1")]) == {"ns/a": (_pod("1"), _pod("1"))}


def test_rolled_out_when_no_pod_of_another_revision_is_left() -> None:
    case = Case("a")
    case.step()
    assert case.workload.rolled_out == ""
    case.pods[0].become_ready()
    case.step()
    first = case.workload.rolled_out
    assert first
    case.pods[0].ready = False  # it starts again
    case.step()
    assert case.workload.rolled_out == first
    case.pods[0].become_ready()
    case.aim("b")
    assert case.workload.rolled_out == ""  # before anything was done about it
    case.step()
    case.pods[1].become_ready()
    case.step()
    assert (case.revisions, case.workload.rolled_out) == ("-a b", "")
    case.step(unseen=True)
    case.step()
    assert case.revisions == "b"
    assert case.workload.rolled_out > first


def test_what_was_there_before_is_rolled_out_anew() -> None:
    case = _settled("a")
    case.step()
    first = case.workload.rolled_out
    for revision in "ba":
        case.aim(revision)
        case.step()
        case.pods[-1].become_ready()
        case.step()
        case.step(unseen=True)
    case.step()
    assert case.revisions == "a"
    assert case.workload.rolled_out > first > ""


def test_a_change_that_was_taken_back_before_anything_was_done_is_none() -> None:
    case = _settled("a")
    case.step()
    first = case.workload.rolled_out
    case.aim("b")
    case.aim("a")
    case.step()
    assert case.workload.rolled_out == first
