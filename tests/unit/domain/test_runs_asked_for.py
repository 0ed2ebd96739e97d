"""Which runs of a closed job are asked for, once it is time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain import decisions
from detag.domain.job import State
from tests.unit.domain.test_decisions import NOW, SUBMITTED

NAME = f"{SUBMITTED.job_id}.1"


@pytest.mark.parametrize(
    ("state", "reserved_run", "asked"),
    [
        (State.DELIVERED, None, ("run-0", "run-1", "run-9")),
        (State.DELIVERED, "run-0", ("run-0", "run-9")),
        (State.DELIVERED, NAME, ("run-0", "run-1", "run-9")),
        (State.SUPERSEDED, NAME, ("run-0", "run-9")),
        (State.SKIPPED, None, ("run-0", "run-9")),
    ],
)
def test_a_run_is_asked_for_by_its_id(state: State, reserved_run: str | None, asked: tuple[str, ...]) -> None:
    """Money may be kept for the name of a request: no run can be asked for by that."""
    closed = replace(SUBMITTED, state=state, reason=None, reserved_run=reserved_run, closed_at=NOW, ask_at=NOW)
    job = replace(closed, earlier_runs=("run-0",), unknown_runs=("run-0", "run-9"))
    assert decisions.runs_to_look_at(job) == asked
    assert decisions.runs_to_look_at(replace(job, ask_at=None)) == ("run-1",)


def test_a_delivered_jobs_own_run_is_not_asked_for_once_told() -> None:
    """What it cost is known: only the runs before it may be tried again."""
    closed = replace(SUBMITTED, state=State.DELIVERED, reason=None, cost="0.14", closed_at=NOW, ask_at=NOW)
    assert decisions.runs_to_look_at(replace(closed, earlier_runs=("run-0",))) == ("run-0",)
