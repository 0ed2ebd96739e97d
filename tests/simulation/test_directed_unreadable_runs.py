"""Runs whose records Runflow cannot show: each waits on its own, and all others go on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from detag.domain.decisions import DOWN_AFTER
from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, by_state, pass_time, rest, upload
from tests.simulation.simulation import DAY, Simulation

WEEK = 7 * DAY


def sent(simulation: Simulation, count: int) -> list[str]:
    """So many photos whose runs were made, one after the other, and whose callbacks are lost; the ids of the runs. For
    ten minutes no function runs, so that all are overdue at once.
    """
    simulation.runflow.deaf = True
    for number in range(count):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 3.0)
    jobs = simulation.jobs.jobs.values()
    assert {job.state for job in jobs} == {State.SUBMITTED}
    simulation.throttled_until = simulation.time + 600.0
    return [str(job.run_id) for job in jobs]


def spoil(simulation: Simulation, run_id: str, seconds: float = math.inf) -> None:
    simulation.runflow.unreadable[run_id] = simulation.time + seconds


@pytest.mark.parametrize("count", [2, 60])
def test_one_record_that_cannot_be_read_delays_no_other(simulation: Simulation, count: int) -> None:
    """The oldest run's record cannot be read for ever: all others are delivered within the hour, and it fails after the
    seven days that are agreed, with an event; not earlier.
    """
    first, *_ = sent(simulation, count)
    simulation.runflow.habits.list_entries = "ids"
    spoil(simulation, first)
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"submitted": 1, "delivered": count - 1}
    pass_time(simulation, WEEK - 2 * HOUR)
    assert by_state(simulation) == {"submitted": 1, "delivered": count - 1}
    pass_time(simulation, 3 * HOUR)
    (failed,) = (job for job in simulation.jobs.jobs.values() if job.state is State.FAILED)
    assert (failed.run_id, failed.reason) == (first, Reason.UNDELIVERABLE)
    told = [one["job_id"] for kind, one in simulation.events.published if kind == "Photo Failed"]
    assert failed.job_id in told
    rest(simulation)


def test_a_record_that_cannot_be_read_for_days_delays_its_photo(simulation: Simulation) -> None:
    (run_id,) = sent(simulation, 1)
    spoil(simulation, run_id, 6 * DAY)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 1}
    asked = simulation.runflow.asked.count(run_id)
    assert asked < 6 * 48 + 20, "twice an hour, in the end"


def test_a_callback_does_not_end_the_wait_for_its_record(simulation: Simulation) -> None:
    """The callback of a failed run arrived, its record cannot be read: a person is told after seven days."""
    simulation.runflow.endings = [Ending(status="failed", code="MODEL_ERROR")]
    job_id = upload(simulation)
    pass_time(simulation, 5.0)
    spoil(simulation, str(simulation.jobs.jobs[job_id].run_id))
    pass_time(simulation, WEEK - HOUR)
    assert simulation.jobs.jobs[job_id].state is State.SUBMITTED
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.UNDELIVERABLE
    rest(simulation)


@pytest.mark.sized
@pytest.mark.parametrize("many", [False, True])
def test_a_key_that_may_not_read_runs_reaches_a_person(simulation: Simulation, many: bool, full_size: bool) -> None:
    """No record and no list can be read for ever: every photo fails, none earlier than after seven days."""
    count = (60 if full_size else 20) if many else 5
    for run_id in sent(simulation, count):
        spoil(simulation, run_id)
    simulation.runflow.habits.may_list = False
    pass_time(simulation, WEEK - HOUR)
    assert by_state(simulation) == {"submitted": count}
    pass_time(simulation, 6 * HOUR)
    assert {job.reason for job in simulation.jobs.jobs.values()} == {Reason.UNDELIVERABLE}
    assert [kind for kind, _ in simulation.events.published].count("Photo Failed") == count
    rest(simulation)


@pytest.mark.parametrize("days", [0.2, 6.0])
def test_an_outage_ends_no_photo_and_costs_few_calls(simulation: Simulation, days: float) -> None:
    """While nothing can be read, each minute asks for a few runs only, and in turn; then all go on."""
    runs = sent(simulation, 60)
    simulation.runflow.down = True
    asked, pages = len(simulation.runflow.asked), simulation.runflow.pages
    pass_time(simulation, days * DAY)
    calls = len(simulation.runflow.asked) - asked + simulation.runflow.pages - pages
    assert calls <= days * 24 * 60 * (DOWN_AFTER + 1)
    assert set(simulation.runflow.asked[asked:]) == set(runs)
    simulation.runflow.down = False
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"delivered": 60}
    rest(simulation)


@pytest.mark.parametrize("habit", ["may_list", "list_readable"])
def test_a_list_that_cannot_be_read_is_not_needed(simulation: Simulation, habit: str) -> None:
    """With so many overdue runs that the list would be read, each is asked for by its id."""
    sent(simulation, 60)
    setattr(simulation.runflow.habits, habit, False)
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"delivered": 60}
    rest(simulation)


@pytest.mark.parametrize("broken", [1, 7])
@pytest.mark.parametrize("client_ref_filter", ["ignored", "none"])
def test_strangers_records_do_not_hide_our_run(simulation: Simulation, client_ref_filter: Any, broken: int) -> None:
    """The list shows little, and strangers' records cannot be read: ours is asked for all the same, and adopted."""
    habits = simulation.runflow.habits
    habits.list_entries, habits.client_ref_filter = "thin", client_ref_filter
    simulation.runflow.faults = [Fault(effect=True)]
    simulation.runflow.deaf = True
    job_id = upload(simulation)
    pass_time(simulation, 5.0)
    simulation.runflow.others(broken)
    for run_id in simulation.runflow.foreign:
        spoil(simulation, run_id)
    pass_time(simulation, 6 * HOUR)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    assert simulation.runflow.billed == PRICE * (broken + 1)
    rest(simulation)


def test_a_record_that_cannot_be_read_is_not_taken_for_no(simulation: Simulation) -> None:
    """No run was made, and a stranger's record cannot be read: nothing is sent again, and a person is told."""
    habits = simulation.runflow.habits
    habits.list_entries, habits.client_ref_filter = "thin", "none"
    simulation.runflow.faults = [Fault()]
    job_id = upload(simulation)
    simulation.runflow.others(3)
    spoil(simulation, sorted(simulation.runflow.foreign)[1])
    pass_time(simulation, 2 * DAY)
    assert simulation.jobs.jobs[job_id].state is State.WAITING
    pass_time(simulation, 2 * DAY)
    assert simulation.jobs.jobs[job_id].reason is Reason.NOT_CONFIRMED
    assert len(simulation.runflow.sent) == 1


def test_a_search_that_meets_an_outage_says_so(simulation: Simulation) -> None:
    """So many records in a row that cannot be read are an outage: it goes on after a wait, not at once."""
    habits = simulation.runflow.habits
    habits.list_entries, habits.client_ref_filter = "thin", "none"
    simulation.runflow.faults = [Fault()]
    upload(simulation)
    simulation.runflow.others(2 * DOWN_AFTER)
    for run_id in simulation.runflow.foreign:
        spoil(simulation, run_id)
    pass_time(simulation, 1_200.0)
    whys = [str(line.fields["why"]) for line in simulation.telemetry.lines if line.message == "unconfirmed"]
    assert whys and all(why.startswith("Runflow answered") for why in whys)
