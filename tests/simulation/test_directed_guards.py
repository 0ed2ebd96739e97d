"""Guards that chance needs rarely: what each is for, with it and without it, step by step."""

from __future__ import annotations

import json

import pytest

from detag.domain.job import State
from detag.domain.waits import CLOCK_SKEW
from detag.ports.runs_fake import Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, set_clocks, upload
from tests.simulation.mutant import DECISIONS, Change
from tests.simulation.simulation import Simulation


def broken(simulation: Simulation) -> set[str]:
    return {name for name, _ in simulation.checker.broken}


# Two clocks: confirmation is awaited in full although one worker's clock is behind, and the next one's ahead


def unclear_between_two_clocks(simulation: Simulation) -> None:
    """A POST without an answer, by a worker whose clock is behind; twenty seconds before its confirmation time is over,
    the event comes once more, to a worker whose clock is ahead.
    """
    set_clocks(simulation, -CLOCK_SKEW / 2)
    simulation.runflow.faults = [Fault()]
    upload(simulation)
    while not simulation.runflow.sent:
        pass_time(simulation, 1.0)
    simulation.run_until(simulation.runflow.sent[0].at + simulation.confirmation_minutes * 60.0 - 20.0)
    set_clocks(simulation, CLOCK_SKEW / 2)
    simulation.uploads.put(simulation.arrivals[0], safely=True)
    pass_time(simulation, 5.0)


def test_confirmation_is_awaited_whatever_the_clocks_say(simulation: Simulation) -> None:
    unclear_between_two_clocks(simulation)
    assert len(simulation.runflow.sent) == 1
    rest(simulation)
    assert len(simulation.runflow.sent) == 2


def test_confirmation_by_one_clock_would_be_noticed(simulation: Simulation) -> None:
    with Change("detag.app:_confirmation_seconds", "+ CLOCK_SKEW", "").made():
        unclear_between_two_clocks(simulation)
    assert len(simulation.runflow.sent) == 2
    assert "confirmation awaited first" in broken(simulation)


# Closed job: a message about its run is done with before Runflow is asked


def once_more_in_an_outage(simulation: Simulation, state: State) -> str:
    """A photo whose job is closed; while Runflow answers nothing, the message about its run comes once more."""
    simulation.runflow.endings = {
        State.DELIVERED: [Ending()],
        State.SUPERSEDED: [Ending(seconds=600.0), Ending()],
    }[state]
    job = upload(simulation)
    pass_time(simulation, 5.0)
    if state is State.SUPERSEDED:
        upload(simulation)
    pass_time(simulation, HOUR)
    found = simulation.jobs.jobs[job]
    assert found.state is state
    simulation.runflow.down = True
    simulation.results.put({"job_id": job, "run_id": found.run_id}, safely=True)
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job] == found
    return job


CLOSED = (State.DELIVERED, State.SUPERSEDED)


@pytest.mark.parametrize("state", CLOSED)
def test_a_message_about_a_closed_job_needs_no_answer(simulation: Simulation, state: State) -> None:
    once_more_in_an_outage(simulation, state)
    assert simulation.results.died == []


@pytest.mark.parametrize("state", CLOSED)
def test_asking_about_a_closed_job_would_be_noticed(simulation: Simulation, state: State) -> None:
    """Its message becomes a dead letter, although nothing is left to do."""
    with Change(DECISIONS + "already_done", "job.state.terminal and (not job.repairable)", "False").made():
        job = once_more_in_an_outage(simulation, state)
    assert [json.loads(one.body)["job_id"] for one in simulation.results.died] == [job]
