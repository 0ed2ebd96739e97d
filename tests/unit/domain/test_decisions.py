"""Decisions: each way that a job can go has one step, with its reason in words; nothing here touches a store."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detag.domain import decisions, waits
from detag.domain.decisions import (
    Adopt,
    Again,
    Busy,
    Criteria,
    Fetch,
    Fetched,
    Idle,
    NotStored,
    Overtaken,
    Partway,
    Probe,
    Step,
    Stored,
    Unanswered,
)
from detag.domain.images import Head
from detag.domain.job import (
    Illegal,
    Job,
    Reservation,
    State,
    Trouble,
    Upload,
    accept,
    await_confirmation,
    claim,
    fail,
    new,
    poll_later,
    resend,
    retry,
    skip,
    start_over,
)
from detag.domain.metrics import Metric
from detag.domain.outcomes import Accepted, Ambiguous, NotSent, Outcome, Refused
from detag.domain.reasons import Group, Reason
from detag.domain.runs import Run, RunStatus
from detag.domain.search import (
    Found,
    NoneFound,
    NotSearched,
    Proof,
    Search,
    Unfinished,
    Whose,
    after_list,
    own_run,
    proof,
    whose_run,
)
from detag.ports.runs_fake import tiny_image

HOUR = 3_600.0
NOW = 1_795_431_600.0
CONFIRMATION = 630.0
WAITING = new(Upload("in", "shoe.jpg", "v1", "0055", "e1", 100, NOW - 60), NOW - 50)
SUBMITTING = claim(
    WAITING,
    submission_no=1,
    body="{}",
    reservation=Reservation("2026-11-23", Decimal("0.14")),
    content_type="image/jpeg",
    source_metadata=(),
    now=NOW - 30,
    lease_until=NOW + 30,
    url_expires_at=NOW + 3_600,
)
UNCONFIRMED = await_confirmation(SUBMITTING, NOW)
SENT_AGAIN = resend(UNCONFIRMED, lease_until=NOW + 60)
SUBMITTED = accept(SUBMITTING, "run-1", NOW - 20, NOW)
REPAIRABLE = fail(SUBMITTED, Reason.TIMED_OUT, "", NOW, free=False)
FAILED_RUN = Run("run-1", RunStatus.FAILED, failure_code="MODEL_ERROR", failure_message="it broke")


def longest(_low: float, high: float) -> float:
    return high


def after_post(outcome: Outcome | NotSent, job: Job = SUBMITTING, failures: int = 0, *, probe: bool = False) -> Step:
    return decisions.after_post(
        job,
        outcome,
        now=NOW,
        confirmation_seconds=CONFIRMATION,
        failures=failures,
        probe=probe,
        uniform=longest,
    )


def after_failure(job: Job = SUBMITTED, run: Run = FAILED_RUN, most: int = 3) -> Step:
    return decisions.after_failure(job, run, now=NOW, max_attempts=most, uniform=longest)


def made(step: Step, job: Job) -> Job:
    assert step.move is not None
    return step.move.of(job)


# Why a photo was not tried again


@pytest.mark.parametrize(
    ("job", "run", "why"),
    [
        (SUBMITTED, replace(FAILED_RUN, cost=Decimal("0.14")), "charged"),
        (replace(SUBMITTED, attempt=3), FAILED_RUN, "attempts used up, 3 of 3"),
        (
            replace(SUBMITTED, unaccounted=((SUBMITTED.client_ref, ""),)),
            FAILED_RUN,
            "the latest request has no clear answer",
        ),
        (
            replace(SUBMITTED, url_expires_at=NOW, unknown_runs=("another run",)),
            FAILED_RUN,
            "another run of it cannot be seen, and may have been charged",
        ),
        (SUBMITTED, replace(FAILED_RUN, failure_code="INPUT_VALIDATION_FAILED"), "the same photo would fail again"),
        (
            replace(SUBMITTED, attempt=3, url_expires_at=NOW, expired_urls=decisions.MAX_EXPIRED_URLS),
            FAILED_RUN,
            "attempts used up, 3 of 3",
        ),
    ],
)
def test_a_run_that_is_not_tried_again_says_why(job: Job, run: Run, why: str) -> None:
    step = after_failure(job, run)
    assert step.explained == f"not tried again: {why}"
    after = made(step, job)
    assert (after.state, after.reason, after.detail) == (State.FAILED, Reason.RUN_FAILED, "Runflow: it broke")
    assert (after.reservation is None) is not run.charged, "what was charged stays counted"


def test_what_a_run_cost_is_told_in_digits() -> None:
    """However many decimals Runflow writes: a person reads it."""
    run = replace(FAILED_RUN, cost=Decimal("0.00000000"), failure_code="INPUT_VALIDATION_FAILED")
    assert made(after_failure(run=run), SUBMITTED).cost == "0.00000000"


def test_a_run_that_is_tried_again_says_which_attempt_failed() -> None:
    step = after_failure()
    assert step.explained == "tried again: attempt 1 of 3 failed free of charge"
    after = made(step, SUBMITTED)
    assert (after.state, after.reason, after.attempt) == (State.WAITING, Reason.RETRY, 2)
    assert after.not_before == NOW + waits.RUN_RETRY.seconds(1, longest)


def test_an_expired_url_is_no_attempt() -> None:
    job = replace(SUBMITTED, url_expires_at=NOW, attempt=3)
    step = after_failure(job)
    assert step.explained == "tried again: the URL had expired"
    assert (made(step, job).attempt, made(step, job).expired_urls) == (3, 1)


# The POST

OUTCOMES = st.one_of(
    st.builds(Accepted, run_id=st.just("run-1")),
    st.builds(
        Refused,
        status=st.integers(400, 499).filter(lambda status: status not in (408, 409)),
        code=st.none() | st.sampled_from(["INSUFFICIENT_CREDITS", "RATE_LIMITED"]),
        message=st.none() | st.text(max_size=2_000),
        retry_after=st.none() | st.floats(0, 32),
    ),
    st.builds(Ambiguous, why=st.just("no answer"), down=st.booleans()),
    st.builds(NotSent, why=st.just("no key")),
)


@given(outcome=OUTCOMES, again=st.booleans(), failures=st.integers(0, 5), probe=st.booleans())
def test_every_answer_to_the_post_has_a_step(
    outcome: Outcome | NotSent, again: bool, failures: int, probe: bool
) -> None:
    """Whatever Runflow answers, the move is one that the table of transitions allows, and no open job is forgotten."""
    job = SENT_AGAIN if again else SUBMITTING
    step = after_post(outcome, job, failures, probe=probe)
    assert step == after_post(outcome, job, failures, probe=probe), "the same is known, the same is decided"
    after = made(step, job)
    assert after.state.terminal or after.due_at is not None
    assert step.decision
    assert len(step.explained) <= 600
    if after.state is State.SUBMITTED:
        assert isinstance(outcome, Accepted)
    if isinstance(outcome, Ambiguous):
        assert (after.reason, after.body, after.reservation) == (Reason.UNCONFIRMED, job.body, job.reservation)
    if again and not after.state.terminal and after.state is not State.SUBMITTED:
        assert after.reason is Reason.UNCONFIRMED, "a refusal speaks of this POST, not of the one before it"
    if step.pauses:
        assert step.pauses.group is Group.INTAKE


def test_what_was_not_sent_says_nothing_of_runflow() -> None:
    step = after_post(NotSent("no key"), failures=2, probe=True)
    assert (step.explained, step.pauses, step.probe) == ("not sent now: no key", None, None)
    assert decisions.count_failures(2, NotSent("no key")) == 2
    assert made(step, SUBMITTING).reservation is None
    assert made(after_post(NotSent("no key"), SENT_AGAIN), SENT_AGAIN).reason is Reason.UNCONFIRMED


def test_three_unclear_answers_in_a_row_pause_intake() -> None:
    failures = 0
    found = []
    for outcome in (Ambiguous("5xx"), Ambiguous("5xx"), Ambiguous("409", down=False), *[Ambiguous("5xx")] * 3):
        failures = decisions.count_failures(failures, outcome)
        found.append(after_post(outcome, failures=failures).pauses)
    assert found == [None] * 5 + [Reason.RUNFLOW_DOWN]


@pytest.mark.parametrize(
    ("outcome", "probe", "pauses"),
    [
        (Accepted("run-1"), Probe.PASSED, None),
        (Refused(429), None, Reason.TOO_MANY_REQUESTS),
        (Refused(422), Probe.INCONCLUSIVE, None),
        (Refused(402), None, Reason.OUT_OF_CREDIT),
        (Refused(400, "INSUFFICIENT_CREDITS"), None, Reason.OUT_OF_CREDIT),
        (Refused(403), None, Reason.UNAUTHORIZED),
        (Ambiguous("5xx"), None, Reason.RUNFLOW_DOWN),
        (Ambiguous("409", down=False), None, None),
    ],
)
def test_what_a_probe_has_shown(outcome: Outcome, probe: Probe | None, pauses: Reason | None) -> None:
    step = after_post(outcome, probe=True)
    assert (step.probe, step.pauses) == (probe, pauses)


def test_retry_after_is_the_least_that_is_waited() -> None:
    assert made(after_post(Refused(429, retry_after=30.0)), SUBMITTING).not_before == NOW + 30.0


@pytest.mark.parametrize("job", [SUBMITTING, SENT_AGAIN], ids=["clear", "unclear"])
def test_a_429_ends_what_nothing_else_can_end(job: Job) -> None:
    """Not where an earlier request may have made a run, nor for a probe: it tests the intake, not the photo."""
    tired = replace(job, limited=waits.LIMITED_TRIES, unclear_posts=waits.MAX_UNCLEAR)
    ended = after_post(Refused(429), tired)
    if job is SUBMITTING:
        assert made(ended, tired).reason is Reason.NOT_ACCEPTED
    else:
        assert (ended.pauses, made(ended, tired).reason) == (Reason.TOO_MANY_REQUESTS, Reason.UNCONFIRMED)
    probe = after_post(Refused(429), tired, probe=True)
    assert (probe.pauses, made(probe, tired).state) == (Reason.TOO_MANY_REQUESTS, State.WAITING)
    assert made(probe, tired).unclear_posts == waits.MAX_UNCLEAR
    once_more = replace(tired, unclear_posts=0)
    assert made(after_post(Refused(429), once_more), once_more).unclear_posts == 1


def test_an_unclear_answer_ends_a_row_of_429s() -> None:
    job = replace(SUBMITTING, limited=waits.LIMITED_TRIES)
    assert made(after_post(Ambiguous("5xx"), job), job).limited == 0


# What AWS fails for


@pytest.mark.parametrize(
    "job",
    [SUBMITTING, UNCONFIRMED, SUBMITTED, replace(WAITING, reason=Reason.REOPENED)],
    ids=["being sent", "unconfirmed", "submitted", "asked for"],
)
def test_only_what_nothing_was_sent_for_is_counted(job: Job) -> None:
    """Any other has deadlines of its own: days of failures do not end it."""
    job = replace(job, tries=waits.INTERRUPTED_TRIES)
    assert decisions.if_interrupted(job)("S3 timeout", NOW) == Idle("interrupted")


def test_an_interruption_says_nothing_of_a_probe() -> None:
    found = decisions.if_interrupted(WAITING)("S3 timeout", NOW)
    assert isinstance(found, Step)
    assert (found.probe, made(found, WAITING).reason) == (None, Reason.INTERRUPTED)


# The search


def test_of_failed_runs_one_that_was_charged_is_adopted() -> None:
    """A free failure would be tried again, and so be paid for beside the one that was charged."""
    charged = replace(FAILED_RUN, run_id="run-9", cost=Decimal("0.14"))
    for runs in ([FAILED_RUN, charged], [charged, FAILED_RUN]):
        found = after_list(UNCONFIRMED, Found(runs), may_send=True, now=NOW, uniform=longest)
        assert isinstance(found, Adopt)
        assert found.run_id == "run-9"


def test_of_several_runs_one_that_did_not_fail_is_adopted() -> None:
    running, other = Run("run-2", RunStatus.RUNNING), Run("run-3", RunStatus.SUCCEEDED)
    found = after_list(UNCONFIRMED, Found([FAILED_RUN, running, other]), may_send=True, now=NOW, uniform=longest)
    assert found == Adopt("run-3", (running,)), "the failed one was free"


@pytest.mark.parametrize("search", [NoneFound(), Unfinished("cursor"), Unanswered("timeout")])
@pytest.mark.parametrize("may_send", [True, False])
@pytest.mark.parametrize("left", [waits.URL_MARGIN.seconds, waits.URL_MARGIN.seconds + 1])
def test_nothing_is_sent_again_without_proof(search: Search, may_send: bool, left: float) -> None:
    """Only a list that was read to its end, an open intake and a URL that lives let the same bytes be sent again."""
    job = replace(UNCONFIRMED, url_expires_at=NOW + left)
    step = after_list(job, search, may_send=may_send, now=NOW, uniform=longest)
    assert isinstance(step, Step)
    after = made(step, job)
    proven = isinstance(search, NoneFound)
    assert (after.state is State.SUBMITTING) is (proven and may_send and left > waits.URL_MARGIN.seconds)
    assert (after.reason is Reason.UNCONFIRMED) is not proven


def test_on_another_day_a_photo_is_started_over() -> None:
    """Its money goes back to the day that it came from: what is sent today is paid from today's budget."""
    for now, day in ((NOW, "2026-11-22"), (NOW + 86_400.0, "2026-11-23")):
        job = replace(UNCONFIRMED, reservation=Reservation(day, Decimal("0.14")), url_expires_at=now + 3_600)
        step = after_list(job, NoneFound(), may_send=True, now=now, uniform=longest)
        assert isinstance(step, Step)
        after = made(step, job)
        assert (after.state, after.reason, after.reservation) == (State.WAITING, Reason.READY, None)
        assert after.maybe_submitted, "a run of the first request may still appear"


