"""`deliver`: what becomes of a run that has ended."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.domain.naming import FAILED_RECORDS, JOB_ID, RUN_ID, SEQUENCER, SOURCE_KEY, Naming
from detag.domain.reasons import Reason
from detag.domain.waits import DELIVERY, NO_OUTPUT, UNKNOWN_RUN
from detag.ports.errors import Conflict, Transient
from detag.ports.photos import Existing, PreconditionFailed
from detag.ports.photos_fake import Stored
from detag.ports.runs_fake import CANCELLED, FAILED, Ending, FakeRun, clean, tiny_image
from tests.unit.services.harness import Harness, submitted

FREE = Ending(status="failed", cost=Decimal(0), code="INTERNAL", message="try again")


def ended(*endings: Ending, **changes: Any) -> Harness:
    """A harness whose one run is over; detag has not heard of it yet."""
    harness = submitted(*endings, **changes)
    harness.wait(60.0)
    assert harness.run.ended
    return harness


def output_urls(harness: Harness) -> list[str]:
    output = harness.runs.record(harness.run)["output"]
    return list(output["image_urls"])


# Well


def test_an_output_is_stored_and_the_job_closed() -> None:
    """An output is stored with metadata that says where it comes from, and the job is closed."""
    harness = ended()
    job = harness.arrive()
    assert (job.state, job.outputs, job.cost, job.partial) == (State.DELIVERED, ("shoe.jpg.webp",), "0.14", False)
    stored = harness.photos.outputs["shoe.jpg.webp"]
    assert stored.content_type == "image/webp"
    assert stored.data == clean(harness.run.photo or b"", "image/webp")
    assert (stored.metadata[JOB_ID], stored.metadata[RUN_ID]) == (job.job_id, job.run_id)
    assert [kind for kind, _ in harness.events.published] == ["Photo Delivered"]
    assert (job.body, job.due_at, job.source_metadata) == (None, None, ())


def test_further_outputs_are_numbered() -> None:
    """An output of the same type keeps the name, and further ones are numbered."""
    harness = ended(Ending(content_type="image/jpeg", images=3))
    assert harness.arrive().outputs == ("shoe.jpg", "shoe.jpg.2.jpg", "shoe.jpg.3.jpg")


@pytest.mark.parametrize("status", ["partial_succeeded", "succeeded"])
def test_a_partial_result_is_stored_and_marked(status: str) -> None:
    harness = ended(Ending(status=status))
    assert harness.arrive().partial is (status == "partial_succeeded")


def test_repeating_the_message_changes_nothing() -> None:
    harness = ended()
    job = harness.arrive()
    for _ in range(3):
        assert harness.arrive() == job
    assert len(harness.photos.puts) == len(harness.events.published) == 1


def test_an_output_that_is_there_already_is_not_stored_again() -> None:
    harness = ended()
    harness.broken["jobs.save"] = Transient("DynamoDB throttled")
    with pytest.raises(Transient):
        harness.arrive()
    harness.broken.clear()
    assert harness.arrive().state is State.DELIVERED
    assert len(harness.photos.puts) == 1


def test_the_callbacks_output_urls_are_the_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The callback's output URLs are used where Runflow cannot be asked, or shows none."""
    harness = ended()
    signed = output_urls(harness)
    harness.broken["runs.get"] = Transient("Runflow answered 503")
    job = harness.arrive(status="succeeded", links=signed)
    assert (job.state, job.cost) == (State.DELIVERED, None)
    harness = ended()
    signed, record = output_urls(harness), harness.runs.record
    monkeypatch.setattr(harness.runs, "record", lambda run: record(run) | {"output": None})
    assert harness.arrive(status="succeeded", links=signed).state is State.DELIVERED


