"""What becomes of a photo between its upload and its claim, step by step: deleted, replaced, waiting, unreadable."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.naming import JOB_ID
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.mutants.uploads import MUTANTS
from tests.simulation.simulation import DAY, Simulation


def paused(simulation: Simulation, *, minutes: float = 10.0) -> None:
    """An operator pauses detag for a while."""
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=True)
    simulation.paused_at = simulation.time
    simulation.after(minutes * 60.0, lambda: resume(simulation))


def resume(simulation: Simulation) -> None:
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=None)


def reason(simulation: Simulation, job_id: str) -> Reason | None:
    return simulation.jobs.jobs[job_id].reason


# Deleted is deleted


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("how", ["deleted", "its version deleted", "renamed", "replaced"])
def test_a_photo_that_goes_while_it_waits_is_not_paid(simulation: Simulation, how: str, versioned: bool) -> None:
    simulation.versioned = versioned
    simulation.photos.unversioned.update(() if versioned else {"in"})
    paused(simulation)
    job = upload(simulation)
    pass_time(simulation, 60.0)
    assert reason(simulation, job) is Reason.PAUSED
    match how:
        case "deleted":
            simulation.delete("shoe.jpg")
        case "its version deleted":
            simulation.delete("shoe.jpg", simulation.jobs.jobs[job].upload.version_id)
        case "renamed":
            simulation.rename("shoe.jpg", "boot.jpg")
        case "replaced":
            simulation.upload("shoe.jpg", b"a list of prices", sent=False)
    rest(simulation)
    assert states(simulation, job) == ["waiting", "superseded"]
    assert reason(simulation, job) is (Reason.REPLACED if how == "replaced" else Reason.DELETED)
    assert len(simulation.runflow.runs) == (how == "renamed")


@pytest.mark.parametrize("looked", [True, False])
def test_a_photo_whose_newer_version_was_taken_back_is_cleaned(simulation: Simulation, looked: bool) -> None:
    """What is at the key is what the owner wants: an older version is, once the newer one was deleted for good."""
    unseen = next(mutant for mutant in MUTANTS if mutant.guard == "newest upload: looked for once more")
    with nullcontext() if looked else unseen.alive():
        paused(simulation)
        older = upload(simulation)
        pass_time(simulation, 60.0)
        newer = upload(simulation)
        pass_time(simulation, 60.0)
        simulation.delete("shoe.jpg", simulation.jobs.jobs[newer].upload.version_id)
        simulation.run_out(simulation.time + DAY)
        simulation.checker.at_rest()
    assert simulation.jobs.jobs[newer].state is State.SUPERSEDED
    assert simulation.jobs.jobs[older].state is (State.DELIVERED if looked else State.SUPERSEDED)
    assert bool(simulation.checker.broken) is not looked
    assert len(simulation.runflow.sent) == looked


@pytest.mark.parametrize("answer", [Fault(429, retry_after=600.0), Fault()], ids=["refused", "no answer"])
def test_a_photo_is_not_paid_if_its_output_could_not_be_stored(simulation: Simulation, answer: Fault) -> None:
    """It waits; a newer one is delivered, and then deleted for good: its output stays, since newest wins."""
    simulation.runflow.faults = [answer]
    older = upload(simulation)
    pass_time(simulation, 60.0)
    newer = upload(simulation)
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[newer].state is State.DELIVERED
    simulation.delete("shoe.jpg", simulation.jobs.jobs[newer].upload.version_id)
    rest(simulation)
    assert reason(simulation, older) is Reason.NEWER_UPLOAD and simulation.runflow.billed == PRICE


def test_a_photo_just_uploaded_and_renamed_is_paid_once(simulation: Simulation) -> None:
    job = upload(simulation, "new shoe.jpg")
    simulation.rename("new shoe.jpg", "shoe.jpg")
    rest(simulation)
    assert reason(simulation, job) is Reason.DELETED
    assert simulation.runflow.billed == PRICE and list(simulation.photos.outputs) == ["shoe.jpg"]


def test_a_photo_deleted_after_a_failed_run_is_not_sent_again(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(status="failed", code="MODEL_ERROR", cost=Decimal(0))]
    job = upload(simulation)
    simulation.after(10.0, lambda: simulation.delete("shoe.jpg"))
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "waiting", "superseded"]
    assert len(simulation.runflow.runs) == 1 and simulation.runflow.billed == 0


def test_a_photo_deleted_during_an_outage_is_not_sent_again(simulation: Simulation) -> None:
    simulation.runflow.down = True
    jobs = [upload(simulation, f"{number}.jpg") for number in range(4)]
    pass_time(simulation, HOUR / 2)
    for number in range(4):
        simulation.delete(f"{number}.jpg")
    simulation.runflow.down = False
    rest(simulation)
    assert {reason(simulation, job) for job in jobs} == {Reason.DELETED}
    assert simulation.runflow.billed == 0


def test_what_is_no_photo_never_becomes_the_newest_of_its_name(simulation: Simulation) -> None:
    early = next(mutant for mutant in MUTANTS if mutant.guard == "newest upload: raised for photos only")
    assert states_of_a_photo_taken_back(simulation)[-1] == "delivered"
    with early.alive():
        other = Simulation(0, faults=False)
        assert states_of_a_photo_taken_back(other)[-1] == "superseded"
    assert "nothing superseded for nothing" in {name for name, _ in other.checker.broken}


def states_of_a_photo_taken_back(simulation: Simulation) -> list[str]:
    """A photo waits, another file has its name while that file's event comes, and the photo is there again."""
    paused(simulation)
    job = upload(simulation)
    pass_time(simulation, 60.0)
    text = simulation.upload("shoe.jpg", b"a list of prices", sent=False)
    pass_time(simulation, 60.0)
    simulation.delete("shoe.jpg", text.version_id)
    simulation.run_out(simulation.time + DAY)
    return states(simulation, job)