@pytest.mark.parametrize("search", [Unanswered("403"), Unfinished("cursor")])
def test_a_search_that_does_not_end_reaches_a_person(search: Search) -> None:
    """What cannot be looked up for three days is told; what may be paid stays counted, and may still be delivered."""
    job = made(search_on(UNCONFIRMED, search), UNCONFIRMED)
    assert job.search_since == NOW
    last = replace(job, search_since=NOW - waits.SEARCH.seconds)
    assert made(search_on(replace(last, search_since=last.search_since + 1), search), last).state is State.WAITING
    closed = made(search_on(last, search), last)
    assert (closed.state, closed.reason, closed.reservation) == (State.FAILED, Reason.NOT_CONFIRMED, last.reservation)
    assert closed.repairable
    assert closed.awaited == {closed.client_ref: ""}
    assert own_run(closed, "run-1", closed.client_ref) is Whose.NEW


def test_a_pause_does_not_count_against_a_search() -> None:
    """The wait of a pause is left out; what counted before it still does."""
    job = replace(UNCONFIRMED, search_since=NOW - HOUR)
    after = made(search_on(job, NotSearched("paused")), job)
    assert after.search_since == job.search_since + (after.not_before - NOW)
    assert made(search_on(UNCONFIRMED, NotSearched("paused")), UNCONFIRMED).search_since == 0.0


