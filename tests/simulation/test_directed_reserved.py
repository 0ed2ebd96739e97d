"""Money that stays reserved for a request without a clear answer, until a run of that very request is told of."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(1.0, 1.0, "failed", Decimal(0), code="INTERNAL")
REFUSED = Fault(422, code="VALIDATION", message="no")
GIVEN_UP = {"no failure for a paused intake", "paid once"}
"""What is not true where a photo is given up although nothing failed but the look at the run list."""


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


def come_to_rest(simulation: Simulation) -> None:
    """Until nothing happens any more; a photo may have been given up."""
    simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert {name for name, _ in simulation.checker.broken} <= GIVEN_UP, simulation.checker.broken


def give_up(simulation: Simulation, second: Ending, *, refused: bool = True) -> str:
    """A photo whose first run failed free of charge; the retry's POST makes another run, has no answer, and the job is
    closed: refused when it is sent again, or never confirmed. Returns the job's id.
    """
    runflow = simulation.runflow
    runflow.endings = [FREE, second]
    job = upload(simulation)
    pass_time(simulation, 5.0)
    runflow.habits.visible_after = 3 * HOUR
    runflow.faults = [Fault(effect=True), *([REFUSED] if refused else [])]
    runflow.habits.may_list = refused
    pass_time(simulation, 1_800.0 if refused else 80 * HOUR)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.FAILED, PRICE)
    return job


@pytest.mark.parametrize("lost", [False, True], ids=["callback", "no callback"])
@pytest.mark.parametrize("refused", [False, True], ids=["not confirmed", "refused"])
def test_an_old_failure_told_again_frees_no_money(simulation: Simulation, refused: bool, lost: bool) -> None:
    """Runflow repeats the callback of the run that failed before: that tells nothing of the unconfirmed request."""
    give_up(simulation, Ending(seconds=100 * HOUR, cost=2 * PRICE), refused=refused)
    simulation.receive(*simulation.runflow.callbacks[0])
    pass_time(simulation, 60.0)
    assert used(simulation) == PRICE
    simulation.runflow.deaf = lost
    come_to_rest(simulation)
    assert used(simulation) == (PRICE if lost else simulation.runflow.billed)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 0


def test_an_old_failure_told_again_lets_no_photo_through(simulation: Simulation) -> None:
    """Under a limit of one image a day: the money of the unconfirmed request pays for no other photo."""
    pass_time(simulation, 3 * HOUR)  # all of it on one day
    simulation.limit = PRICE
    simulation.set_limit(PRICE)
    give_up(simulation, Ending(seconds=1 * HOUR))
    simulation.receive(*simulation.runflow.callbacks[0])
    pass_time(simulation, 60.0)
    day, other = simulation.day(), upload(simulation, "other.jpg")
    pass_time(simulation, 1_200.0)
    assert simulation.day() == day and simulation.jobs.jobs[other].waits_for_intake
    come_to_rest(simulation)
    assert simulation.jobs.money[day] == PRICE


def test_a_delivery_from_an_earlier_run_frees_no_money(simulation: Simulation) -> None:
    """Runflow tries the first run again by itself: it is charged beside what stays for the unconfirmed request."""
    job = give_up(simulation, Ending(seconds=100 * HOUR, cost=2 * PRICE))
    first, second = simulation.runflow.runs.values()
    simulation.runflow.tried_again.add(first.run_id)
    simulation.runflow.try_again(first)
    pass_time(simulation, 60.0)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.run_id, used(simulation)) == (State.DELIVERED, first.run_id, 2 * PRICE)
    come_to_rest(simulation)
    assert simulation.jobs.jobs[job].reserved_run == second.run_id
    assert used(simulation) == simulation.runflow.billed == 3 * PRICE


def test_freeing_it_for_an_old_failure_would_be_noticed(simulation: Simulation) -> None:
    with Change(
        "detag.domain.decisions:is_reserved",
        "job.reserved_run in (run.run_id, run.client_ref)",
        "True",
    ).made():
        give_up(simulation, Ending(seconds=100 * HOUR))
        simulation.receive(*simulation.runflow.callbacks[0])
        simulation.run_out(simulation.time + 12 * DAY)
    assert "maybe paid, counted" in {name for name, _ in simulation.checker.broken}


def detail(simulation: Simulation, job: str) -> str:
    return str(simulation.jobs.jobs[job].detail)


def test_a_refusal_after_an_accepted_request_is_free(simulation: Simulation) -> None:
    """The first POST has no answer, but the same bytes are accepted then; their run fails, and a retry is refused."""
    simulation.runflow.faults = [Fault(), None, REFUSED]
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.REFUSED
    assert detail(simulation, job) == "Runflow answered 422: no"
    come_to_rest(simulation)
    assert used(simulation) == 0


def test_a_refusal_names_what_was_given_up_before(simulation: Simulation) -> None:
    """The first submission's URL expires before it is sent again: the second is refused at once."""
    simulation.url_lifetime_minutes = 15
    simulation.runflow.faults = [Fault(), REFUSED]
    job = upload(simulation)
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].submission_no == 2
    assert detail(simulation, job) == f"{job}.1: Runflow answered 422: no"
    come_to_rest(simulation)


