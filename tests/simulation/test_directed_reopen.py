"""Closed jobs are opened again on request: to ask, unpaid, or paid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.intake import Override
from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, FakeRun, Fault
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, states, upload
from tests.simulation.photos import photo
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")
CHARGED = Ending(queued=1.0, seconds=1.0, status="failed", code="POSTPROCESS_FAILED")
LATE = Ending(queued=1.0, seconds=40 * HOUR)
NEVER = Ending(queued=1.0, seconds=float("inf"))


def closed(simulation: Simulation, *endings: Ending, key: str = "shoe.jpg", hours: float = 0.5) -> Job:
    """The job of a photo whose runs end like this, before a failed one is asked for again."""
    simulation.runflow.endings = list(endings)
    job_id = upload(simulation, key)
    pass_time(simulation, hours * HOUR)
    job = simulation.jobs.jobs[job_id]
    assert job.state.terminal
    return job


def now(simulation: Simulation, job: Job) -> Job:
    return simulation.jobs.jobs[job.job_id]


def reopen(simulation: Simulation, how: str, job: Job, *, copies: int = 1, hours: float = 1.0) -> Job:
    """The job some time after it was asked for, by its id."""
    simulation.reopen(how, {"job_id": job.job_id}, copies=copies)
    pass_time(simulation, hours * HOUR)
    return now(simulation, job)


def at_rest(job: Job) -> Job:
    """The job but for when a late result of it is asked for."""
    return replace(job, version=0, due_at=None, tries=0, ask_at=None)


def refused(simulation: Simulation) -> list[str]:
    """Why requests were not carried out."""
    lines = [line for line in simulation.telemetry.lines if line.message == "reopen refused"]
    assert simulation.telemetry.counts["ReopenRefused"] >= len(lines)
    return [str(line.fields["why"]) for line in lines]


def used(simulation: Simulation) -> float:
    """What is spent, in images."""
    return float(sum(simulation.jobs.money.values(), Decimal(0)) / PRICE)


def last(simulation: Simulation) -> FakeRun:
    return list(simulation.runflow.runs.values())[-1]


# Ask


def test_ask_delivers_what_came_too_late(simulation: Simulation) -> None:
    """A run that ended a fortnight after it was given up is delivered, without a POST."""
    job = closed(simulation, Ending(queued=1.0, seconds=14 * 24 * HOUR), hours=30)
    simulation.runflow.deaf = True
    pass_time(simulation, 15 * DAY)
    assert now(simulation, job).reason is Reason.TIMED_OUT and now(simulation, job).due_at is None
    found = reopen(simulation, "ask", job)
    assert (found.state, found.run_id, found.earlier_runs) == (State.DELIVERED, job.run_id, ())
    assert len(simulation.runflow.sent) == 1 and used(simulation) == 1
    assert not [key for key in simulation.photos.outputs if key.startswith("_failed/")]
    rest(simulation)


def test_ask_uses_no_run_of_others(simulation: Simulation) -> None:
    """Whoever shares the organisation names an answered submission of ours, and shows our photo."""
    job = closed(simulation, FREE)
    ours = simulation.photos.presign("in", "shoe.jpg", job.upload.version_id, 60, "image/jpeg")
    simulation.runflow.forge(job.job_id, job.client_ref, ours)
    found = reopen(simulation, "ask", job, hours=0.1)
    assert (found.state, found.run_id) == (job.state, job.run_id)
    assert found.decision == "closed as before: no run of it has a result"


@pytest.mark.parametrize("ending", [FREE, CHARGED], ids=["free", "charged"])
def test_ask_closes_as_before_where_nothing_is_there(simulation: Simulation, ending: Ending) -> None:
    job = closed(simulation, ending)
    spent, events = used(simulation), len(simulation.events.published)
    found = reopen(simulation, "ask", job, hours=0.1)
    kept = ("state", "reason", "detail", "code", "run_id", "earlier_runs", "reservation", "cost")
    assert [getattr(found, name) for name in kept] == [getattr(job, name) for name in kept]
    assert states(simulation, job.job_id)[-2:] == ["waiting", "failed"]
    assert (found.requests[-1].by, found.decision) == ("anna", "closed as before: no run of it has a result")
    assert used(simulation) == spent and len(simulation.runflow.sent) == 1
    assert len(simulation.events.published) == events + 1, "its end is published again"
    assert simulation.events.published[-1][1]["reopened"]["how"] == "ask"
    rest(simulation)


def test_ask_waits_for_a_run_that_goes_on_and_closes_again(simulation: Simulation) -> None:
    job = closed(simulation, NEVER, hours=30)
    assert job.reason is Reason.TIMED_OUT
    found = reopen(simulation, "ask", job)
    assert (found.state, found.run_id) == (State.SUBMITTED, job.run_id)
    pass_time(simulation, 30 * HOUR)
    found = now(simulation, job)
    assert (found.state, found.reason, found.run_id) == (State.FAILED, Reason.TIMED_OUT, job.run_id)
    assert (found.reservation, found.earlier_runs, used(simulation)) == (job.reservation, (), 1)
    rest(simulation)


def test_ask_puts_an_output_back_that_somebody_deleted(simulation: Simulation) -> None:
    job = closed(simulation)
    (key,) = job.outputs
    before = simulation.photos.outputs.pop(key)
    found = reopen(simulation, "ask", job)
    assert found.state is State.DELIVERED and simulation.photos.outputs[key].data == before.data
    assert len(simulation.runflow.sent) == 1 and used(simulation) == 1
    rest(simulation)


def test_ask_uses_a_run_that_failed_free_and_was_tried_again(simulation: Simulation) -> None:
    """Its callback was lost: asked for, it is counted once and delivered; a late callback changes nothing."""
    simulation.unmatched_runs = 1
    job = closed(simulation, FREE)
    simulation.runflow.deaf = True
    simulation.runflow.try_again(last(simulation))
    simulation.runflow.deaf = False
    found = reopen(simulation, "ask", job)
    assert (found.state, used(simulation)) == (State.DELIVERED, 1)
    simulation.runflow.call_back(last(simulation))
    rest(simulation)
    assert used(simulation) == 1


def test_ask_goes_on_while_runflow_is_down_then_closes(simulation: Simulation) -> None:
    job = closed(simulation, FREE)
    simulation.runflow.down = True
    assert reopen(simulation, "ask", job, hours=48).state is State.WAITING
    pass_time(simulation, 30 * HOUR)
    assert (now(simulation, job).state, now(simulation, job).reason) == (State.FAILED, Reason.RUN_FAILED)
    simulation.runflow.down = False
    rest(simulation)


# Unpaid


def test_unpaid_sends_what_failed_free_of_charge(simulation: Simulation) -> None:
    job = closed(simulation, FREE)
    found = reopen(simulation, "unpaid", job)
    assert (found.state, found.earlier_runs, found.submission_no) == (State.DELIVERED, (job.run_id,), 2)
    assert (used(simulation), found.total_cost, found.again) == (1, PRICE, None)
    rest(simulation)


def test_unpaid_is_refused_where_a_run_was_charged(simulation: Simulation) -> None:
    for number, ending in enumerate((CHARGED, Ending())):
        job = closed(simulation, ending, key=f"{number}.jpg")
        assert reopen(simulation, "unpaid", job, hours=0.1) == job
        assert "it was charged" in refused(simulation)[-1]
    rest(simulation)


def test_unpaid_uses_a_run_that_was_charged_unnoticed(simulation: Simulation) -> None:
    """Runflow tried the failed run again, and its callback was lost: nothing is sent."""
    simulation.unmatched_runs = 1
    job = closed(simulation, FREE)
    simulation.runflow.deaf = True
    simulation.runflow.try_again(last(simulation))
    simulation.runflow.deaf = False
    found = reopen(simulation, "unpaid", job)
    assert (found.state, len(simulation.runflow.sent), used(simulation)) == (State.DELIVERED, 1, 1)
    rest(simulation)


def test_unpaid_closes_as_before_where_a_run_was_charged(simulation: Simulation) -> None:
    """What its item does not know, Runflow tells."""
    simulation.unmatched_runs = 1
    job = closed(simulation, FREE)
    last(simulation).billed, last(simulation).status = PRICE, "failed"
    found = reopen(simulation, "unpaid", job, hours=0.1)
    assert (found.state, found.reason, len(simulation.runflow.sent)) == (State.FAILED, Reason.RUN_FAILED, 1)
    assert found.decision == "closed as before: a run was charged: reopen it as paid"


@pytest.mark.parametrize("unclear", [False, True], ids=["a failed run", "an unclear answer"])
def test_unpaid_waits_for_a_key_of_its_account(simulation: Simulation, unclear: bool) -> None:
    """What another account's key does not show may have been charged: nothing is sent before its own key is back."""
    habits = simulation.runflow.habits
    habits.accounts = {"key 1": "ours", "key 2": "theirs"}
    if unclear:
        simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job = closed(simulation, *(() if unclear else (FREE,)))
    sent, habits.key = len(simulation.runflow.sent), "key 2"
    found = reopen(simulation, "unpaid", job)
    assert (found.state, len(simulation.runflow.sent)) == (State.WAITING, sent)
    habits.key = "key 1"
    pass_time(simulation, 2 * HOUR)
    assert now(simulation, job).state is State.DELIVERED
    rest(simulation)