def test_short_pauses_do_not_put_off_that_a_person_is_told() -> None:
    """A list that may never be read, and an outage every other day: a person is told, a little later."""
    job, now, hours = replace(UNCONFIRMED, search_since=NOW), NOW, 0
    while job.state is State.WAITING:
        now, hours = now + HOUR, hours + 1
        search = NotSearched("paused") if hours % 48 == 0 else Unanswered("403")
        step = after_list(job, search, may_send=True, now=now, uniform=longest)
        assert isinstance(step, Step)
        job = made(step, job)
    assert job.reason is Reason.NOT_CONFIRMED
    assert 72 <= hours <= 74


def search_on(job: Job, search: Search) -> Step:
    step = after_list(job, search, may_send=True, now=NOW, uniform=longest)
    assert isinstance(step, Step)
    return step


# Whose run it is

PHOTO = "https://in.s3.amazonaws.com/shoe.jpg?X-Amz-Signature=0"
NAMED = Run("run-1", RunStatus.RUNNING, client_ref=UNCONFIRMED.client_ref, image_url=PHOTO, created_at=NOW)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, Proof.OURS),
        ({"image_url": None}, Proof.OURS),
        ({"image_url": "runflow://assets/1"}, Proof.OURS),
        ({"image_url": "https://storage.runflow.io/a.jpg?X-Amz-Signature=1"}, Proof.OURS),
        ({"image_url": "https://0a1b.r2.cloudflarestorage.com/assets/a.jpg"}, Proof.OURS),
        ({"image_url": "https://pub-0123456789abcdef.r2.dev/assets/1.jpg"}, Proof.UNTOLD),
        ({"image_url": "https://[/"}, Proof.UNTOLD),
        ({"image_url": "https://r2.example/1.jpg", "created_at": UNCONFIRMED.claimed_at - HOUR - 1}, Proof.UNTOLD),
        ({"image_url": "https://r2.example/1.jpg", "client_ref": f"{UNCONFIRMED.job_id}.2"}, Proof.FOREIGN),
        ({"image_url": "https://r2.example/1.jpg", "aspect_ratio": "4:3"}, Proof.UNTOLD),
        ({"image_url": "https://r2.example/1.jpg", "client_ref": None, "hides_name": True}, Proof.UNTOLD),
        ({"image_url": "https://r2.example/1.jpg", "client_ref": None}, Proof.FOREIGN),
        ({"image_url": "https://r2.example/1.jpg", "client_ref": None, "job_id": UNCONFIRMED.job_id}, Proof.UNTOLD),
        ({"image_url": "https://in.s3.amazonaws.com/hat.jpg"}, Proof.FOREIGN),
        ({"image_url": "https://in.s3.amazonaws.com/hat.jpg", "aspect_ratio": "4:3"}, Proof.FOREIGN),
        ({"image_url": "https://in.s3.amazonaws.com/hat.jpg", "created_at": 0.0}, Proof.FOREIGN),
        ({"image_url": "https://in.s3.amazonaws.com/%2573hoe.jpg"}, Proof.UNTOLD),
        ({"image_url": "https://in.s3.amazonaws.com/SHOE.jpg"}, Proof.UNTOLD),
        ({"image_url": "https://in.s3.amazonaws.com/sho"}, Proof.UNTOLD),
        ({"image_url": "https://in.s3.amazonaws.com/***"}, Proof.UNTOLD),
        ({"image_url": "https://in.s3.amazonaws.com:443/shoe.jpg"}, Proof.OURS),
        ({"image_url": "https://in.s3.amazonaws.com:9000/shoe.jpg"}, Proof.UNTOLD),
        ({"image_url": "https://evil.example/r2.cloudflarestorage.com"}, Proof.UNTOLD),
        ({"created_at": None}, Proof.OURS),
        ({"created_at": UNCONFIRMED.claimed_at - HOUR}, Proof.OURS),
        ({"created_at": UNCONFIRMED.claimed_at - HOUR - 1}, Proof.UNTOLD),
        ({"created_at": UNCONFIRMED.url_expires_at + HOUR}, Proof.OURS),
        ({"created_at": UNCONFIRMED.url_expires_at + HOUR + 1}, Proof.UNTOLD),
        ({"aspect_ratio": "4:3"}, Proof.UNTOLD),
        ({"aspect_ratio": "auto"}, Proof.UNTOLD),
        ({"aspect_ratio": "auto", "image_url": None}, Proof.UNTOLD),
        ({"aspect_ratio": "4:3", "client_ref": f"{UNCONFIRMED.job_id}.2"}, Proof.FOREIGN),
        ({"client_ref": f"{UNCONFIRMED.job_id}.2"}, Proof.FOREIGN),
        ({"client_ref": UNCONFIRMED.job_id}, Proof.FOREIGN),
        ({"client_ref": "1"}, Proof.FOREIGN),
        ({"client_ref": None}, Proof.UNTOLD),
        ({"client_ref": None, "job_id": UNCONFIRMED.job_id}, Proof.UNTOLD),
        ({"client_ref": None, "job_id": "0" * 32}, Proof.FOREIGN),
        ({"client_ref": None, "image_url": "https://evil.example/shoe.jpg"}, Proof.FOREIGN),
        ({"client_ref": None, "created_at": UNCONFIRMED.claimed_at - HOUR - 1}, Proof.FOREIGN),
    ],
)
def test_whose_a_run_is_by_what_it_shows(changes: dict[str, Any], told: Proof) -> None:
    assert proof(replace(NAMED, **changes), UNCONFIRMED, PHOTO) is told


