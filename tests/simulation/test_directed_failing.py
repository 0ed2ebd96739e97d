"""S3 or Runflow fails for one photo all the time, and for no other: a person is told, and nobody else has to wait."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.domain.waits import LIMITED_TRIES, MAX_UNCLEAR
from detag.ports.errors import Transient
from detag.ports.jobs import Delivered
from detag.ports.photos import Existing
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, by_state, pass_time, rest, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INTERNAL")


def others_come(simulation: Simulation, days: int) -> None:
    """Another photo every six hours."""
    for number in range(4 * days):
        simulation.after(6 * HOUR * number + 5.0, partial(upload, simulation, f"{number}.jpg"))


def events_of(simulation: Simulation, job_id: str) -> list[str]:
    return [kind for kind, detail in simulation.events.published if detail.get("job_id") == job_id]


def ended(simulation: Simulation, job_id: str) -> Job:
    """The job of a photo that was given up, and of which a person was told."""
    job = simulation.jobs.jobs[job_id]
    assert (events_of(simulation, job_id), job.reservation) == (["Photo Failed"], None)
    assert f"_failed/{job.upload.key}.txt" in simulation.photos.outputs
    return job


def test_a_photo_that_s3_never_gives_out_ends(simulation: Simulation) -> None:
    simulation.photos.failing.add(("in", "shoe.jpg"))
    others_come(simulation, 5)
    job_id = upload(simulation)
    pass_time(simulation, 2.9 * DAY)
    waiting = simulation.jobs.jobs[job_id]
    assert (waiting.state, waiting.reason) == (State.WAITING, Reason.INTERRUPTED)
    pass_time(simulation, 0.3 * DAY)
    assert ended(simulation, job_id).reason is Reason.NOT_PREPARED
    rest(simulation)
    assert by_state(simulation) == {"delivered": 20, "failed": 1}


def test_a_photo_that_s3_gives_out_late_is_cleaned(simulation: Simulation) -> None:
    simulation.photos.failing.add(("in", "shoe.jpg"))
    job_id = upload(simulation)
    pass_time(simulation, 2 * DAY)
    simulation.photos.failing.clear()
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    rest(simulation)


def test_a_photo_is_sent_again_though_its_last_read_failed(simulation: Simulation) -> None:
    """Its request had no clear answer, no run exists, and S3 fails when it is to be sent again."""
    simulation.runflow.faults = [Fault()]
    job_id = upload(simulation)
    pass_time(simulation, 5.0)
    simulation.photos.failing.add(("in", "shoe.jpg"))
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.INTERRUPTED
    simulation.photos.failing.clear()
    rest(simulation)
    assert by_state(simulation) == {"delivered": 1}
    assert simulation.runflow.billed == PRICE


def half_replaced(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A newer photo of a name is stored under another one, and the older output is removed, which DynamoDB fails to
    write down. Meanwhile somebody uploads the older photo under a name of its own.
    """
    real, failing = simulation.jobs.end_delivery, True

    def end_delivery(bucket: str, key: str, worker: str, delivered: Delivered) -> None:
        if failing and key == "a.jpg":
            raise Transient("DynamoDB throttled")
        real(bucket, key, worker, delivered)

    simulation.runflow.endings = [Ending(), Ending(content_type="image/png")]
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    monkeypatch.setattr(simulation.jobs, "end_delivery", end_delivery)
    upload(simulation, "a.jpg")
    pass_time(simulation, 120.0)
    assert "a.jpg.png" in simulation.photos.outputs and "a.jpg.webp" not in simulation.photos.outputs
    other = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    failing = False
    return simulation.jobs.jobs[other]


