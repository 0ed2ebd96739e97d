"""Requests to reopen a job: how often, what was paid before, what is forgotten and what is kept."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import Reservation, State
from detag.domain.money import day_of
from detag.domain.reasons import Reason
from detag.domain.reopening import MAX_REQUESTS
from detag.domain.uploads import by_encoded_key
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.photos import name_in, photo
from tests.simulation.simulation import DAY, Simulation
from tests.simulation.test_directed_reopen import CHARGED, FREE, closed, last, now, refused, reopen, used

PASSES = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="UPSTREAM_ERROR")
"""A failure that the same photo may not have again."""


def test_a_job_is_reopened_fifty_times_at_most(simulation: Simulation) -> None:
    """Its item would grow for ever."""
    job = closed(simulation, FREE)
    for _ in range(MAX_REQUESTS):
        reopen(simulation, "ask", job, hours=0.2)
    assert len(now(simulation, job).requests) == MAX_REQUESTS and not refused(simulation)
    reopen(simulation, "ask", job, hours=0.2)
    assert refused(simulation) == [f"it was reopened {MAX_REQUESTS} times"]
    rest(simulation)


# What was paid before


def test_unpaid_is_refused_where_an_earlier_run_was_charged(simulation: Simulation) -> None:
    """The first run was charged, the second one was not."""
    job = closed(simulation, CHARGED)
    simulation.runflow.endings = [FREE]
    found = reopen(simulation, "paid", job)
    assert (found.state, found.reservation, used(simulation)) == (State.FAILED, None, 1)
    reopen(simulation, "unpaid", job)
    assert "it was charged" in refused(simulation)[-1] and len(simulation.runflow.sent) == 2
    rest(simulation)


def test_unpaid_is_refused_for_an_upload_that_is_too_old(simulation: Simulation) -> None:
    """Its item had expired: nobody knows whether it was paid for."""
    job = closed(simulation)
    simulation.clock.time += 91 * DAY
    simulation.jobs.expire()
    simulation.uploads.put(simulation.arrivals[0], safely=True)
    pass_time(simulation, HOUR)
    assert now(simulation, job).reason is Reason.TOO_OLD
    reopen(simulation, "unpaid", job)
    assert "it was charged" in refused(simulation)[-1] and len(simulation.runflow.sent) == 1


def test_unpaid_needs_the_mark_of_an_unconfirmed_request(simulation: Simulation) -> None:
    """Items of an earlier version do not tell which request an unclear answer was of: nothing is sent."""
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job = closed(simulation)
    assert job.reserved_unconfirmed
    simulation.jobs.jobs[job.job_id] = job = replace(job, unaccounted=(), reserved_run=None)
    assert not job.reserved_unconfirmed
    reopen(simulation, "unpaid", job)
    assert "an unclear answer may have made a run" in refused(simulation)[-1]
    assert not simulation.runflow.runs and len(simulation.runflow.sent) == 2


def test_a_charge_of_nothing_does_not_forbid_unpaid(simulation: Simulation) -> None:
    job = closed(simulation, FREE)
    assert job.run_id is not None
    simulation.jobs.charges[job.run_id] = Reservation(day_of(simulation.time), Decimal(0))
    assert reopen(simulation, "unpaid", job).state is State.DELIVERED


def test_a_charged_run_that_closes_as_before_is_counted(simulation: Simulation) -> None:
    """Its item took it for free; what Runflow tells now is counted by the run's id, though nothing comes of it."""
    simulation.unmatched_runs = 1
    job = closed(simulation, FREE)
    run = last(simulation)
    run.billed, run.status = PRICE, "failed"
    found = reopen(simulation, "unpaid", job, hours=0.1)
    assert (found.state, used(simulation)) == (State.FAILED, 1)


# What is forgotten, and what is kept


def test_a_reopened_photo_has_all_its_attempts_again(simulation: Simulation) -> None:
    job = closed(simulation, PASSES, PASSES, PASSES, hours=3)
    assert (job.state, job.attempt) == (State.FAILED, 3)
    simulation.runflow.endings = [PASSES]
    found = reopen(simulation, "unpaid", job, hours=3)
    assert (found.state, len(simulation.runflow.sent), used(simulation)) == (State.DELIVERED, 5, 1)
    rest(simulation)