def test_a_bucket_named_like_runflow_has_no_assets() -> None:
    """Another photo of it is another photo, and no link that Runflow made."""
    ours, other = (f"https://my-runflow-in.s3.amazonaws.com/{name}.jpg" for name in ("shoe", "hat"))
    assert proof(replace(NAMED, image_url=other), UNCONFIRMED, ours) is Proof.FOREIGN


@pytest.mark.parametrize(
    ("shown", "told"),
    [("4:3", Proof.OURS), (None, Proof.OURS), ("4x3", Proof.UNTOLD), ("1:1", Proof.UNTOLD)],
)
def test_a_configuration_that_is_not_shown_decides_nothing(shown: str | None, told: Proof) -> None:
    """A record may leave it out, or show what a server made of it: to take the run for somebody else's would pay for
    the photo twice. What shows another is not adopted.
    """
    asked = replace(UNCONFIRMED, unaccounted=((UNCONFIRMED.client_ref, "4:3"),))
    assert proof(replace(NAMED, aspect_ratio=shown), asked, PHOTO) is told


def test_a_run_is_adopted_only_while_one_is_missing() -> None:
    retrying = retry(SUBMITTED, not_before=NOW, url_expired=False, detail=None, code=None)
    whose = {job.state: own_run(job, "run-9", job.client_ref) for job in (retrying, SUBMITTING, SUBMITTED)}
    assert whose == {
        State.WAITING: Whose.UNMATCHED,
        State.SUBMITTING: Whose.NEW,
        State.SUBMITTED: Whose.UNMATCHED,
    }
    given_up = start_over(UNCONFIRMED, NOW)
    assert given_up.awaited == {UNCONFIRMED.client_ref: ""}
    assert own_run(given_up, "run-9", UNCONFIRMED.client_ref) is Whose.NEW


