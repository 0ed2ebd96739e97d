"""Paid results that come late, slowly or under another name: one simulation each, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.naming import FAILED_RECORDS, JOB_ID, SOURCE_KEY
from detag.domain.reasons import Reason
from detag.domain.runs import Run
from detag.ports.errors import Transient
from detag.ports.outputs import OutputUrlExpired
from detag.ports.photos import Existing
from detag.ports.photos_fake import Stored
from detag.ports.runs_fake import PRICE, Ending
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.photos import photo
from tests.simulation.simulation import DAY, Simulation

# Late


@pytest.mark.parametrize("hours", [25.0, 60.0, 120.0])
def test_a_result_that_no_callback_tells_of_is_asked_for(simulation: Simulation, hours: float) -> None:
    """A run that ends after its time is asked for, for days: nobody has to redeliver a callback."""
    simulation.runflow.deaf = True
    simulation.runflow.endings = [Ending(seconds=hours * HOUR)]
    job = upload(simulation)
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "failed", "delivered"]
    assert simulation.runflow.billed == PRICE


def test_a_late_result_is_asked_for_ever_more_rarely(simulation: Simulation) -> None:
    """For a week, and then no more."""
    simulation.runflow.endings = [Ending(seconds=math.inf)]
    job = upload(simulation)
    pass_time(simulation, 25 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.TIMED_OUT
    closed, asked = simulation.time, len(simulation.runflow.asked)
    rest(simulation)
    assert 5 <= len(simulation.runflow.asked) - asked <= 12
    (last,) = [write.at for write in simulation.jobs.writes if write.after.ask_at is None and write.at > closed]
    assert 5 * DAY < last - closed < 8 * DAY
    assert simulation.jobs.jobs[job].expires_at is not None


@pytest.mark.parametrize("known_after", [2 * HOUR, 3 * DAY])
def test_a_run_that_was_unknown_for_hours_is_delivered(simulation: Simulation, known_after: float) -> None:
    simulation.runflow.deaf = True
    simulation.runflow.habits.known_after = known_after
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED


def test_a_run_unknown_for_ten_minutes_of_a_long_run_goes_on(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour counts from when it is first unknown, and not from the submission."""
    simulation.runflow.endings = [Ending(seconds=6 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, 5 * HOUR)
    (run,) = simulation.runflow.runs.values()
    run.lost = True
    pass_time(simulation, 50 * 60.0)
    run.lost = False
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "delivered"]


def test_an_output_shown_half_an_hour_late_is_no_failure(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = simulation.runflow.record
    shown_at = simulation.time + 0.6 * HOUR
    monkeypatch.setattr(
        simulation.runflow,
        "record",
        lambda run: real(run) | ({} if simulation.time > shown_at else {"output": None}),
    )
    job = upload(simulation)
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "delivered"]


def test_days_of_a_bad_key_do_not_count_against_s3(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """One throttle after five days of a bad key is a trouble of its own."""
    simulation.runflow.endings = [SLOW]
    job = upload(simulation)
    pass_time(simulation, 20.0)
    simulation.runflow.habits.key_good = False
    pass_time(simulation, 5 * DAY)
    simulation.runflow.habits.key_good = True
    failures = iter([True])
    real = simulation.fetcher.open

    def once(url: str, *rest: float) -> object:
        simulation.runflow.habits.output_url_seconds = -1.0 if next(failures, False) else HOUR
        return real(url, *rest)

    monkeypatch.setattr(simulation.fetcher, "open", once)
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "delivered"]


def gave_up(simulation: Simulation, days: int = 12) -> Iterable[str]:
    simulation.run_out(simulation.time + days * DAY)
    simulation.checker.at_rest()
    return {name for name, _ in simulation.checker.broken}