def test_ask_leaves_the_week_of_asking_as_it_was(simulation: Simulation) -> None:
    """Runflow tries the failed run again after somebody asked for it, and its callback is lost."""
    simulation.unmatched_runs = 1
    job = closed(simulation, FREE)
    found = reopen(simulation, "ask", job, hours=0.2)
    assert found.ask_at is not None and (found.ask_at, found.due_at) == (job.ask_at, job.ask_at)
    simulation.runflow.deaf = True
    simulation.runflow.try_again(last(simulation))
    rest(simulation)
    assert now(simulation, job).state is State.DELIVERED


# By its key


def test_without_versions_an_unknown_name_is_no_upload(simulation: Simulation) -> None:
    """It may have been paid for under an item that has expired: only its job can be named."""
    simulation.versioned = False
    simulation.photos.unversioned.add("in")
    simulation.photos.upload("in", "old.jpg", photo("old", "image/jpeg"))
    simulation.reopen("unpaid", {"key": "old.jpg"})
    pass_time(simulation, HOUR)
    assert "no upload of this name is known" in refused(simulation)[-1] and not simulation.jobs.jobs


def without_event(simulation: Simulation, monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """The job that a photo would have whose event does not come."""
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "_send_event", lambda event: None)
        return upload(simulation, "shoe.jpg", name)


def test_an_older_run_leaves_what_was_taken_up(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after a newer photo of the name, which no event told of, was delivered on request."""
    slow, quick = Ending(seconds=3 * HOUR, content_type="image/jpeg"), Ending(content_type="image/jpeg")
    simulation.runflow.endings = [slow, quick]
    older = upload(simulation, "shoe.jpg", "A")
    pass_time(simulation, 60.0)
    newer = without_event(simulation, monkeypatch, "B")
    simulation.reopen("unpaid", {"key": "shoe.jpg"})
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[newer].state is State.DELIVERED
    pass_time(simulation, 3 * HOUR)
    assert simulation.jobs.jobs[older].reason is Reason.NEWER_DELIVERED
    assert name_in(simulation.photos.outputs["shoe.jpg"].data) == "B"
    rest(simulation)


def test_a_late_upload_is_not_what_was_asked_for(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message comes again once another photo has the name, of which no event tells yet."""
    upload(simulation, "shoe.jpg", "A")
    pass_time(simulation, HOUR)
    simulation.reopen("paid", {"key": "shoe.jpg"})
    pass_time(simulation, HOUR)
    newer = without_event(simulation, monkeypatch, "A")
    simulation.reopen("paid", {"key": "shoe.jpg"}, request_id="r-1")
    pass_time(simulation, 60.0)
    assert refused(simulation) == ["what is at this key was uploaded after it was asked for"]
    assert newer not in simulation.jobs.jobs and used(simulation) == 2


def test_an_archived_photo_is_not_reopened(simulation: Simulation) -> None:
    simulation.photos.upload("in", "old.jpg", photo("old", "image/jpeg"))
    simulation.photos.archived.add(("in", "old.jpg"))
    simulation.reopen("paid", {"key": "old.jpg"})
    pass_time(simulation, HOUR)
    assert "the photo cannot be read" in refused(simulation)[-1] and not simulation.jobs.jobs


def test_by_its_key_is_found_what_an_encoded_event_made(simulation: Simulation) -> None:
    """The event's key was URL-encoded, and the id of its job is of that key."""
    simulation.runflow.endings = [FREE]
    event = simulation.photos.upload("in", "red shoe.jpg", photo("p1", "image/jpeg"))
    thing = event["detail"]["object"]
    thing["key"] = "red+shoe.jpg"
    simulation.uploads.put(event, safely=True)
    pass_time(simulation, HOUR)
    (job,) = simulation.jobs.jobs.values()
    assert job.job_id == by_encoded_key(replace(job.upload, event_key=None)).job_id
    simulation.reopen("unpaid", {"key": "red shoe.jpg"})
    pass_time(simulation, HOUR)
    assert now(simulation, job).state is State.DELIVERED and len(simulation.jobs.jobs) == 1