def test_a_run_that_does_not_tell_is_kept_while_one_is_missing() -> None:
    """It is asked for: nothing may be sent while it may be the job's. Once none is missing, it is somebody else's."""
    other = replace(NAMED, aspect_ratio="auto")
    assert whose_run(UNCONFIRMED, other.run_id, other, lambda: PHOTO) is Whose.UNTOLD
    retrying = retry(SUBMITTED, not_before=NOW, url_expired=False, detail=None, code=None)
    nameless = replace(other, run_id="run-9", client_ref=None, job_id=retrying.job_id)
    assert whose_run(retrying, "run-9", nameless, lambda: PHOTO) is Whose.FOREIGN
    step = decisions.after_untold(UNCONFIRMED, other.run_id, now=NOW)
    assert isinstance(step, Step)
    kept = made(step, UNCONFIRMED)
    assert (kept.missing_runs, step.metric) == ((other.run_id,), Metric.UNMATCHED_CALLBACK)
    assert isinstance(decisions.after_untold(kept, other.run_id, now=NOW), Idle), "it is told once"


def test_an_earlier_run_is_known_by_its_id_alone() -> None:
    """Its record need not show a name or a photo: what it costs is counted, and its output may be used."""
    retrying = retry(SUBMITTED, not_before=NOW, url_expired=False, detail=None, code=None)
    bare = Run(
        retrying.earlier_runs[0], RunStatus.SUCCEEDED, output_urls=("https://o.example/1",), cost=Decimal("0.14")
    )
    assert whose_run(retrying, bare.run_id, bare, lambda: PHOTO) is Whose.EARLIER
    assert decisions.is_uncounted(retrying, bare)
    taken = decisions.after_other_run(retrying, bare, now=NOW)
    assert isinstance(taken, Step) and taken.decision == "another run taken over"


