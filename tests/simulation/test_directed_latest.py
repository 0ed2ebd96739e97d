"""The latest request of a photo: what is surely refused made no run, and what is kept for it pays for no other's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
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
    assert (found.state, found.unconfirmed, found.awaited, used(simulation)) == (State.WAITING, False, {}, 0)
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
    refused = "detag.services.submission:before_post"
    seen: list[str] = []

    def too_late(job: object, **_: object) -> object:
        seen.append(str(job))
        return real(job, **_) if len(seen) != 3 else NotSent("too little time is left")

    from detag.domain.decisions import NotSent
    from detag.domain.decisions import before_post as real

    monkeypatch.setattr(refused.replace(":", "."), too_late)
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
