"""`submit`: what becomes of a photo before and at its POST."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.decisions import DOWN_AFTER, Idle, resume
from detag.domain.images import MAX_OUTPUT_PIXELS
from detag.domain.job import RETENTION_SECONDS, State
from detag.domain.reasons import Reason
from detag.domain.waits import CLOCK_SKEW, LEASE
from detag.ports.errors import Conflict, Transient
from detag.ports.runs_fake import Fault, tiny_image
from detag.services.submit import ROUNDS
from tests.environment import ENVIRON
from tests.unit.services.harness import PRICE, Harness, submitted


def test_a_photo_is_claimed_sent_and_its_run_saved() -> None:
    """A photo is claimed with its body before it is sent, and its run is saved after."""
    harness = Harness()
    job = harness.send(harness.upload(shop_name="north"))
    claimed, accepted = [write.after for write in harness.jobs.writes]
    assert (claimed.state, accepted.state) == (State.SUBMITTING, State.SUBMITTED)
    assert harness.runs.posts == [(claimed.body, claimed.idempotency_key)]
    assert harness.calls.index("jobs.save") < harness.calls.index("runs.create")
    assert (job.run_id, job.submission_no, job.attempt) == (harness.run.run_id, 1, 1)
    assert claimed.lease_until == harness.clock.now() + LEASE.seconds
    assert claimed.reservation is not None and harness.jobs.money == {claimed.reservation.day: PRICE}
    assert dict(claimed.source_metadata) == {"shop_name": "north"}


def test_the_body_names_the_job_twice_and_holds_plain_strings() -> None:
    harness = submitted()
    body = json.loads(harness.runs.posts[0][0])
    assert body["client_ref"] == body["metadata"]["client_ref"] == harness.job.client_ref
    assert body["metadata"] == {
        "app": "detag",
        "v": "1",
        "job_id": harness.job.job_id,
        "client_ref": harness.job.client_ref,
        "key": "shoe.jpg",
    }
    assert body["callback_url"] == ENVIRON["CALLBACK_URL"]
    assert set(body["input"]) == {"image_url"}


@pytest.mark.parametrize(
    ("metadata", "parameter"), [({"aspect-ratio": "4:3"}, ""), ({}, "4:3"), ({"aspect-ratio": "4:3"}, "1:1")]
)
def test_an_aspect_ratio_is_the_photos_own_or_the_parameters(metadata: dict[str, str], parameter: str) -> None:
    harness = Harness(aspect_ratio=parameter)
    harness.send(harness.photos.upload("in", "shoe.jpg", tiny_image("image/jpeg", b"x"), metadata))
    assert json.loads(harness.runs.posts[0][0])["input"]["config"] == {"aspect_ratio": "4:3"}


# Before paying


HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + MAX_OUTPUT_PIXELS.to_bytes(4, "big") + b"\0\0\0\x02\x08\0\0\0\0"


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ("folder/", b"", Reason.NOT_A_PHOTO),
        ("a.jpg", b"", Reason.EMPTY),
        ("a.jpg", tiny_image("image/jpeg", b"x") + b"\0" * 1024 * 1024, Reason.TOO_LARGE),
        ("a.txt", b"words", Reason.NOT_AN_IMAGE),
        ("a.gif", tiny_image("image/gif", b"x"), Reason.UNSUPPORTED_TYPE),
        ("a.jpg", tiny_image("image/jpeg", b"x")[:-2], Reason.TRUNCATED),
        ("a.png", HUGE + b"IEND\xaeB`\x82", Reason.TOO_MANY_PIXELS),
    ],
)
def test_what_cannot_be_cleaned_is_skipped_unpaid(key: str, data: bytes, reason: Reason) -> None:
    """What cannot be cleaned is skipped unpaid; a record and an event tell of it if it was meant as a photo."""
    harness = Harness()
    job = harness.send(harness.upload(key, data))
    assert (job.state, job.reason, job.pending) == (State.SKIPPED, reason, ())
    assert harness.runs.posts == []
    meant = reason is not Reason.NOT_A_PHOTO
    assert list(harness.photos.outputs) == [f"_skipped/{key}.txt"] * meant
    assert [kind for kind, _ in harness.events.published] == ["Photo Skipped"] * meant


def test_a_photo_that_was_replaced_is_superseded() -> None:
    harness = Harness()
    harness.photos.unversioned.add("in")
    event = harness.upload()
    harness.upload(data=tiny_image("image/jpeg", b"another"))
    assert (harness.send(event).state, harness.job.reason) == (State.SUPERSEDED, Reason.REPLACED)


def test_a_photo_that_was_deleted_is_superseded() -> None:
    harness = Harness()
    event = harness.upload()
    harness.photos.delete("in", "shoe.jpg", event["detail"]["object"]["version-id"])
    assert (harness.send(event).state, harness.job.reason) == (State.SUPERSEDED, Reason.DELETED)


@pytest.mark.parametrize(
    ("unversioned", "reason"), [((), Reason.REPLACED), (("in",), Reason.NEWER_UPLOAD)], ids=["versions", "no versions"]
)
def test_an_older_photo_whose_event_comes_late_is_superseded(unversioned: tuple[str, ...], reason: Reason) -> None:
    """An older photo whose event comes after the newer one's is superseded unpaid, also where their bytes are equal."""
    harness = Harness()
    harness.photos.unversioned.update(unversioned)
    older, newer = harness.upload(), harness.upload()
    harness.submit.handle(newer, harness.clock.monotonic() + 30)
    harness.submit.handle(older, harness.clock.monotonic() + 30)
    assert [job.reason for job in harness.jobs.jobs.values()] == [None, reason]
    assert len(harness.runs.runs) == 1


