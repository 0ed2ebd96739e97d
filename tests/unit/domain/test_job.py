"""The job's moves: each from its states only, each a new revision, each with a due time while the job is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from detag.domain import job as jobs
from detag.domain.job import DUE_SHARDS, RETENTION_SECONDS, TRANSITIONS, Illegal, Job, Reservation, State, Upload
from detag.domain.reasons import Reason

NOW = 1_795_426_200.0
UPLOAD = Upload("in", "a/b.jpg", "v1", "01", "etag", 10, NOW - 5)
SLOT = Reservation("2026-11-23", 1, 0)


def waiting() -> Job:
    return jobs.new(UPLOAD, NOW)


def submitting(job: Job | None = None) -> Job:
    job = job or waiting()
    return jobs.claim(
        job,
        submission_no=job.submission_no + 1,
        body='{"input":{}}',
        reservation=SLOT,
        content_type="image/jpeg",
        source_metadata=(("shop", "north"),),
        now=NOW,
        lease_until=NOW + 60,
        url_expires_at=NOW + 3600,
    )


def submitted() -> Job:
    return jobs.accept(submitting(), "run-1", NOW + 1, NOW + 300)


def settling() -> Job:
    return jobs.await_confirmation(submitting(), NOW + 600)


def failed(reason: Reason = Reason.TIMED_OUT) -> Job:
    return jobs.fail(submitted(), reason, "why", NOW + 9, free=False)


MOVES: dict[str, Callable[[Job], Job]] = {
    "defer": lambda job: jobs.defer(job, NOW + 30),
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
    "adopt": lambda job: jobs.adopt(job, "run-1", SLOT, NOW, NOW + 60),
    "poll_later": lambda job: jobs.poll_later(job, NOW + 60),
    "retry": lambda job: jobs.retry(job, not_before=NOW + 30, url_expired=False, detail="x", code="y"),
    "skip": lambda job: jobs.skip(job, Reason.EMPTY, "empty", NOW),
    "supersede": lambda job: jobs.supersede(job, Reason.DELETED, "gone", NOW),
    "fail": lambda job: jobs.fail(job, Reason.REFUSED, "no", NOW, free=True),
    "cancel": lambda job: jobs.cancel(job, "cancelled", NOW, cost=None),
    "deliver": lambda job: jobs.deliver(job, ("a/b.jpg",), NOW, cost="0.14", partial=False),
    "extend_due": lambda job: jobs.extend_due(job, NOW + 300),
    "keep_pending": lambda job: jobs.keep_pending(job, ("event",), NOW + 300),
    "published": jobs.published,
}
SOMEWHERE: dict[State, Callable[[], Job]] = {
    State.WAITING: waiting,
    State.SUBMITTING: submitting,
    State.SUBMITTED: submitted,
    State.DELIVERED: lambda: jobs.deliver(submitted(), ("a/b.jpg",), NOW, cost="0.14", partial=False),
    State.FAILED: failed,
    State.CANCELLED: lambda: jobs.cancel(submitted(), "cancelled", NOW, cost=None),
    State.SKIPPED: lambda: jobs.skip(waiting(), Reason.EMPTY, "empty", NOW),
    State.SUPERSEDED: lambda: jobs.supersede(waiting(), Reason.DELETED, "gone", NOW),
}
SPECIAL: dict[str, Callable[[], Job]] = {
    "release": lambda: jobs.wait_for_intake(waiting(), Reason.PAUSED)
} | dict.fromkeys(("resend", "keep_unconfirmed", "start_over"), settling)


def test_every_transition_is_in_this_test() -> None:
    assert set(MOVES) == set(TRANSITIONS)


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("state", State)
def test_a_move_is_made_from_its_own_states_and_refused_from_any_other(name: str, state: State) -> None:
    entry = TRANSITIONS[name]
    before = SPECIAL[name]() if name in SPECIAL and state is State.WAITING else SOMEWHERE[state]()
    if state not in entry.sources:
        with pytest.raises(Illegal, match=before.job_id):
            MOVES[name](before)
        return
    after = MOVES[name](before)
    assert after.version == before.version + 1
    assert after.state is (entry.target or before.state)
    assert after.state.terminal or after.due_at is not None, "an open job without a due time is lost"
    if after.state.terminal:
        assert after.body is None, "a live bearer URL outlives its job"
        assert after.due_at is None or name == "keep_pending"
        assert (after.expires_at is None) == (after.due_at is not None), "a row may expire once it owes nothing"


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in jobs.REPAIRABLE])
def test_nothing_leaves_a_terminal_state_but_by_the_one_repair(reason: Reason) -> None:
    with pytest.raises(Illegal):
        jobs.deliver(replace(failed(), reason=reason), ("x",), NOW, cost=None, partial=False)


def test_a_repair_delivers_and_keeps_what_was_reserved() -> None:
    repaired = jobs.deliver(failed(Reason.UNKNOWN_RUN), ("x",), NOW + 10, cost="0.14", partial=False)
    assert (repaired.state, repaired.reason, repaired.reservation) == (State.DELIVERED, None, SLOT)


def test_only_a_job_without_a_row_is_postponed_and_it_comes_due_by_itself() -> None:
    postponed = jobs.defer(waiting(), NOW + 30)
    assert (postponed.reason, postponed.not_before, postponed.due_at) == (Reason.READY, NOW + 30, NOW + 30)
    with pytest.raises(Illegal):
        jobs.defer(postponed, NOW + 60)


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


def test_a_refused_submission_gets_a_new_name_and_an_uncertain_one_keeps_it() -> None:
    first = submitting()
    refused = submitting(jobs.back_off(first, Reason.RATE_LIMITED, NOW + 5))
    assert refused.idempotency_key != first.idempotency_key
    again = jobs.resend(settling(), lease_until=NOW + 700)
    assert (again.idempotency_key, again.body, again.reservation) == (first.idempotency_key, first.body, SLOT)
    assert again.maybe_submitted


def test_a_refusal_gives_the_money_back_but_not_while_an_earlier_post_is_in_doubt() -> None:
    assert jobs.back_off(submitting(), Reason.OUT_OF_CREDIT, NOW).reservation is None
    maybe_submitted = jobs.back_off(jobs.resend(settling(), lease_until=NOW + 700), Reason.OUT_OF_CREDIT, NOW + 700)
    assert (maybe_submitted.reason, maybe_submitted.reservation, maybe_submitted.body) == (
        Reason.UNCONFIRMED,
        SLOT,
        submitting().body,
    )


def test_settling_is_never_interrupted_by_the_gate() -> None:
    with pytest.raises(Illegal):
        jobs.wait_for_intake(settling(), Reason.PAUSED)


def test_a_run_that_failed_is_not_taken_again() -> None:
    again = jobs.retry(submitted(), not_before=NOW + 30, url_expired=False, detail=None, code=None)
    with pytest.raises(Illegal):
        jobs.adopt(again, "run-1", SLOT, NOW, NOW + 60)
    assert jobs.adopt(again, "run-2", SLOT, NOW, NOW + 60).run_id == "run-2"


def test_an_expired_url_is_not_an_attempt() -> None:
    expired = jobs.retry(submitted(), not_before=NOW, url_expired=True, detail=None, code=None)
    failed_run = jobs.retry(submitted(), not_before=NOW, url_expired=False, detail=None, code=None)
    assert (expired.attempt, expired.expired_urls) == (1, 1)
    assert (failed_run.attempt, failed_run.expired_urls) == (2, 0)


def test_held_jobs_wait_in_a_line_of_their_own_ordered_by_upload() -> None:
    held = jobs.wait_for_intake(waiting(), Reason.SPEND_LIMIT)
    assert held.due_shard is not None and held.due_shard.startswith("held#")
    assert held.due_at == UPLOAD.uploaded_at
    released = jobs.release(held, NOW, NOW + 300)
    assert released.due_shard is not None and released.due_shard.startswith("due#")


def test_lanes_are_used_evenly() -> None:
    lanes = [jobs.new(replace(UPLOAD, version_id=str(n)), NOW).due_shard for n in range(4_000)]
    assert {lane: lanes.count(lane) for lane in set(lanes)}.keys() == {f"due#{n}" for n in range(DUE_SHARDS)}
    assert min(lanes.count(f"due#{n}") for n in range(DUE_SHARDS)) > 4_000 / DUE_SHARDS * 0.8


def test_a_row_outlives_the_age_at_which_events_are_refused() -> None:
    closed = SOMEWHERE[State.DELIVERED]()
    assert closed.expires_at is not None
    assert closed.expires_at - closed.upload.uploaded_at >= RETENTION_SECONDS
