"""Whose result a run's is, and which runs are still asked for once a job has ended."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain import job as jobs
from detag.domain.decisions import Probe, Step, as_before, bill, runs_to_look_at, shows_picture
from detag.domain.job import Job, Reservation, State, Upload, move
from detag.domain.reasons import Reason
from detag.domain.reopening import Request, Way
from detag.domain.runs import Run, RunStatus

NOW = 1_795_426_200.0
UPLOAD = Upload("in", "a/b.jpg", "v1", "01", "etag", 10, NOW - 5)
PRICE = Reservation("2026-11-23", Decimal("0.14"))
PAID = Request("r-1", Way.PAID, "anna", NOW)


def claimed(job: Job) -> Job:
    return jobs.claim(
        job,
        submission_no=job.submission_no + 1,
        body='{"input":{}}',
        reservation=PRICE,
        content_type="image/jpeg",
        source_metadata=(),
        now=NOW,
        lease_until=NOW + 60,
        url_expires_at=NOW + 3_600,
        picture="p1",
        picture_version=1,
    )


def made(job: Job, run_id: str) -> Job:
    return jobs.accept(claimed(job), run_id, NOW, NOW + 300)


def tried_again(job: Job) -> Job:
    """Its run failed free of charge."""
    return jobs.retry(job, not_before=NOW, url_expired=False, detail=None, code=None)


def delivered(job: Job, cost: str | None = "0.14") -> Job:
    return jobs.deliver(job, ("a/b.jpg.webp",), NOW, cost=cost, partial=False)


def test_the_result_of_a_run_is_of_the_submission_that_made_it() -> None:
    """A record that tells neither the name nor the photo: only the answer to the latest request shows whose it is."""
    second = made(tried_again(made(jobs.new(UPLOAD, NOW), "run-1")), "run-2")
    assert shows_picture(second, Run("run-2", RunStatus.SUCCEEDED))
    assert not shows_picture(second, Run("run-1", RunStatus.SUCCEEDED))


def test_a_new_claim_forgets_whose_the_last_run_was() -> None:
    sent = claimed(tried_again(made(jobs.new(UPLOAD, NOW), "run-1")))
    assert (sent.picture_run, shows_picture(sent, Run("run-1", RunStatus.SUCCEEDED))) == (None, False)


def test_a_run_that_its_name_shows_is_known_by_its_id() -> None:
    """Adopted by the name of the latest request, also where its record does not tell that any more."""
    unclear = jobs.await_confirmation(claimed(tried_again(made(jobs.new(UPLOAD, NOW), "run-1"))), NOW + 600)
    adopted = jobs.adopt(unclear, "run-2", PRICE, NOW, NOW + 60, client_ref=unclear.client_ref)
    assert shows_picture(adopted, Run("run-2", RunStatus.SUCCEEDED))
    older = jobs.adopt(unclear, "run-2", PRICE, NOW, NOW + 60, client_ref=f"{unclear.job_id}.1")
    assert not shows_picture(older, Run("run-2", RunStatus.SUCCEEDED))
    taken = jobs.take_over(unclear, "run-1", NOW, NOW + 60, client_ref=unclear.client_ref)
    assert shows_picture(taken, Run("run-1", RunStatus.SUCCEEDED))


@pytest.mark.parametrize("retried", [True, False])
def test_a_delivered_job_asks_for_what_it_retried(retried: bool) -> None:
    """Reopened, and its photo deleted meanwhile: it is delivered as before, and runs that failed in between are asked
    for.
    """
    opened = jobs.reopen(delivered(made(jobs.new(UPLOAD, NOW), "run-1")), PAID, Reason.READY, NOW, NOW)
    waiting = tried_again(made(opened, "run-2")) if retried else opened
    gone = Step(
        move=move(jobs.supersede, Reason.DELETED, "deleted", NOW), decision="not sent", probe=Probe.INCONCLUSIVE
    )
    step = as_before(waiting, gone, now=NOW)
    assert step.move is not None
    after = step.move.of(waiting)
    assert (after.state, after.run_id, after.ask_at is not None) == (State.DELIVERED, "run-1", retried)
    assert ("run-2" in runs_to_look_at(after)) is retried


@pytest.mark.parametrize("earlier", [True, False])
def test_a_bill_as_reserved_is_taken_once(earlier: bool) -> None:
    """It ends the asking; where an earlier run is asked for besides, nothing is left to do about it."""
    first = jobs.new(UPLOAD, NOW)
    job = delivered(made(tried_again(made(first, "run-1")) if earlier else first, "run-2"), cost=None)
    job = replace(job, ask_at=NOW + 3_600, due_at=NOW + 3_600)
    run = Run("run-2", RunStatus.SUCCEEDED, cost=Decimal("0.14"))
    assert (bill(job, run) is None) is earlier


@pytest.mark.parametrize("end", ["skipped", "refused", "superseded", "delivered", "copied"])
def test_an_earlier_run_is_asked_for_however_a_job_ends(end: str) -> None:
    waiting = tried_again(made(jobs.new(UPLOAD, NOW), "run-1"))
    ends = {
        "skipped": lambda: jobs.skip(waiting, Reason.NOT_A_PHOTO, "IgnoredNames was changed", NOW),
        "refused": lambda: jobs.fail(claimed(waiting), Reason.REFUSED, "Runflow answered 422", NOW, free=True),
        "superseded": lambda: jobs.supersede(waiting, Reason.DELETED, "deleted", NOW),
        "delivered": lambda: delivered(made(waiting, "run-2")),
        "copied": lambda: jobs.deliver_copy(waiting, ("b",), NOW, picture="p1", reused_from="a", stored=()),
    }
    ended = ends[end]()
    assert ended.ask_at is not None and "run-1" in runs_to_look_at(ended)