def test_a_photo_that_may_not_be_read_fails() -> None:
    """A photo that may not be read, for an hour, fails with a record and an event."""
    harness = Harness()
    harness.photos.denied.add(("in", "shoe.jpg"))
    job, began = harness.send(harness.upload()), harness.clock.now()
    while job.reason is Reason.ACCESS_DENIED:
        assert job.detail == "AccessDenied"
        harness.wait(job.not_before - harness.clock.now())
        job = harness.send({"job_id": job.job_id})
    assert harness.clock.now() - began == 3_600.0
    assert (job.state, job.reason, job.pending) == (State.FAILED, Reason.NO_PERMISSION, ())
    assert [kind for kind, _ in harness.events.published] == ["Photo Failed"]
    (key,) = harness.photos.outputs
    assert key == "_failed/shoe.jpg.txt"
    assert "What to do: Check the bucket's policy" in harness.photos.outputs[key].data.decode()


def test_a_ratio_that_is_none_fails_and_says_so() -> None:
    harness = Harness()
    job = harness.send(harness.photos.upload("in", "a.jpg", tiny_image("image/jpeg", b"x"), {"aspect-ratio": "wide"}))
    assert (job.state, job.reason) == (State.FAILED, Reason.INVALID_ASPECT_RATIO)


def test_an_event_older_than_items_are_kept_never_pays_again() -> None:
    harness = Harness()
    event = harness.upload()
    harness.wait(RETENTION_SECONDS + 1)
    assert (harness.send(event).state, harness.job.reason) == (State.SKIPPED, Reason.TOO_OLD)


def test_events_of_other_buckets_and_of_nobody_are_errors() -> None:
    harness = Harness()
    for message in ({"hello": "you"}, harness.photos.upload("elsewhere", "a.jpg", b"x")):
        with pytest.raises(ValueError, match=r"bucket|S3"):
            harness.submit.handle(message, 30.0)
    assert not harness.jobs.jobs


def test_a_message_about_a_job_that_has_expired_is_done_with() -> None:
    harness = Harness()
    harness.submit.handle({"job_id": "0" * 32}, 30.0)
    assert not harness.jobs.jobs


# Every answer to the POST


