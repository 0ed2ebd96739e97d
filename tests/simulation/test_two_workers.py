"""Two workers that stall and wake in the order in which they stalled, at every pair of places.

A simulation runs in one thread, where a worker that stalled last wakes first. Here each worker has a thread of its own,
of which one runs at a time: the first stops before its i-th call, the second before its j-th; then the first goes on to
its end, and the second after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count

import pytest

from detag.domain.job import State
from detag.domain.naming import JOB_ID
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Fault, tiny_image
from tests.simulation.mutant import STORE, Change
from tests.unit.services.harness import Harness

PATIENCE = 60.0
"""Seconds of real time after which a test that stands still fails."""


class Worker:
    """Runs `work` in a thread, up to the call before which it stalls."""

    def __init__(self, work: Callable[[], object], stalls_before: int) -> None:
        self._work, self._left = work, stalls_before
        self._stopped, self._may_go_on = threading.Event(), threading.Event()
        self.stalled = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._stopped.wait(PATIENCE)

    def finish(self) -> None:
        self._may_go_on.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.error is not None and not isinstance(self.error, Transient):
            raise self.error

    def calls(self) -> None:
        """This worker's thread is about to make a call."""
        if threading.current_thread() is not self._thread or self.stalled:
            return
        if self._left == 0:
            self.stalled = True
            self._stopped.set()
            assert self._may_go_on.wait(PATIENCE)
        self._left -= 1

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for it
            self.error = error
        finally:
            self._stopped.set()


class Workers(Harness):
    """A harness whose workers may stall."""

    workers: tuple[Worker, ...] = ()

    def _effect(self, name: str) -> AbstractContextManager[None]:
        for worker in self.workers:
            worker.calls()
        return super()._effect(name)

    def race(self, first: Callable[[], object], i: int, second: Callable[[], object], j: int) -> tuple[bool, bool]:
        """Whether each of the two came to the call before which it was to stall."""
        one, two = self.workers = Worker(first, i), Worker(second, j)
        one.start()
        two.start()
        one.finish()
        two.finish()
        self.workers = ()
        return one.stalled, two.stalled


def finish(harness: Workers) -> None:
    """Go on, minute by minute, until every job is closed."""
    for _ in range(60):
        harness.wait(60.0)
        harness.sweep()
        sent, harness.uploads.sent = harness.uploads.sent, []
        ended, harness.results.sent = harness.results.sent, []
        for message in sent:
            harness.submit.handle(message, harness.clock.monotonic() + 30.0)
        for message in ended:
            harness.deliver.handle(message, harness.clock.monotonic() + 120.0)
        if all(job.state.terminal and not job.pending for job in harness.jobs.jobs.values()):
            return
    raise AssertionError("a job is still open")


def every_pair(play: Callable[[int, int], tuple[bool, bool]]) -> int:
    """Play every pair of places; how many there were."""
    played, first = 0, True
    for i in count():
        for j in count():
            first, second = play(i, j)
            played += 1
            if not second:
                break
        if not first:
            break
    return played


@pytest.mark.parametrize("answered", [True, False])
def test_one_upload_is_sent_once_by_two_workers(answered: bool) -> None:
    """Its event comes twice; the POST has an answer, or none and no run."""

    def play(i: int, j: int) -> tuple[bool, bool]:
        harness = Workers()
        event = harness.upload()
        if not answered:
            harness.faults = [Fault()]

        def work() -> None:
            harness.submit.handle(event, harness.clock.monotonic() + 30.0)

        stalled = harness.race(work, i, work, j)
        assert harness.calls.count("runs.create") == 1, (i, j)
        finish(harness)
        assert harness.job.state is State.DELIVERED, (i, j)
        assert (harness.runs.billed, sum(harness.jobs.money.values())) == (PRICE, PRICE), (i, j)
        return stalled

    assert every_pair(play) > 50


def test_one_result_is_stored_once_by_two_workers() -> None:
    def play(i: int, j: int) -> tuple[bool, bool]:
        harness = Workers()
        event = harness.upload()
        harness.send(event)
        harness.wait(60.0)
        message = {"job_id": harness.job.job_id, "run_id": harness.run.run_id}

        def work() -> None:
            harness.deliver.handle(message, harness.clock.monotonic() + 120.0)

        stalled = harness.race(work, i, work, j)
        finish(harness)
        assert (harness.job.state, list(harness.photos.outputs)) == (State.DELIVERED, ["shoe.jpg.webp"]), (i, j)
        assert sum(harness.jobs.money.values()) == PRICE
        return stalled

    assert every_pair(play) > 50


@pytest.mark.parametrize("older_first", [True, False])
def test_the_newer_of_two_results_stays(older_first: bool) -> None:
    """Two versions of one photo are stored at the same time."""

    def play(i: int, j: int) -> tuple[bool, bool]:
        harness = Workers()
        ids = []
        for number in range(2):
            event = harness.upload(data=tiny_image("image/jpeg", str(number).encode()))
            harness.submit.handle(event, harness.clock.monotonic() + 30.0)
            ids.append(next(job_id for job_id in harness.jobs.jobs if job_id not in ids))
        harness.wait(60.0)

        def deliver(job_id: str) -> Callable[[], object]:
            message = {"job_id": job_id, "run_id": harness.jobs.jobs[job_id].run_id}
            return lambda: harness.deliver.handle(message, harness.clock.monotonic() + 120.0)

        older, newer = map(deliver, ids)
        stalled = harness.race(older, i, newer, j) if older_first else harness.race(newer, i, older, j)
        finish(harness)
        assert harness.jobs.jobs[ids[1]].state is State.DELIVERED
        assert harness.photos.outputs["shoe.jpg.webp"].metadata[JOB_ID] == ids[1], (i, j)
        assert all(harness.jobs.jobs[job_id].state.terminal for job_id in ids), (i, j)
        return stalled

    assert every_pair(play) > 50


CONDITION = Change(STORE + "save", "(present.version if present else 0) != before.version", "False")
ALONE = Change(STORE + "begin_delivery", "holder != worker and held_until > self._clock.now()", "False")
REPLACED = Change(
    "detag.ports.photos_fake:FakePhotoStore._expect", "(there and there.etag) != (replaces and replaces.etag)", "False"
)


def test_two_workers_without_a_condition_would_pay_twice() -> None:
    with CONDITION.made(), pytest.raises(AssertionError):
        test_one_upload_is_sent_once_by_two_workers(answered=True)


@pytest.mark.parametrize("older_first", [True, False])
def test_two_results_at_once_would_be_noticed(older_first: bool) -> None:
    """Without the right to store alone, and without the condition of the write, an older output stays."""
    with ALONE.made(), REPLACED.made(), pytest.raises(AssertionError):
        test_the_newer_of_two_results_stays(older_first)