# The run

RUNS = st.none() | st.builds(
    Run,
    run_id=st.just("run-1"),
    status=st.sampled_from(RunStatus),
    output_urls=st.sampled_from([(), ("https://outputs.example/1.webp",)]),
    cost=st.none() | st.sampled_from([Decimal(0), Decimal("0.14")]),
    failure_code=st.none() | st.sampled_from(["MODEL_ERROR", "INPUT_VALIDATION_FAILED"]),
)
AGES = st.sampled_from([0.0, 3_601.0, 90_000.0, 500_000.0])
JOBS = st.builds(
    lambda job, age, tries, attempt: replace(job, submitted_at=NOW - age, tries=tries, attempt=attempt),
    st.sampled_from([SUBMITTED, poll_later(SUBMITTED, NOW, decisions.NO_OUTPUT_YET), REPAIRABLE]),
    AGES,
    st.integers(0, 5),
    st.integers(1, 3),
)


@given(job=JOBS, run=RUNS)
def test_every_record_of_a_run_has_a_step(job: Job, run: Run | None) -> None:
    decided = decisions.after_run(job, run, now=NOW, max_attempts=3, run_timeout_hours=24, uniform=longest)
    if isinstance(decided, Fetch):
        assert run is not None
        assert run.output_urls
    elif job.state is State.FAILED and job.tries:
        assert isinstance(decided, Idle), "it was asked for a week"
    elif job.state is State.FAILED:
        assert isinstance(decided, Step), "a closed job is repaired by an output, which is asked for"
        assert made(decided, job).state is State.FAILED
        assert made(decided, job).ask_at == NOW + 3_600.0
    else:
        assert isinstance(decided, Step)
        after = made(decided, job)
        assert after.state.terminal or after.due_at is not None
        if after.state is State.WAITING:
            assert run is not None
            assert run.status is RunStatus.FAILED
            assert not run.charged
        if run is not None and run.charged and after.state.terminal:
            assert after.reservation is not None, "what was charged stays counted"