def test_a_result_is_reused_while_a_newer_one_takes_its_place(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = half_replaced(simulation, monkeypatch)
    assert (other.state, other.reused_from) == (State.DELIVERED, "a.jpg.webp")
    rest(simulation)
    assert simulation.runflow.billed == 2 * PRICE


def test_paying_for_it_again_would_be_noticed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Change("detag.services.reuse:Reuse._is_newer_stored", "> rank", "< rank").made():
        half_replaced(simulation, monkeypatch)
    assert "one run per picture" in {name for name, _ in simulation.checker.broken}


def died_after_storing(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, *, record: bool = False, unclear: bool = False
) -> str:
    """A worker stored an output, and could not say so; `unclear`: nor knew it, as S3's answer was lost. A newer photo
    of the name is delivered first, under another name; `record`: after another one that is no photo, whose record
    needs the same right.
    """
    if unclear:
        lose_answers(simulation, monkeypatch)
    real, failing = simulation.jobs.end_delivery, True

    def end_delivery(bucket: str, key: str, worker: str, delivered: Delivered) -> None:
        if failing and not unclear:
            raise Transient("DynamoDB throttled")
        real(bucket, key, worker, delivered)

    monkeypatch.setattr(simulation.jobs, "end_delivery", end_delivery)
    simulation.runflow.endings = [Ending(content_type="image/png"), Ending()]
    upload(simulation, "a.jpg")
    pass_time(simulation, 60.0)
    failing = False
    assert "a.jpg.png" in simulation.photos.outputs
    pass_time(simulation, 200.0)
    if record:
        simulation.upload("a.jpg", b"a list of prices", sent=False)
        pass_time(simulation, 30.0)
    newer = upload(simulation, "a.jpg")
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[newer].state is State.DELIVERED
    return newer


def lose_answers(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's answers to all PUTs of PNGs."""
    real = simulation.photos.put

    def put(key: str, *arguments: Any) -> Existing:
        stored = real(key, *arguments)
        if key.endswith(".png"):
            raise Transient("S3 timeout")
        return stored

    monkeypatch.setattr(simulation.photos, "put", put)


@pytest.mark.parametrize(("record", "unclear"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("versioned", [True, False], ids=["versions", "no versions"])
def test_what_a_dead_worker_stored_is_replaced(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, versioned: bool, record: bool, unclear: bool
) -> None:
    """Where the bucket keeps no versions it stays, and the newer delivery says so."""
    simulation.photos.keeps_versions = versioned
    newer = died_after_storing(simulation, monkeypatch, record=record, unclear=unclear)
    assert simulation.jobs.jobs[newer].leftovers == (() if versioned else ("a.jpg.png",))
    rest(simulation)
    assert {*simulation.photos.outputs} == {"a.jpg.webp"} | (set() if versioned else {"a.jpg.png"})


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("detag.services.storing:Storing.alone", "before.unfinished", "False"),
        ("detag.ports.jobs_fake:FakeJobStore.end_delivery", "delivered.unfinished", "False"),
    ],
    ids=["not looked for", "forgotten by a record"],
)
def test_leaving_it_there_would_be_noticed(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, place: str, old: str, new: str
) -> None:
    with Change(place, old, new).made():
        died_after_storing(simulation, monkeypatch, record=True)
        simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert "newest wins" in {name for name, _ in simulation.checker.broken}


def test_a_photo_that_runflow_never_takes_ends(simulation: Simulation) -> None:
    """It is sent ever more rarely, and not while it tests a paused intake; the others never wait for long."""
    simulation.runflow.rejected["shoe.jpg"] = Fault(500)
    others_come(simulation, 5)
    job_id, paused = upload(simulation), 0

    def look() -> None:
        nonlocal paused
        paused += simulation.intake.state == "paused"

    for minute in range(5 * 24 * 60):
        simulation.after(60.0 * minute + 30.0, look)
    pass_time(simulation, 2.9 * DAY)
    assert simulation.jobs.jobs[job_id].state is State.WAITING
    pass_time(simulation, 2 * DAY)
    job = ended(simulation, job_id)
    posts = [post for post in simulation.runflow.sent if post.job_id == job_id]
    assert (job.reason, len(posts) < 60, paused < 30) == (Reason.NOT_ACCEPTED, True, True), (len(posts), paused)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 20, "failed": 1}
    assert simulation.runflow.billed == 20 * PRICE


def test_what_was_given_up_is_used_if_it_turns_up(simulation: Simulation) -> None:
    """The last request did make a run, which the list does not show, and whose callback comes after all."""
    simulation.runflow.rejected["shoe.jpg"] = Fault(500)
    others_come(simulation, 4)
    job_id = upload(simulation)
    simulation.unmatched_runs = 1
    pass_time(simulation, 60.0)
    while simulation.jobs.jobs[job_id].unclear_posts < MAX_UNCLEAR - 1:
        pass_time(simulation, 60.0)
    simulation.runflow.rejected["shoe.jpg"], simulation.runflow.deaf = Fault(500, effect=True), True
    simulation.runflow.habits.visible_after = 10 * DAY
    while simulation.jobs.jobs[job_id].state is not State.FAILED:
        pass_time(simulation, HOUR)
    assert ended(simulation, job_id).reason is Reason.NOT_ACCEPTED
    simulation.runflow.deaf = False
    run = next(run for run in simulation.runflow.runs.values() if simulation.runflow.made_for(run) == job_id)
    simulation.runflow.call_back(run)
    simulation.runflow.habits.visible_after = 0.0
    rest(simulation)
    found = simulation.jobs.jobs[job_id]
    assert (found.state, found.run_id) == (State.DELIVERED, run.run_id)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1


def test_a_person_may_have_it_sent_once_more(simulation: Simulation) -> None:
    simulation.runflow.rejected["shoe.jpg"] = Fault(500)
    others_come(simulation, 4)
    job_id = upload(simulation)
    pass_time(simulation, 3.9 * DAY)
    assert ended(simulation, job_id).reason is Reason.NOT_ACCEPTED
    simulation.runflow.rejected.clear()
    simulation.reopen("unpaid", {"job_id": job_id})
    rest(simulation)
    assert by_state(simulation) == {"delivered": 17}


def test_hours_of_429_pause_intake(simulation: Simulation) -> None:
    """Intake is seen to be paused, one photo at a time tests it, and all go on as soon as one is taken."""
    simulation.runflow.faults = [Fault(429, code="RATE_LIMITED") for _ in range(5000)]
    for number in range(4):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 12 * HOUR)
    assert simulation.intake.reason is Reason.TOO_MANY_REQUESTS
    before = len(simulation.runflow.sent)
    pass_time(simulation, DAY)
    assert len(simulation.runflow.sent) - before <= 24 * 60
    simulation.runflow.faults.clear()
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"delivered": 4}
    rest(simulation)


