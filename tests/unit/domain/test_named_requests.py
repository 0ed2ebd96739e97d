"""Which requests a person is told of, where their runs may exist and nobody knows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain import decisions
from detag.domain.job import State
from detag.domain.outcomes import Refused
from detag.domain.reasons import Reason
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
    assert said.startswith("Runflow answered 422: xxx") and len(str(closed.detail)) == decisions.MAX_SAID
