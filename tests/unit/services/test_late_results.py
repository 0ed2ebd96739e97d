"""A paid result that comes late: something on the item leads back to it, whatever becomes of its message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Ending, FakeRun, Fault
from tests.unit.services.harness import Harness, submitted

FREE = Ending(status="failed", cost=Decimal(0), code="INTERNAL", message="x")
PERMANENT = Ending(status="failed", cost=Decimal(0), code="INVALID_INPUT", message="x")
WEEK = 7 * 24


def live_on(harness: Harness, hours: int = WEEK) -> None:
    """A sweep an hour, and what it sends; a message that fails comes no more."""
    for _ in range(hours):
        harness.wait(3600.0)
        harness.uploads.sent.clear()
        harness.results.sent.clear()
        harness.sweep()
        for message in list(harness.uploads.sent):
            harness.submit.handle(message, harness.clock.monotonic() + 30.0)
        for message in list(harness.results.sent):
            try:
                harness.give(message)
            except Transient:
                continue


def call_back(harness: Harness, run: FakeRun) -> None:
    """As the queue does: five receives, then a dead letter."""
    for _ in range(5):
        try:
            harness.give({"job_id": harness.job.job_id, "run_id": run.run_id, "status": "succeeded"})
        except Transient:
            harness.wait(720.0)
        else:
            return


def not_confirmed() -> Harness:
    """Given up unconfirmed; there is a run, and Runflow calls back."""
    harness = Harness()
    harness.runs.habits.may_list = False
    harness.faults = [Fault(effect=True)]
    harness.send(harness.upload())
    while harness.job.state is State.WAITING:
        harness.wait(3600.0)
        harness.send_to(harness.job)
    assert harness.job.reason is Reason.NOT_CONFIRMED
    return harness


def run_failed() -> Harness:
    """Failed free of charge; Runflow tries the run again, bills it and calls back."""
    harness = submitted(PERMANENT)
    harness.wait(60.0)
    harness.arrive()
    assert harness.job.reason is Reason.RUN_FAILED
    succeed(harness.run)
    return harness


def is_closed(harness: Harness) -> bool:
    return harness.job.state.terminal


def succeed(run: FakeRun) -> None:
    run.status, run.billed, run.ending = "succeeded", PRICE, Ending()


@pytest.mark.parametrize("made", [not_confirmed, run_failed])
@pytest.mark.parametrize("hidden", [{"output": None}, {"status_code": "running", "output": None}])
def test_a_closed_jobs_result_may_show_late(
    made: Callable[[], Harness], hidden: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its callback says succeeded; the record shows no output, or says that the run goes on, for half an hour more."""
    harness = made()
    real = harness.runs.record
    monkeypatch.setattr(harness.runs, "record", lambda one: real(one) | hidden)
    call_back(harness, harness.run)
    harness.wait(1800.0)
    monkeypatch.setattr(harness.runs, "record", real)
    live_on(harness)
    assert harness.job.state is State.DELIVERED


@pytest.mark.parametrize("made", [not_confirmed, run_failed])
def test_a_closed_jobs_result_outlasts_an_outage(made: Callable[[], Harness]) -> None:
    harness = made()
    harness.broken["photos.put"] = Transient("S3 throttled")
    call_back(harness, harness.run)
    harness.wait(3600.0)
    harness.broken.clear()
    live_on(harness)
    assert harness.job.state is State.DELIVERED


