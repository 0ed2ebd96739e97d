"""The latest request of a photo: what is surely refused made no run, and what is kept for it pays for no other's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.decisions import before_post
from detag.domain.job import Job, State
from detag.domain.outcomes import NotSent
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import Simulation

FREE = Ending(1.0, 1.0, "failed", Decimal(0), code="INTERNAL")
REFUSALS = (
    Fault(429, code="RATE_LIMITED", retry_after=300.0),
    Fault(402, code="INSUFFICIENT_CREDIT"),
    Fault(401, code="UNAUTHORIZED"),
)


def used(simulation: Simulation) -> Decimal:
    return sum(simulation.jobs.money.values(), Decimal(0))


def refuse_second(simulation: Simulation, refusal: Fault) -> str:
    """The first request has no answer, and is accepted when its bytes are sent again; its run fails free of charge. The
    second request is refused for now. Returns the job's id.
    """
    simulation.runflow.faults = [Fault(), None, refusal]
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    while len(simulation.runflow.sent) < 3:
        pass_time(simulation, 5.0)
    pass_time(simulation, 2.0)
    return job


@pytest.mark.parametrize("refusal", REFUSALS, ids=["429", "402", "401"])
def test_what_is_surely_refused_frees_its_money(simulation: Simulation, refusal: Fault) -> None:
    job = refuse_second(simulation, refusal)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.unconfirmed, found.unaccounted) == (State.WAITING, False, ())
    assert used(simulation) == 0
    first = next(iter(simulation.runflow.runs.values()))
    simulation.runflow.tried_again.add(first.run_id)
    simulation.runflow.try_again(first)
    pass_time(simulation, HOUR)
    found = simulation.jobs.jobs[job]
    assert (found.state, found.run_id, found.reservation) == (State.DELIVERED, first.run_id, None)
    rest(simulation)
    assert used(simulation) == simulation.runflow.billed == PRICE


def test_a_list_nobody_may_read_fails_no_refused_photo(simulation: Simulation) -> None:
    """No request of it is without an answer, so that nothing is searched for."""
    job = refuse_second(simulation, REFUSALS[0])
    simulation.runflow.habits.may_list = False
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    rest(simulation)


def test_a_claim_undone_after_an_answer_is_free(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request is not sent for want of time: nothing of it is unconfirmed."""
    seen: list[str] = []

    def too_late(job: Job, *, seconds: float, killed_in: float, now: float) -> NotSent | None:
        seen.append(job.client_ref)
        return before_post(job, seconds=seconds if len(seen) != 3 else 0.0, killed_in=killed_in, now=now)

    monkeypatch.setattr("detag.services.submission.before_post", too_late)
    simulation.runflow.faults = [Fault()]
    simulation.runflow.endings = [FREE]
    job = upload(simulation)
    while len(seen) < 3:
        pass_time(simulation, 5.0)
    assert not simulation.jobs.jobs[job].unconfirmed
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED


def test_taking_a_refusal_for_no_answer_is_noticed(simulation: Simulation) -> None:
    """As long as anything of the job was ever unconfirmed."""
    with Change("detag.domain.job:back_off", "job.is_unanswered", "job.maybe_submitted").made():
        refuse_second(simulation, REFUSALS[0])
        first = next(iter(simulation.runflow.runs.values()))
        simulation.runflow.tried_again.add(first.run_id)
        simulation.runflow.try_again(first)
        pass_time(simulation, HOUR)
        simulation.checker.at_rest()
    assert "as billed" in {name for name, _ in simulation.checker.broken}


def answer_neither(simulation: Simulation, second: Ending) -> str:
    """Two requests have no clear answer, and each makes a run that the list shows much later; the first one's succeeds
    while the second is unconfirmed. Under a limit of two images a day. Returns the job's id.
    """
    simulation.url_lifetime_minutes = 15
    simulation.limit = 2 * PRICE
    simulation.set_limit(2 * PRICE)
    runflow = simulation.runflow
    runflow.endings = [Ending(1.0, 720.0), second]
    runflow.habits.visible_after = 60 * HOUR
    runflow.faults = [Fault(effect=True), Fault(effect=True)]
    job = upload(simulation)
    while not runflow.callbacks:
        pass_time(simulation, 10.0)
    runflow.too_late |= {*runflow.runs}
    pass_time(simulation, 60.0)
    return job


def test_an_older_requests_run_is_not_paid_with_its_money(simulation: Simulation) -> None:
    """It is charged by its own id, so that no photo takes what the second one's run is going to cost."""
    job = answer_neither(simulation, Ending(1.0, 2 * HOUR))
    found = simulation.jobs.jobs[job]
    first, second = simulation.runflow.runs.values()
    assert (found.state, found.run_id, found.reserved_run) == (State.DELIVERED, first.run_id, f"{job}.2")
    assert used(simulation) == 2 * PRICE
    day, other = simulation.day(), upload(simulation, "other.jpg")
    pass_time(simulation, 600.0)
    assert simulation.day() == day and simulation.jobs.jobs[other].waits_for_intake
    pass_time(simulation, 2 * HOUR)
    assert second.ended and simulation.jobs.jobs[job].reserved_run == second.run_id
    rest(simulation)
    assert simulation.jobs.money[day] == 2 * PRICE


def test_an_older_request_found_by_the_search_is_charged(simulation: Simulation) -> None:
    """The list shows the first request's run while the second has no answer; no callback tells of either."""
    simulation.runflow.deaf = True
    job = answer_neither(simulation, Ending(1.0, 2 * HOUR))
    simulation.runflow.habits.visible_after = 15 * 60.0
    pass_time(simulation, HOUR)
    first, second = simulation.runflow.runs.values()
    found = simulation.jobs.jobs[job]
    assert (found.state, found.run_id, found.reserved_run) == (State.DELIVERED, first.run_id, f"{job}.2")
    assert (used(simulation), [*simulation.jobs.charges]) == (2 * PRICE, [first.run_id])
    simulation.runflow.deaf = False
    rest(simulation)
    assert used(simulation) == simulation.runflow.billed == 2 * PRICE
    assert simulation.jobs.jobs[job].reserved_run == second.run_id


def test_paying_an_older_run_with_its_money_is_noticed(simulation: Simulation) -> None:
    with Change("detag.domain.job:Job.keeps_money_from", "self.client_ref in self.awaited", "False").made():
        answer_neither(simulation, Ending(1.0, 2 * HOUR))
    assert "maybe paid, counted" in {name for name, _ in simulation.checker.broken}
