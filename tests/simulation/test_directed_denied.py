"""Runs that Runflow did not know of when their callbacks came: what cannot be told is never taken for "no"."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import MAX_UNKNOWN, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

REFUSED = Fault(422, code="VALIDATION", message="no")


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


def deny(simulation: Simulation, ending: Ending, *, seconds: float = 2 * HOUR) -> str:
    """A POST has no answer and makes a run; sent again, the photo is refused, and its job closed. When the run's
    callback comes after that, Runflow does not know the run yet. Returns the job's id.
    """
    runflow = simulation.runflow
    runflow.endings = [ending]
    runflow.habits.visible_after, runflow.habits.known_after = 30 * HOUR, seconds
    runflow.faults = [Fault(effect=True), REFUSED]
    job = upload(simulation)
    while simulation.jobs.jobs.get(job) is None or simulation.jobs.jobs[job].state is not State.FAILED:
        pass_time(simulation, 10.0)
    assert simulation.jobs.jobs[job].reason is Reason.REFUSED_UNCONFIRMED
    assert not runflow.callbacks
    return job


@pytest.mark.parametrize("cost", [PRICE, 2 * PRICE], ids=["the price", "twice the price"])
def test_a_run_denied_to_its_callback_is_delivered(simulation: Simulation, cost: Decimal) -> None:
    job = deny(simulation, Ending(1.0, HOUR, cost=cost))
    rest(simulation)
    assert states(simulation, job)[-2:] == ["failed", "delivered"]
    assert used(simulation) == simulation.runflow.billed == cost


def test_a_denied_run_of_a_photo_never_confirmed(simulation: Simulation) -> None:
    """Its list may not be read; the job is closed for three days' silence, and then the run's callback comes."""
    runflow = simulation.runflow
    runflow.habits.may_list, runflow.habits.known_after = False, 85 * HOUR
    runflow.endings = [Ending(1.0, 80 * HOUR)]
    runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    pass_time(simulation, 79 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.NOT_CONFIRMED
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].missing_runs == (*runflow.runs,)
    rest(simulation)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.DELIVERED, PRICE)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 0


def test_a_run_denied_to_its_callback_may_be_free(simulation: Simulation) -> None:
    """It failed: nothing is delivered, and the money that was kept for it is freed."""
    job = deny(simulation, Ending(1.0, HOUR, "failed", Decimal(0)))
    rest(simulation)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.FAILED, Decimal(0))


def test_a_run_that_is_never_shown_stays_counted(simulation: Simulation) -> None:
    """It is asked for for a week; then a person is told which run it is, beside the names in the record."""
    job = deny(simulation, Ending(1.0, HOUR), seconds=60 * DAY)
    (run_id,) = simulation.runflow.runs
    simulation.run_out(simulation.time + 12 * DAY)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.missing_runs, found.due_at) == (State.FAILED, (run_id,), None)
    assert (used(simulation), simulation.telemetry.counts["UnmatchedCallback"]) == (PRICE, 1)
    (line,) = (line for line in simulation.telemetry.lines if line.message == "not asked again")
    assert line.fields["why"] == f"Runflow does not know the run; Runflow never showed {run_id}"
    assert 6 < simulation.runflow.asked.count(run_id) < 20


def test_a_search_asks_for_the_run_of_a_callback(simulation: Simulation) -> None:
    """The list does not show it after the confirmation time: nothing is sent again while it may exist."""
    runflow = simulation.runflow
    runflow.habits.visible_after, runflow.habits.known_after = 30 * HOUR, HOUR
    runflow.endings = [Ending(1.0, 5.0)]
    runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    rest(simulation)
    assert (simulation.jobs.jobs[job].state, len(runflow.sent)) == (State.DELIVERED, 1)
    assert used(simulation) == runflow.billed == PRICE


def test_only_so_many_unknown_runs_are_kept(simulation: Simulation) -> None:
    job = deny(simulation, Ending(1.0, 30 * DAY))
    for number in range(MAX_UNKNOWN + 3):
        simulation.results.put({"job_id": job, "run_id": f"unknown-{number}"}, safely=True)
    pass_time(simulation, HOUR / 2)
    assert len(simulation.jobs.jobs[job].unknown_runs) == MAX_UNKNOWN
    assert simulation.telemetry.counts["UnmatchedCallback"] == 3


def test_dropping_a_denied_run_would_be_noticed(simulation: Simulation) -> None:
    with Change("detag.domain.decisions:_why_not_noted", "job.submission_no == 0", "True").made():
        deny(simulation, Ending(1.0, HOUR))
        simulation.run_out(simulation.time + 12 * DAY)
        simulation.checker.at_rest()
    assert {"as billed", "paid once"} <= {name for name, _ in simulation.checker.broken}
