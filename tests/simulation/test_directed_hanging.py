"""Services that hang, invocations that are refused, and items that cannot be read, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from tests.simulation.directed import HOUR, by_state, pass_time, rest, states, upload
from tests.simulation.simulation import DAY, PRICE, TIMEOUTS, Simulation


@pytest.fixture
def faulty(simulation: Simulation) -> Iterator[Simulation]:
    """A simulation in which happens what a test gives a rate to, and nothing else."""
    simulation.profile.active = True
    hangs(simulation)
    yield simulation
    hangs(simulation)


def hangs(simulation: Simulation, *kinds: str) -> None:
    """From now on these kinds of calls hang, and no other fault fires."""
    simulation.profile.rates = dict.fromkeys(kinds, 1.0)
    simulation.profile._of_an_effect.clear()


def end(simulation: Simulation) -> None:
    """The fault is over: everything comes to its end."""
    simulation.profile.active = False
    simulation.wake(simulation.time)
    simulation.redrive_all()
    rest(simulation)


@pytest.mark.parametrize(("kind", "count"), [("S3 hangs", 10), ("Runflow hangs", 10), ("output hangs", 1)])
def test_while_a_service_hangs_every_photo_has_an_item(faulty: Simulation, kind: str, count: int) -> None:
    """For half an hour no call of a service comes back: each photo is written down, no message of an upload becomes a
    dead letter, and no process is killed at its deadline. One process at a time: here a second one that hangs inside
    the first would take up the first one's time.
    """
    faulty.uploads.window = 2.0
    hangs(faulty, kind)
    jobs = [upload(faulty, f"{number}.jpg") for number in range(count)]
    pass_time(faulty, HOUR / 2)
    assert set(faulty.jobs.jobs) == set(jobs)
    assert not faulty.uploads.died
    assert faulty.profile.seen[kind] > 0
    assert faulty.profile.seen["worker killed"] == 0
    end(faulty)
    assert by_state(faulty) == {"delivered": count}
    assert len(faulty.runflow.runs) == count


def test_a_table_that_hangs_kills_no_process(faulty: Simulation) -> None:
    """Nothing can be written down: the messages come back, and end as dead letters that can be sent on."""
    hangs(faulty, "DynamoDB hangs")
    for number in range(3):
        upload(faulty, f"{number}.jpg")
    pass_time(faulty, HOUR)
    assert faulty.profile.seen["worker killed"] == 0
    assert len(faulty.uploads.dead) == 3
    end(faulty)
    assert by_state(faulty) == {"delivered": 3}


def test_a_hanging_photo_keeps_no_other_waiting(faulty: Simulation) -> None:
    """Of a batch only one photo's call hangs: the others are sent within that very invocation."""
    faulty.uploads.window = 2.0
    real = faulty.photos.read_head

    def read_head(bucket: str, key: str, *arguments: Any) -> Any:
        hangs(faulty, *(["S3 hangs"] if key == "0.jpg" else []))
        try:
            return real(bucket, key, *arguments)
        finally:
            hangs(faulty)

    faulty.photos.read_head = read_head  # type: ignore[method-assign, assignment]
    jobs = [upload(faulty, f"{number}.jpg") for number in range(5)]
    pass_time(faulty, TIMEOUTS["submit"])
    assert [faulty.jobs.jobs[job].state is State.WAITING for job in jobs] == [True, False, False, False, False]
    faulty.photos.read_head = real  # type: ignore[method-assign]
    end(faulty)
    assert by_state(faulty) == {"delivered": 5}


def test_a_throttled_lambda_loses_nothing(simulation: Simulation) -> None:
    """Invocations are refused for ten minutes: messages come back, and Runflow sends its callbacks again."""
    early = upload(simulation, "early.jpg")
    pass_time(simulation, 5.0)
    simulation.throttled_until = simulation.time + 600.0
    late = upload(simulation, "late.jpg")
    pass_time(simulation, 500.0)
    assert late not in simulation.jobs.jobs
    rest(simulation)
    assert not simulation.uploads.died
    assert [states(simulation, job)[-1] for job in (early, late)] == ["delivered"] * 2
    assert len(simulation.runflow.runs) == 2


def test_a_lambda_throttled_for_hours_leaves_dead_letters(simulation: Simulation) -> None:
    """After five refusals a message is a dead letter: sent on, its photo is paid for once."""
    simulation.throttled_until = simulation.time + 3 * HOUR
    job = upload(simulation)
    pass_time(simulation, 4 * HOUR)
    assert len(simulation.uploads.dead) == 1
    simulation.redrive_all()
    rest(simulation)
    assert states(simulation, job)[-1] == "delivered"


@pytest.mark.parametrize("waits", [False, True])
def test_an_unreadable_item_ends_once_it_can_be_read(simulation: Simulation, waits: bool) -> None:
    """After a rollback an item, due or waiting for intake, cannot be read for three days: the others end meanwhile, it
    is told of once a day, and after the roll forward it ends too, paid for once.
    """
    simulation.set_limit(PRICE * 0 if waits else None)
    job = upload(simulation, "unreadable.jpg")
    pass_time(simulation, 10.0)
    assert states(simulation, job)[-1] == ("waiting" if waits else "submitted")
    simulation.jobs.unreadable.add(job)
    others = [upload(simulation, f"{number}.jpg") for number in range(5)]
    pass_time(simulation, HOUR)
    simulation.set_limit(None)
    pass_time(simulation, 3 * DAY)
    assert {states(simulation, other)[-1] for other in others} == {"delivered"}
    assert states(simulation, job)[-1] == ("waiting" if waits else "submitted")
    assert simulation.uploads.dead, "a person is told"
    assert simulation.telemetry.counts["UnreadableItem"] < 40, "once a day by reconcile, five times by each message"
    simulation.jobs.unreadable.clear()
    simulation.redrive_all()
    rest(simulation)
    assert states(simulation, job)[-1] == "delivered"
    assert len(simulation.runflow.runs) == 6


def test_an_unreadable_intake_pauses_and_loses_nothing(simulation: Simulation) -> None:
    """Photos wait while nobody knows what the intake is, and go on once it can be read."""
    simulation.jobs.intake_unreadable = True
    jobs = [upload(simulation, f"{number}.jpg") for number in range(5)]
    pass_time(simulation, HOUR)
    assert {simulation.jobs.jobs[job].reason for job in jobs} == {Reason.UNREADABLE_INTAKE}
    assert simulation.telemetry.counts["GateHeld"] > 10
    simulation.jobs.intake_unreadable = False
    rest(simulation)
    assert by_state(simulation) == {"delivered": 5}