def test_an_unknown_run_given_up_after_a_minute_is_noticed(simulation: Simulation) -> None:
    early = Change(
        "detag.domain.decisions:after_run",
        "_lasts(job, Trouble.UNKNOWN, waits.UNKNOWN_RUN, now)",
        "now - job.submitted_at > 60.0",
    )
    simulation.runflow.deaf, simulation.runflow.habits.known_after = True, 0.4 * HOUR
    with early.made():
        upload(simulation)
        assert "given up in time" in gave_up(simulation)


def test_a_photo_whose_urls_expire_for_ever_ends(simulation: Simulation) -> None:
    """However often its URL expires in Runflow's queue: six runs that failed are an attempt."""
    simulation.max_attempts = 1
    simulation.runflow.endings = [Ending(queued=2 * HOUR)] * 20
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].reason is Reason.RUN_FAILED
    assert len(simulation.runflow.sent) == 6


def test_urls_that_expire_without_bound_are_noticed(simulation: Simulation) -> None:
    boundless = Change(
        "detag.domain.decisions:after_failure",
        "now >= job.url_expires_at and job.expired_urls < MAX_EXPIRED_URLS",
        "now >= job.url_expires_at",
    )
    simulation.runflow.endings = [Ending(queued=2 * HOUR)] * 20
    with boundless.made():
        upload(simulation)
        assert "free retries only" in gave_up(simulation)


# Links that nobody has proved


