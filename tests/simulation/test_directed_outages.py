"""Runflow fails for days on end, longer than anything is waited for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INTERNAL")


def outage(simulation: Simulation, days: int) -> dict[str, Job]:
    """It begins while a run goes on, another photo waits to be tried again, and two have had no clear answer, of which
    one was paid. A further photo comes meanwhile. The jobs by key, once it is over and a day has passed.
    """
    runflow = simulation.runflow
    for key, ending in (("going.jpg", Ending(seconds=HOUR)), ("failed.jpg", FREE)):
        runflow.endings = [ending]
        upload(simulation, key)
        pass_time(simulation, 5.0)
    runflow.faults = [Fault(effect=True), Fault()]
    for key in ("paid.jpg", "lost.jpg"):
        upload(simulation, key)
    pass_time(simulation, 5.0)
    runflow.down = runflow.deaf = True
    upload(simulation, "late.jpg")
    pass_time(simulation, days * DAY)
    runflow.down = runflow.deaf = False
    pass_time(simulation, DAY)
    return {job.upload.key: job for job in simulation.jobs.jobs.values()}


def test_an_outage_of_two_days_delays_photos(simulation: Simulation) -> None:
    jobs = outage(simulation, 2)
    assert {job.state for job in jobs.values()} == {State.DELIVERED}
    rest(simulation)
    assert simulation.runflow.billed == 5 * PRICE


@pytest.mark.parametrize(
    ("days", "state", "events"), [(4, State.DELIVERED, 0), (9, State.DELIVERED, 1), (15, State.FAILED, 1)]
)
def test_a_longer_one_leaves_unclear_answers_to_a_person(
    simulation: Simulation, days: int, state: State, events: int
) -> None:
    """What may have been paid is not sent again: a person is told of it after three days, and it stays counted. A run
    that went on is given up after seven days, and asked for in seven more.
    """
    jobs = outage(simulation, days)
    assert jobs.pop("going.jpg").state is state
    assert {(job.state, job.reason) for job in jobs.values()} == {(State.FAILED, Reason.NOT_CONFIRMED)}
    told = [detail["key"] for kind, detail in simulation.events.published if kind == "Photo Failed"]
    assert sorted(told) == sorted([*jobs, *["going.jpg"] * events])
    assert simulation.runflow.billed == 2 * PRICE
    assert sum(simulation.jobs.money.values()) == 5 * PRICE


@pytest.mark.sized
def test_photos_that_come_in_an_outage_wait(simulation: Simulation, full_size: bool) -> None:
    """Few of them are sent while it lasts: those that show it, and one at a time to see whether it is over."""
    simulation.runflow.down = True
    jobs = [upload(simulation, f"{number}.jpg") for number in range(200 if full_size else 50)]
    pass_time(simulation, 2 * DAY)
    simulation.runflow.down = False
    pass_time(simulation, DAY)
    rest(simulation)
    assert {simulation.jobs.jobs[job].state for job in jobs} == {State.DELIVERED}
    assert simulation.runflow.billed == len(jobs) * PRICE
