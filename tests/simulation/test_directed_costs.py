"""Runflow shows what a run cost some time after its end: nothing until then, or 0."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending
from tests.simulation.directed import HOUR, by_state, pass_time, rest, upload
from tests.simulation.simulation import DAY, Simulation
from tests.simulation.test_directed_other_runs import PERMANENT, first_run

BEFORE = pytest.mark.parametrize("before", [None, "0"], ids=["nothing", "zero"])


def spent(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


@BEFORE
def test_the_limit_holds_though_costs_are_shown_late(simulation: Simulation, before: str | None) -> None:
    """Twenty photos, each uploaded after the one before it has ended, behind a limit of four."""
    simulation.run_until((simulation.time // DAY + 1) * DAY + 60.0)
    simulation.set_limit(PRICE * 4)
    simulation.runflow.endings = [Ending(cost_after=60.0, cost_before=before) for _ in range(20)]
    for number in range(20):
        simulation.after(300.0 * number, lambda: upload(simulation))
    pass_time(simulation, 12 * HOUR)
    assert by_state(simulation) == {"delivered": 4, "waiting": 16}
    assert spent(simulation) == simulation.runflow.billed == PRICE * 4


@pytest.mark.parametrize(
    ("before", "seconds"), [(None, 60.0), (None, 5 * HOUR), ("0", 60.0)], ids=["soon", "hours later", "after a zero"]
)
def test_what_was_billed_is_counted_once_it_is_shown(
    simulation: Simulation, before: str | None, seconds: float
) -> None:
    simulation.runflow.endings = [Ending(cost=PRICE * 2, cost_after=seconds, cost_before=before)]
    job_id = upload(simulation)
    pass_time(simulation, 60.0)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED and spent(simulation) == PRICE
    rest(simulation)
    assert spent(simulation) == simulation.runflow.billed == PRICE * 2
    assert simulation.jobs.jobs[job_id].due_at is None


def test_a_result_that_stays_free_is_counted_as_free(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(cost=Decimal(0))]
    upload(simulation)
    pass_time(simulation, HOUR / 2)
    assert spent(simulation) == PRICE
    rest(simulation)
    assert spent(simulation) == 0 and by_state(simulation) == {"delivered": 1}


@BEFORE
def test_what_a_dropped_result_cost_is_counted(simulation: Simulation, before: str | None) -> None:
    """A newer photo of its name was delivered first."""
    simulation.runflow.endings = [Ending(seconds=400.0, cost=PRICE * 2, cost_after=60.0, cost_before=before), Ending()]
    job_id = upload(simulation)
    pass_time(simulation, 60.0)
    upload(simulation)
    pass_time(simulation, 600.0)
    assert simulation.jobs.jobs[job_id].reason is Reason.NEWER_DELIVERED
    rest(simulation)
    assert spent(simulation) == simulation.runflow.billed == PRICE * 3


@BEFORE
@pytest.mark.parametrize("runs", [1, 2])
def test_what_a_run_cost_that_was_tried_again_is_counted(simulation: Simulation, runs: int, before: str | None) -> None:
    """Runflow tries a failed run again, the job's own or an earlier one, after the job was given up."""
    simulation.unmatched_runs = 1
    shown_late = replace(PERMANENT, cost_after=60.0, cost_before=before)
    simulation.runflow.endings = [shown_late] if runs == 1 else [replace(shown_late, code="INTERNAL"), PERMANENT]
    job_id = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job_id].state is State.FAILED and len(simulation.runflow.runs) == runs
    simulation.runflow.try_again(first_run(simulation))
    rest(simulation)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    assert spent(simulation) == simulation.runflow.billed == PRICE


@BEFORE
def test_what_a_run_cost_that_ended_too_late_is_counted(simulation: Simulation, before: str | None) -> None:
    """Its job was given up and asked for it while it went on, and a newer photo of the name was delivered meanwhile."""
    late = Ending(seconds=29 * HOUR, cost=PRICE * 2, cost_after=6 * HOUR, cost_before=before)
    simulation.runflow.endings = [late, Ending()]
    job_id = upload(simulation)
    pass_time(simulation, 24 * HOUR + 600.0)
    upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.TIMED_OUT
    rest(simulation)
    assert spent(simulation) == simulation.runflow.billed == PRICE * 3