def unproven(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> str:
    """A message whose link leads to nothing that is safe to store, while the run still runs and Runflow answers 503."""
    simulation.runflow.endings = [Ending(queued=10.0, seconds=600.0)]
    job = upload(simulation)
    pass_time(simulation, 30.0)
    (run,) = simulation.runflow.runs.values()
    simulation.runflow.down = True
    message = {"job_id": job, "run_id": run.run_id, "status": "succeeded", "links": ["https://evil.example/1.webp"]}
    with monkeypatch.context() as patch:
        patch.setattr(simulation.fetcher, "_read", lambda url: b"<html>")
        simulation.results.put(message, safely=True)
        pass_time(simulation, 60.0)
    simulation.runflow.down = False
    return job


def test_an_unproven_url_does_not_close_a_running_job(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run cannot be read, a callback whose link leads nowhere is no word of its end."""
    job = unproven(simulation, monkeypatch)
    assert simulation.jobs.jobs[job].state is State.SUBMITTED
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "delivered"]


def test_an_unproven_url_that_closed_a_job_is_noticed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Change("detag.domain.decisions:is_proven", "run.is_record or not refused", "True").made():
        unproven(simulation, monkeypatch)
    assert "given up in time" in gave_up(simulation)


# Many, and slow


def test_of_five_hundred_urls_sixteen_are_stored(simulation: Simulation) -> None:
    """The others are told of: the delivery is partial, and says why."""
    simulation.runflow.endings = [Ending(seconds=5.0, images=500)]
    job_id = upload(simulation)
    rest(simulation)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, len(job.outputs), job.partial) == (State.DELIVERED, 16, True)
    assert job.decision == "delivered: without outputs 17 to 500: too many"


@pytest.mark.parametrize("images", [16, 17, 20])
def test_of_many_urls_only_callbacks_sign_sixteen_are_stored(simulation: Simulation, images: int) -> None:
    habits = simulation.runflow.habits
    habits.signs, habits.output_url_seconds = "in callbacks", DAY
    simulation.runflow.endings = [Ending(seconds=5.0, images=images)]
    job_id = upload(simulation)
    rest(simulation)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, len(job.outputs), job.partial) == (State.DELIVERED, 16, images > 16)


@pytest.mark.parametrize("record", ["unreadable", "without URLs"])
def test_a_callbacks_first_urls_are_not_taken_for_all(simulation: Simulation, record: str) -> None:
    """While the record cannot be read, it is waited for; one that shows no URL is no reason to wait."""
    simulation.runflow.endings = [Ending(seconds=5.0, images=20)]
    job_id = upload(simulation)
    pass_time(simulation, 3.0)
    real = simulation.runflow.get
    broken = [True]

    def get(*given: Any, **named: Any) -> Run | None:
        run = real(*given, **named)
        if not broken[0] or run is None or not run.output_urls:
            return run
        if record == "unreadable":
            raise Transient("Runflow answered 500")
        return replace(run, output_urls=())

    simulation.runflow.get = get  # type: ignore[method-assign]
    pass_time(simulation, 300.0)
    assert simulation.jobs.jobs[job_id].state is (State.SUBMITTED if record == "unreadable" else State.DELIVERED)
    broken[0] = False
    rest(simulation)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, len(job.outputs), job.partial) == (State.DELIVERED, 16, True)
    assert job.decision == "delivered: without outputs 17 to 20: too many"


def test_an_output_that_never_opens_is_told_as_missing(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be stored is delivered in the end, as a part; an equal photo is not given that."""
    real = simulation.runflow.read

    def read(url: str) -> bytes:
        if "/2." in url:
            raise OutputUrlExpired("404")
        return real(url)

    monkeypatch.setattr(simulation.fetcher, "_read", read)
    simulation.runflow.endings = [Ending(seconds=5.0, images=2)]
    job_id = upload(simulation)
    rest(simulation)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, len(job.outputs), job.partial, job.picture) == (State.DELIVERED, 1, True, None)
    assert job.decision == "delivered: its output had been stored, and others may be missing"


def test_urls_without_bound_are_noticed(simulation: Simulation) -> None:
    boundless = Change("detag.services.deliver:Deliver._store", "run.output_urls[:MAX_OUTPUT_URLS]", "run.output_urls")
    simulation.runflow.endings = [Ending(seconds=5.0, images=500)]
    with boundless.made():
        upload(simulation)
        assert "so many outputs" in gave_up(simulation)


@pytest.mark.parametrize("images", [1, 3, 16])
def test_outputs_that_outlast_an_invocation_are_stored(simulation: Simulation, images: int) -> None:
    """Each invocation goes on where the one before it stopped, and none is killed."""
    simulation.runflow.output_seconds = 59.0
    simulation.runflow.endings = [Ending(seconds=5.0, images=images)]
    job = upload(simulation)
    rest(simulation)
    assert len(simulation.jobs.jobs[job].outputs) == images
    assert len(simulation.photos.puts) == images, "nothing is fetched twice"
    assert not simulation.results.died
    assert simulation.telemetry.counts["DeliveryRetried"] == 0, "it takes its time, and is in no trouble"


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("detag.domain.job:poll_later", "done=done)", "done=())"),
    ],
    ids=["progress"],
)
def test_an_invocation_without_a_guard_of_its_time_is_noticed(
    simulation: Simulation, place: str, old: str, new: str
) -> None:
    simulation.runflow.output_seconds = 59.0
    simulation.runflow.endings = [Ending(seconds=5.0, images=3)]
    with Change(place, old, new).made():
        upload(simulation)
        assert "nothing open" in gave_up(simulation, days=2)


# Under another name

JPEG = Ending(seconds=5.0, content_type="image/jpeg")
WEBP = Ending(seconds=5.0, content_type="image/webp")


def outputs(simulation: Simulation) -> list[str]:
    return sorted(key for key, one in simulation.photos.outputs.items() if SOURCE_KEY in one.metadata)


def two_versions(simulation: Simulation, *endings: Ending) -> tuple[str, str]:
    simulation.runflow.endings = list(endings)
    first = upload(simulation)
    pass_time(simulation, 30.0)
    return first, upload(simulation)


def test_a_newer_output_replaces_one_under_another_name(simulation: Simulation) -> None:
    first, second = two_versions(simulation, Ending(seconds=5.0, images=2), JPEG)
    rest(simulation)
    assert outputs(simulation) == ["shoe.jpg"]
    assert simulation.jobs.jobs[second].leftovers == ()
    assert {key for key, _ in simulation.photos.removed} == set(simulation.jobs.jobs[first].outputs)


