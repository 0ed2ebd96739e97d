"""A run ends after its job was closed: the day's budget counts what Runflow billed for it, however it ended."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

ENDINGS = [
    *((status, cost) for status in ("failed", "canceled", "succeeded") for cost in (2 * PRICE, PRICE / 2)),
    ("failed", Decimal(0)),
    ("canceled", Decimal(0)),
]


GIVEN_UP = {"no failure for a paused intake", "paid once"}
"""What is not true where a photo is given up although nothing failed but the look at the run list."""


def come_to_rest(simulation: Simulation) -> None:
    """Until nothing happens any more; a photo may have been given up."""
    simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert {name for name, _ in simulation.checker.broken} <= GIVEN_UP, simulation.checker.broken


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


@pytest.mark.parametrize("deaf", [False, True], ids=["callback", "no callback"])
@pytest.mark.parametrize(("status", "cost"), ENDINGS)
def test_a_run_that_ends_too_late_counts_as_billed(
    simulation: Simulation, status: str, cost: Decimal, deaf: bool
) -> None:
    simulation.runflow.endings = [Ending(seconds=30 * HOUR, status=status, cost=cost)]
    job = upload(simulation)
    simulation.run_until(simulation.time + 26 * HOUR)
    assert (simulation.jobs.jobs[job].reason, used(simulation)) == (Reason.TIMED_OUT, PRICE)
    simulation.runflow.deaf = deaf
    rest(simulation)
    assert used(simulation) == simulation.runflow.billed == cost
    assert simulation.jobs.charges == {}


@pytest.mark.parametrize("instead", [None, b"<html>not an image</html>"], ids=["no output", "a bad output"])
def test_a_late_success_without_an_output_counts_as_billed(simulation: Simulation, instead: bytes | None) -> None:
    images = 1 if instead else 0
    simulation.runflow.endings = [Ending(seconds=30 * HOUR, cost=2 * PRICE, images=images, instead=instead)]
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.FAILED
    assert used(simulation) == simulation.runflow.billed == 2 * PRICE


@pytest.mark.parametrize("cost", [2 * PRICE, Decimal(0)])
def test_a_late_run_that_is_tried_again_counts_as_billed(simulation: Simulation, cost: Decimal) -> None:
    """It fails after its job was given up; then Runflow tries it again, and bills it."""
    simulation.runflow.endings = [Ending(seconds=30 * HOUR, status="failed", cost=cost)]
    job = upload(simulation)
    simulation.run_until(simulation.time + 45 * HOUR)
    assert used(simulation) == cost
    (run,) = simulation.runflow.runs.values()
    simulation.runflow.try_again(run)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert used(simulation) == simulation.runflow.billed == PRICE


@pytest.mark.parametrize("cost", [2 * PRICE, Decimal(0)])
@pytest.mark.parametrize("refused", [False, True], ids=["not confirmed", "refused"])
def test_a_run_that_nobody_could_find_counts_as_billed(simulation: Simulation, cost: Decimal, refused: bool) -> None:
    """A POST has no clear answer, and its job is given up. Its run fails, and calls back."""
    runflow = simulation.runflow
    if refused:
        runflow.habits.visible_after = 3 * HOUR
        runflow.faults = [Fault(effect=True), Fault(422, code="VALIDATION", message="no")]
    else:
        runflow.habits.may_list = False
        runflow.faults = [Fault(effect=True)]
    runflow.endings = [Ending(seconds=80 * HOUR, status="failed", cost=cost)]
    job = upload(simulation)
    simulation.run_until(simulation.time + 79 * HOUR)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.FAILED, PRICE)
    come_to_rest(simulation)
    assert used(simulation) == runflow.billed == cost
    assert simulation.jobs.charges == {}


def test_of_two_runs_that_nobody_could_find_both_count(simulation: Simulation) -> None:
    """Two POSTs of one submission each made a run: one is what the reservation was kept for, the other is charged."""
    simulation.unmatched_runs = 1
    runflow = simulation.runflow
    runflow.habits.visible_after, runflow.habits.idempotency = 3 * HOUR, "ignored"
    runflow.faults = [Fault(effect=True), Fault(effect=True), Fault(422, code="VALIDATION", message="no")]
    runflow.endings = [Ending(seconds=4 * HOUR, status="failed", cost=2 * PRICE) for _ in range(2)]
    upload(simulation)
    come_to_rest(simulation)
    assert len(runflow.runs) == 2
    assert used(simulation) == runflow.billed == 4 * PRICE
    assert len(simulation.jobs.charges) == simulation.telemetry.counts["UnmatchedPaidRun"] == 1


def test_a_delivery_without_a_record_counts_as_billed(simulation: Simulation) -> None:
    """Runflow's record cannot be read when the callback comes: what the run cost is asked for afterwards."""
    simulation.runflow.endings = [Ending(cost=2 * PRICE)]
    job = upload(simulation)
    while not simulation.runflow.runs or simulation.jobs.jobs[job].state is not State.SUBMITTED:
        pass_time(simulation, 0.5)
    simulation.runflow.down = True
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    simulation.runflow.down = False
    rest(simulation)
    assert used(simulation) == simulation.runflow.billed == 2 * PRICE


def test_keeping_what_was_reserved_would_be_noticed(simulation: Simulation) -> None:
    with Change(
        "detag.services.deliver:Deliver._counted", "case Step() as billed:", "case Step() as billed if False:"
    ).made():
        simulation.runflow.endings = [Ending(seconds=30 * HOUR, status="failed", cost=2 * PRICE)]
        upload(simulation)
        simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert {name for name, _ in simulation.checker.broken} == {"as billed"}


def test_a_refusal_that_may_have_been_charged_says_so(simulation: Simulation) -> None:
    """A request without an answer, then a refusal: the first may have made a run, and its money stays reserved."""
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job = upload(simulation)
    come_to_rest(simulation)
    assert used(simulation) == PRICE
    ((_, event),) = simulation.events.published
    (record,) = (one.data.decode() for key, one in simulation.photos.outputs.items() if key.startswith("_failed/"))
    assert event["detail"] == f"{job}.1: Runflow answered 422: no"
    for text in (f"{event['means']} {event['what_to_do']} {event['detail']}", record):
        assert "may have been charged" in text
        assert "search Runflow for the names in the detail" in text
        assert f"{job}.1: Runflow answered 422: no" in text
    assert "Charged:        perhaps $0.14: Runflow had not said yet" in record, "nobody knows"


def test_a_refusal_that_hides_a_charge_would_be_noticed(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    with Change("detag.domain.decisions:_refused", "Reason.REFUSED_UNCONFIRMED", "Reason.REFUSED").made():
        upload(simulation)
        simulation.run_out(simulation.time + DAY)
    simulation.checker.at_rest()
    assert "records" in {name for name, _ in simulation.checker.broken}
