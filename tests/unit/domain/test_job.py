"""The job's moves: each from its states only, each a new version, each with a due time while the job is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain import job as jobs
from detag.domain.job import DUE_SHARDS, RETENTION_SECONDS, TRANSITIONS, Illegal, Job, Reservation, State, Upload
from detag.domain.picture import Output
from detag.domain.reasons import Group, Reason
from detag.domain.reopening import Request, Way

NOW = 1_795_426_200.0
UPLOAD = Upload("in", "a/b.jpg", "v1", "01", "etag", 10, NOW - 5)
OUTPUT = Output(1, "a/b.jpg", "v1", "e1", 9, "image/jpeg")
RESERVATION = Reservation("2026-11-23", Decimal("0.14"))
REQUEST = Request("r-1", Way.ASK, "anna", NOW)


def waiting() -> Job:
    return jobs.new(UPLOAD, NOW)


def submitting(job: Job | None = None) -> Job:
    job = job or waiting()
    return jobs.claim(
        job,
        submission_no=job.submission_no + 1,
        body='{"input":{}}',
        reservation=RESERVATION,
        content_type="image/jpeg",
        source_metadata=(("shop", "north"),),
        now=NOW,
        lease_until=NOW + 60,
        url_expires_at=NOW + 3600,
    )


def submitted() -> Job:
    return jobs.accept(submitting(), "run-1", NOW + 1, NOW + 300)


def unconfirmed() -> Job:
    return jobs.await_confirmation(submitting(), NOW + 600)


def failed(reason: Reason = Reason.TIMED_OUT) -> Job:
    return jobs.fail(submitted(), reason, "why", NOW + 9, free=False)


MOVES: dict[str, Callable[[Job], Job]] = {
    "defer": lambda job: jobs.defer(job, NOW + 30),
    "read_again": lambda job: jobs.read_again(job, Reason.ACCESS_DENIED, NOW + 60, "AccessDenied"),
    "wait_for_intake": lambda job: jobs.wait_for_intake(job, Reason.PAUSED),
    "release": lambda job: jobs.release(job, NOW, NOW + 300),
    "claim": submitting,
    "resend": lambda job: jobs.resend(job, lease_until=NOW + 700),
    "abandon_claim": lambda job: jobs.abandon_claim(job, NOW),
    "back_off": lambda job: jobs.back_off(job, Reason.RATE_LIMITED, NOW + 5),
    "await_confirmation": lambda job: jobs.await_confirmation(job, NOW + 600),
    "keep_unconfirmed": lambda job: jobs.keep_unconfirmed(job, NOW + 900),
    "start_over": lambda job: jobs.start_over(job, NOW),
    "accept": lambda job: jobs.accept(job, "run-1", NOW, NOW + 300),
    "adopt": lambda job: jobs.adopt(job, "run-1", RESERVATION, NOW, NOW + 60),
    "poll_later": lambda job: jobs.poll_later(job, NOW + 60),
    "retry": lambda job: jobs.retry(job, not_before=NOW + 30, url_expired=False, detail="x", code="y"),
    "skip": lambda job: jobs.skip(job, Reason.EMPTY, "empty", NOW),
    "supersede": lambda job: jobs.supersede(job, Reason.DELETED, "gone", NOW),
    "fail": lambda job: jobs.fail(job, Reason.REFUSED, "no", NOW, free=True),
    "cancel": lambda job: jobs.cancel(job, "cancelled", NOW, cost=None),
    "deliver": lambda job: jobs.deliver(job, ("a/b.jpg",), NOW, cost="0.14", partial=False),
    "ask_again": lambda job: jobs.ask_again(job, NOW + 7_200),
    "take_over": lambda job: jobs.take_over(job, "run-1", NOW, NOW + 60),
    "deliver_other": lambda job: jobs.deliver_other(
        job, "run-2", ("a/b.jpg",), NOW, cost="0.14", partial=False, ask_at=NOW + 3_600, reserved=False
    ),
    "ask_for_callback": lambda job: jobs.ask_for_callback(job, NOW),
    "note_run": lambda job: jobs.note_run(job, "run-8", NOW + 3_600 if job.state.terminal else None),
    "match_run": lambda job: jobs.match_run(job, "run-8", job.ask_at, missing=job.state.terminal),
    "bill_reserved": lambda job: jobs.bill_reserved(job, "0.28", "run-1"),
    "extend_due": lambda job: jobs.extend_due(job, NOW + 300),
    "keep_pending": lambda job: jobs.keep_pending(job, ("event",), NOW + 300),
    "published": jobs.published,
    "reopen": lambda job: jobs.reopen(job, REQUEST, Reason.READY, NOW, NOW + 300),
    "take_up": lambda job: jobs.take_up(job, REQUEST, NOW, NOW + 300),
    "ask_later": lambda job: jobs.ask_later(job, NOW + 60, NOW),
    "go_ahead": lambda job: jobs.go_ahead(job, Reason.READY, NOW),
    "close_again": lambda job: jobs.close_again(job, NOW),
    "bill_earlier": lambda job: jobs.bill_earlier(job, "run-1", "0.28"),
    "wait_for_picture": lambda job: jobs.wait_for_picture(job, NOW + 300, "p1"),
    "wake": lambda job: jobs.wake(job, NOW),
    "deliver_copy": lambda job: jobs.deliver_copy(
        job, ("a/b.jpg",), NOW, picture="p1", reused_from="a/c.jpg", stored=(OUTPUT,)
    ),
}
SOMEWHERE: dict[State, Callable[[], Job]] = {
    State.WAITING: waiting,
    State.SUBMITTING: submitting,
    State.SUBMITTED: submitted,
    State.DELIVERED: lambda: replace(
        jobs.deliver(submitted(), ("a/b.jpg",), NOW, cost="0.14", partial=False), reserved_run="run-9"
    ),
    State.FAILED: failed,
    State.CANCELLED: lambda: jobs.cancel(submitted(), "cancelled", NOW, cost=None),
    State.SKIPPED: lambda: jobs.skip(waiting(), Reason.EMPTY, "empty", NOW),
    State.SUPERSEDED: lambda: jobs.supersede(submitted(), Reason.NEWER_DELIVERED, "newer", NOW),
}


def reopened() -> Job:
    """A failed job that somebody asks for once more."""
    return jobs.reopen(failed(), REQUEST, Reason.REOPENED, NOW, NOW + 300)


SPECIAL: dict[str, Callable[[], Job]] = {
    **dict.fromkeys(("ask_later", "go_ahead", "close_again"), reopened),
    "release": lambda: jobs.wait_for_intake(waiting(), Reason.PAUSED),
    "take_over": lambda: MOVES["retry"](submitted()),
    "wake": lambda: MOVES["wait_for_picture"](waiting()),
} | dict.fromkeys(("resend", "keep_unconfirmed", "start_over"), unconfirmed)


def test_every_transition_is_in_this_test() -> None:
    assert set(MOVES) == set(TRANSITIONS)


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("state", State)
def test_a_transition_is_refused_from_any_other_state(name: str, state: State) -> None:
    entry = TRANSITIONS[name]
    before = SPECIAL[name]() if name in SPECIAL and state is State.WAITING else SOMEWHERE[state]()
    if name == "close_again" and state is State.SUBMITTED:
        before = jobs.take_over(reopened(), "run-1", NOW, NOW + 60)
    if state not in entry.sources:
        with pytest.raises(Illegal, match=before.job_id):
            MOVES[name](before)
        return
    after = MOVES[name](before)
    assert after.version == before.version + 1
    assert after.state is (entry.target or before.state) or after.state in entry.targets
    assert after.state.terminal or after.due_at is not None, "an open job without a due time is lost"
    if after.state.terminal:
        assert after.body is None, "a live bearer URL outlives its job"
        assert after.due_at is None or name in ("keep_pending", "ask_again", "deliver_other", "note_run")
        assert (after.expires_at is None) == (after.due_at is not None), "an item expires once nothing is pending"


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason.group is Group.FAILED and not reason.repairable]
)
def test_nothing_but_the_one_repair_leaves_a_closed_state(reason: Reason) -> None:
    with pytest.raises(Illegal):
        jobs.deliver(replace(failed(), reason=reason), ("x",), NOW, cost=None, partial=False)


def test_a_repair_delivers_and_keeps_what_was_reserved() -> None:
    repaired = jobs.deliver(failed(Reason.UNKNOWN_RUN), ("x",), NOW + 10, cost="0.14", partial=False)
    assert (repaired.state, repaired.reason, repaired.reservation) == (State.DELIVERED, None, RESERVATION)


@pytest.mark.parametrize("name", ["run-2", "a name of its request"])
@pytest.mark.parametrize("state", [submitted, failed, lambda: jobs.cancel(submitted(), "cancelled", NOW, cost=None)])
@pytest.mark.parametrize(
    ("reserved", "cost", "usd"),
    [(True, "0.28", "0.28"), (True, None, None), (False, "0.28", None), (False, None, None)],
)
def test_another_runs_result_is_paid_from_what_is_for_it(
    state: Callable[[], Job], name: str, reserved: bool, cost: str | None, usd: str | None
) -> None:
    """Only what is reserved for that very run pays for it. The run before it is asked for: it may be tried again."""
    before = replace(state(), reservation=RESERVATION, reserved_run=name)
    after = jobs.deliver_other(
        before, "run-2", ("a/b.jpg",), NOW, cost=cost, partial=False, ask_at=NOW + 60, reserved=reserved
    )
    assert after.reservation == replace(RESERVATION, usd=Decimal(usd) if usd else RESERVATION.usd)
    assert (after.run_id, after.reserved_run) == ("run-2", None if reserved else name)
    assert after.ask_at == NOW + 60


def test_another_runs_result_leaves_the_own_runs_money() -> None:
    after = jobs.deliver_other(
        submitted(), "run-2", ("a/b.jpg",), NOW, cost="0.28", partial=False, ask_at=NOW + 60, reserved=False
    )
    assert (after.reservation, after.reserved_run, after.ask_at) == (RESERVATION, "run-1", NOW + 60)


def test_only_a_job_without_an_item_is_deferred() -> None:
    """It comes due by itself."""
    deferred = jobs.defer(waiting(), NOW + 30)
    assert (deferred.reason, deferred.not_before, deferred.due_at) == (Reason.READY, NOW + 30, NOW + 30)
    with pytest.raises(Illegal):
        jobs.defer(deferred, NOW + 60)


def test_a_job_is_named_by_its_version_and_not_by_its_content() -> None:
    again = replace(UPLOAD, version_id="v3", etag="etag")
    assert again.job_id != UPLOAD.job_id
    assert replace(UPLOAD, sequencer="99").job_id == UPLOAD.job_id
    bare = replace(UPLOAD, version_id=None)
    assert replace(bare, sequencer="02").job_id != bare.job_id


def test_key_and_version_cannot_be_confused() -> None:
    one = replace(UPLOAD, bucket="in", key="a\0v:b", version_id="c")
    other = replace(UPLOAD, bucket="in", key="a", version_id="b\0v:c")
    assert one.job_id != other.job_id


def test_only_an_unconfirmed_submission_keeps_its_key() -> None:
    """A refused one gets a new name and a new idempotency key."""
    first = submitting()
    refused = submitting(jobs.back_off(first, Reason.RATE_LIMITED, NOW + 5))
    assert refused.idempotency_key != first.idempotency_key
    again = jobs.resend(unconfirmed(), lease_until=NOW + 700)
    assert (again.idempotency_key, again.body, again.reservation) == (first.idempotency_key, first.body, RESERVATION)
    assert again.maybe_submitted


def test_a_refusal_returns_the_reservation() -> None:
    """Not while an earlier POST of the job may have made a run."""
    assert jobs.back_off(submitting(), Reason.OUT_OF_CREDIT, NOW).reservation is None
    refused = jobs.back_off(jobs.resend(unconfirmed(), lease_until=NOW + 700), Reason.OUT_OF_CREDIT, NOW + 700)
    assert (refused.reason, refused.reservation, refused.body) == (
        Reason.UNCONFIRMED,
        RESERVATION,
        submitting().body,
    )


def test_an_unconfirmed_job_never_waits_for_the_intake() -> None:
    with pytest.raises(Illegal):
        jobs.wait_for_intake(unconfirmed(), Reason.PAUSED)


def test_a_reason_is_known_by_its_earlier_name() -> None:
    assert Reason.of("settling") is Reason.of("unconfirmed") is Reason.UNCONFIRMED
    with pytest.raises(ValueError, match="confused"):
        Reason.of("confused")


def test_a_run_that_failed_is_not_taken_again() -> None:
    again = jobs.retry(submitted(), not_before=NOW + 30, url_expired=False, detail=None, code=None)
    with pytest.raises(Illegal):
        jobs.adopt(again, "run-1", RESERVATION, NOW, NOW + 60)
    assert jobs.adopt(again, "run-2", RESERVATION, NOW, NOW + 60).run_id == "run-2"


def test_an_expired_url_is_not_an_attempt() -> None:
    expired = jobs.retry(submitted(), not_before=NOW, url_expired=True, detail=None, code=None)
    failed_run = jobs.retry(submitted(), not_before=NOW, url_expired=False, detail=None, code=None)
    assert (expired.attempt, expired.expired_urls) == (1, 1)
    assert (failed_run.attempt, failed_run.expired_urls) == (2, 0)


def test_jobs_that_wait_for_the_intake_are_ordered_by_upload() -> None:
    waits = jobs.wait_for_intake(waiting(), Reason.SPEND_LIMIT)
    assert waits.due_shard is not None and waits.due_shard.startswith("held#")
    assert waits.due_at == UPLOAD.uploaded_at
    released = jobs.release(waits, NOW, NOW + 300)
    assert released.due_shard is not None and released.due_shard.startswith("due#")


def test_what_is_released_waits_for_as_long_as_runflow_asked() -> None:
    """And a new row of 429s begins."""
    waits = replace(jobs.wait_for_intake(waiting(), Reason.TOO_MANY_REQUESTS), not_before=NOW + 900, limited=24)
    released = jobs.release(waits, NOW, NOW + 300)
    assert (released.not_before, released.due_at, released.limited) == (NOW + 900, NOW + 900, 0)
    assert jobs.release(waits, NOW + 1_000, NOW + 1_300).not_before == NOW + 1_000


def test_shards_of_the_due_index_are_used_evenly() -> None:
    shards = [jobs.new(replace(UPLOAD, version_id=str(n)), NOW).due_shard for n in range(4_000)]
    assert {shard: shards.count(shard) for shard in set(shards)}.keys() == {f"due#{n}" for n in range(DUE_SHARDS)}
    assert min(shards.count(f"due#{n}") for n in range(DUE_SHARDS)) > 4_000 / DUE_SHARDS * 0.8


def test_a_closed_job_outlives_the_age_limit_of_events() -> None:
    """Else redriving an old message could pay again."""
    closed = SOMEWHERE[State.DELIVERED]()
    assert closed.expires_at is not None
    assert closed.expires_at - closed.upload.uploaded_at >= RETENTION_SECONDS


def test_the_body_is_gone_once_its_run_is_known() -> None:
    """It holds a URL that opens the photo: roles without a right to the photos could read it from the item."""
    job = submitting()
    assert job.body
    assert jobs.accept(job, "run-1", NOW, NOW + 300).body is None
    assert jobs.adopt(job, "run-1", RESERVATION, NOW, NOW + 300).body is None
