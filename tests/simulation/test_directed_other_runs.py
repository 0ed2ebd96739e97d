"""A job has one run of its own; another run of the same photo was paid as well. One paid output, one delivery."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.ports.runs_fake import PRICE, Ending, FakeRun, Fault
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INTERNAL")
PERMANENT = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")


def first_run(simulation: Simulation) -> FakeRun:
    return next(iter(simulation.runflow.runs.values()))


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0)) / PRICE


def test_a_retry_is_not_paid_where_the_failed_run_succeeds(simulation: Simulation) -> None:
    """Runflow tries the failed run again while detag waits to do so: its output is used, nothing is sent."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    pass_time(simulation, 10.0)
    assert simulation.jobs.jobs[job].state is State.WAITING
    simulation.runflow.try_again(first_run(simulation))
    pass_time(simulation, 5.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    rest(simulation)
    assert (len(simulation.runflow.sent), simulation.runflow.billed, used(simulation)) == (1, PRICE, Decimal(1))


def test_a_failed_job_is_delivered_from_an_earlier_run(simulation: Simulation) -> None:
    """Runflow tries the first of two failed runs again after the job was given up."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [FREE, PERMANENT]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.FAILED
    simulation.runflow.try_again(first_run(simulation))
    rest(simulation)
    assert states(simulation, job)[-2:] == ["failed", "delivered"]
    assert (simulation.runflow.billed, used(simulation)) == (PRICE, Decimal(1))


def test_a_failed_job_is_delivered_from_its_own_run(simulation: Simulation) -> None:
    """Runflow tries the last run again after the job was given up: its reservation was returned, so it is charged."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [PERMANENT]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.FAILED
    simulation.runflow.try_again(first_run(simulation))
    rest(simulation)
    assert states(simulation, job)[-2:] == ["failed", "delivered"]
    assert (simulation.runflow.billed, used(simulation)) == (PRICE, Decimal(1))


@pytest.mark.parametrize("ending", [SLOW, PERMANENT])
def test_an_earlier_runs_output_is_used_at_once(simulation: Simulation, ending: Ending) -> None:
    """While the second run goes on, the first succeeds: delivered from it; the second counts as it was billed."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [FREE, Ending(600.0, 30.0, ending.status, ending.cost, code=ending.code)]
    job = upload(simulation)
    while simulation.jobs.jobs.get(job) is None or len(simulation.runflow.runs) < 2:
        pass_time(simulation, 10.0)
    first, second = simulation.runflow.runs.values()
    pass_time(simulation, 5.0)
    simulation.runflow.try_again(first)
    pass_time(simulation, 10.0)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.run_id, found.reserved_run) == (State.DELIVERED, first.run_id, second.run_id)
    rest(simulation)
    assert used(simulation) == (1 if ending is PERMANENT else 2)
    assert list(simulation.jobs.charges) == [first.run_id]


def test_a_refused_job_is_delivered_from_an_unconfirmed_run(simulation: Simulation) -> None:
    """The POST that was refused had a predecessor without an answer, whose run appears later."""
    simulation.runflow.habits.visible_after = 3 * HOUR
    simulation.runflow.faults = [Fault(effect=True), Fault(422, code="VALIDATION", message="no")]
    simulation.runflow.endings = [Ending(queued=1500.0, seconds=30.0)]
    job = upload(simulation)
    pass_time(simulation, 1200.0)
    assert simulation.jobs.jobs[job].state is State.FAILED
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert (simulation.runflow.billed, used(simulation)) == (PRICE, Decimal(1))


@pytest.mark.parametrize("number", [0, 1])
def test_a_failed_jobs_runs_are_asked_for_again(simulation: Simulation, number: int) -> None:
    """Runflow tries one of two failed runs again after the job was given up, and no callback tells of it."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [FREE, PERMANENT]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.FAILED
    simulation.runflow.deaf = True
    simulation.runflow.try_again(list(simulation.runflow.runs.values())[number])
    rest(simulation)
    assert states(simulation, job)[-2:] == ["failed", "delivered"]
    assert (simulation.runflow.billed, used(simulation)) == (PRICE, Decimal(1))


@pytest.mark.parametrize("known", [True, False])
def test_what_the_own_run_costs_is_asked_for(simulation: Simulation, known: bool) -> None:
    """Another run is delivered while the own one goes on, and no callback tells of its end."""
    simulation.unmatched_runs = 1
    simulation.runflow.endings = [FREE, Ending(600.0, 30.0, "failed", Decimal(0), code="INTERNAL")]
    job = upload(simulation)
    while simulation.jobs.jobs.get(job) is None or len(simulation.runflow.runs) < 2:
        pass_time(simulation, 10.0)
    first, second = simulation.runflow.runs.values()
    simulation.runflow.try_again(first)
    pass_time(simulation, 10.0)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.DELIVERED, Decimal(2))
    simulation.runflow.deaf, second.lost = True, not known
    rest(simulation)
    assert used(simulation) == (1 if known else 2)
    assert (simulation.jobs.jobs[job].state, simulation.jobs.jobs[job].ask_at) == (State.DELIVERED, None)


def forge_after_an_answer(simulation: Simulation, link: str, ending: Ending) -> str:
    """A POST had no clear answer and made no run; sent again, it was answered. Somebody else's run has its name."""
    simulation.unmatched_runs = 1  # nothing tells it from another run of ours: a person is told
    simulation.runflow.faults, simulation.runflow.endings = [Fault()], [ending]
    job_id = upload(simulation)
    awaits = State.WAITING if ending is FREE else State.SUBMITTED
    while job_id not in simulation.jobs.jobs or not simulation.runflow.runs:
        pass_time(simulation, 1.0)
    while simulation.jobs.jobs[job_id].state is not awaits or simulation.jobs.jobs[job_id].awaited:
        pass_time(simulation, 1.0)
    upload_of = simulation.jobs.jobs[job_id].upload
    ours = simulation.photos.presign("in", upload_of.key, upload_of.version_id, 60, "image/jpeg")
    url = ours if link == "ours" else link
    simulation.runflow.forge(job_id, f"{job_id}.1", url, {"aspect_ratio": "16:9"})
    return job_id