@pytest.mark.parametrize("asked", [None, 900.0, 3_600_000.0], ids=["at once", "Retry-After", "milliseconds"])
def test_one_photo_that_is_always_429_alone_pauses_intake(simulation: Simulation, asked: float | None) -> None:
    """So that the alarm rings: five minutes in a row. No probe comes before Runflow asked for it, up to 15 minutes."""
    simulation.runflow.rejected["shoe.jpg"] = Fault(429, code="RATE_LIMITED", retry_after=asked)
    job_id = upload(simulation)
    pass_time(simulation, DAY)
    for _ in range(30):
        pass_time(simulation, 60.0)
        assert (simulation.intake.state, simulation.intake.reason) == ("paused", Reason.TOO_MANY_REQUESTS)
    assert not simulation.checker.broken
    simulation.runflow.rejected.clear()
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    rest(simulation)


def test_one_photo_that_is_always_429_ends(simulation: Simulation) -> None:
    """While others are let through: it pauses intake for a moment every few hours, and is given up."""
    simulation.runflow.rejected["shoe.jpg"] = Fault(429, code="RATE_LIMITED")
    others_come(simulation, 9)
    job_id = upload(simulation)
    pass_time(simulation, 10 * DAY)
    assert ended(simulation, job_id).reason is Reason.NOT_ACCEPTED
    rest(simulation)
    assert by_state(simulation) == {"delivered": 36, "failed": 1}


def test_one_429_after_a_long_wait_pauses_nothing(simulation: Simulation) -> None:
    """However often the photo was put off before for other reasons."""
    simulation.photos.failing.add(("in", "shoe.jpg"))
    upload(simulation)
    pass_time(simulation, 2 * DAY)
    simulation.runflow.faults = [Fault(429, code="RATE_LIMITED")]
    simulation.photos.failing.clear()
    for _ in range(240):
        pass_time(simulation, 60.0)
        assert simulation.intake.reason is None
    assert by_state(simulation) == {"delivered": 1}
    rest(simulation)


def test_reads_that_fail_in_two_ways_by_turns_end(simulation: Simulation) -> None:
    """Each reason must not begin the count of the other anew."""
    place = ("in", "shoe.jpg")
    for number in range(8 * 24 * 60):
        closed, other = (simulation.photos.denied, simulation.photos.failing)[:: 1 if number % 2 else -1]
        simulation.after(60.0 * number, partial(closed.add, place))
        simulation.after(60.0 * number, partial(other.discard, place))
    job_id = upload(simulation)
    pass_time(simulation, 6 * DAY)
    assert ended(simulation, job_id).reason in (Reason.NOT_PREPARED, Reason.NO_PERMISSION)


def test_shorter_429_pause_nothing(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(429, code="RATE_LIMITED") for _ in range(LIMITED_TRIES)]
    upload(simulation)
    pass_time(simulation, DAY)
    assert by_state(simulation) == {"delivered": 1}
    assert not any(line.message == "intake paused" for line in simulation.telemetry.lines)
    rest(simulation)