def test_an_older_output_under_another_name_is_dropped(simulation: Simulation) -> None:
    """Newest wins over all the names of a photo, whichever run ends first."""
    first, _ = two_versions(simulation, Ending(seconds=600.0, content_type="image/webp"), JPEG)
    rest(simulation)
    assert simulation.jobs.jobs[first].reason is Reason.NEWER_DELIVERED
    assert outputs(simulation) == ["shoe.jpg"]


@pytest.mark.parametrize("why", ["no versions", "not ours", "not allowed"])
def test_an_output_that_may_not_be_removed_is_told_of(simulation: Simulation, why: str) -> None:
    simulation.photos.keeps_versions = why != "no versions"
    first, second = two_versions(simulation, WEBP, JPEG)
    pass_time(simulation, 8.0)
    assert simulation.jobs.jobs[first].state is State.DELIVERED
    if why == "not ours":
        simulation.photos.outputs["shoe.jpg.webp"] = Stored(b"the shop's own", "etag")
    elif why == "not allowed":
        simulation.photos.denied.add((simulation.photos.output_bucket, "shoe.jpg.webp"))
    rest(simulation)
    assert "shoe.jpg.webp" in simulation.photos.outputs
    (event,) = [detail for _, detail in simulation.events.published if detail["job_id"] == second]
    assert event["leftovers"] == ["shoe.jpg.webp"]


def test_a_name_that_becomes_free_is_taken_by_the_next(simulation: Simulation) -> None:
    """The output that had a hash in its name is replaced like any other."""
    simulation.photos.outputs["shoe.jpg.webp"] = Stored(b"the shop's own", "etag")
    first, _ = two_versions(simulation, WEBP, WEBP)
    pass_time(simulation, 8.0)
    (aside,) = simulation.jobs.jobs[first].outputs
    assert aside != "shoe.jpg.webp"
    del simulation.photos.outputs["shoe.jpg.webp"]
    rest(simulation)
    assert outputs(simulation) == ["shoe.jpg.webp"]


def equal_bytes(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> str:
    """A, B and A again, the worker that stores B stalled in front of S3 while the third is delivered; the third."""
    simulation.runflow.same_output = True
    simulation.runflow.endings = [JPEG, Ending(seconds=8.0, content_type="image/jpeg"), JPEG]
    upload(simulation, name="a")
    pass_time(simulation, 30.0)
    second = upload(simulation, name="b")
    pass_time(simulation, 5.0)
    third = simulation.upload("shoe.jpg", photo("a", "image/jpeg"), {"detag-again": "paid for as well"}).job_id
    real = simulation.photos.put

    def stalling(*arguments: object) -> Existing:
        metadata = arguments[4]
        assert isinstance(metadata, dict)
        if metadata[JOB_ID] == second and not stalled:
            stalled.append(second)
            simulation.wait(90.0)
        return real(*arguments)  # type: ignore[arg-type]

    stalled: list[str] = []
    monkeypatch.setattr(simulation.photos, "put", stalling)
    return third


def test_equal_bytes_do_not_let_an_older_version_win(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ETag does not tell A from A again: who may write is decided in the job table."""
    third = equal_bytes(simulation, monkeypatch)
    rest(simulation)
    assert simulation.photos.outputs["shoe.jpg"].metadata[JOB_ID] == third


def test_an_older_version_that_won_by_equal_bytes_is_noticed(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    unguarded = Change(
        "detag.ports.jobs_fake:FakeJobStore.begin_delivery",
        "holder != worker and held_until > self._clock.now()",
        "False",
    )
    with unguarded.made():
        equal_bytes(simulation, monkeypatch)
        assert "newest wins" in gave_up(simulation)


def test_the_record_of_a_repaired_failure_is_removed(simulation: Simulation) -> None:
    simulation.runflow.deaf = True
    simulation.runflow.endings = [Ending(seconds=26 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, 24.5 * HOUR)
    assert [key for key in simulation.photos.outputs if key.startswith(FAILED_RECORDS)] != []
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert [key for key in simulation.photos.outputs if key.startswith(FAILED_RECORDS)] == []