def test_a_pending_event_is_sent_by_the_next_message() -> None:
    """An event that cannot be sent is pending, and is sent by the next message."""
    harness = ended()
    harness.broken["events.publish"] = Transient("EventBridge throttled")
    job = harness.arrive()
    assert (job.state, job.pending) == (State.DELIVERED, ("event",))
    assert job.due_at is not None
    harness.broken.clear()
    assert (harness.arrive().pending, harness.job.due_at) == ((), None)
    assert len(harness.events.published) == 1


# Badly


@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        (FREE, State.WAITING, Reason.RETRY),
        (replace(FREE, status="errored"), State.WAITING, Reason.RETRY),
        (replace(FREE, status="timeout", code=None), State.WAITING, Reason.RETRY),
        (replace(FREE, code="INPUT_VALIDATION_FAILED"), State.FAILED, Reason.RUN_FAILED),
        (replace(FREE, cost=Decimal("0.01")), State.FAILED, Reason.RUN_FAILED),
        (CANCELLED, State.CANCELLED, Reason.CANCELLED_AT_RUNFLOW),
        (replace(CANCELLED, status="cancelled"), State.CANCELLED, Reason.CANCELLED_AT_RUNFLOW),
        (Ending(instead=b"<html>"), State.FAILED, Reason.BAD_OUTPUT),
    ],
)
def test_every_end_has_one_outcome(ending: Ending, state: State, reason: Reason) -> None:
    job = ended(ending).arrive()
    assert (job.state, job.reason) == (state, reason)


@pytest.mark.parametrize(
    ("output", "fact"),
    [
        (tiny_image("image/webp", b"q")[:-6], "this image file stops before its end"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), "HEIC is not supported"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(500), "video/mp4 is a film, and only photos are cleaned"),
    ],
)
def test_what_an_output_is_comes_without_advice_for_photos(output: bytes, fact: str) -> None:
    """Nobody uploaded it: to save it anew or to set a parameter is of no use."""
    assert str(ended(Ending(instead=output)).arrive().detail).endswith(f"output 1: {fact}")


def test_a_free_failure_is_tried_again_with_a_new_run() -> None:
    """A free failure returns its images to the budget and is tried with a new run, up to the limit of attempts."""
    harness = ended(FREE, FREE, FREE)
    for attempt in (2, 3):
        job = harness.arrive()
        assert (job.reason, job.attempt, job.reservation, job.run_id) == (Reason.RETRY, attempt, None, None)
        harness.wait(1_000.0)
        harness.send({"job_id": job.job_id})
        harness.wait(60.0)
    job = harness.arrive()
    assert (job.state, job.reservation, len(job.earlier_runs)) == (State.FAILED, None, 2)
    assert len(harness.runs.runs) == 3


def test_a_late_word_about_an_earlier_run_is_ignored() -> None:
    harness = ended(FREE)
    first = harness.run
    job = harness.arrive()
    assert harness.arrive(first) == job
    harness.wait(1_000.0)
    harness.send({"job_id": job.job_id})
    assert harness.arrive(first).state is State.SUBMITTED


def test_a_failure_for_an_expired_photo_url_is_no_attempt() -> None:
    """A run that failed because the photo's URL had expired is not counted as an attempt."""
    harness = submitted(Ending(queued=7_200.0))
    harness.wait(7_201.0)
    job = harness.arrive()
    assert (job.reason, job.attempt, job.expired_urls) == (Reason.RETRY, 1, 1)


def test_a_failure_is_saved_before_it_is_published() -> None:
    """A failure is saved before it is published, and what cannot be published is pending."""
    harness = ended(replace(FREE, code="INPUT_VALIDATION_FAILED"))
    harness.calls.clear()
    harness.broken["photos.put_record"] = Transient("S3 throttled")
    job = harness.arrive()
    assert job.pending == ("record",)
    assert harness.calls.index("jobs.save") < harness.calls.index("events.publish")
    harness.broken.clear()
    assert harness.arrive().pending == ()
    assert "_failed/shoe.jpg.txt" in harness.photos.outputs