def test_a_refusal_names_no_request_that_was_refused(simulation: Simulation) -> None:
    """The second submission is refused for now, and then for good."""
    simulation.url_lifetime_minutes = 15
    simulation.runflow.faults = [Fault(), Fault(429, code="RATE_LIMITED"), REFUSED]
    job = upload(simulation)
    pass_time(simulation, 2 * HOUR)
    assert detail(simulation, job).partition(":")[0] == f"{job}.1"
    come_to_rest(simulation)


def test_a_run_of_a_request_sent_again_is_tried_again(simulation: Simulation) -> None:
    """Its first POST had no answer; the run that the second one made fails free of charge."""
    simulation.runflow.faults = [Fault(), None]
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    come_to_rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert len(simulation.runflow.runs) == 2


def test_naming_what_was_refused_would_be_noticed(simulation: Simulation) -> None:
    simulation.url_lifetime_minutes = 15
    simulation.runflow.faults = [Fault(), REFUSED]
    named = "[name for name, _ in job.unaccounted]"
    with Change("detag.domain.job:_naming", named, "[*dict(job.unaccounted), job.client_ref]").made():
        upload(simulation)
        pass_time(simulation, 2 * HOUR)
    assert "maybe paid, counted" in {name for name, _ in simulation.checker.broken}


def test_a_run_too_late_to_be_asked_for_counts_as_billed(simulation: Simulation) -> None:
    """Its job was never confirmed, and closed for more than a week: only its callback tells."""
    simulation.runflow.habits.may_list = False
    simulation.runflow.faults = [Fault(effect=True)]
    simulation.runflow.endings = [Ending(seconds=11 * DAY, status="failed", cost=2 * PRICE)]
    upload(simulation)
    pass_time(simulation, 10.9 * DAY)
    assert used(simulation) == PRICE
    come_to_rest(simulation)
    assert used(simulation) == simulation.runflow.billed == 2 * PRICE


@pytest.mark.parametrize("cost", [Decimal(0), 2 * PRICE])
def test_an_older_requests_run_frees_no_money(simulation: Simulation, cost: Decimal) -> None:
    """Two submissions have no clear answer; the first one's run fails, and is told of again once the job is closed."""
    simulation.url_lifetime_minutes = 15
    runflow = simulation.runflow
    runflow.habits.visible_after = 3 * HOUR
    runflow.faults = [Fault(effect=True), Fault(), REFUSED]
    runflow.endings = [Ending(600.0, 720.0, "failed", cost)]
    job = upload(simulation)
    while not runflow.callbacks or simulation.jobs.jobs[job].state is not State.FAILED:
        pass_time(simulation, 10.0)
    assert [name[-2:] for name in simulation.jobs.jobs[job].awaited] == [".1", ".2"]
    before = used(simulation)
    simulation.receive(*runflow.callbacks[0])
    pass_time(simulation, 60.0)
    assert used(simulation) == before == PRICE + cost


