"""`submit`: what becomes of a photo before and at its POST."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.images import MAX_PIXELS
from detag.domain.job import RETENTION_SECONDS, Reason, State
from detag.domain.money import used_images
from detag.ports.errors import Conflict, Transient
from detag.ports.runs_fake import Fault, tiny_picture
from detag.services.submit import DOWN_AFTER, LEASE_SECONDS
from tests.unit.services.shop import PRICE, Shop, submitted


def test_a_photo_is_claimed_with_its_body_before_it_is_sent_and_the_run_is_saved() -> None:
    shop = Shop()
    job = shop.send(shop.upload(shop_name="north"))
    claimed, accepted = [write.after for write in shop.jobs.writes]
    assert (claimed.state, accepted.state) == (State.SUBMITTING, State.SUBMITTED)
    assert shop.runs.posts == [(claimed.body, claimed.idempotency_key)]
    assert shop.calls.index("jobs.save") < shop.calls.index("runs.create")
    assert (job.run_id, job.submission_no, job.attempt) == (shop.run.run_id, 1, 1)
    assert claimed.lease_until == shop.clock.now() + LEASE_SECONDS
    assert claimed.reservation is not None and used_images(shop.jobs.day_budgets[claimed.reservation.day]) == 1
    assert dict(claimed.source_metadata) == {"shop_name": "north"}


def test_the_body_names_the_job_twice_and_holds_plain_strings() -> None:
    shop = submitted()
    body = json.loads(shop.runs.posts[0][0])
    assert body["client_ref"] == body["metadata"]["client_ref"] == shop.job.client_ref
    assert body["metadata"] == {
        "app": "detag",
        "v": "1",
        "job_id": shop.job.job_id,
        "client_ref": shop.job.client_ref,
        "key": "shoe.jpg",
    }
    assert body["callback_url"] == "https://callbacks.example/callbacks"
    assert set(body["input"]) == {"image_url"}


@pytest.mark.parametrize(
    ("metadata", "parameter"), [({"aspect-ratio": "4:3"}, None), ({}, "4:3"), ({"aspect-ratio": "4:3"}, "1:1")]
)
def test_an_aspect_ratio_is_the_photos_own_or_the_parameters(metadata: dict[str, str], parameter: str | None) -> None:
    shop = Shop(aspect_ratio=parameter)
    shop.send(shop.photos.upload("in", "shoe.jpg", tiny_picture("image/jpeg", b"x"), metadata))
    assert json.loads(shop.runs.posts[0][0])["input"]["config"] == {"aspect_ratio": "4:3"}


# Before paying


HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + MAX_PIXELS.to_bytes(4, "big") + b"\0\0\0\x02\x08\0\0\0\0"


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ("folder/", b"", Reason.FOLDER_MARKER),
        ("a.jpg", b"", Reason.EMPTY),
        ("a.jpg", tiny_picture("image/jpeg", b"x") + b"\0" * 1024 * 1024, Reason.TOO_LARGE),
        ("a.txt", b"words", Reason.NOT_AN_IMAGE),
        ("a.gif", tiny_picture("image/gif", b"x"), Reason.UNSUPPORTED_TYPE),
        ("a.jpg", tiny_picture("image/jpeg", b"x")[:-2], Reason.TRUNCATED),
        ("a.png", HUGE + b"IEND\xaeB`\x82", Reason.TOO_MANY_PIXELS),
    ],
)
def test_what_cannot_be_cleaned_is_skipped_unpaid_with_a_row_and_no_file(key: str, data: bytes, reason: Reason) -> None:
    shop = Shop()
    job = shop.send(shop.upload(key, data))
    assert (job.state, job.reason) == (State.SKIPPED, reason)
    assert shop.runs.posts == [] and shop.photos.puts == [] and shop.events.published == []


def test_a_photo_that_was_replaced_is_superseded() -> None:
    shop = Shop()
    shop.photos.unversioned.add("in")
    event = shop.upload()
    shop.upload(data=tiny_picture("image/jpeg", b"another"))
    assert (shop.send(event).state, shop.job.reason) == (State.SUPERSEDED, Reason.REPLACED)


def test_a_photo_that_was_deleted_is_superseded() -> None:
    shop = Shop()
    event = shop.upload()
    shop.photos.delete("in", "shoe.jpg", event["detail"]["object"]["version-id"])
    assert (shop.send(event).state, shop.job.reason) == (State.SUPERSEDED, Reason.DELETED)


def test_an_older_photo_whose_event_comes_after_the_newer_ones_is_superseded_unpaid() -> None:
    shop = Shop()
    older, newer = shop.upload(), shop.upload()
    shop.submit.handle(newer, shop.clock.monotonic() + 30)
    shop.submit.handle(older, shop.clock.monotonic() + 30)
    assert [job.reason for job in shop.jobs.jobs.values()] == [None, Reason.NEWER_UPLOAD]
    assert len(shop.runs.runs) == 1


def test_a_photo_that_may_not_be_read_fails_with_a_record_and_an_event() -> None:
    shop = Shop()
    shop.photos.denied.add(("in", "shoe.jpg"))
    job = shop.send(shop.upload())
    assert (job.state, job.reason, job.pending) == (State.FAILED, Reason.NO_PERMISSION, ())
    assert [kind for kind, _ in shop.events.published] == ["Photo Failed"]
    (key,) = shop.photos.outputs
    assert key == f"_failed/shoe.jpg.{job.job_id}.json"
    assert json.loads(shop.photos.outputs[key].data)["what_to_do"]


def test_a_ratio_that_is_none_fails_and_says_so() -> None:
    shop = Shop()
    job = shop.send(shop.photos.upload("in", "a.jpg", tiny_picture("image/jpeg", b"x"), {"aspect-ratio": "wide"}))
    assert (job.state, job.reason) == (State.FAILED, Reason.INVALID_ASPECT_RATIO)


def test_an_event_older_than_the_rows_live_never_pays_again() -> None:
    shop = Shop()
    event = shop.upload()
    shop.wait(RETENTION_SECONDS + 1)
    assert (shop.send(event).state, shop.job.reason) == (State.SKIPPED, Reason.TOO_OLD)


def test_an_event_of_another_bucket_and_a_message_of_nobody_are_errors() -> None:
    shop = Shop()
    for message in ({"hello": "you"}, shop.photos.upload("elsewhere", "a.jpg", b"x")):
        with pytest.raises(ValueError, match=r"bucket|S3"):
            shop.submit.handle(message, 30.0)
    assert not shop.jobs.jobs


def test_a_message_about_a_row_that_has_expired_is_done_with() -> None:
    shop = Shop()
    shop.submit.handle({"job_id": "0" * 32}, 30.0)
    assert not shop.jobs.jobs


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
    shop = Shop()
    shop.faults = [fault]
    job = shop.send(shop.upload())
    assert (job.state, job.reason, shop.jobs.intake().reason) == (state, reason, intake)
    doubt = reason is Reason.UNCONFIRMED
    assert (job.body is not None) is doubt, "a body is kept only while it may have to be sent again"
    assert (job.reservation is not None) is doubt, "a refusal gives the money back"
    if doubt:
        assert job.not_before >= shop.clock.now() + 600.0


def test_a_refusal_is_followed_by_a_new_submission_with_another_body_and_key() -> None:
    shop = Shop()
    shop.faults = [Fault(429, retry_after=30.0)]
    job = shop.send(shop.upload())
    assert job.not_before >= shop.clock.now() + 30.0
    assert shop.send({"job_id": job.job_id}).reason is Reason.RATE_LIMITED, "not before its time"
    shop.wait(900.0)
    assert shop.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert shop.job.submission_no == 2
    assert shop.job.idempotency_key != job.idempotency_key


def test_a_doubt_is_followed_by_the_same_bytes_under_the_same_key_after_a_look() -> None:
    shop = Shop()
    shop.faults = [Fault(500)]
    job = shop.send(shop.upload())
    shop.wait(631.0)
    assert shop.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert shop.calls.count("runs.page") == 1
    assert shop.calls.count("runs.create") == 2
    assert shop.runs.posts == [(job.body, job.idempotency_key)], "the first never reached Runflow"


def test_a_doubt_whose_run_is_in_the_list_ends_in_its_adoption() -> None:
    shop = Shop()
    shop.faults = [Fault(effect=True)]
    job = shop.send(shop.upload())
    shop.wait(631.0)
    assert shop.send({"job_id": job.job_id}).run_id == shop.run.run_id
    assert len(shop.runs.runs) == 1


def test_a_doubt_whose_url_has_died_starts_over_with_a_new_one() -> None:
    shop = Shop()
    shop.faults = [Fault(500)]
    job = shop.send(shop.upload())
    shop.wait(3600.0)
    assert shop.send({"job_id": job.job_id}).submission_no == 2
    assert shop.job.maybe_submitted


@pytest.mark.parametrize("call", ["runs.page", "runs.get"])
def test_a_look_up_that_cannot_be_finished_sends_nothing(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    shop.faults = [Fault(effect=True)]
    job = shop.send(shop.upload())
    shop.wait(631.0)
    record = shop.runs.record
    monkeypatch.setattr(shop.runs, "record", lambda run: record(run) | {"input": None})
    shop.broken[call] = Transient("Runflow answered 503")
    assert shop.send({"job_id": job.job_id}).reason is Reason.UNCONFIRMED
    assert shop.job.not_before > shop.clock.now()
    assert shop.calls.count("runs.create") == 1


def test_three_failures_in_a_row_close_the_gate_and_one_success_forgives_two() -> None:
    shop = Shop()
    shop.faults = [Fault(500), Fault(500), None, *[Fault(500)] * DOWN_AFTER]
    for number in range(5):
        shop.submit.handle(shop.upload(f"{number}.jpg"), shop.clock.monotonic() + 30)
        assert shop.jobs.intake().reason is None
    shop.submit.handle(shop.upload("last.jpg"), shop.clock.monotonic() + 30)
    assert shop.jobs.intake().reason is Reason.RUNFLOW_DOWN


# Time, leases, interruptions


def test_with_too_little_time_left_nothing_is_sent_and_the_claim_is_undone() -> None:
    shop = Shop()
    job = shop.send(shop.upload(), seconds=2.0)
    assert (job.state, job.reason, job.reservation, job.body) == (State.WAITING, Reason.READY, None, None)
    assert shop.runs.posts == []


def test_a_repeated_event_of_a_job_that_is_under_way_or_done_is_acknowledged() -> None:
    shop = Shop()
    event = shop.upload()
    shop.send(event)
    for _ in range(3):
        shop.send(event)
    assert len(shop.runs.runs) == 1


def test_a_live_lease_is_respected_and_a_dead_one_ends_in_doubt() -> None:
    shop = Shop()
    event = shop.upload()
    shop.broken["runs.create"] = KeyboardInterrupt()  # type: ignore[assignment]  # the process is gone
    with pytest.raises(KeyboardInterrupt):
        shop.send(event)
    shop.broken.clear()
    assert shop.send(event).state is State.SUBMITTING
    shop.wait(LEASE_SECONDS)
    assert shop.send(event).reason is Reason.UNCONFIRMED
    assert shop.runs.posts == []


def test_a_save_that_fails_after_the_post_leaves_a_lease_that_runs_out() -> None:
    shop = Shop()
    event = shop.upload()
    real, saves = shop.jobs.save, []

    def save(before: Any, after: Any, **how: Any) -> None:
        saves.append(after.state)
        if after.state is State.SUBMITTED:
            raise Transient("DynamoDB throttled")
        real(before, after, **how)

    shop.jobs.save = save  # type: ignore[method-assign]
    assert shop.send(event).state is State.SUBMITTING
    assert saves[-2:] == [State.SUBMITTED, State.WAITING], "whether it has a row is asked of the table itself"


def test_a_photo_that_cannot_be_read_now_is_written_down_and_comes_due_by_itself() -> None:
    shop = Shop()
    shop.broken["photos.read_head"] = Transient("S3 throttled")
    job = shop.send(shop.upload())
    assert (job.state, job.reason, job.version) == (State.WAITING, Reason.READY, 1)
    assert job.due_at is not None and job.due_at > shop.clock.now()


def test_where_nothing_can_be_written_down_the_message_comes_again() -> None:
    shop = Shop()
    shop.broken["jobs.get"] = Transient("DynamoDB throttled")
    with pytest.raises(Transient):
        shop.submit.handle(shop.upload(), 30.0)
    shop.broken = {"photos.read_head": Transient("S3 throttled"), "jobs.save": Transient("DynamoDB throttled")}
    with pytest.raises(Transient):
        shop.submit.handle(shop.upload(), 30.0)


def test_a_row_that_others_keep_moving_is_given_back_to_the_queue() -> None:
    shop = Shop()
    shop.broken["jobs.save"] = Conflict("moved")
    with pytest.raises(Transient, match="contended"):
        shop.submit.handle(shop.upload(), 30.0)


# Not now


def test_over_the_cap_a_photo_waits_and_the_gate_closes_until_midnight() -> None:
    shop = Shop(limit=PRICE)
    for number in range(3):
        shop.submit.handle(shop.upload(f"{number}.jpg"), shop.clock.monotonic() + 30)
    reasons = [(job.state, job.reason) for job in shop.jobs.jobs.values()]
    assert reasons == [(State.SUBMITTED, None), *[(State.WAITING, Reason.SPEND_LIMIT)] * 2]
    assert shop.jobs.intake().probe_at % 86_400 == 0


@pytest.mark.parametrize(
    ("parameter", "override", "held"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_an_operators_word_about_the_pause_beats_the_parameter(
    parameter: bool, override: bool | None, held: bool
) -> None:
    shop = Shop(paused=parameter)
    shop.jobs.operator = replace(shop.jobs.operator, paused=override)
    assert shop.send(shop.upload()).reason is (Reason.PAUSED if held else None)


@pytest.mark.parametrize(
    ("text", "room"), [("none", True), ("0", False), ("0.14", True), ("0.13", False), ("much", False)]
)
def test_an_operators_word_about_the_limit_beats_the_parameter(text: str, room: bool) -> None:
    shop = Shop(limit=Decimal(0))
    shop.jobs.operator = replace(shop.jobs.operator, limit_usd=text)
    assert (shop.send(shop.upload()).state is State.SUBMITTED) is room


def test_without_a_key_nothing_is_read_and_the_gate_closes() -> None:
    shop = Shop()
    shop.runs.habits.configured = False
    assert shop.send(shop.upload()).reason is Reason.NOT_CONFIGURED
    assert shop.jobs.intake().reason is Reason.NOT_CONFIGURED
    assert "photos.read_head" not in shop.calls


def test_a_second_run_that_a_look_up_finds_is_charged_and_alarmed() -> None:
    shop = Shop()
    shop.faults = [Fault(effect=True)]
    job = shop.send(shop.upload())
    shop.runs.create(str(job.body), "another key", 10.0)
    shop.wait(631.0)
    assert shop.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert len(shop.jobs.charges) == 1
    assert shop.telemetry.counts["UnmatchedPaidRun"] == 1