@given(
    job=JOBS,
    fetched=st.sampled_from(
        [
            Stored(("shoe.jpg",), ""),
            Stored((), "unsafe"),
            Overtaken(),
            NotStored("S3 throttled"),
            NotStored("S3 throttled", ("shoe.jpg",)),
            Partway(("shoe.jpg",)),
            Busy(),
        ],
    ),
)
def test_every_end_of_a_fetch_has_a_step(job: Job, fetched: Fetched) -> None:
    run = Run("run-1", RunStatus.SUCCEEDED, cost=Decimal("0.14"))
    decided = decisions.after_fetch(job, run, fetched, now=NOW)
    if isinstance(fetched, Stored) and fetched.keys:
        assert isinstance(decided, Step)
        assert made(decided, job).state is State.DELIVERED
    elif job.state is State.FAILED and isinstance(fetched, NotStored | Partway) and fetched.done:
        assert isinstance(decided, Step)
        assert made(decided, job).done == ("shoe.jpg",)
    elif job.state is State.FAILED and isinstance(fetched, NotStored | Stored) and not job.tries:
        assert isinstance(decided, Step)
        assert made(decided, job).ask_at == NOW + 3_600.0
    elif job.state is State.FAILED:
        assert isinstance(decided, Again if isinstance(fetched, NotStored | Busy) else Idle)
    elif isinstance(fetched, Busy):
        assert isinstance(decided, Idle), "its due time leads back"
    else:
        assert isinstance(decided, Step)
        after = made(decided, job)
        assert after.state is not State.DELIVERED
        assert after.reservation is not None


def test_what_is_given_up_may_have_been_stored() -> None:
    """A job is given up for want of its output only after one more look at the output bucket."""
    old = replace(SUBMITTED, troubles=((Trouble.NOT_STORED, NOW - 500_000.0),))
    lost = replace(SUBMITTED, troubles=((Trouble.UNKNOWN, NOW - 500_000.0),))
    unknown = decisions.after_run(lost, None, now=NOW, max_attempts=3, run_timeout_hours=24, uniform=longest)
    late = decisions.deliver_later(old, "S3 throttled", Trouble.NOT_STORED, now=NOW)
    for step in (unknown, late):
        assert isinstance(step, Step)
        assert step.unless_stored


@pytest.mark.parametrize("age", [HOUR, waits.LATE_RESULT.seconds], ids=["not the last time", "the last time"])
def test_a_late_result_found_stored_is_finished_or_stays_due(age: float) -> None:
    failed = replace(SUBMITTED, state=State.FAILED, reason=Reason.RUN_FAILED, closed_at=NOW - age, ask_at=NOW)
    later = decisions.after_run(failed, None, now=NOW, max_attempts=3, run_timeout_hours=24, uniform=longest)
    assert isinstance(later, Step) and later.unless_stored
    assert (made(later, failed).ask_at is None) is (age > HOUR)
    assert isinstance(decisions.found_stored(failed, None, NotStored("S3 throttled"), now=NOW), Again)
    found = decisions.found_stored(failed, None, Stored(("a.jpg",), ""), now=NOW)
    assert isinstance(found, Step) and made(found, failed).state is State.DELIVERED


@pytest.mark.parametrize("age", [HOUR, waits.LATE_RESULT.seconds], ids=["not the last time", "the last time"])
def test_an_earlier_run_of_a_refused_job_is_asked_for_to_the_end(age: float) -> None:
    """A run that Runflow did not show was another's; the one that failed before may still be tried again by Runflow."""
    job = replace(
        SUBMITTED,
        state=State.FAILED,
        reason=Reason.REFUSED,
        run_id=None,
        earlier_runs=("run-0",),
        closed_at=NOW - age,
        ask_at=NOW,
    )
    assert decisions.runs_to_look_at(job) == ("run-0",)
    step = decisions.after_other_run(job, Run("run-0", RunStatus.FAILED, cost=Decimal(0)), now=NOW)
    assert isinstance(step, Step)
    assert (made(step, job).ask_at is None) is (age > HOUR)


def test_what_is_done_of_another_run_is_not_of_the_jobs_own() -> None:
    job = replace(SUBMITTED, done=("a.jpg",), done_run="run-0")
    step = decisions.found_stored(job, None, Stored(("b.jpg",), "", same_photo=True), now=NOW)
    assert isinstance(step, Step) and not made(step, job).partial