# Overtaken in line


def test_of_five_versions_behind_a_limit_only_the_newest_is_paid(simulation: Simulation) -> None:
    simulation.limit = PRICE
    simulation.set_limit(PRICE)
    first = upload(simulation, "first.jpg")
    pass_time(simulation, 30.0)
    jobs = []
    for _ in range(5):
        jobs.append(upload(simulation))
        pass_time(simulation, 30.0)
    assert {reason(simulation, job) for job in jobs} == {Reason.SPEND_LIMIT}
    rest(simulation)
    assert [states(simulation, job)[-1] for job in (first, *jobs)] == ["delivered", *["superseded"] * 4, "delivered"]
    assert simulation.runflow.billed == 2 * PRICE


@pytest.mark.parametrize("versioned", [True, False])
def test_an_upload_is_judged_on_arrival_though_intake_is_paused(simulation: Simulation, versioned: bool) -> None:
    """What is no photo, or is an older one, does not even wait."""
    simulation.versioned = versioned
    simulation.photos.unversioned.update(() if versioned else {"in"})
    paused(simulation)
    older, newer = upload(simulation, name="same"), upload(simulation, name="same")
    text = simulation.upload("notes.jpg", b"words", sent=False).job_id
    thumbnail = simulation.upload("@eaDir/shoe.jpg", b"\xff\xd8", sent=False).job_id
    pass_time(simulation, 60.0)
    assert reason(simulation, newer) is Reason.PAUSED
    assert (states(simulation, text), reason(simulation, text)) == (["skipped"], Reason.NOT_AN_IMAGE)
    assert (states(simulation, thumbnail), reason(simulation, thumbnail)) == (["skipped"], Reason.NOT_A_PHOTO)
    assert simulation.telemetry.counts["NotAPhoto"] == 1
    assert list(simulation.photos.outputs) == ["_skipped/notes.jpg.txt"]
    told = {detail["job_id"] for _, detail in simulation.events.published}
    assert text in told and not {newer, thumbnail} & told
    rest(simulation)
    assert states(simulation, older)[-1] == "superseded"
    assert len(simulation.runflow.runs) == 1


# Waiting for long


def waited_for(simulation: Simulation, days: float) -> str:
    """A photo that an operator's pause holds for so long; what has expired meanwhile is deleted."""
    paused(simulation, minutes=days * 1440.0)
    job = upload(simulation)
    pass_time(simulation, 60.0)
    assert reason(simulation, job) is Reason.PAUSED
    simulation.clock.time += (days - 1) * DAY  # every minute would be the same
    simulation.jobs.expire()
    simulation.run_out(simulation.time + 3 * DAY)
    return job


def test_a_photo_that_waited_for_100_days_is_delivered(simulation: Simulation) -> None:
    job = waited_for(simulation, 100.0)
    assert states(simulation, job) == ["waiting", "submitting", "submitted", "delivered"]
    rest(simulation)


