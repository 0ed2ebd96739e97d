"""Runs that Runflow did not know of when their callbacks came: what cannot be told is never taken for "no"."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, states, upload
from tests.simulation.simulation import Simulation

REFUSED = Fault(422, code="VALIDATION", message="no")


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


def deny(simulation: Simulation, ending: Ending, *, seconds: float = 2 * HOUR, before: bool = False) -> str:
    """A POST has no answer and makes a run; sent again, the photo is refused, and its job closed. The run's callback
    comes `before` that or after it, and Runflow does not know the run yet. Returns the job's id.
    """
    runflow = simulation.runflow
    runflow.endings = [ending]
    runflow.habits.visible_after, runflow.habits.known_after = 30 * HOUR, seconds
    runflow.faults = [Fault(effect=True), REFUSED]
    job = upload(simulation)
    while simulation.jobs.jobs.get(job) is None or simulation.jobs.jobs[job].state is not State.FAILED:
        pass_time(simulation, 10.0)
    assert simulation.jobs.jobs[job].reason is Reason.REFUSED_UNCONFIRMED
    assert bool(runflow.callbacks) is before
    return job


@pytest.mark.parametrize("before", [False, True], ids=["closed before its callback", "closed after its callback"])
@pytest.mark.parametrize("cost", [PRICE, 2 * PRICE], ids=["the price", "twice the price"])
def test_a_run_denied_to_its_callback_is_delivered(simulation: Simulation, before: bool, cost: Decimal) -> None:
    job = deny(simulation, Ending(1.0, 5.0 if before else HOUR, cost=cost), before=before)
    rest(simulation)
    assert states(simulation, job)[-2:] == ["failed", "delivered"]
    assert used(simulation) == simulation.runflow.billed == cost
