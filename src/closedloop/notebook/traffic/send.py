"""Send planned traffic and tell about every single request.

Nothing is retried and nothing is left out: a request that fails is a record
with its reason.
"""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import requests

from closedloop.loop.events import PUID_HEADER, InvalidEvent
from closedloop.notebook.traffic.plan import (
    Form,
    Message,
    Plan,
    Planned,
    feedback_body,
    predicted,
    request_body,
    truth_body,
)
from closedloop.notebook.traffic.record import Record, Tally

# Records not yet read, beyond which the traffic waits: a reader that is gone stops it.
_UNREAD = 1000


@dataclass(frozen=True, slots=True, order=True)
class _Task:
    """Something to send at `due` seconds after the start; feedback when `body` is given."""

    due: float
    index: int
    planned: Planned
    body: Message | None = None
    right: bool | None = None


class Traffic:
    """Traffic to the model at `url`, such as `http://127.0.0.1:8003/seldon/seldon/sklearn`.

        with Traffic(url, Plan(rows, labels=labels, n=100, rate=20)) as traffic:
            for record in traffic:
                ...
        traffic.tally

    Feedback follows an answer after `delay` seconds, but none follows a
    prediction that failed. One thread sends one request after the other, each
    prediction's feedback (with no delay) before the next prediction; several
    send up to `threads` at a time. `until()` is asked before every prediction:
    once it is true none is begun; feedback that is due later still goes out.
    Leaving the `with` block, by `break`, an error or Ctrl-C, ends it at once:
    requests under way are finished, within `timeout` seconds, and nothing else
    is begun. `tally` counts every request sent, read or not; a reader that does
    not read holds the traffic up after a thousand records.

    Iterating raises ValueError when feedback of `form` cannot be made of the
    model's answers.
    """

    def __init__(
        self,
        url: str,
        plan: Plan,
        *,
        names: Sequence[str] = (),
        threads: int = 1,
        delay: float = 0.0,
        form: Form = "truth",
        tags: Mapping[str, object] | None = None,
        until: Callable[[], bool] = lambda: False,
        timeout: float = 10.0,
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}: give at least 1")
        if delay < 0:
            raise ValueError(f"delay is {delay}: give seconds, 0 or more")
        self.tally = Tally()
        self._url, self._plan, self._names = url.rstrip("/"), plan, names
        self._delay, self._form, self._tags = delay, form, tags
        self._until, self._timeout = until, timeout
        # All state below is guarded by this one lock, and every change is announced on it.
        self._changed = threading.Condition()
        self._next: _Task | None = None
        self._planned_all = self._stopped = False
        self._feedback: list[_Task] = []
        self._under_way = 0
        self._records: deque[Record] = deque()
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"traffic-{i}", daemon=True)
            for i in range(threads)
        ]
        self._working = 0
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._working = len(self._threads)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Record]:
        """Each record once, as soon as there is one; ends with the traffic."""
        if not self._working and not self._threads[0].ident:
            raise RuntimeError("the traffic has not begun: iterate inside `with Traffic(...)`")
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._records or not self._working)
                if not self._records:
                    break
                record = self._records.popleft()
                self._changed.notify_all()
            yield record
        if self._error is not None:
            raise self._error

    def run(self) -> Tally:
        """Send everything and return the counts."""
        with self:
            for _ in self:
                pass
        return self.tally

    def close(self) -> None:
        """Begin nothing more and wait for the requests under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident:
                thread.join()

    def _work(self) -> None:
        try:
            with requests.Session() as session:
                # Proxies and netrc of the environment are looked up for every request otherwise.
                session.trust_env = False
                while (task := self._take()) is not None:
                    # Outside the lock: it may take its time.
                    if task.body is None and self._until():
                        self._end_predictions()
                        continue
                    record, follow = self._send(session, task)
                    with self._changed:
                        self.tally.add(record)
                        self._records.append(record)
                        if follow is not None:
                            heapq.heappush(self._feedback, follow)
                        self._under_way -= 1
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
            with self._changed:
                self._error, self._stopped = error, True
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _end_predictions(self) -> None:
        """Instead of sending the prediction just taken: neither it nor another one."""
        with self._changed:
            self._planned_all, self._next = True, None
            self._under_way -= 1
            self._changed.notify_all()

    def _take(self) -> _Task | None:
        """The next task once it is due; None when there will be none."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic() - self._start
                wait = None
                if len(self._records) < _UNREAD:
                    task = self._first(now)
                    if task is None and self._planned_all and not self._under_way:
                        return None
                    if task is not None and task.due <= now:
                        self._under_way += 1
                        return self._remove(task)
                    wait = None if task is None else task.due - now
                self._changed.wait(wait)
            return None

    def _first(self, now: float) -> _Task | None:
        """The item that is due first; feedback goes before a prediction that is due as well."""
        if self._feedback and self._feedback[0].due <= now:
            return self._feedback[0]
        if self._next is None and not self._planned_all:
            planned = self._plan.take(now)
            if planned is None:
                self._planned_all = True
            else:
                self._next = _Task(planned.due, planned.index, planned)
        waiting = [task for task in (self._next, *self._feedback[:1]) if task is not None]
        return min(waiting, key=lambda task: task.due, default=None)

    def _remove(self, task: _Task) -> _Task:
        if task is self._next:
            self._next = None
        else:
            heapq.heappop(self._feedback)
        return task

    def _send(self, session: requests.Session, task: _Task) -> tuple[Record, _Task | None]:
        planned = task.planned
        request = request_body(planned.row, self._names)
        if task.body is not None:
            record = self._post(session, task, "feedback", task.body)
            return replace(record, right=task.right), None
        record = self._post(session, task, "prediction", request)
        answer = record.answer
        if record.failed or answer is None:
            return record, None
        due = time.monotonic() - self._start + self._delay
        if planned.truth is not None:
            body = truth_body(planned, request, self._tags)
            return record, _Task(due, task.index, planned, body)
        try:
            label = predicted(answer)[0]
        except InvalidEvent as error:
            reason = "states no class" if planned.judged else ""
            return replace(record, reason=reason, detail=str(error)), None
        record = replace(record, predicted=label.name or str(label.index))
        if not planned.judged:
            return record, None
        body, right = feedback_body(planned, request, answer, form=self._form, tags=self._tags)
        return record, _Task(due, task.index, planned, body, right)

    def _post(
        self,
        session: requests.Session,
        task: _Task,
        kind: Literal["prediction", "feedback"],
        body: Message,
    ) -> Record:
        path = "predictions" if kind == "prediction" else "feedback"
        started, before = time.time(), time.monotonic()
        status, answer, reason, detail = None, None, "", ""
        try:
            response = session.post(
                f"{self._url}/api/v1.0/{path}",
                json=body,
                headers={PUID_HEADER: task.planned.puid},
                timeout=self._timeout,
            )
            status, detail = response.status_code, response.text[:200]
            answer, reason = _judge(response, task.planned.puid)
        except requests.Timeout as error:
            reason, detail = "timeout", str(error)
        except requests.ConnectionError as error:
            reason, detail = "connection", str(error)
        except requests.RequestException as error:
            reason, detail = "broken answer", str(error)
        return Record(
            kind=kind,
            index=task.index,
            puid=task.planned.puid,
            row=task.planned.row,
            progress=task.planned.progress,
            started=started,
            latency=time.monotonic() - before,
            lag=before - self._start - task.due,
            status=status,
            reason=reason,
            detail=detail if reason else "",
            answer=answer,
        )


def _judge(response: requests.Response, puid: str) -> tuple[dict[str, object] | None, str]:
    if not response.ok:
        return None, f"http {response.status_code}"
    # The executor returns the request's id; another one would be joined with the wrong truth.
    if response.headers.get(PUID_HEADER, puid) != puid:
        return None, "another puid"
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        return None, "not json"
    return (answer, "") if isinstance(answer, dict) else (None, "not json")