@pytest.mark.parametrize(
    ("fault", "state", "reason", "intake"),
    [
        (Fault(400), State.FAILED, Reason.REFUSED, None),
        (Fault(422), State.FAILED, Reason.REFUSED, None),
        (Fault(402, code="INSUFFICIENT_CREDIT"), State.WAITING, Reason.OUT_OF_CREDIT, Reason.OUT_OF_CREDIT),
        (Fault(400, code="INSUFFICIENT_CREDITS"), State.WAITING, Reason.OUT_OF_CREDIT, Reason.OUT_OF_CREDIT),
        (Fault(401), State.WAITING, Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        (Fault(403), State.WAITING, Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        (Fault(404), State.WAITING, Reason.UNAUTHORIZED, Reason.UNAUTHORIZED),
        (Fault(429), State.WAITING, Reason.RATE_LIMITED, None),
        (Fault(408), State.WAITING, Reason.UNCONFIRMED, None),
        (Fault(409), State.WAITING, Reason.UNCONFIRMED, None),
        (Fault(500), State.WAITING, Reason.UNCONFIRMED, None),
        (Fault(503), State.WAITING, Reason.UNCONFIRMED, None),
        (Fault(), State.WAITING, Reason.UNCONFIRMED, None),
        (Fault(effect=True), State.WAITING, Reason.UNCONFIRMED, None),
    ],
)
def test_every_answer_has_one_outcome(fault: Fault, state: State, reason: Reason, intake: Reason | None) -> None:
    harness = Harness()
    harness.faults = [fault]
    job = harness.send(harness.upload())
    assert (job.state, job.reason, harness.jobs.intake().reason) == (state, reason, intake)
    unconfirmed = reason is Reason.UNCONFIRMED
    assert (job.body is not None) is unconfirmed, "a body is kept only while it may have to be sent again"
    assert (job.reservation is not None) is unconfirmed, "a refusal returns the money"
    if unconfirmed:
        assert job.not_before >= harness.clock.now() + 600.0


def test_a_refusal_is_followed_by_a_new_submission() -> None:
    """A refusal is followed by a new submission, with another body and key."""
    harness = Harness()
    harness.faults = [Fault(429, retry_after=30.0)]
    job = harness.send(harness.upload())
    assert job.not_before >= harness.clock.now() + 30.0
    assert harness.send({"job_id": job.job_id}).reason is Reason.RATE_LIMITED, "not before its time"
    harness.wait(900.0)
    assert harness.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert harness.job.submission_no == 2
    assert harness.job.idempotency_key != job.idempotency_key


def test_an_unconfirmed_photo_is_sent_again_unchanged() -> None:
    """An unconfirmed photo is sent again with the same bytes under the same key, after a search for an existing run."""
    harness = Harness()
    harness.faults = [Fault(500)]
    job = harness.send(harness.upload())
    harness.wait(631.0)
    assert harness.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert harness.calls.count("runs.page") == 1
    assert harness.calls.count("runs.create") == 2
    assert harness.runs.posts == [(job.body, job.idempotency_key)], "the first never reached Runflow"


def test_an_unconfirmed_photo_whose_run_is_listed_adopts_it() -> None:
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    job = harness.send(harness.upload())
    harness.wait(631.0)
    assert harness.send({"job_id": job.job_id}).run_id == harness.run.run_id
    assert len(harness.runs.runs) == 1


def test_an_unconfirmed_photo_whose_url_expired_starts_over() -> None:
    harness = Harness()
    harness.faults = [Fault(500)]
    job = harness.send(harness.upload())
    harness.wait(3600.0)
    assert harness.send({"job_id": job.job_id}).submission_no == 2
    assert harness.job.maybe_submitted


@pytest.mark.parametrize("call", ["runs.page", "runs.get"])
def test_a_search_that_cannot_be_finished_sends_nothing(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    job = harness.send(harness.upload())
    harness.wait(631.0)
    record = harness.runs.record
    monkeypatch.setattr(harness.runs, "record", lambda run: record(run) | {"input": None})
    harness.runs.habits.client_ref_filter = "none"
    harness.broken[call] = Transient("Runflow answered 503")
    assert harness.send({"job_id": job.job_id}).reason is Reason.UNCONFIRMED
    assert harness.job.not_before > harness.clock.now()
    assert harness.calls.count("runs.create") == 1


def test_three_failures_in_a_row_pause_intake() -> None:
    """Three failures in a row pause intake, and one success forgives two."""
    harness = Harness()
    harness.faults = [Fault(500), Fault(500), None, *[Fault(500)] * DOWN_AFTER]
    for number in range(5):
        harness.submit.handle(harness.upload(f"{number}.jpg"), harness.clock.monotonic() + 30)
        assert harness.jobs.intake().reason is None
    harness.submit.handle(harness.upload("last.jpg"), harness.clock.monotonic() + 30)
    assert harness.jobs.intake().reason is Reason.RUNFLOW_DOWN


# Time, leases, interruptions


def test_with_too_little_time_left_the_claim_is_abandoned() -> None:
    """With too little time left nothing is sent, and the claim is abandoned."""
    harness = Harness()
    job = harness.send(harness.upload(), seconds=2.0)
    assert (job.state, job.reason, job.reservation, job.body) == (State.WAITING, Reason.READY, None, None)
    assert harness.runs.posts == []


def test_a_repeated_event_is_acknowledged() -> None:
    """A repeated event of a job that is under way or done is acknowledged."""
    harness = Harness()
    event = harness.upload()
    harness.send(event)
    for _ in range(3):
        harness.send(event)
    assert len(harness.runs.runs) == 1


def test_a_live_lease_is_respected_and_a_dead_one_unconfirmed() -> None:
    harness = Harness()
    event = harness.upload()
    harness.broken["runs.create"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        harness.send(event)
    harness.broken.clear()
    assert harness.send(event).state is State.SUBMITTING
    harness.wait(LEASE.seconds)
    assert harness.send(event).reason is Reason.UNCONFIRMED
    assert harness.runs.posts == []


def test_a_save_that_fails_after_the_post_leaves_the_lease() -> None:
    """A save that fails after the POST leaves a lease that runs out."""
    harness = Harness()
    event = harness.upload()
    real, saves = harness.jobs.save, []

    def save(before: Any, after: Any, **how: Any) -> tuple[str, ...]:
        saves.append(after.state)
        if after.state is State.SUBMITTED:
            raise Transient("DynamoDB throttled")
        return real(before, after, **how)

    harness.jobs.save = save  # type: ignore[method-assign]
    assert harness.send(event).state is State.SUBMITTING
    assert saves[-2:] == [State.SUBMITTED, State.WAITING], "whether it has an item is asked of the table itself"


def test_a_photo_that_cannot_be_read_now_comes_due_again() -> None:
    """A photo that cannot be read now is saved, and comes due by itself."""
    harness = Harness()
    harness.broken["photos.read_head"] = Transient("S3 throttled")
    job = harness.send(harness.upload())
    assert (job.state, job.reason, job.version) == (State.WAITING, Reason.INTERRUPTED, 1)
    assert job.due_at is not None and job.due_at > harness.clock.now()


def test_where_nothing_can_be_saved_the_message_comes_again() -> None:
    harness = Harness()
    harness.broken["jobs.get"] = Transient("DynamoDB throttled")
    with pytest.raises(Transient):
        harness.submit.handle(harness.upload(), 30.0)
    harness.broken = {"photos.read_head": Transient("S3 throttled"), "jobs.save": Transient("DynamoDB throttled")}
    with pytest.raises(Transient):
        harness.submit.handle(harness.upload(), 30.0)


def test_a_contended_job_is_left_to_the_queue() -> None:
    """A job that others keep writing is left to the queue."""
    harness = Harness()
    harness.broken["jobs.save"] = Conflict("written by another")
    with pytest.raises(Transient, match="contended"):
        harness.submit.handle(harness.upload(), 30.0)


def test_a_photo_whose_picture_others_keep_writing_has_an_item() -> None:
    """It waits, due by itself, and its message is done with: it was received five times, and then a dead letter."""
    harness = Harness()
    saves, save = iter(range(100)), harness.jobs.save

    def contended(*args: Any, **given: Any) -> Any:
        if next(saves) < ROUNDS:
            raise Conflict("the picture was written by another")
        return save(*args, **given)

    harness.jobs.save = contended  # type: ignore[method-assign]
    harness.submit.handle(harness.upload(), 30.0)
    assert (harness.job.state, harness.job.due_at is not None) == (State.WAITING, True)
    assert not harness.runs.runs


# Not now


def test_over_the_spend_limit_intake_pauses_until_midnight() -> None:
    """Over the daily spend limit a photo waits, and intake pauses until midnight."""
    harness = Harness(limit=PRICE)
    for number in range(3):
        harness.submit.handle(harness.upload(f"{number}.jpg"), harness.clock.monotonic() + 30)
    reasons = [(job.state, job.reason) for job in harness.jobs.jobs.values()]
    assert reasons == [(State.SUBMITTED, None), *[(State.WAITING, Reason.SPEND_LIMIT)] * 2]
    assert harness.jobs.intake().probe_at % 86_400 == 0


@pytest.mark.parametrize(
    ("parameter", "override", "paused"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_an_operators_pause_beats_the_parameter(parameter: bool, override: bool | None, paused: bool) -> None:
    harness = Harness(paused=parameter)
    harness.jobs.operator = replace(harness.jobs.operator, paused=override)
    assert harness.send(harness.upload()).reason is (Reason.PAUSED if paused else None)


@pytest.mark.parametrize(
    ("text", "sent"), [("none", True), ("0", False), ("0.14", True), ("0.13", False), ("much", False)]
)
def test_an_operators_limit_beats_the_parameter(text: str, sent: bool) -> None:
    harness = Harness(limit=Decimal(0))
    harness.jobs.operator = replace(harness.jobs.operator, limit_usd=text)
    assert (harness.send(harness.upload()).state is State.SUBMITTED) is sent


def test_without_a_key_a_photo_is_judged_and_intake_pauses() -> None:
    harness = Harness()
    harness.runs.habits.configured = False
    assert harness.send(harness.upload()).reason is Reason.NOT_CONFIGURED
    assert harness.jobs.intake().reason is Reason.NOT_CONFIGURED
    assert harness.calls.count("photos.read_head") == 1


def test_an_unmatched_run_that_is_found_is_charged_and_alarmed() -> None:
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    job = harness.send(harness.upload())
    harness.runs.create(str(job.body), "another key", 10.0)
    harness.wait(631.0)
    assert harness.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert len(harness.jobs.charges) == 1
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 1


def test_a_worker_whose_clock_is_ahead_searches_no_earlier() -> None:
    """The confirmation time has truly passed before any worker searches, though two clocks may be apart."""
    harness = Harness()
    harness.faults = [Fault(504)]
    job = harness.send(harness.upload())
    assert job.reason is Reason.UNCONFIRMED
    confirmation = float(ENVIRON["CONFIRMATION_MINUTES"]) * 60
    ahead = harness.clock.now() + confirmation - 1 + CLOCK_SKEW
    assert resume(job, now=ahead, confirmation_seconds=confirmation + CLOCK_SKEW) == Idle("not due yet")