@pytest.mark.parametrize("closed", [Reason.RUN_FAILED, Reason.NOT_CONFIRMED])
def test_an_earlier_runs_output_may_show_late(closed: Reason, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job had two runs, or one and a POST without an answer; the first is tried again by Runflow."""
    harness = submitted(FREE, PERMANENT)
    harness.wait(60.0)
    first = harness.run
    harness.arrive()
    harness.wait(1000.0)
    if closed is Reason.NOT_CONFIRMED:
        harness.runs.habits.may_list = False
        harness.faults = [Fault()]
        while harness.job.state is State.WAITING:
            harness.send_to(harness.job)
            harness.wait(3600.0)
    else:
        harness.send_to(harness.job)
        harness.wait(60.0)
        harness.arrive()
    assert (harness.job.state, harness.job.reason) == (State.FAILED, closed)
    succeed(first)
    real = harness.runs.record
    monkeypatch.setattr(harness.runs, "record", lambda one: real(one) | {"output": None})
    call_back(harness, first)
    harness.wait(3600.0)
    monkeypatch.setattr(harness.runs, "record", real)
    live_on(harness)
    assert (harness.job.state, harness.job.run_id) == (State.DELIVERED, first.run_id)


@pytest.mark.parametrize(("images", "seconds"), [(2, 31.0), (3, 59.0)])
def test_another_runs_slow_outputs_get_on(images: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outputs do not fit into one invocation: the next ones go on after those that are stored."""
    harness = submitted(replace(FREE, images=images), PERMANENT)
    harness.wait(60.0)
    first = harness.run
    harness.arrive()
    harness.wait(1000.0)
    harness.send_to(harness.job)
    harness.wait(60.0)
    harness.arrive()
    assert harness.job.state is State.FAILED
    succeed(first)
    first.ending = Ending(images=images)
    effect = harness.runs.read_output_url

    def slow(url: str) -> bytes:
        harness.clock.advance(seconds)
        return effect(url)

    monkeypatch.setattr(harness.deliver._fetcher, "_read", slow)
    harness.give({"job_id": harness.job.job_id, "run_id": first.run_id})
    for _ in range(images):
        harness.wait(60.0)
        harness.results.sent.clear()
        harness.sweep()
        for message in list(harness.results.sent):
            harness.give(message)
    assert (harness.job.state, len(harness.job.outputs)) == (State.DELIVERED, images)


def test_only_time_in_its_own_trouble_counts() -> None:
    """One S3 throttle, five days of a bad key, one S3 throttle: the output could not be stored twice, no more."""
    harness = submitted()
    harness.wait(60.0)
    harness.broken["photos.put"] = Transient("S3 throttled")
    harness.arrive()
    del harness.broken["photos.put"]
    harness.runs.habits.key_good = False
    for _ in range(5 * 12):
        harness.wait(7200.0)
        harness.arrive()
    harness.runs.habits.key_good = True
    harness.broken["photos.put"] = Transient("S3 throttled")
    harness.arrive()
    assert not is_closed(harness)
    seen_at = harness.clock.now()
    while not is_closed(harness):
        harness.wait(7200.0)
        harness.arrive()
    assert 72 * 3600.0 - 7200.0 <= harness.clock.now() - seen_at <= 72 * 3600.0 + 7200.0
    assert harness.job.reason is Reason.UNDELIVERABLE


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"ignored_names": "shoe*"}, Reason.NOT_A_PHOTO),
        ({"photo_types": "PNG"}, Reason.UNSUPPORTED_TYPE),
        ({"places": {"input_prefix": "photos/"}}, Reason.ELSEWHERE),
    ],
)
def test_a_skipped_photos_earlier_run_is_delivered(changed: dict[str, Any], why: Reason) -> None:
    """A run failed free, and the photo would not be sent any more, as an operator has changed a parameter. Then Runflow
    tries the run again, and bills it.
    """
    harness = submitted(FREE)
    harness.wait(60.0)
    harness.arrive()
    harness.deploy(**changed)
    harness.wait(3_600.0)
    harness.send_to(harness.job)
    assert (harness.job.state, harness.job.reason) == (State.SKIPPED, why)
    run = harness.run
    run.status, run.billed, run.ending = "succeeded", PRICE, Ending()
    assert harness.arrive(run).state is State.DELIVERED
    assert {*harness.photos.outputs} == {"shoe.jpg.webp"}, "its record is gone"