def test_an_earlier_run_is_asked_for_though_it_was_refused(simulation: Simulation) -> None:
    """A run failed free of charge, and the next request was refused. Runflow tries the run again by itself, and bills
    it; its callback is lost: it is counted, as it is asked for.
    """
    refused_after_a_free_run(simulation)
    rest(simulation)
    assert sum(charge.usd for charge in simulation.jobs.charges.values()) == PRICE


def test_not_asking_for_it_would_be_noticed(simulation: Simulation) -> None:
    with Change("detag.domain.job:_closed", "or job.earlier_runs", "or False").made():
        refused_after_a_free_run(simulation)
        simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert "unmatched run charged once" in {name for name, _ in simulation.checker.broken}


def refused_after_a_free_run(simulation: Simulation) -> None:
    simulation.unmatched_runs = 0
    simulation.runflow.endings = [FREE]
    job_id = upload(simulation)
    pass_time(simulation, 10.0)
    simulation.runflow.faults = [Fault(422, code="INVALID_INPUT")]
    while simulation.jobs.jobs[job_id].state is not State.FAILED:
        pass_time(simulation, 10.0)
    (run,) = simulation.runflow.runs.values()
    simulation.runflow.deaf = True
    simulation.runflow.tried_again.add(run.run_id)
    simulation.runflow.try_again(run)
    pass_time(simulation, 60.0)


# An output that may not be looked at, read or stored


def test_a_known_output_that_stays_closed_is_paid_anew(simulation: Simulation) -> None:
    """It was paid for, and may be looked at again soon: not for hours, and the picture is cleaned as a new one."""
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    simulation.photos.closed.add("a.jpg")
    other = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    waiting = simulation.jobs.jobs[other]
    assert (waiting.state, waiting.reason, simulation.runflow.billed) == (State.WAITING, Reason.INTERRUPTED, PRICE)
    pass_time(simulation, 5 * HOUR)
    assert simulation.jobs.jobs[other].state is State.DELIVERED
    assert simulation.runflow.billed == 2 * PRICE


def test_one_that_opens_again_is_copied(simulation: Simulation) -> None:
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    simulation.photos.closed.add("a.jpg")
    other = upload(simulation, "b.jpg", "same")
    pass_time(simulation, 0.5 * HOUR)
    simulation.photos.closed.clear()
    rest(simulation)
    assert (simulation.jobs.jobs[other].reused_from, simulation.runflow.billed) == ("a.jpg", PRICE)


def test_a_copy_that_may_not_be_stored_is_not_paid_for(simulation: Simulation) -> None:
    """The rights are put right after a day: five copies, and no run."""
    for number in range(5):
        upload(simulation, f"{number}.jpg", f"five{number}")
    pass_time(simulation, HOUR)
    simulation.photos.read_only = True
    for number in range(5):
        upload(simulation, f"new/{number}.jpg", f"five{number}")
    pass_time(simulation, DAY)
    assert simulation.runflow.billed == 5 * PRICE
    simulation.photos.read_only = False
    rest(simulation)
    assert (by_state(simulation), simulation.runflow.billed) == ({"delivered": 10}, 5 * PRICE)


def test_a_paid_output_whose_name_is_closed_reaches_a_person(simulation: Simulation) -> None:
    simulation.photos.closed |= {f"shoe.jpg.{kind}" for kind in ("webp", "png", "gif", "jpg")} | {"shoe.jpg"}
    job_id = upload(simulation)
    pass_time(simulation, 3.5 * DAY)
    assert simulation.jobs.jobs[job_id].reason is Reason.UNDELIVERABLE
    simulation.photos.closed.clear()
    pass_time(simulation, 2 * DAY)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    rest(simulation)
    assert simulation.runflow.billed == PRICE


@pytest.mark.parametrize("rejected", [True, False])
def test_a_result_stored_anew_and_rejected_is_not_reused(simulation: Simulation, rejected: bool) -> None:
    """A person copies an output onto itself, as for another storage class, and rejects what is there then."""
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    simulation.store_anew("a.jpg")
    if rejected:
        simulation.reject("a.jpg")
    other = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert (simulation.jobs.jobs[other].reused_from is None) is rejected
    rest(simulation)
    assert simulation.runflow.billed == (2 if rejected else 1) * PRICE
