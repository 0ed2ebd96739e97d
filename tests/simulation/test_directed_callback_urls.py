"""Output URLs that only callbacks sign: a passing fault, or a lost callback, loses no paid output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.domain.runs import Run, RunStatus
from detag.domain.waits import CALLBACK_URLS
from detag.ports.errors import Transient
from detag.ports.jobs import DeliveryHeld
from detag.ports.runs_fake import Ending
from tests.simulation.directed import HOUR, pass_time, rest, states, upload
from tests.simulation.simulation import DAY, VISIBILITY, Simulation
from tests.simulation.sqs import MAX_RECEIVES


@pytest.fixture
def only(simulation: Simulation) -> Simulation:
    """A simulation in which only callbacks have signed URLs, which live for a day, and none is sent again."""
    simulation.runflow.habits.signs, simulation.runflow.habits.redelivers = "in callbacks", False
    simulation.runflow.habits.output_url_seconds = DAY
    return simulation


def fail_once(monkeypatch: pytest.MonkeyPatch, holder: object, name: str) -> None:
    """The next call fails, before it has any effect."""
    real: Callable[..., object] = getattr(holder, name)
    faults = [Transient("SlowDown")]

    def call(*args: object, **named: object) -> object:
        if faults:
            raise faults.pop()
        return real(*args, **named)

    monkeypatch.setattr(holder, name, call)


@pytest.mark.parametrize("call", ["put", "existing"])
def test_a_passing_fault_of_s3_loses_no_callbacks_urls(
    only: Simulation, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    fail_once(monkeypatch, only.photos, call)
    job = upload(only)
    pass_time(only, HOUR)
    assert only.jobs.jobs[job].state is State.DELIVERED
    rest(only)
    assert not only.results.died


def test_a_callback_that_another_worker_delays_comes_again(only: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version is being stored when it comes."""
    job = upload(only)
    real = only.jobs.begin_delivery
    until = only.time + 100.0

    def begin(*args: Any) -> object:
        if only.time < until:
            raise DeliveryHeld
        return real(*args)

    monkeypatch.setattr(only.jobs, "begin_delivery", begin)
    pass_time(only, HOUR)
    assert only.jobs.jobs[job].state is State.DELIVERED
    rest(only)


def test_a_callback_that_comes_before_the_record_has_ended(only: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record shows the end a minute later than the callback tells of it."""
    real = only.runflow.get

    def get(run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        run = real(run_id, signed=signed, account=account)
        late = run is not None and only.time < (only.runflow.runs[run_id].completed_at or 0.0) + 60.0
        return replace(run, status=RunStatus.RUNNING, output_urls=()) if run is not None and late else run

    monkeypatch.setattr(only.runflow, "get", get)
    job = upload(only)
    pass_time(only, HOUR)
    assert only.jobs.jobs[job].state is State.DELIVERED
    rest(only)


def test_an_outage_of_s3_makes_no_callback_a_dead_letter(only: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes again while its URLs may be of use, and never so often that it is taken for a bug."""
    assert (
        VISIBILITY["deliver"] * (MAX_RECEIVES - 2) < CALLBACK_URLS.seconds < VISIBILITY["deliver"] * (MAX_RECEIVES - 1)
    )
    only.runflow.habits.signs = "always"
    real, until = only.photos.put, only.time + 2 * HOUR

    def put(*args: Any) -> object:
        if only.time < until:
            raise Transient("SlowDown")
        return real(*args)

    monkeypatch.setattr(only.photos, "put", put)
    job = upload(only)
    rest(only)
    assert only.jobs.jobs[job].state is State.DELIVERED
    assert not only.results.died


@pytest.mark.parametrize("seconds", [20.0, 30 * HOUR])
def test_a_lost_callback_is_asked_for(only: Simulation, seconds: float) -> None:
    """So is that of a run that ended after its time."""
    only.runflow.habits.redelivers = only.runflow.deaf = True
    only.runflow.endings = [Ending(seconds=seconds)]
    job = upload(only)
    pass_time(only, 10.0)
    only.after(seconds + 60.0, lambda: setattr(only.runflow, "deaf", False))
    rest(only)
    assert only.jobs.jobs[job].state is State.DELIVERED


def test_a_callback_is_asked_for_once_a_day_and_not_for_ever(only: Simulation) -> None:
    """Runflow does not know the call: the photo ends as it did without it."""
    only.runflow.deaf = True
    job = upload(only)
    only.run_out(only.time + 30 * DAY)
    assert states(only, job) == ["submitting", "submitted", "failed"]
    assert only.jobs.jobs[job].reason is Reason.UNDELIVERABLE
    asked = [line for line in only.telemetry.lines if line.message == "callback asked for again"]
    assert 6 <= len(asked) <= 11
    assert {name for name, _ in only.checker.broken} <= {"nothing paid is lost"}


def test_no_callback_is_asked_for_while_another_road_is_open(simulation: Simulation) -> None:
    simulation.runflow.deaf = True
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.jobs.jobs[job].callback_asked_at == 0.0