@pytest.mark.parametrize(
    "change",
    [
        Change("detag.domain.decisions:screen_upload", "job.version == 0 and ", ""),
        Change(
            "detag.domain.job:Job.expires_at",
            "if self.closed_at is None or self.due_at is not None:\n        return None\n    "
            "return int(self.closed_at + RETENTION_SECONDS)",
            "return int(self.created_at + RETENTION_SECONDS)",
        ),
    ],
    ids=["its age counts", "its item expires"],
)
def test_a_waiting_photo_that_was_dropped_would_be_noticed(simulation: Simulation, change: Change) -> None:
    with change.made():
        waited_for(simulation, 100.0)
    simulation.checker.at_rest()
    assert {name for name, _ in simulation.checker.broken} & {"judged by its bytes", "one terminal state"}


def test_an_event_that_comes_after_its_item_expired_pays_nothing(simulation: Simulation) -> None:
    job = upload(simulation)
    rest(simulation)
    simulation.clock.time += 91 * DAY
    simulation.jobs.expire()
    assert job not in simulation.jobs.jobs
    simulation.uploads.put(simulation.arrivals[0], safely=True)
    simulation.run_out(simulation.time + DAY)
    assert reason(simulation, job) is Reason.TOO_OLD
    assert simulation.runflow.billed == PRICE


# Unreadable


def test_rights_that_take_55_minutes_to_spread_fail_no_photo(simulation: Simulation) -> None:
    simulation.photos.rights_spread = False
    jobs = [upload(simulation, f"{number}.jpg") for number in range(20)]
    pass_time(simulation, 60.0)
    assert {reason(simulation, job) for job in jobs} == {Reason.ACCESS_DENIED}
    pass_time(simulation, 54 * 60.0)
    simulation.photos.rights_spread = True
    rest(simulation)
    assert {states(simulation, job)[-1] for job in jobs} == {"delivered"}


def test_a_photo_that_nobody_may_read_fails_after_an_hour(simulation: Simulation) -> None:
    simulation.photos.denied.add(("in", "shoe.jpg"))
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert reason(simulation, job) is Reason.ACCESS_DENIED
    pass_time(simulation, HOUR / 4)
    assert (states(simulation, job), reason(simulation, job)) == (["waiting", "failed"], Reason.NO_PERMISSION)


def test_an_archived_photo_fails_at_once_and_says_so(simulation: Simulation) -> None:
    simulation.photos.archived.add(("in", "shoe.jpg"))
    job = upload(simulation)
    pass_time(simulation, 60.0)
    assert (states(simulation, job), reason(simulation, job)) == (["failed"], Reason.ARCHIVED)
    assert [detail["reason"] for _, detail in simulation.events.published] == ["archived"]


def test_a_photo_of_a_bucket_with_suspended_versions_is_paid(simulation: Simulation) -> None:
    """Its version is called null; the next one takes its place, whatever versions there are from before."""
    before = upload(simulation, name="before")
    pass_time(simulation, 60.0)
    simulation.photos.suspended.add("in")
    simulation.versioned = False
    null = upload(simulation, name="null")
    pass_time(simulation, 60.0)
    paused(simulation)
    older, newer = upload(simulation, name="older"), upload(simulation, name="newer")
    assert simulation.photos.current("in", "shoe.jpg") is not None
    rest(simulation)
    ends = [states(simulation, job)[-1] for job in (before, null, older, newer)]
    assert ends == ["delivered", "delivered", "superseded", "delivered"]


def test_a_copy_whose_job_is_not_saved_counts_as_newer(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the output bucket: a paid result of an older photo does not take its place, though the photo of the copy
    is deleted before its own job can tell of it.
    """
    upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    simulation.runflow.endings = [Ending(queued=10.0, seconds=120.0, content_type="image/jpeg")]
    paid = upload(simulation, "a.jpg", "paid")
    pass_time(simulation, 5.0)
    real = simulation.photos.copy_output

    def unanswered(*given: Any) -> Any:
        real(*given)
        raise Transient("S3 timeout")

    with monkeypatch.context() as patched:
        patched.setattr(simulation.photos, "copy_output", unanswered)
        copied = upload(simulation, "a.jpg", "same")
        pass_time(simulation, 5.0)
        simulation.delete("a.jpg")
        pass_time(simulation, 2 * HOUR)
    rest(simulation)
    jobs = simulation.jobs.jobs
    assert (jobs[copied].state, jobs[copied].reason) == (State.SUPERSEDED, Reason.DELETED)
    assert (jobs[paid].state, jobs[paid].reason) == (State.SUPERSEDED, Reason.NEWER_DELIVERED)
    assert simulation.photos.outputs["a.jpg"].metadata[JOB_ID] == copied