def refused_unconfirmed(simulation: Simulation) -> Job:
    """The job of a photo whose POST had no answer and made a run, and that a second POST had refused."""
    simulation.runflow.habits.visible_after = 3 * HOUR
    simulation.runflow.faults = [Fault(effect=True), Fault(422, code="VALIDATION", message="no")]
    simulation.runflow.deaf = True
    job_id = upload(simulation)
    pass_time(simulation, HOUR)
    return simulation.jobs.jobs[job_id]


def test_unpaid_looks_for_an_unconfirmed_run_first(simulation: Simulation) -> None:
    """The run that the first POST has made is used."""
    job = refused_unconfirmed(simulation)
    assert (job.reason, job.run_id, job.reservation is not None) == (Reason.REFUSED_UNCONFIRMED, None, True)
    pass_time(simulation, 5 * HOUR)
    simulation.runflow.deaf = False
    found = reopen(simulation, "unpaid", job)
    assert (found.state, len(simulation.runflow.runs), used(simulation)) == (State.DELIVERED, 1, 1)
    rest(simulation)


def test_a_refused_request_is_not_taken_for_unclear(simulation: Simulation) -> None:
    """The run of the first POST failed free of charge; the second POST, on the next day, was refused, which is clear:
    no money stays for it, and the photo is sent once more.
    """
    simulation.run_until((simulation.time // DAY + 1) * DAY - 300.0)
    simulation.runflow.endings = [FREE]
    job = refused_unconfirmed(simulation)
    assert (job.reason, job.submission_no) == (Reason.REFUSED_UNCONFIRMED, 2)
    pass_time(simulation, 5 * HOUR)
    simulation.runflow.deaf = False
    reopen(simulation, "unpaid", job)
    pass_time(simulation, HOUR)
    assert (now(simulation, job).state, len(simulation.runflow.runs), used(simulation)) == (State.DELIVERED, 2, 1)
    rest(simulation)


def test_unpaid_sends_what_proves_to_have_no_run(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job_id = upload(simulation)
    pass_time(simulation, HOUR)
    job = simulation.jobs.jobs[job_id]
    assert (job.reason, job.run_id, used(simulation)) == (Reason.REFUSED_UNCONFIRMED, None, 1)
    found = reopen(simulation, "unpaid", job)
    assert (found.state, len(simulation.runflow.runs), used(simulation)) == (State.DELIVERED, 1, 1)
    rest(simulation)


def test_ask_finds_no_unconfirmed_run_and_closes_again(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job_id = upload(simulation)
    pass_time(simulation, HOUR)
    job = simulation.jobs.jobs[job_id]
    found = reopen(simulation, "ask", job)
    assert (found.state, found.reason, found.reservation) == (State.FAILED, Reason.REFUSED_UNCONFIRMED, job.reservation)
    assert len(simulation.runflow.sent) == 2 and not simulation.runflow.runs


def test_a_charge_by_its_id_is_not_counted_twice(simulation: Simulation) -> None:
    """The run that had failed free of charge was tried again and billed, with an output that nobody can use."""
    simulation.unmatched_runs = 1
    job = closed(simulation, replace(FREE, instead=b"<html>no image</html>"))
    simulation.runflow.try_again(last(simulation))
    pass_time(simulation, HOUR)
    job = now(simulation, job)
    assert (job.state, job.reservation, used(simulation)) == (State.FAILED, None, 1)
    assert reopen(simulation, "unpaid", job) == job and "it was charged" in refused(simulation)[-1]
    found = reopen(simulation, "ask", job)
    assert (found.state, found.reason, used(simulation)) == (State.FAILED, Reason.RUN_FAILED, 1)
    found = reopen(simulation, "paid", found)
    assert (found.state, used(simulation), len(simulation.runflow.sent)) == (State.DELIVERED, 2, 2)


def test_a_copy_is_said_to_be_one(simulation: Simulation) -> None:
    """A photo that was delivered as a copy of an equal one's output cost nothing, and has no run to ask for; but a new
    output may have to be paid for.
    """
    first, second = (simulation.upload(key, photo("p1", "image/jpeg")).job_id for key in ("a.jpg", "b.jpg"))
    pass_time(simulation, HOUR)
    (job,) = (one for one in map(simulation.jobs.jobs.get, (first, second)) if one and one.reused_from)
    (key,) = job.outputs
    del simulation.photos.outputs[key]
    for how in ("ask", "unpaid"):
        assert at_rest(reopen(simulation, how, job, hours=0.1)) == at_rest(job)
    assert (
        refused(simulation)
        == ["it is a copy of an equal photo's output: upload the photo again, or reopen it as paid"] * 2
    )
    found = reopen(simulation, "paid", job)
    assert (found.state, key in simulation.photos.outputs, used(simulation)) == (State.DELIVERED, True, 2)
    rest(simulation)


# Paid


def test_paid_replaces_a_delivered_output(simulation: Simulation) -> None:
    """The new result replaces the old one; both runs stay counted, and the old one's callbacks change nothing."""
    job = closed(simulation)
    first = last(simulation)
    found = reopen(simulation, "paid", job, hours=0.0)
    pass_time(simulation, 5.0)
    found = now(simulation, job)
    assert (found.state, found.earlier_runs, found.again) == (State.SUBMITTED, (first.run_id,), "r-1")
    simulation.runflow.call_back(first)
    pass_time(simulation, HOUR)
    found = now(simulation, job)
    assert (found.state, found.run_id) == (State.DELIVERED, last(simulation).run_id)
    assert found.run_id != first.run_id and used(simulation) == 2 and found.total_cost == 2 * PRICE
    (key,) = found.outputs
    assert simulation.photos.outputs[key].metadata["detag-run-id"] == found.run_id
    runs = [one.metadata["detag-run-id"] for name, one in simulation.photos.puts if name == key]
    assert runs == [first.run_id, found.run_id]
    assert simulation.events.published[-1][1]["total_cost"] == str(2 * PRICE)
    rest(simulation)


def test_paid_that_fails_leaves_the_old_output(simulation: Simulation) -> None:
    job = closed(simulation)
    first = last(simulation)
    simulation.runflow.endings = [FREE]
    found = reopen(simulation, "paid", job)
    assert (found.state, found.reason, used(simulation)) == (State.FAILED, Reason.RUN_FAILED, 1)
    (key,) = job.outputs
    assert simulation.photos.outputs[key].metadata["detag-run-id"] == first.run_id
    simulation.runflow.call_back(first)
    rest(simulation)
    assert now(simulation, job).state is State.FAILED, "the old result was asked to be replaced"
    assert reopen(simulation, "ask", now(simulation, job)).run_id == first.run_id, "unless it is asked for"
    rest(simulation)


@pytest.mark.parametrize("copies", [1, 10])
def test_the_same_request_runs_once(simulation: Simulation, copies: int) -> None:
    """Ten at once, one late, and one after another request."""
    job = closed(simulation)
    reopen(simulation, "paid", job, copies=copies)
    simulation.reopen("paid", {"job_id": job.job_id}, request_id="r-1")
    pass_time(simulation, HOUR)
    assert len(simulation.runflow.runs) == 2
    reopen(simulation, "paid", job)
    simulation.reopen("paid", {"job_id": job.job_id}, request_id="r-1")
    pass_time(simulation, HOUR)
    assert len(simulation.runflow.runs) == 3
    assert [one.request_id for one in now(simulation, job).requests] == ["r-1", "r-2"]
    rest(simulation)


def test_a_request_of_before_it_closed_is_refused(simulation: Simulation) -> None:
    """Somebody asks, and the message is slow: meanwhile another's request has been carried out."""
    job = closed(simulation, FREE)
    simulation.reopen("paid", {"job_id": job.job_id}, request_id="slow", copies=0)
    pass_time(simulation, HOUR)
    assert reopen(simulation, "paid", job).state is State.DELIVERED
    simulation.reopen("paid", {"job_id": job.job_id}, request_id="slow")
    pass_time(simulation, HOUR)
    assert refused(simulation) == ["it was asked for before the job was closed"]
    assert len(simulation.runflow.runs) == 2 and used(simulation) == 1
    rest(simulation)


def test_paid_waits_for_the_limit(simulation: Simulation) -> None:
    job = closed(simulation)
    simulation.set_limit(Decimal(0))
    found = reopen(simulation, "paid", job, hours=0.1)
    assert (found.state, found.reason, used(simulation)) == (State.WAITING, Reason.SPEND_LIMIT, 1)
    simulation.set_limit(2 * PRICE)
    rest(simulation)
    assert (now(simulation, job).state, used(simulation)) == (State.DELIVERED, 2)


def test_a_late_result_of_the_earlier_run_is_used(simulation: Simulation) -> None:
    """A photo given up as late is reopened as paid; its first run ends while the new one waits for the limit."""
    job = closed(simulation, LATE, hours=30)
    first = last(simulation)
    simulation.set_limit(Decimal(0))
    assert reopen(simulation, "paid", job).reason is Reason.SPEND_LIMIT
    pass_time(simulation, 15 * HOUR)
    found = now(simulation, job)
    assert (found.state, found.run_id, len(simulation.runflow.sent)) == (State.DELIVERED, first.run_id, 1)
    assert used(simulation) == 1
    simulation.set_limit(None)
    rest(simulation)


def test_what_an_earlier_run_cost_is_corrected(simulation: Simulation) -> None:
    """It ends free of charge after all, days after a new run was paid for."""
    late = Ending(queued=1.0, seconds=40 * HOUR, status="failed", cost=Decimal(0))
    job = closed(simulation, late, hours=30)
    found = reopen(simulation, "paid", job)
    assert (found.state, used(simulation), found.total_cost) == (State.DELIVERED, 2, 2 * PRICE)
    pass_time(simulation, 15 * HOUR)
    found = now(simulation, job)
    assert (found.state, used(simulation), found.total_cost) == (State.DELIVERED, 1, PRICE)
    rest(simulation)


# The photo, meanwhile


ENDS: dict[str, tuple[Ending, str]] = {
    "delivered": (Ending(), "paid"),
    "failed and charged": (CHARGED, "paid"),
    "failed free": (FREE, "unpaid"),
}


def as_found(simulation: Simulation) -> tuple[list[tuple[str, bytes]], float, int]:
    outputs = sorted((key, one.data) for key, one in simulation.photos.outputs.items())
    return outputs, used(simulation), len(simulation.runflow.sent)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("named", ["by its id", "by its version"])
@pytest.mark.parametrize("end", ENDS)
def test_a_photo_that_is_gone_is_not_reopened(simulation: Simulation, end: str, named: str, versioned: bool) -> None:
    """Nothing changes: its state, its record, its reason and its cost stay."""
    if not versioned:
        simulation.versioned = False
        simulation.photos.unversioned.add("in")
    ending, how = ENDS[end]
    job = closed(simulation, ending)
    simulation.delete("shoe.jpg")
    before = as_found(simulation)
    version = {"key": "shoe.jpg", "version_id": str(job.upload.version_id)}
    simulation.reopen(how, version if named == "by its version" and versioned else {"job_id": job.job_id})
    pass_time(simulation, HOUR)
    assert at_rest(now(simulation, job)) == at_rest(job) and as_found(simulation) == before
    assert refused(simulation) == ["its photo, or this version of it, is gone"]
    assert simulation.telemetry.counts["ReopenRefused"] == 1 and not simulation.uploads.died
    rest(simulation)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("how", ["ask", "unpaid", "paid"])
def test_a_photo_with_a_newer_one_is_not_reopened(simulation: Simulation, how: str, versioned: bool) -> None:
    if not versioned:
        simulation.versioned = False
        simulation.photos.unversioned.add("in")
    job = closed(simulation, FREE if how == "unpaid" else Ending())
    newer = closed(simulation)
    before = as_found(simulation)
    assert at_rest(reopen(simulation, how, job)) == at_rest(job) and as_found(simulation) == before
    assert refused(simulation) == ["a newer photo of its name has been delivered"]
    simulation.photos.outputs.clear()
    assert reopen(simulation, "paid", newer).state is State.DELIVERED
    rest(simulation)


def test_a_photo_with_a_newer_one_that_failed_is_not_reopened(simulation: Simulation) -> None:
    """It is not what is at its key, so that it would not be sent."""
    job = closed(simulation, FREE)
    closed(simulation, FREE)
    assert at_rest(reopen(simulation, "unpaid", job)) == at_rest(job)
    assert refused(simulation) == ["another photo, or another version of it, is at its key now"]
    rest(simulation)


def test_a_photo_uploaded_again_without_versions_is_not_reopened(simulation: Simulation) -> None:
    """The same bytes: only the order of the uploads tells."""
    simulation.versioned = False
    simulation.photos.unversioned.add("in")
    simulation.runflow.endings = [FREE, FREE]
    first = simulation.upload("shoe.jpg", photo("p1", "image/jpeg")).job_id
    pass_time(simulation, HOUR)
    simulation.upload("shoe.jpg", photo("p1", "image/jpeg"))
    pass_time(simulation, HOUR)
    job = simulation.jobs.jobs[first]
    assert at_rest(reopen(simulation, "unpaid", job)) == at_rest(job)
    assert refused(simulation) == ["a newer photo of its name was uploaded"]
    rest(simulation)


def test_ask_delivers_a_paid_result_of_a_photo_that_is_gone(simulation: Simulation) -> None:
    """Shops delete their originals; nothing is sent, and what was paid for is not lost."""
    job = closed(simulation, Ending(queued=1.0, seconds=14 * 24 * HOUR), hours=30)
    simulation.runflow.deaf = True
    pass_time(simulation, 15 * DAY)
    simulation.delete("shoe.jpg")
    assert reopen(simulation, "ask", now(simulation, job)).state is State.DELIVERED
    assert (used(simulation), len(simulation.runflow.sent)) == (1, 1)
    rest(simulation)


@pytest.mark.parametrize("end", ENDS)
def test_a_photo_deleted_before_it_is_sent_closes_as_before(simulation: Simulation, end: str) -> None:
    """It was there when its job was reopened: state, reason, cost and record stay."""
    ending, how = ENDS[end]
    job = closed(simulation, ending)
    before = as_found(simulation)
    simulation.jobs.operator = Override(paused=True)
    assert reopen(simulation, how, job, hours=0.1).reason is Reason.PAUSED
    simulation.delete("shoe.jpg")
    simulation.jobs.operator = Override()
    pass_time(simulation, HOUR)
    found = now(simulation, job)
    kept = ("state", "reason", "detail", "code", "cost", "run_id", "earlier_runs", "reservation", "spent", "outputs")
    assert [getattr(found, name) for name in kept] == [getattr(job, name) for name in kept]
    assert found.decision == "closed as before: not sent, deleted"
    (outputs, spent, sent), after = before, as_found(simulation)
    assert ([key for key, _ in after[0]], *after[1:]) == ([key for key, _ in outputs], spent, sent)
    assert simulation.telemetry.counts["ReopenRefused"] == 1
    told = simulation.events.published[-1][1]["reopened"]
    if job.state is State.DELIVERED:
        assert told is None, "nothing was delivered"
    else:
        assert told["how"] == how, "its end is published again"
    rest(simulation)


def test_a_newer_version_is_not_overwritten(simulation: Simulation) -> None:
    job = closed(simulation)
    newer = closed(simulation)
    found = reopen(simulation, "paid", job)
    assert (found.state, len(simulation.runflow.sent)) == (State.DELIVERED, 2)
    (key,) = newer.outputs
    assert simulation.photos.outputs[key].metadata["detag-job-id"] == newer.job_id
    rest(simulation)


# By its key


@pytest.mark.parametrize("versioned", [True, False])
def test_a_photo_whose_item_has_expired_is_reopened(simulation: Simulation, versioned: bool) -> None:
    """By its key: as paid only, since nobody knows what was paid; and once."""
    if not versioned:
        simulation.versioned = False
        simulation.photos.unversioned.add("in")
    job = closed(simulation)
    pass_time(simulation, 100 * DAY)
    simulation.jobs.expire()
    for how in ("ask", "unpaid"):
        simulation.reopen(how, {"key": "shoe.jpg"})
        pass_time(simulation, HOUR)
        assert "its item has expired" in refused(simulation)[-1] and not simulation.jobs.jobs
    simulation.reopen("paid", {"key": "shoe.jpg"}, copies=10)
    pass_time(simulation, HOUR)
    (found,) = simulation.jobs.jobs.values()
    assert (found.state, len(simulation.runflow.runs)) == (State.DELIVERED, 2)
    assert found.requests[-1].request_id == "r-3"
    assert found.job_id == job.job_id or not versioned
    assert len({post.key for post in simulation.runflow.sent}) == 2, "an expired item's keys are not used again"
    (key,) = found.outputs
    assert simulation.photos.outputs[key].metadata["detag-run-id"] == found.run_id
    simulation.reopen("paid", {"key": "shoe.jpg"}, request_id="r-3")
    pass_time(simulation, HOUR)
    assert len(simulation.runflow.runs) == 2


def test_an_old_photo_never_seen_is_taken_up_unpaid(simulation: Simulation) -> None:
    """It was there before detag: within the time that items are kept, no item is the proof that nothing was paid."""
    simulation.photos.upload("in", "old.jpg", photo("old", "image/jpeg"))
    simulation.reopen("unpaid", {"key": "old.jpg"})
    pass_time(simulation, HOUR)
    (found,) = simulation.jobs.jobs.values()
    assert (found.upload.key, found.requests[0].by) == ("old.jpg", "anna")
    assert len(simulation.runflow.sent) == 1


def test_by_its_key_is_the_job_that_is_there(simulation: Simulation) -> None:
    job = closed(simulation, FREE)
    simulation.reopen("unpaid", {"key": "shoe.jpg", "version_id": str(job.upload.version_id)})
    pass_time(simulation, HOUR)
    assert now(simulation, job).state is State.DELIVERED and len(simulation.jobs.jobs) == 1
    rest(simulation)


# Bad requests


def test_bad_requests_change_nothing(simulation: Simulation) -> None:
    """Each is said in the log and counted, and none becomes a dead letter."""
    job = closed(simulation)
    simulation.runflow.endings = [SLOW]
    busy = simulation.upload("busy.jpg", photo("busy", "image/jpeg"))
    simulation.run_until(simulation.time + 8.0)
    assert simulation.jobs.jobs[busy.job_id].state is State.SUBMITTED
    bad: list[dict[str, str]] = [
        {"how": "paid", "job_id": "f" * 32},
        {"how": "paid", "job_id": busy.job_id},
        {"how": "paid", "key": "shoe.jpg", "version_id": "gone"},
        {"how": "paid", "key": "nothing.jpg"},
        {"how": "paid", "key": "a/../shoe.jpg"},
        {"how": "paid", "key": "ü" * 513},
        {"how": "paid", "key": "\ud800", "version_id": "v1"},
        {"how": "paid", "key": "shoe.jpg", "bucket": "elsewhere"},
        {"how": "twice", "job_id": job.job_id},
        {"how": "paid", "job_id": "no id"},
        {"how": "paid"},
        {"how": "paid", "job_id": job.job_id, "by": ""},
        {"how": "paid", "job_id": job.job_id, "at": "soon"},
        {"how": "paid", "job_id": job.job_id, "at": "2020-01-01T00:00:00Z"},
        {"how": "paid", "job_id": job.job_id, "at": "2126-01-01T00:00:00Z"},
    ]
    before = dict(simulation.jobs.jobs)
    for named in bad:
        simulation.reopen(named.pop("how"), named)
    simulation.uploads.put({"reopen": "this"}, safely=True)
    simulation.reopen("paid", {"job_id": job.job_id}, request_id="no good id")
    simulation.run_until(simulation.time + 3.0)
    assert len(refused(simulation)) == len(bad) + 2 == simulation.telemetry.counts["ReopenRefused"]
    assert simulation.jobs.jobs == before and not simulation.uploads.messages and not simulation.uploads.died
    rest(simulation)