def test_a_failure_that_loses_its_write_is_not_published() -> None:
    harness = ended(replace(FREE, code="INPUT_VALIDATION_FAILED"))
    harness.broken["jobs.save"] = Conflict("written by another")
    with pytest.raises(Transient, match="contended"):
        harness.arrive()
    assert harness.events.published == [] and harness.photos.puts == []


# Not yet


def test_a_run_that_still_works_is_polled_later_and_later() -> None:
    harness = submitted(Ending(seconds=math.inf))
    waits = []
    for _ in range(8):
        job = harness.arrive()
        assert job.state is State.SUBMITTED and job.due_at is not None
        waits.append(job.due_at - harness.clock.now())
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]


def test_a_run_that_never_ends_fails_after_its_timeout() -> None:
    """A run that never ends fails after its timeout, and its job is repaired if it ends after all."""
    harness = submitted(Ending(seconds=25 * 3600.0))
    harness.wait(24 * 3600.0 + 1)
    job = harness.arrive()
    assert (job.state, job.reason, job.reservation is not None) == (State.FAILED, Reason.TIMED_OUT, True)
    assert harness.arrive() == job, "nothing to repair with yet"
    harness.wait(7200.0)
    assert harness.arrive().state is State.DELIVERED
    assert [kind for kind, _ in harness.events.published] == ["Photo Failed", "Photo Delivered"]


def test_a_run_unknown_to_runflow_fails_after_an_hour() -> None:
    """A run that Runflow does not know fails after an hour, and its job is repaired if it turns up."""
    harness = ended()
    harness.runs.habits.known_after = 7200.0
    assert harness.arrive().state is State.SUBMITTED
    harness.wait(UNKNOWN_RUN.seconds)
    assert harness.arrive().state is State.SUBMITTED, "an hour since it was first unknown, and no more"
    harness.wait(1.0)
    assert (harness.arrive().state, harness.job.reason) == (State.FAILED, Reason.UNKNOWN_RUN)
    harness.wait(7200.0)
    assert harness.arrive().state is State.DELIVERED


