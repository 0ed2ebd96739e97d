"""A callback's output URLs are nowhere else: its message comes again for them, until they can give no more."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import FAILED, PRICE, Ending, Fault
from tests.unit.services.harness import Harness, submitted

CHARGED = Ending(status="failed", cost=PRICE)


def retried(*endings: Ending) -> Harness:
    """A harness whose photo's first run failed free of charge, and was followed by another."""
    harness = submitted(FAILED, *endings)
    harness.wait(60.0)
    harness.arrive()
    harness.wait(600.0)
    harness.send_to(harness.job)
    assert (harness.job.state, len(harness.job.earlier_runs)) == (State.SUBMITTED, 1)
    return harness


def test_urls_of_a_run_that_cannot_be_told_come_again() -> None:
    """The POST had no answer, and its run's record cannot be read when the callback comes."""
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    harness.send(harness.upload())
    harness.wait(60.0)
    run = harness.runs.get(harness.run.run_id)
    assert run is not None
    message = {"links": list(run.output_urls), "status": "succeeded", "sent_at": harness.clock.now()}
    harness.broken["runs.get"] = Transient("Runflow answered 500")
    with pytest.raises(Transient):
        harness.arrive(harness.run, **message)
    harness.broken.clear()
    assert harness.arrive(harness.run, **message).state is State.DELIVERED


def test_urls_that_are_refused_do_not_come_again() -> None:
    harness = submitted(Ending())
    harness.wait(60.0)
    harness.runs.habits.signs = "in callbacks"
    run = harness.runs.get(harness.run.run_id)
    assert run is not None
    message = {"links": list(run.output_urls), "status": "succeeded", "sent_at": harness.clock.now()}
    assert harness.arrive(harness.run, **message).state is State.SUBMITTED


def test_urls_of_a_run_that_failed_do_not_come_again() -> None:
    """The message about an earlier run says something else than its record."""
    harness = retried(Ending(seconds=3_600.0))
    (earlier,) = harness.job.earlier_runs
    message = {"links": ["https://elsewhere.test/1.webp"], "status": "succeeded", "sent_at": harness.clock.now()}
    assert harness.arrive(harness.runs.runs[earlier], **message).state is State.SUBMITTED


def test_an_earlier_runs_callback_is_asked_for() -> None:
    """Runflow tried it again by itself; no URL that its record shows can be opened."""
    harness = retried(CHARGED)
    harness.wait(60.0)
    assert harness.arrive().reason is Reason.RUN_FAILED
    first = next(iter(harness.runs.runs.values()))
    first.status, first.code, first.billed, first.completed_at = "succeeded", None, Decimal(PRICE), harness.clock.now()
    harness.runs.habits.signs = "in callbacks"
    harness.wait(3_700.0)
    harness.arrive(first)
    assert harness.calls.count("runs.redeliver") == 1
    assert harness.job.callback_asked_at == harness.clock.now()
