"""Output URLs that only a callback has: which message comes again, which callback is asked for; and what costs what."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain import decisions
from detag.domain.decisions import Fetched, NotStored, Step, Stored
from detag.domain.job import Job, fail
from detag.domain.reasons import Reason
from detag.domain.runs import Result, Run, RunStatus
from detag.domain.waits import CALLBACK_URLS
from detag.services.deliver import _better
from tests.unit.domain.test_decisions import NOW, SUBMITTED

DONE = Run("run-1", RunStatus.SUCCEEDED, output_urls=("https://u",), cost=Decimal("0.28"))
NO_RECORD = replace(DONE, is_record=False, cost=None)
FAILED = fail(SUBMITTED, Reason.UNDELIVERABLE, "", NOW, free=False, ask_at=NOW + 3_600)
FOR_ANOTHER = replace(SUBMITTED, reserved_run="run-0")
CLOSED = NotStored("403", refused=True)
WITH_URLS = Result("job", "run-1", RunStatus.SUCCEEDED, ("https://u",), sent_at=NOW)


def after(step: object, job: Job) -> Job:
    assert isinstance(step, Step) and step.move is not None
    return step.move.of(job)


@pytest.mark.parametrize(
    ("job", "seconds", "comes"),
    [
        (SUBMITTED, 0.0, True),
        (FAILED, 0.0, True),
        (decisions.after_fetch(SUBMITTED, DONE, Stored(("k",), ""), now=NOW), 0.0, False),
        (SUBMITTED, CALLBACK_URLS.seconds, False),
    ],
    ids=["open", "repairable", "delivered", "too old"],
)
def test_a_message_comes_again_while_its_job_lacks_a_result(job: Job | Step, seconds: float, comes: bool) -> None:
    job = after(job, SUBMITTED) if isinstance(job, Step) else job
    assert decisions.comes_again(job, WITH_URLS, now=NOW + seconds) is comes
    assert not decisions.comes_again(job, replace(WITH_URLS, output_urls=()), now=NOW)


@pytest.mark.parametrize(
    ("job", "run", "now", "asked"),
    [
        (SUBMITTED, DONE, NOW, True),
        (SUBMITTED, NO_RECORD, NOW, False),
        (FAILED, DONE, NOW, False),
        (FAILED, DONE, NOW + 3_600, True),
    ],
    ids=["open", "no record", "not asked for yet", "asked for"],
)
def test_when_a_callback_is_asked_for(job: Job, run: Run, now: float, asked: bool) -> None:
    assert (decisions.callback_again(job, run, CLOSED, now=now) is not None) is asked


@pytest.mark.parametrize(
    ("one", "other", "why", "refused"),
    [
        (CLOSED, NotStored("hangs"), "hangs", False),
        (NotStored("403", ("k",), refused=True), NotStored("hangs"), "403", False),
        (CLOSED, CLOSED, "403", True),
    ],
)
def test_of_two_roads_what_may_still_give_more_counts(
    one: NotStored, other: NotStored, why: str, refused: bool
) -> None:
    better = _better(one, other)
    assert isinstance(better, NotStored)
    assert (better.why, better.refused) == (why, refused)


@pytest.mark.parametrize(("job", "asks"), [(SUBMITTED, True), (FOR_ANOTHER, False)], ids=["its own", "another's"])
def test_without_a_record_the_cost_of_its_own_run_is_asked_for(job: Job, asks: bool) -> None:
    """Where the reservation is for another run, the job's own was charged beside it."""
    stored: Fetched = Stored(("k",), "")
    steps = decisions.after_fetch(job, NO_RECORD, stored, now=NOW), decisions.found_stored(job, None, stored, now=NOW)
    assert [after(step, job).ask_at is not None for step in steps] == [asks, asks]


def test_its_own_run_is_not_billed_from_what_is_for_another() -> None:
    assert decisions.bill(replace(FAILED, reserved_run="run-0"), DONE) is None
    assert decisions.bill(FAILED, DONE) is not None