def test_a_job_does_not_fail_while_its_own_output_is_stored() -> None:
    harness = ended()
    signed = output_urls(harness)
    harness.runs.habits.known_after = 7200.0
    harness.broken["events.publish"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        harness.arrive(status="succeeded", links=signed)
    harness.broken.clear()
    assert harness.job.state is State.SUBMITTED and "shoe.jpg.webp" in harness.photos.outputs
    harness.arrive()
    harness.wait(UNKNOWN_RUN.seconds + 1)
    assert (harness.arrive().state, harness.job.outputs) == (State.DELIVERED, ("shoe.jpg.webp",))


def test_a_part_that_a_dead_worker_stored_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stored one of two outputs, and the other is never there to be fetched: the record says how many there are."""
    harness = submitted(Ending(images=2))
    harness.wait(100.0)
    real = harness.photos.put

    def put(key: str, *arguments: Any) -> Existing:
        if harness.photos.outputs:
            raise KeyboardInterrupt
        return real(key, *arguments)

    monkeypatch.setattr(harness.photos, "put", put)
    with pytest.raises(KeyboardInterrupt):  # the process is gone
        harness.arrive()
    harness.broken["fetcher.open"] = Transient("connection refused")
    while harness.job.state is State.SUBMITTED:
        harness.arrive()
        harness.wait(3_600.0)
    assert (harness.job.state, len(harness.job.outputs), harness.job.partial) == (State.DELIVERED, 1, True)


def test_a_late_result_that_was_cut_short_is_finished() -> None:
    """A worker died once it had stored the output of a failed job, and the URLs are lost with its message: the output
    is found when the run is asked for.
    """
    harness = ended()
    harness.runs.habits.known_after = float("inf")
    harness.arrive()
    harness.wait(UNKNOWN_RUN.seconds + 1)
    assert harness.arrive().reason is Reason.UNKNOWN_RUN
    harness.broken["events.publish"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        harness.arrive(status="succeeded", links=output_urls(harness))
    harness.broken.clear()
    assert harness.job.state is State.FAILED and "shoe.jpg.webp" in harness.photos.outputs
    harness.wait((harness.job.ask_at or math.inf) - harness.clock.now())
    harness.broken["photos.existing"] = Transient("throttled")
    with pytest.raises(Transient):
        harness.arrive()
    harness.broken.clear()
    assert (harness.arrive().state, harness.job.outputs) == (State.DELIVERED, ("shoe.jpg.webp",))


def test_an_expired_output_url_is_renewed_by_asking_again() -> None:
    harness = ended()
    harness.runs.habits.output_url_seconds = -1.0
    job = harness.arrive()
    assert job.state is State.SUBMITTED and job.due_at is not None
    harness.runs.habits.output_url_seconds = 3600.0
    assert harness.arrive().state is State.DELIVERED


@pytest.mark.parametrize("call", ["photos.put", "photos.existing", "fetcher.open", "fetcher.read", "runs.get"])
def test_a_transient_failure_is_saved_on_the_job(call: str) -> None:
    """What fails for the moment is saved on the job, and not left to the queue."""
    harness = ended()
    harness.broken[call] = Transient("throttled")
    job = harness.arrive()
    assert job.state is State.SUBMITTED and job.due_at is not None and job.due_at > harness.clock.now()
    harness.broken.clear()
    assert harness.arrive().state is State.DELIVERED


def test_a_paid_result_that_cannot_be_fetched_waits() -> None:
    """A paid result that cannot be fetched for days waits for a person, and can still be delivered."""
    harness = ended()
    harness.broken["fetcher.open"] = Transient("unreachable")
    harness.wait(24 * 3600.0 + DELIVERY.seconds)
    assert harness.arrive().state is State.SUBMITTED, "it was never tried before"
    harness.wait(DELIVERY.seconds + 1)
    job = harness.arrive()
    assert (job.state, job.reason, job.reservation is not None) == (State.FAILED, Reason.UNDELIVERABLE, True)
    harness.broken.clear()
    assert harness.arrive().state is State.DELIVERED


def test_a_success_without_an_output_fails_after_an_hour() -> None:
    """However often it is read meanwhile: its output may be shown late."""
    harness = ended(Ending(images=0))
    for _ in range(10):
        assert harness.arrive().state is State.SUBMITTED
    harness.wait(NO_OUTPUT.seconds + 1)
    assert harness.arrive().reason is Reason.NO_OUTPUT


def test_one_unsafe_output_among_several_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unsafe output among several is left out, and the result marked as partial."""
    harness = ended(Ending(images=3))
    real = harness.runs.output_of
    monkeypatch.setattr(harness.runs, "output_of", lambda run, number: b"<html>" if number == 2 else real(run, number))
    job = harness.arrive()
    assert (job.outputs, job.partial) == (("shoe.jpg.webp", "shoe.jpg.3.webp"), True)


# Newest wins, and names


def put(harness: Harness, key: str, **metadata: str) -> None:
    harness.photos.outputs[key] = Stored(
        b"theirs", "etag", {name.replace("_", "-"): value for name, value in metadata.items()}
    )


def test_a_newer_output_at_the_key_stays() -> None:
    """A newer output at the key stays, and the older job is superseded."""
    harness = ended()
    put(harness, "shoe.jpg.webp", **{SOURCE_KEY: "in/shoe.jpg", SEQUENCER: "F" * 18})
    job = harness.arrive()
    assert (job.state, job.reason, job.cost) == (State.SUPERSEDED, Reason.NEWER_DELIVERED, "0.14")
    assert job.reservation is not None, "it was paid for"
    assert harness.photos.puts == []
    assert [kind for kind, _ in harness.events.published] == ["Photo Superseded"]


def test_an_older_output_is_replaced_only_as_it_was_read() -> None:
    harness = ended()
    put(harness, "shoe.jpg.webp", **{SOURCE_KEY: "in/shoe.jpg", SEQUENCER: "0"})
    harness.broken["photos.put"] = PreconditionFailed("PreconditionFailed")
    assert harness.arrive().state is State.SUBMITTED
    harness.broken.clear()
    assert harness.arrive().state is State.DELIVERED


@pytest.mark.parametrize("taken", [1, 2])
def test_a_name_that_is_taken_gets_a_hash_of_the_key(taken: int) -> None:
    """Where a name is somebody else's, the output's gets the start of a hash; where that is taken too, more of it."""
    harness = ended()
    names = Naming().output_keys("shoe.jpg", "image/webp")
    for key in names[:taken]:
        put(harness, key, **{SOURCE_KEY: "in/another.jpg", SEQUENCER: "F" * 18})
    assert harness.arrive().outputs == (names[taken],)


def test_what_is_given_up_is_looked_for_under_a_clash_name() -> None:
    """An output that a worker stored before it died is found where it is, also where its usual name was taken."""
    harness = ended()
    put(harness, "shoe.jpg.webp")
    signed = output_urls(harness)
    harness.runs.habits.known_after = 7200.0
    harness.broken["events.publish"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        harness.arrive(status="succeeded", links=signed)
    harness.broken.clear()
    harness.arrive()
    harness.wait(UNKNOWN_RUN.seconds + 1)
    assert (harness.arrive().state, harness.job.outputs) == (
        State.DELIVERED,
        Naming().output_keys("shoe.jpg", "image/webp")[1:2],
    )


def test_a_file_that_detag_did_not_write_is_never_overwritten() -> None:
    harness = ended()
    put(harness, "shoe.jpg.webp")
    harness.arrive()
    assert harness.photos.outputs["shoe.jpg.webp"].data == b"theirs"


# Whose run it is


def maybe_submitted(harness: Harness) -> Job:
    """The job after a POST without an answer."""
    before = harness.job
    after = replace(before, state=State.WAITING, reason=Reason.UNCONFIRMED, run_id=None, version=before.version + 1)
    harness.jobs.save(before, replace(after, due_at=harness.clock.now()))
    return harness.job


def test_a_run_that_proves_ours_is_adopted() -> None:
    """A run that the job does not know yet is adopted once it proves ours."""
    harness = ended()
    maybe_submitted(harness)
    job = harness.arrive(harness.run)
    assert (job.state, job.run_id) == (State.DELIVERED, harness.run.run_id)


@pytest.mark.parametrize("shown", ["asset", "nothing"])
def test_a_run_whose_record_does_not_show_the_photo_is_adopted(shown: Any) -> None:
    """A run that shows an asset link for the photo, or nothing, is ours by name, time and configuration."""
    harness = ended()
    maybe_submitted(harness)
    harness.runs.habits.input_shown = shown
    assert harness.arrive(harness.run).state is State.DELIVERED


def test_a_run_is_not_adopted_where_none_is_missing() -> None:
    """A run that shows a name of ours is not adopted while every POST of the photo is accounted for."""
    harness = ended(FAILED)
    assert harness.arrive().reason is Reason.RETRY
    second = unmatched_run(harness, Ending())
    assert harness.arrive(second).reason is Reason.RETRY
    assert list(harness.jobs.charges) == [second.run_id]
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 1


@pytest.mark.parametrize(
    "lie",
    [
        {"client_ref": "theirs"},
        {"client_ref": "{job}.2"},
        {"client_ref": "{job}.1x"},
        {"client_ref": "{job}.01"},
        {"input": {"image_url": "https://in.s3.eu-central-1.amazonaws.com/hat.jpg"}},
        {"metadata": {"app": "detag", "job_id": "0" * 32}},
    ],
)
def test_a_run_that_does_not_prove_ours_is_refused_and_counted(lie: dict[str, Any]) -> None:
    harness = ended()
    run = harness.run
    job = maybe_submitted(harness)
    lie = {name: value.format(job=job.job_id) if name == "client_ref" else value for name, value in lie.items()}
    run.request = dict(run.request) | lie
    assert harness.arrive(run) == job
    assert harness.telemetry.counts["UnmatchedCallback"] == 1


@pytest.mark.parametrize(
    "shown",
    [
        {"image_url": "https://evil.example/shoe.jpg"},
        {"image_url": "runflow://assets/1", "config": {"aspect_ratio": "4:3"}},
        {"config": {"aspect_ratio": "1x1"}},
    ],
)
def test_a_run_that_does_not_tell_is_kept_and_told_once(shown: dict[str, Any]) -> None:
    """It is neither adopted nor dropped: the next search asks for it by its id, listed or not."""
    harness = ended()
    run = harness.run
    job = maybe_submitted(harness)
    run.request = dict(run.request) | {"input": dict(run.request["input"]) | shown}
    for _ in range(3):
        kept = harness.arrive(run)
        assert replace(kept, unknown_runs=(), version=job.version) == job
        assert kept.missing_runs == (run.run_id,)
    assert harness.telemetry.counts["UnmatchedCallback"] == 1


def unmatched_run(harness: Harness, ending: Ending) -> FakeRun:
    """An unmatched run of the same job, ended."""
    harness.endings = [ending]
    harness.runs.create(str(harness.runs.posts[0][0]), "another key", 10.0)
    harness.wait(60.0)
    return harness.run


def test_an_unmatched_paid_run_is_charged_once_and_alarmed() -> None:
    """An unmatched paid run is charged once and alarmed, and its output left."""
    harness = ended()
    harness.arrive()
    second = unmatched_run(harness, Ending())
    for _ in range(3):
        assert harness.arrive(second).state is State.DELIVERED
    assert list(harness.jobs.charges) == [second.run_id]
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 1
    assert len(harness.photos.puts) == 1


def test_an_unmatched_free_run_is_not_charged() -> None:
    """An unmatched run that was free is neither charged nor alarmed."""
    harness = ended()
    harness.arrive()
    harness.arrive(unmatched_run(harness, FAILED))
    assert harness.jobs.charges == {} and harness.telemetry.counts["UnmatchedPaidRun"] == 0


def test_another_run_that_cannot_be_read_is_asked_for() -> None:
    """While Runflow cannot be asked about another run of a closed job, its id is kept."""
    harness = ended()
    harness.arrive()
    second = unmatched_run(harness, Ending())
    harness.broken["runs.get"] = Transient("Runflow answered 503")
    harness.arrive(second)
    assert harness.job.unknown_runs == (second.run_id,)
    assert harness.job.ask_at == harness.job.due_at == pytest.approx(harness.clock.now() + 3_600, abs=1)


def test_a_callback_about_no_job_is_counted_and_done_with() -> None:
    harness = Harness()
    harness.give({"job_id": "0" * 32, "run_id": "r"})
    assert harness.telemetry.counts["UnmatchedCallback"] == 1


@pytest.mark.parametrize("message", [{}, {"job_id": 5}, {"job_id": "J" * 32}])
def test_a_message_of_nobody_is_an_error(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="job_id"):
        Harness().give(message)


def test_a_record_written_after_the_repair_is_withdrawn() -> None:
    """A worker that publishes a failure while another repairs it leaves no record behind."""
    harness = submitted(Ending(seconds=25 * 3600.0))
    harness.wait(24 * 3600.0 + 1)
    harness.broken["photos.put_record"] = Transient("S3 throttled")
    failed = harness.arrive()
    assert failed.pending == ("record",)
    harness.broken.clear()
    harness.wait(7200.0)
    assert harness.arrive().state is State.DELIVERED
    with pytest.raises(Conflict):
        harness.deliver._steps.publish_pending(failed)
    assert [key for key in harness.photos.outputs if key.startswith(FAILED_RECORDS)] == []
