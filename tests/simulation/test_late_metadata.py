"""An output that comes after its job was closed has the photo's own metadata like any other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.ports.runs_fake import Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest
from tests.simulation.photos import photo
from tests.simulation.simulation import Simulation

FREE = Ending(1.0, 1.0, "failed", Decimal(0), code="INVALID_INPUT")


def upload(simulation: Simulation) -> str:
    return simulation.upload("shoe.jpg", photo("shoe", "image/jpeg"), {"shop": "north"}).job_id


def delivered(simulation: Simulation, job: str) -> bool:
    """Delivered with its metadata, and nothing of it stays on the item."""
    found = simulation.jobs.jobs[job]
    metadata = [simulation.photos.outputs[key].metadata.get("shop") for key in found.outputs]
    return (found.state, found.source_metadata, metadata) == (State.DELIVERED, (), ["north"])


@pytest.mark.parametrize(
    "ending", [Ending(seconds=30 * HOUR), Ending(seconds=1.0, images=0)], ids=["late", "no output"]
)
def test_of_a_run_that_was_given_up(simulation: Simulation, ending: Ending) -> None:
    simulation.runflow.endings = [ending]
    job = upload(simulation)
    while job not in simulation.jobs.jobs or not simulation.jobs.jobs[job].state.terminal:
        pass_time(simulation, 60.0)
    assert simulation.jobs.jobs[job].state is State.FAILED
    (run,) = simulation.runflow.runs.values()
    simulation.runflow.habits.output_url_seconds = 30 * HOUR
    object.__setattr__(run.ending, "images", 1)
    rest(simulation)
    assert delivered(simulation, job)


def test_of_a_run_that_runflow_tried_again(simulation: Simulation) -> None:
    simulation.runflow.endings, simulation.unmatched_runs = [FREE], 1
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.FAILED
    simulation.runflow.try_again(*simulation.runflow.runs.values())
    rest(simulation)
    assert delivered(simulation, job)


def test_of_an_earlier_run_of_a_cancelled_job(simulation: Simulation) -> None:
    """Somebody cancels the second run; then the first, which had failed, is tried again."""
    free = Ending(1.0, 1.0, "failed", Decimal(0), code="INTERNAL")
    simulation.runflow.endings, simulation.unmatched_runs = [free, Ending(status="canceled", cost=Decimal(0))], 1
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.CANCELLED
    simulation.runflow.try_again(next(iter(simulation.runflow.runs.values())))
    rest(simulation)
    assert delivered(simulation, job)


def test_of_a_request_without_an_answer(simulation: Simulation) -> None:
    """It was sent again and refused; the first had made a run."""
    simulation.runflow.habits.visible_after = 3 * HOUR
    simulation.runflow.faults = [Fault(effect=True), Fault(422, code="VALIDATION", message="no")]
    simulation.runflow.endings = [Ending(queued=1500.0, seconds=30.0)]
    job = upload(simulation)
    pass_time(simulation, 1200.0)
    assert simulation.jobs.jobs[job].state is State.FAILED
    rest(simulation)
    assert delivered(simulation, job)


def test_it_is_forgotten_where_nothing_can_come(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(422, code="VALIDATION", message="no")]
    job = upload(simulation)
    simulation.run_out(simulation.time + HOUR)
    assert (simulation.jobs.jobs[job].state, simulation.jobs.jobs[job].source_metadata) == (State.FAILED, ())