@pytest.mark.parametrize("link", ["runflow://assets/9", "ours"])
@pytest.mark.parametrize("ending", [FREE, Ending(600.0, 600.0)])
def test_no_foreign_run_is_used_after_an_answer(simulation: Simulation, link: str, ending: Ending) -> None:
    job_id = forge_after_an_answer(simulation, link, ending)
    rest(simulation)
    found = simulation.jobs.jobs[job_id]
    assert (found.state, found.run_id in simulation.runflow.foreign) == (State.DELIVERED, False)


@pytest.mark.parametrize("link", ["runflow://assets/9", "ours"])
@pytest.mark.parametrize("ending", [FREE, Ending(600.0, 600.0)])
def test_using_a_foreign_run_after_an_answer_would_be_noticed(
    simulation: Simulation, link: str, ending: Ending
) -> None:
    """A request that had no clear answer at first, and one later, is no reason to take a run of its name for ours."""
    kept, taken = "run.client_ref not in job.awaited", "not job.maybe_submitted"
    with Change("detag.domain.decisions:after_other_run", kept, taken).made():
        forge_after_an_answer(simulation, link, ending)
        simulation.run_out(simulation.time + 12 * DAY)
        simulation.checker.at_rest()
    assert "own run" in {name for name, _ in simulation.checker.broken}


def test_money_of_an_unconfirmed_post_stays_reserved(simulation: Simulation) -> None:
    """A retry's POST has no answer and made a run; then the first run is tried again, and its output used."""
    runflow = simulation.runflow
    runflow.habits.idempotency = "ignored"
    simulation.unmatched_runs = 1
    runflow.endings = [FREE, SLOW]
    job = upload(simulation)
    pass_time(simulation, 10.0)
    runflow.faults = [Fault(effect=True)]
    while len(runflow.runs) < 2:
        pass_time(simulation, 5.0)
    runflow.deaf = True  # the second run's callback is lost
    first, second = runflow.runs.values()
    while not second.ended:
        pass_time(simulation, 5.0)
    pass_time(simulation, 20.0)
    runflow.deaf = False
    runflow.try_again(first)
    pass_time(simulation, 30.0)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.run_id, found.reserved_run) == (State.DELIVERED, first.run_id, f"{job}.2")
    rest(simulation)
    assert (used(simulation), runflow.billed) == (Decimal(2), 2 * PRICE)


@pytest.mark.parametrize("lost", [False, True], ids=["callback", "callback lost"])
def test_a_superseded_jobs_earlier_run_is_delivered(simulation: Simulation, lost: bool) -> None:
    """A run failed free, and its photo was deleted; Runflow tries the run again, and bills it: what was paid for is
    delivered, as it would be had the photo been deleted while it ran.
    """
    simulation.unmatched_runs = 0
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    pass_time(simulation, 10.0)
    simulation.delete("shoe.jpg")
    while simulation.jobs.jobs[job].state is not State.SUPERSEDED:
        pass_time(simulation, 10.0)
    simulation.runflow.deaf = lost
    simulation.runflow.try_again(first_run(simulation))
    simulation.runflow.tried_again.add(first_run(simulation).run_id)
    pass_time(simulation, 60.0)
    rest(simulation)
    assert (simulation.runflow.billed, used(simulation)) == (PRICE, Decimal(1))
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert {*simulation.photos.outputs} == {"shoe.jpg.webp"}


@pytest.mark.parametrize("lost", [False, True], ids=["callback", "callback lost"])
@pytest.mark.parametrize("cost", [PRICE, None], ids=["told", "told late"])
def test_a_delivered_jobs_earlier_run_is_counted(simulation: Simulation, cost: Decimal | None, lost: bool) -> None:
    """A run failed free, and the next one was delivered; then Runflow tries the first again, and bills it."""
    simulation.unmatched_runs = 0
    simulation.runflow.endings = [FREE, Ending(cost=2 * PRICE, cost_after=0.0 if cost else 5 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    simulation.runflow.deaf = lost
    pass_time(simulation, DAY)
    simulation.runflow.tried_again.add(first_run(simulation).run_id)
    simulation.runflow.try_again(first_run(simulation))
    rest(simulation)
    assert (simulation.runflow.billed, used(simulation)) == (3 * PRICE, Decimal(3))
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1
    assert (simulation.jobs.jobs[job].state, simulation.jobs.jobs[job].ask_at) == (State.DELIVERED, None)


def test_a_copys_earlier_run_is_counted(simulation: Simulation) -> None:
    """A run failed free, and an equal photo was delivered before the next one; then Runflow tries the first again."""
    simulation.unmatched_runs = 0
    simulation.runflow.endings = [FREE, Ending()]
    job = upload(simulation, name="equal")
    pass_time(simulation, 10.0)
    upload(simulation, "other.jpg", name="equal")
    pass_time(simulation, HOUR)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.reused_from) == (State.DELIVERED, "other.jpg.webp")
    simulation.runflow.deaf = True
    simulation.runflow.tried_again.add(first_run(simulation).run_id)
    simulation.runflow.try_again(first_run(simulation))
    rest(simulation)
    assert (simulation.runflow.billed, used(simulation)) == (2 * PRICE, Decimal(2))
