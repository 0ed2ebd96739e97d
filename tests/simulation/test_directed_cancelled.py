"""A run that was cancelled at Runflow and ends well all the same: paid, so that it is counted and delivered."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.ports.runs_fake import PRICE, Ending, FakeRun
from tests.simulation.directed import HOUR, pass_time, rest, states, upload
from tests.simulation.simulation import Simulation


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


def cancelled(simulation: Simulation, cost: Decimal) -> tuple[str, FakeRun]:
    """A photo whose run somebody cancels, for so much; its job is closed. Returns the job's id, and the run."""
    simulation.runflow.endings = [Ending(5.0, 20.0, "canceled", cost)]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    (run,) = simulation.runflow.runs.values()
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.CANCELLED, cost)
    return job, run


def end_well(simulation: Simulation, run: FakeRun) -> None:
    simulation.runflow.tried_again.add(run.run_id)
    simulation.runflow.try_again(run)


@pytest.mark.parametrize("lost", [False, True], ids=["callback", "no callback"])
@pytest.mark.parametrize("cost", [Decimal(0), PRICE], ids=["free", "charged"])
def test_a_cancelled_run_that_ends_well_is_delivered(simulation: Simulation, cost: Decimal, lost: bool) -> None:
    job, run = cancelled(simulation, cost)
    simulation.runflow.deaf = lost
    end_well(simulation, run)
    rest(simulation)
    assert states(simulation, job)[-2:] == ["cancelled", "delivered"]
    assert used(simulation) == simulation.runflow.billed == PRICE
    assert [*simulation.photos.outputs] == ["shoe.jpg.webp"], "its record is gone"


def test_a_newer_photo_stays_if_a_cancelled_run_ends_well(simulation: Simulation) -> None:
    job, run = cancelled(simulation, Decimal(0))
    newer = upload(simulation)
    pass_time(simulation, HOUR)
    end_well(simulation, run)
    rest(simulation)
    assert [simulation.jobs.jobs[one].state for one in (job, newer)] == [State.CANCELLED, State.DELIVERED]
    assert used(simulation) == simulation.runflow.billed == 2 * PRICE


def test_a_cancelled_run_stays_cancelled(simulation: Simulation) -> None:
    """It is asked for, and then not any more."""
    job, run = cancelled(simulation, PRICE)
    rest(simulation)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.ask_at, found.due_at) == (State.CANCELLED, None, None)
    assert used(simulation) == PRICE and simulation.runflow.asked.count(run.run_id) > 3