def test_its_run_is_counted_once_while_it_is_asked_for(simulation: Simulation) -> None:
    """Refused when it was sent again; its run is seen while it goes on, and so becomes an earlier run of the job."""
    runflow = simulation.runflow
    runflow.endings = [Ending(queued=1.0, seconds=3 * HOUR)]
    runflow.habits.visible_after = 30 * HOUR
    runflow.faults = [Fault(effect=True), REFUSED]
    job = upload(simulation)
    pass_time(simulation, 1_800.0)
    (run_id,) = runflow.runs
    simulation.results.put({"job_id": job, "run_id": run_id}, safely=True)
    pass_time(simulation, 60.0)
    assert simulation.jobs.jobs[job].earlier_runs == (run_id,)
    come_to_rest(simulation)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.DELIVERED, runflow.billed)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 0


def test_an_item_of_an_earlier_version_keeps_its_money(simulation: Simulation) -> None:
    """The name of the request without an answer was not on it before it was sent again."""
    runflow = simulation.runflow
    runflow.endings = [Ending(queued=1.0, seconds=HOUR)]
    runflow.habits.visible_after = 30 * HOUR
    runflow.faults = [Fault(effect=True), REFUSED]
    job = upload(simulation)
    pass_time(simulation, 60.0)
    assert simulation.jobs.jobs[job].unconfirmed
    simulation.jobs.jobs[job] = replace(simulation.jobs.jobs[job], unaccounted=())
    pass_time(simulation, 1_800.0)
    assert simulation.jobs.jobs[job].reason is Reason.REFUSED_UNCONFIRMED
    come_to_rest(simulation)
    assert (simulation.jobs.jobs[job].state, used(simulation)) == (State.DELIVERED, runflow.billed)


def wait_for_the_first(simulation: Simulation, first: Ending, second: Ending) -> str:
    """Two requests without an answer each made a run. The first is found, and the job waits for it, with its money
    reserved for the second request. Returns the job's id.
    """
    simulation.unmatched_runs = 1  # the first: the run list had not shown it when its money went to the second
    runflow = simulation.runflow
    runflow.endings = [first, second]
    runflow.habits.visible_after, runflow.habits.idempotency = 3 * HOUR, "ignored"
    runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    runflow.habits.may_list = False  # until the photo's URL has expired: then it is started over under a new name
    pass_time(simulation, HOUR)
    runflow.habits.may_list, runflow.faults = True, [Fault(effect=True)]
    pass_time(simulation, 900.0)
    found, other = runflow.runs.values()
    runflow.habits.visible_after = simulation.time - found.created_at
    pass_time(simulation, 1_800.0)
    waits = simulation.jobs.jobs[job]
    assert (waits.run_id, waits.reserved_run) == (found.run_id, other.request["client_ref"])
    return job


@pytest.mark.parametrize("tells", [True, False], ids=["cost told", "cost not told"])
def test_a_result_is_paid_from_its_own_request(simulation: Simulation, tells: bool) -> None:
    """The second ends well while the job waits for the first. What was reserved for it pays for it, as billed."""
    failed = Ending(9_000.0, 60.0, "failed", Decimal(0), code="INTERNAL")
    job = wait_for_the_first(simulation, failed, Ending(3_000.0, 60.0, cost=2 * PRICE, tells_cost=tells))
    pass_time(simulation, 1_800.0)
    found, second = simulation.jobs.jobs[job], list(simulation.runflow.runs.values())[1]
    assert (found.run_id, found.reserved_run) == (second.run_id, None)
    come_to_rest(simulation)
    assert used(simulation) == (simulation.runflow.billed if tells else PRICE)


def test_a_failure_beside_the_jobs_run_is_billed(simulation: Simulation) -> None:
    """The second ends free of charge while the job waits for the first: nothing stays reserved for it."""
    first, second = (Ending(queued, 60.0, "failed", Decimal(0), code="INTERNAL") for queued in (9_000.0, 3_000.0))
    job = wait_for_the_first(simulation, first, second)
    assert used(simulation) == 2 * PRICE
    pass_time(simulation, 1_800.0)
    found, other = simulation.jobs.jobs[job], list(simulation.runflow.runs.values())[1]
    assert (found.state, found.reserved_run, used(simulation)) == (State.SUBMITTED, other.run_id, PRICE)
    come_to_rest(simulation)
    assert used(simulation) == simulation.runflow.billed == 0