def test_a_run_that_says_it_is_a_part_is_found_stored_as_one() -> None:
    run = Run(SUBMITTED.run_id or "", RunStatus.PARTIAL, output_urls=("https://x/1",))
    step = decisions.found_stored(SUBMITTED, run, Stored(("a.jpg",), "", same_photo=True), now=NOW)
    assert isinstance(step, Step) and made(step, SUBMITTED).partial


def test_another_runs_unsafe_output_is_not_asked_for_for_ever() -> None:
    """It is the last one of the closed job that is asked for: the next time is set, or there is none."""
    job = fail(SUBMITTING, Reason.REFUSED_UNCONFIRMED, "", NOW, free=False)
    job = replace(job, run_id=None, earlier_runs=("run-1",), unaccounted=(), ask_at=NOW, due_at=NOW)
    run = Run("run-1", RunStatus.SUCCEEDED, output_urls=("https://x/1",), client_ref="x")
    step = decisions.after_fetch_of_other(job, run, Stored((), "output 1: no image"), now=NOW)
    assert isinstance(step, Step)
    due_at = made(step, job).due_at
    assert due_at is None or due_at > NOW


# What is screened


def test_a_step_keeps_its_job_where_nothing_changes() -> None:
    waiting = made(decisions.turn_away(WAITING, Reason.PAUSED), WAITING)
    assert decisions.turn_away(waiting, Reason.PAUSED).move is None
    assert decisions.turn_away(waiting, Reason.SPEND_LIMIT, pauses=True).pauses is Reason.SPEND_LIMIT


@pytest.mark.parametrize(
    ("shown", "done", "partial"),
    [(1, (), False), (2, (), True), (0, (), False), (0, ("a.jpg",), True), (1, ("a.jpg",), False)],
)
def test_what_is_found_stored_may_be_a_part(shown: int, done: tuple[str, ...], partial: bool) -> None:
    """By the number of outputs that the run's record shows; without one, if the job was saved while some were left."""
    job = replace(SUBMITTED, done=done)
    urls = tuple(f"https://x/{number}" for number in range(shown))
    run = Run(job.run_id or "", RunStatus.SUCCEEDED, output_urls=urls) if shown else None
    step = decisions.found_stored(job, run, Stored(("a.jpg",), "", same_photo=True), now=NOW)
    assert isinstance(step, Step)
    after = made(step, job)
    assert (after.state, after.partial) == (State.DELIVERED, partial)
    assert ("others may be missing" in step.why) is partial


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.group is not Group.SKIPPED])
def test_no_other_reason_skips_a_photo(reason: Reason) -> None:
    with pytest.raises(Illegal):
        skip(WAITING, reason, "x", NOW)


CRITERIA = Criteria(
    input_bucket="in",
    input_prefix="",
    ignored_names=(),
    max_bytes=100,
    most_pixels=500_000_000,
    aspect_ratio=None,
    reuses=False,
)


@pytest.mark.parametrize(("size", "said"), [(52_428_801, "50.1 MB"), (63_963_136, "61 MB"), (5 * 10**9, "4,768.4 MB")])
def test_how_long_a_file_is_stands_beside_the_limit(size: int, said: str) -> None:
    job = replace(WAITING, upload=replace(WAITING.upload, size=size))
    found = decisions.screen_upload(job, replace(CRITERIA, max_bytes=52_428_800), now=NOW)
    assert found is not None
    assert f"it has {said}, and the limit is 50 MB" in repr(found)


@pytest.mark.parametrize(
    ("version", "seen", "etag", "same"),
    [("v1", "v1", "e9", True), ("v1", "v2", "e1", False), ("v1", None, "e1", False), (None, None, "e1", True),
     (None, None, "e2", False), (None, "v1", "e1", False)],
)  # fmt: skip
def test_an_upload_is_known_by_its_version_and_else_by_its_etag(
    version: str | None, seen: str | None, etag: str, same: bool
) -> None:
    """Equal bytes with a version of their own are another upload, which has its own event."""
    job = replace(WAITING, upload=replace(WAITING.upload, version_id=version))
    head = Head(tiny_image("image/jpeg", b"x"), 100, etag, {}, seen)
    found = decisions.screen_photo(job, head, None, CRITERIA, now=NOW)
    assert (isinstance(found, Step) and "replaced" in found.explained) is not same
