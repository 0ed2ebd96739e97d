"""`deliver`: what becomes of a run that has ended."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import Job, Reason, State
from detag.domain.naming import JOB_ID, RUN_ID, SEQUENCER, SOURCE_KEY
from detag.ports.errors import Conflict, Transient
from detag.ports.photos import PreconditionFailed
from detag.ports.photos_fake import Stored
from detag.ports.runs_fake import CANCELLED, FAILED, Ending, FakeRun, cleaned_picture
from detag.services.deliver import DELIVERY_SECONDS, UNKNOWN_RUN_SECONDS
from tests.unit.services.shop import Shop, submitted

FREE = Ending(status="failed", cost=Decimal(0), code="INTERNAL", message="try again")


def ended(*endings: Ending, **changes: Any) -> Shop:
    """A shop whose one run is over; nobody has told detag yet."""
    shop = submitted(*endings, **changes)
    shop.wait(60.0)
    assert shop.run.ended
    return shop


def links(shop: Shop) -> list[str]:
    output = shop.runs.record(shop.run)["output"]
    return list(output["image_urls"])


# Well


def test_a_cleaned_picture_is_stored_with_its_story_and_the_job_closed() -> None:
    shop = ended()
    job = shop.arrive()
    assert (job.state, job.outputs, job.cost, job.partial) == (State.DELIVERED, ("shoe.jpg.webp",), "0.14", False)
    stored = shop.photos.outputs["shoe.jpg.webp"]
    assert stored.content_type == "image/webp"
    assert stored.data == cleaned_picture(shop.run.photo or b"", "image/webp")
    assert (stored.metadata[JOB_ID], stored.metadata[RUN_ID]) == (job.job_id, job.run_id)
    assert [kind for kind, _ in shop.events.published] == ["Photo Delivered"]
    assert (job.body, job.due_at, job.source_metadata) == (None, None, ())


def test_the_same_type_keeps_the_name_and_further_images_are_numbered() -> None:
    shop = ended(Ending(content_type="image/jpeg", images=3))
    assert shop.arrive().outputs == ("shoe.jpg", "shoe.jpg.2.jpg", "shoe.jpg.3.jpg")


@pytest.mark.parametrize("status", ["partial_succeeded", "succeeded"])
def test_a_partial_result_is_stored_and_marked(status: str) -> None:
    shop = ended(Ending(status=status))
    assert shop.arrive().partial is (status == "partial_succeeded")


def test_repeating_the_message_changes_nothing() -> None:
    shop = ended()
    job = shop.arrive()
    for _ in range(3):
        assert shop.arrive() == job
    assert len(shop.photos.puts) == len(shop.events.published) == 1


def test_a_picture_that_is_there_already_is_not_stored_again() -> None:
    shop = ended()
    shop.broken["jobs.save"] = Transient("DynamoDB throttled")
    with pytest.raises(Transient):
        shop.arrive()
    shop.broken.clear()
    assert shop.arrive().state is State.DELIVERED
    assert len(shop.photos.puts) == 1


def test_the_callbacks_links_are_used_where_runflow_cannot_be_asked_or_shows_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = ended()
    signed = links(shop)
    shop.broken["runs.get"] = Transient("Runflow answered 503")
    job = shop.arrive(status="succeeded", links=signed)
    assert (job.state, job.cost) == (State.DELIVERED, None)
    shop = ended()
    signed, record = links(shop), shop.runs.record
    monkeypatch.setattr(shop.runs, "record", lambda run: record(run) | {"output": None})
    assert shop.arrive(status="succeeded", links=signed).state is State.DELIVERED


def test_an_event_that_cannot_be_sent_is_owed_and_sent_by_the_next_message() -> None:
    shop = ended()
    shop.broken["events.publish"] = Transient("EventBridge throttled")
    job = shop.arrive()
    assert (job.state, job.pending) == (State.DELIVERED, ("event",))
    assert job.due_at is not None
    shop.broken.clear()
    assert (shop.arrive().pending, shop.job.due_at) == ((), None)
    assert len(shop.events.published) == 1


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


def test_a_free_failure_gives_its_room_back_and_is_tried_with_a_new_run_up_to_the_limit() -> None:
    shop = ended(FREE, FREE, FREE)
    for attempt in (2, 3):
        job = shop.arrive()
        assert (job.reason, job.attempt, job.reservation, job.run_id) == (Reason.RETRY, attempt, None, None)
        shop.wait(1_000.0)
        shop.send({"job_id": job.job_id})
        shop.wait(60.0)
    job = shop.arrive()
    assert (job.state, job.reservation, len(job.earlier_runs)) == (State.FAILED, None, 2)
    assert len(shop.runs.runs) == 3


def test_a_late_word_about_an_earlier_run_is_ignored() -> None:
    shop = ended(FREE)
    first = shop.run
    job = shop.arrive()
    assert shop.arrive(first) == job
    shop.wait(1_000.0)
    shop.send({"job_id": job.job_id})
    assert shop.arrive(first).state is State.SUBMITTED


def test_a_run_that_failed_because_the_photos_link_had_died_is_not_counted_as_an_attempt() -> None:
    shop = submitted(Ending(queued=7_200.0))
    shop.wait(7_201.0)
    job = shop.arrive()
    assert (job.reason, job.attempt, job.expired_urls) == (Reason.RETRY, 1, 1)


def test_a_failure_is_saved_before_it_is_told_and_what_cannot_be_told_is_owed() -> None:
    shop = ended(replace(FREE, code="INPUT_VALIDATION_FAILED"))
    shop.calls.clear()
    shop.broken["photos.put_record"] = Transient("S3 throttled")
    job = shop.arrive()
    assert job.pending == ("record",)
    assert shop.calls.index("jobs.save") < shop.calls.index("events.publish")
    shop.broken.clear()
    assert shop.arrive().pending == ()
    assert f"_failed/shoe.jpg.{job.job_id}.json" in shop.photos.outputs


def test_a_failure_that_loses_its_write_is_not_told() -> None:
    shop = ended(replace(FREE, code="INPUT_VALIDATION_FAILED"))
    shop.broken["jobs.save"] = Conflict("moved")
    with pytest.raises(Transient, match="contended"):
        shop.arrive()
    assert shop.events.published == [] and shop.photos.puts == []


# Not yet


def test_a_run_that_still_works_is_looked_at_again_later_and_later() -> None:
    shop = submitted(Ending(seconds=math.inf))
    waits = []
    for _ in range(8):
        job = shop.arrive()
        assert job.state is State.SUBMITTED and job.due_at is not None
        waits.append(job.due_at - shop.clock.now())
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]


def test_a_run_that_never_ends_fails_after_its_time_and_is_repaired_if_it_ends_after_all() -> None:
    shop = submitted(Ending(seconds=25 * 3600.0))
    shop.wait(24 * 3600.0 + 1)
    job = shop.arrive()
    assert (job.state, job.reason, job.reservation is not None) == (State.FAILED, Reason.TIMED_OUT, True)
    assert shop.arrive() == job, "nothing to repair with yet"
    shop.wait(7200.0)
    assert shop.arrive().state is State.DELIVERED
    assert [kind for kind, _ in shop.events.published] == ["Photo Failed", "Photo Delivered"]


def test_a_run_that_runflow_does_not_know_fails_after_an_hour_and_is_repaired_if_it_turns_up() -> None:
    shop = ended()
    shop.runs.habits.known_after = 7200.0
    assert shop.arrive().state is State.SUBMITTED
    shop.wait(UNKNOWN_RUN_SECONDS)
    assert (shop.arrive().state, shop.job.reason) == (State.FAILED, Reason.UNKNOWN_RUN)
    shop.wait(7200.0)
    assert shop.arrive().state is State.DELIVERED


def test_a_job_is_not_given_up_while_its_own_picture_is_in_the_bucket() -> None:
    shop = ended()
    signed = links(shop)
    shop.runs.habits.known_after = 7200.0
    shop.broken["events.publish"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        shop.arrive(status="succeeded", links=signed)
    shop.broken.clear()
    assert shop.job.state is State.SUBMITTED and "shoe.jpg.webp" in shop.photos.outputs
    shop.wait(UNKNOWN_RUN_SECONDS)
    assert (shop.arrive().state, shop.job.outputs) == (State.DELIVERED, ("shoe.jpg.webp",))


def test_an_expired_link_is_renewed_by_asking_again() -> None:
    shop = ended()
    shop.runs.habits.link_seconds = -1.0
    job = shop.arrive()
    assert job.state is State.SUBMITTED and job.due_at is not None
    shop.runs.habits.link_seconds = 3600.0
    assert shop.arrive().state is State.DELIVERED


@pytest.mark.parametrize("call", ["photos.put", "photos.existing", "fetcher.open", "fetcher.read", "runs.get"])
def test_what_fails_for_the_moment_is_written_on_the_row_and_not_left_to_the_queue(call: str) -> None:
    shop = ended()
    shop.broken[call] = Transient("throttled")
    job = shop.arrive()
    assert job.state is State.SUBMITTED and job.due_at is not None and job.due_at > shop.clock.now()
    shop.broken.clear()
    assert shop.arrive().state is State.DELIVERED


def test_a_paid_result_that_cannot_be_had_for_days_waits_for_a_person_and_can_still_be_delivered() -> None:
    shop = ended()
    shop.broken["fetcher.open"] = Transient("unreachable")
    shop.wait(24 * 3600.0 + DELIVERY_SECONDS)
    job = shop.arrive()
    assert (job.state, job.reason, job.reservation is not None) == (State.FAILED, Reason.UNDELIVERABLE, True)
    shop.broken.clear()
    assert shop.arrive().state is State.DELIVERED


def test_a_success_without_a_picture_fails_after_some_looks() -> None:
    shop = ended(Ending(images=0))
    looks = 0
    while shop.job.state is State.SUBMITTED and looks < 10:
        shop.arrive()
        looks += 1
    assert (shop.job.reason, looks) == (Reason.NO_OUTPUT, 4)


def test_one_unsafe_picture_among_several_is_left_out_and_the_result_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = ended(Ending(images=3))
    real = shop.runs.picture
    monkeypatch.setattr(shop.runs, "picture", lambda run, number: b"<html>" if number == 2 else real(run, number))
    job = shop.arrive()
    assert (job.outputs, job.partial) == (("shoe.jpg.webp", "shoe.jpg.3.webp"), True)


# Newest wins, and names


def put(shop: Shop, key: str, **metadata: str) -> None:
    shop.photos.outputs[key] = Stored(
        b"theirs", "etag", {name.replace("_", "-"): value for name, value in metadata.items()}
    )


def test_a_newer_picture_at_the_key_stays_and_the_older_job_is_superseded() -> None:
    shop = ended()
    put(shop, "shoe.jpg.webp", **{SOURCE_KEY: "in/shoe.jpg", SEQUENCER: "F" * 18})
    job = shop.arrive()
    assert (job.state, job.reason, job.cost) == (State.SUPERSEDED, Reason.NEWER_DELIVERED, "0.14")
    assert job.reservation is not None, "it was paid for"
    assert shop.photos.puts == [] and shop.events.published == []


def test_an_older_picture_is_replaced_only_as_it_was_read() -> None:
    shop = ended()
    put(shop, "shoe.jpg.webp", **{SOURCE_KEY: "in/shoe.jpg", SEQUENCER: "0"})
    shop.broken["photos.put"] = PreconditionFailed("PreconditionFailed")
    assert shop.arrive().state is State.SUBMITTED
    shop.broken.clear()
    assert shop.arrive().state is State.DELIVERED


@pytest.mark.parametrize("taken", [1, 2])
def test_a_name_that_is_somebody_elses_gets_the_start_of_the_job_id(taken: int) -> None:
    shop = ended()
    short = shop.job.job_id[:8]
    for key in ("shoe.jpg.webp", f"shoe.jpg.{short}.webp")[:taken]:
        put(shop, key, **{SOURCE_KEY: "in/another.jpg", SEQUENCER: "F" * 18})
    own = short if taken == 1 else shop.job.job_id
    assert shop.arrive().outputs == (f"shoe.jpg.{own}.webp",)


def test_a_file_that_detag_did_not_write_is_never_overwritten() -> None:
    shop = ended()
    put(shop, "shoe.jpg.webp")
    shop.arrive()
    assert shop.photos.outputs["shoe.jpg.webp"].data == b"theirs"


# Whose run it is


def maybe_submitted(shop: Shop) -> Job:
    """The job after a POST without an answer."""
    before = shop.job
    after = replace(before, state=State.WAITING, reason=Reason.UNCONFIRMED, run_id=None, version=before.version + 1)
    shop.jobs.save(before, replace(after, due_at=shop.clock.now()))
    return shop.job


def test_a_run_that_the_row_does_not_know_yet_is_adopted_once_it_proves_ours() -> None:
    shop = ended()
    maybe_submitted(shop)
    job = shop.arrive(shop.run)
    assert (job.state, job.run_id) == (State.DELIVERED, shop.run.run_id)


@pytest.mark.parametrize(
    "lie", [{"client_ref": "theirs"}, {"input": {"image_url": "https://evil.example/shoe.jpg"}}, {"input": None}]
)
def test_a_run_that_does_not_prove_ours_is_refused_and_counted(lie: dict[str, Any]) -> None:
    shop = ended()
    run = shop.run
    job = maybe_submitted(shop)
    run.request = dict(run.request) | lie
    assert shop.arrive(run) == job
    assert shop.telemetry.counts["UnmatchedCallback"] == 1


def stranger(shop: Shop, ending: Ending) -> FakeRun:
    """A second run of the same job, ended."""
    shop.endings = [ending]
    shop.runs.create(str(shop.runs.posts[0][0]), "another key", 10.0)
    shop.wait(60.0)
    return shop.run


def test_a_second_paid_run_is_charged_once_and_alarmed_and_its_picture_left() -> None:
    shop = ended()
    shop.arrive()
    second = stranger(shop, Ending())
    for _ in range(3):
        assert shop.arrive(second).state is State.DELIVERED
    assert list(shop.jobs.charges) == [second.run_id]
    assert shop.telemetry.counts["UnmatchedPaidRun"] == 1
    assert len(shop.photos.puts) == 1


def test_a_second_run_that_was_free_is_neither_charged_nor_alarmed() -> None:
    shop = ended()
    shop.arrive()
    shop.arrive(stranger(shop, FAILED))
    assert shop.jobs.charges == {} and shop.telemetry.counts["UnmatchedPaidRun"] == 0


def test_a_message_about_another_run_comes_again_while_runflow_cannot_be_asked() -> None:
    shop = ended()
    shop.arrive()
    second = stranger(shop, Ending())
    shop.broken["runs.get"] = Transient("Runflow answered 503")
    with pytest.raises(Transient):
        shop.arrive(second)


def test_a_callback_about_no_job_is_counted_and_done_with() -> None:
    shop = Shop()
    shop.deliver.handle({"job_id": "0" * 32, "run_id": "r"})
    assert shop.telemetry.counts["UnmatchedCallback"] == 1


@pytest.mark.parametrize("message", [{}, {"job_id": 5}, {"job_id": "J" * 32}])
def test_a_message_of_nobody_is_an_error(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="job_id"):
        Shop().deliver.handle(message)
