"""An API key of another account is stored meanwhile: what it does not show may exist, and be paid for."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, upload
from tests.simulation.simulation import DAY, Simulation

THEIRS, ROTATED = "key of another account", "key of the same account"


def store(simulation: Simulation, key: str) -> None:
    """An operator stores another key."""
    habits = simulation.runflow.habits
    habits.accounts = {"key 1": "ours", ROTATED: "ours", THEIRS: "theirs"}
    habits.key = key


def lost_answer(simulation: Simulation, *, made: bool = True) -> str:
    """A photo whose POST had no answer, and made a run or none; its job."""
    simulation.runflow.deaf = True
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.faults = [Fault(effect=made)]
    return upload(simulation)


def counted(simulation: Simulation) -> float:
    """How often the metric was counted whose alarm tells a person."""
    return simulation.telemetry.counts["OtherAccount"]


@pytest.mark.parametrize("made", [True, False], ids=["a run", "no run"])
def test_none_found_by_another_accounts_key_is_no_proof(simulation: Simulation, made: bool) -> None:
    """An unconfirmed photo waits, and a person is told; once the key is back it goes on, and is paid for once."""
    job = lost_answer(simulation, made=made)
    pass_time(simulation, 60.0)
    store(simulation, THEIRS)
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.OTHER_ACCOUNT
    assert counted(simulation) and len(simulation.runflow.sent) == 1
    store(simulation, "key 1")
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == PRICE


def test_an_equal_photo_behind_one_that_waits_is_idle(simulation: Simulation) -> None:
    """A batch is told of though a photo waits for the account's key, and another for that photo."""
    for number in range(10):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 300.0)
    lost_answer(simulation)
    pass_time(simulation, 10.0)
    store(simulation, THEIRS)
    there = simulation.photos.current("in", "shoe.jpg")
    assert there is not None
    simulation.upload("equal.jpg", there[1].data)
    pass_time(simulation, 2 * HOUR)
    waiting = {"other_account": 1, "same_picture": 1}
    assert [detail["waiting"] for kind, detail in simulation.events.published if kind == "Batch Finished"] == [waiting]
    store(simulation, "key 1")
    rest(simulation)


def test_a_run_unknown_to_another_account_is_not_given_up(simulation: Simulation) -> None:
    """A run that still runs is not `unknown_run` because another account's key does not show it."""
    simulation.runflow.deaf = True
    simulation.runflow.endings = [Ending(queued=10.0, seconds=3 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, 60.0)
    store(simulation, THEIRS)
    pass_time(simulation, 30 * HOUR)
    assert simulation.jobs.jobs[job].state is State.SUBMITTED
    assert counted(simulation)
    store(simulation, "key 1")
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == PRICE


def test_a_new_photo_is_sent_with_the_new_key(simulation: Simulation) -> None:
    """Only what was sent with the other key waits; later both accounts' photos are delivered, each paid for once."""
    simulation.runflow.deaf = True
    simulation.runflow.endings = [Ending(queued=10.0, seconds=3 * HOUR), SLOW]
    ours = upload(simulation)
    pass_time(simulation, 60.0)
    store(simulation, THEIRS)
    theirs = upload(simulation, "b.jpg")
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[theirs].state is State.DELIVERED
    assert simulation.jobs.jobs[ours].state is State.SUBMITTED
    store(simulation, "key 1")
    rest(simulation)
    assert simulation.jobs.jobs[ours].state is State.DELIVERED
    assert simulation.runflow.billed == 2 * PRICE


@pytest.mark.parametrize("made", [True, False], ids=["a run", "no run"])
def test_a_key_rotated_in_its_account_disturbs_nothing(simulation: Simulation, made: bool) -> None:
    """An unconfirmed photo and a run that is not known yet go on with another key of the same account."""
    job = lost_answer(simulation, made=made)
    simulation.runflow.habits.known_after = 1_200.0
    pass_time(simulation, 60.0)
    store(simulation, ROTATED)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert (counted(simulation), simulation.runflow.billed) == (0, PRICE)


def test_a_rotated_key_without_an_account_finds_runs(simulation: Simulation) -> None:
    """Where Runflow names no account, what a rotated key shows counts all the same."""
    simulation.runflow.habits.names_account = False
    job = lost_answer(simulation)
    pass_time(simulation, 60.0)
    store(simulation, ROTATED)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert (counted(simulation), simulation.runflow.billed) == (0, PRICE)


@pytest.mark.parametrize("back", [True, False])
def test_a_rotated_key_without_an_account_proves_nothing(simulation: Simulation, back: bool) -> None:
    """... and what it does not show may exist: the photo waits for the former key, or after three days for a person."""
    simulation.runflow.habits.names_account = False
    job_id = lost_answer(simulation, made=False)
    pass_time(simulation, 60.0)
    store(simulation, ROTATED)
    pass_time(simulation, 71 * HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.OTHER_ACCOUNT
    if back:
        store(simulation, "key 1")
        rest(simulation)
        assert simulation.jobs.jobs[job_id].state is State.DELIVERED
        return
    pass_time(simulation, 3 * HOUR)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, job.reason) == (State.FAILED, Reason.NOT_CONFIRMED)
    assert len(simulation.runflow.sent) == 1
    assert "_failed/shoe.jpg.txt" in simulation.photos.outputs


def test_a_run_is_asked_for_a_week_before_it_is_given_up(simulation: Simulation) -> None:
    """A run whose account's key never comes back reaches a person; its key, stored in the week after, repairs it."""
    simulation.runflow.deaf = True
    job_id = upload(simulation)
    pass_time(simulation, 60.0)
    store(simulation, THEIRS)
    pass_time(simulation, 8 * DAY)
    assert simulation.jobs.jobs[job_id].reason is Reason.UNDELIVERABLE
    store(simulation, "key 1")
    rest(simulation)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED


def test_a_search_in_parts_does_not_mix_two_accounts(simulation: Simulation) -> None:
    """A search that another account's key went on with begins again at the top: a cursor is of one account's list."""
    simulation.runflow.habits.page_limit, simulation.runflow.page_seconds = 10, 3.0
    simulation.runflow.habits.client_ref_filter = "none"
    job = lost_answer(simulation)
    for minute in range(11):
        simulation.after(60.0 * minute + 1, lambda: simulation.runflow.others(20))
    pass_time(simulation, 30.0)
    while not simulation.jobs.jobs[job].search_from:
        pass_time(simulation, 1.0)
    store(simulation, THEIRS)
    while simulation.jobs.jobs[job].reason is not Reason.OTHER_ACCOUNT:
        pass_time(simulation, 1.0)
    assert simulation.jobs.jobs[job].search_from is None
    store(simulation, "key 1")
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert len(simulation.runflow.sent) == 1
