"""Which requests a person is told of, where their runs may exist and nobody knows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain import decisions
from detag.domain import job as job_moves
from detag.domain.job import State
from detag.domain.outcomes import Refused
from detag.domain.reasons import Reason
from detag.domain.reopening import Request, Way
from tests.unit.domain.test_decisions import NOW, SUBMITTED


@pytest.mark.parametrize(
    ("count", "told"), [(1, ".1"), (8, ".8"), (9, ".9 and 1 older ones"), (100, ".100 and 92 older ones")]
)
def test_a_detail_is_cut_at_a_name(count: int, told: str) -> None:
    """The newest are named, and how many more there are; what Runflow said stands behind them."""
    names = [f"{SUBMITTED.job_id}.{number}" for number in range(1, count + 1)]
    job = replace(
        SUBMITTED,
        state=State.SUBMITTING,
        run_id=None,
        submission_no=count,
        unaccounted=tuple((name, "") for name in names),
    )
    refused = Refused(422, "VALIDATION", "x" * 600)
    step = decisions.after_post(
        job, refused, now=NOW, confirmation_seconds=600, failures=0, probe=False, uniform=lambda low, high: high
    )
    assert step.move is not None
    closed = step.move.of(job)
    shown, _, said = str(closed.detail).partition(": ")
    assert (closed.reason, shown) == (
        Reason.REFUSED_UNCONFIRMED,
        ", ".join(names[-8:]) + told.removeprefix(f".{count}"),
    )
    assert said.startswith("Runflow answered 422: xxx") and len(str(closed.detail)) == job_moves.MAX_SAID


@pytest.mark.parametrize("reason", [Reason.REFUSED_UNCONFIRMED, Reason.NOT_CONFIRMED])
def test_closed_as_before_names_what_was_added_since(reason: Reason) -> None:
    """A photo is sent once more on request, has no clear answer again, and is closed as it was."""
    first, second = (f"{SUBMITTED.job_id}.{number}" for number in (1, 2))
    job = replace(SUBMITTED, state=State.WAITING, reason=Reason.UNCONFIRMED, run_id=None, unaccounted=((first, ""),))
    closed = replace(job_moves.fail(job, reason, "the reason: why", NOW, free=False), pending=())
    asked = Request(request_id="r-1", how=Way.PAID, by="anna", at=NOW)
    open_again = job_moves.reopen(closed, asked, Reason.REOPENED, NOW, NOW)
    assert job_moves.close_again(open_again, NOW).detail == f"{first}: the reason: why"
    added = replace(open_again, unaccounted=((first, ""), (second, "")))
    assert job_moves.close_again(added, NOW).detail == f"{first}, {second}: the reason: why"
    found = replace(open_again, unaccounted=())
    assert job_moves.close_again(found, NOW).detail == "the reason: why", "none is left to be searched for"
