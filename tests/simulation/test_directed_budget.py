"""Money beyond what the simulation draws often: midnights, prices, lost budgets and lost alarms, step by step."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.money import day_of
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, SLOW, by_state, pass_time, rest, set_clocks, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation

DECISIONS, SUBMISSION = "detag.domain.decisions:", "detag.services.submission:Submission."


def to_midnight(simulation: Simulation, seconds: float) -> None:
    """Until so many seconds before the next UTC midnight."""
    simulation.run_until((simulation.time // DAY + 1) * DAY - seconds)


def runs_by_day(simulation: Simulation) -> Counter[str]:
    """How many runs were made on each UTC day."""
    return Counter(day_of(simulation.runflow.post_of(run).at) for run in simulation.runflow.runs.values())


def broken(simulation: Simulation) -> set[str]:
    return {name for name, _ in simulation.checker.broken}


# Midnight


def unclear_before_midnight(simulation: Simulation) -> list[str]:
    """Five photos whose requests five minutes before midnight made no run, and five more after it, at five a day."""
    simulation.set_limit(5 * PRICE)
    to_midnight(simulation, 300.0)
    simulation.runflow.faults = [Fault() for _ in range(5)]
    jobs = [upload(simulation, f"{number}.jpg") for number in range(5)]
    to_midnight(simulation, 60.0)
    pass_time(simulation, 120.0)
    jobs += [upload(simulation, f"{number}.jpg") for number in range(5, 10)]
    return jobs


def test_requests_of_yesterday_are_paid_from_todays_budget(simulation: Simulation) -> None:
    unclear_before_midnight(simulation)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 10}
    assert sorted(runs_by_day(simulation).values()) == [5, 5]
    assert set(simulation.jobs.money.values()) == {Decimal(0), 5 * PRICE}


def test_sending_yesterdays_bytes_again_would_be_noticed(simulation: Simulation) -> None:
    with (
        Change("detag.domain.search:_why_not_again", "job.reservation.day != day_of(now)", "False").made(),
        Change(
            DECISIONS + "before_post", "not is_surely(day, now, seconds=killed_in, skew=waits.CLOCK_SKEW)", "False"
        ).made(),
    ):
        unclear_before_midnight(simulation)
        simulation.run_out(simulation.time + 5 * DAY)
    simulation.checker.at_rest()
    assert {"daily spend limit", "paid from its own day"} <= broken(simulation)
    assert max(runs_by_day(simulation).values()) == 10


def stalled_before_midnight(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is behind stalls for most of its life, right before its request leaves."""
    real = simulation.before_effect

    def before_effect(name: str) -> str | None:
        found = real(name)
        if name == "runs.create":
            monkeypatch.setattr(simulation, "before_effect", real)
            simulation.stall(20.0, "worker stalled", name)
        return found

    set_clocks(simulation, -29.0)
    to_midnight(simulation, 24.0)
    monkeypatch.setattr(simulation, "before_effect", before_effect)
    upload(simulation)
    pass_time(simulation, HOUR)


def test_no_request_leaves_a_stalled_worker_at_midnight(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled_before_midnight(simulation, monkeypatch)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 1}


def test_one_that_leaves_at_midnight_would_be_noticed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with Change(DECISIONS + "before_post", "seconds=killed_in", "seconds=seconds").made():
        stalled_before_midnight(simulation, monkeypatch)
    assert "paid from its own day" in broken(simulation)


def test_a_run_of_yesterday_that_shows_up_late_is_counted_once(simulation: Simulation) -> None:
    """The first request did make a run, which the list did not show: the photo was started over, and it is charged."""
    simulation.unmatched_runs = 1
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.habits.visible_after = HOUR
    to_midnight(simulation, 300.0)
    simulation.runflow.faults = [Fault(effect=True), None]
    simulation.runflow.endings = [Ending(queued=1500.0, seconds=30.0), SLOW]
    upload(simulation)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 1}
    assert sum(simulation.jobs.money.values()) == simulation.runflow.billed == 2 * PRICE
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1


def test_nothing_leaves_with_the_money_of_another_day(simulation: Simulation) -> None:
    """Photos that arrive in the seconds around midnight wait until every clock shows one day."""
    simulation.set_limit(3 * PRICE)
    to_midnight(simulation, 45.0)
    for number in range(20):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 5.0)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 20}
    assert max(runs_by_day(simulation).values()) == 3
    midnight = simulation.started // DAY * DAY + DAY
    assert not [post for post in simulation.runflow.sent if -40.0 < post.at - midnight < 30.0]


def test_a_small_limit_holds_over_many_midnights(simulation: Simulation) -> None:
    simulation.set_limit(2 * PRICE)
    for number in range(12):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 60.0)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 12}
    assert sorted(runs_by_day(simulation).values()) == [2] * 6


# Dollars


def test_the_morning_counts_at_what_it_cost(simulation: Simulation) -> None:
    """The price doubles at noon: three images at the old price leave three at the new one, and no more."""
    simulation.set_limit(9 * PRICE)
    for number in range(3):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 600.0)
    simulation.price = 2 * PRICE
    for idle in simulation.idle.values():
        idle.clear()
    for number in range(3, 8):
        simulation.runflow.endings.append(Ending(cost=2 * PRICE))
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 600.0)
    assert by_state(simulation) == {"delivered": 6, "waiting": 2}
    assert simulation.jobs.spent_on(simulation.day()) == simulation.runflow.billed == 9 * PRICE
    simulation.set_limit(None)
    rest(simulation)


def test_a_run_that_costs_twice_the_price_counts_twice(simulation: Simulation) -> None:
    simulation.set_limit(3 * PRICE)
    simulation.runflow.endings = [Ending(cost=2 * PRICE)]
    for number in range(3):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 300.0)
    assert by_state(simulation) == {"delivered": 2, "waiting": 1}
    assert simulation.jobs.spent_on(simulation.day()) == 3 * PRICE
    simulation.set_limit(None)
    rest(simulation)


def test_counting_the_price_whatever_was_billed_is_noticed(simulation: Simulation) -> None:
    with Change("detag.domain.job:_billed", "usd=max(Decimal(cost), Decimal(0))", "usd=reservation.usd").made():
        simulation.runflow.endings = [Ending(cost=2 * PRICE)]
        upload(simulation)
        simulation.run_out(simulation.time + DAY)
    simulation.checker.at_rest()
    assert "as billed" in broken(simulation)


def test_charges_and_refunds_leave_nothing_that_is_not_there(simulation: Simulation) -> None:
    """An unmatched run takes the day beyond its limit; money that comes back makes up for that first."""
    simulation.set_limit(2 * PRICE)
    simulation.max_attempts = 1
    simulation.runflow.endings = [SLOW, Ending(seconds=900.0, status="failed", cost=Decimal(0))]
    first = upload(simulation, "a.jpg")
    pass_time(simulation, 10.0)
    second = upload(simulation, "b.jpg")
    pass_time(simulation, 120.0)
    store, day = simulation.jobs, simulation.day()
    store.charge("run-x", None, store.jobs[first].reservation or pytest.fail("nothing reserved"))
    simulation.unmatched_runs += 1
    simulation.telemetry.alarm("UnmatchedPaidRun")  # type: ignore[arg-type]
    upload(simulation, "c.jpg")
    pass_time(simulation, 1_200.0)
    assert store.jobs[second].state is State.FAILED
    assert store.spent_on(day) == 2 * PRICE
    assert by_state(simulation) == {"delivered": 1, "failed": 1, "waiting": 1}
    simulation.set_limit(None)
    rest(simulation)


# What was lost


def lose_the_budget(simulation: Simulation) -> str:
    day = simulation.day()
    simulation.checker.lost.add(day)
    simulation.jobs.open_days.discard(day)
    simulation.jobs.money.pop(day)
    return day


def test_a_lost_budget_pays_nothing_more_and_tells_a_person(simulation: Simulation) -> None:
    simulation.set_limit(2 * PRICE)
    upload(simulation, "a.jpg")
    pass_time(simulation, 300.0)
    day = lose_the_budget(simulation)
    upload(simulation, "b.jpg")
    pass_time(simulation, 300.0)
    assert by_state(simulation) == {"delivered": 1, "waiting": 1}
    assert (simulation.intake.reason, simulation.intake.state) == (Reason.BUDGET_LOST, "paused")
    assert simulation.telemetry.counts["GateHeld"] > 1, "the alarm for a paused intake"
    simulation.checker.find_budget(day)
    pass_time(simulation, 1_200.0)
    assert by_state(simulation) == {"delivered": 2}
    rest(simulation)


def test_a_lost_budget_is_over_at_midnight(simulation: Simulation) -> None:
    upload(simulation, "a.jpg")
    pass_time(simulation, 300.0)
    day = lose_the_budget(simulation)
    upload(simulation, "b.jpg")
    to_midnight(simulation, 0.0)
    pass_time(simulation, 1_200.0)
    assert by_state(simulation) == {"delivered": 2}
    assert simulation.jobs.spent_on(day) == 0 and simulation.jobs.spent_on(simulation.day()) == PRICE


def test_opening_a_lost_day_anew_would_be_noticed(simulation: Simulation) -> None:
    with Change("detag.ports.jobs_fake:FakeJobStore.open_day", "day <= self.newest_day", "False").made():
        upload(simulation, "a.jpg")
        pass_time(simulation, 300.0)
        lose_the_budget(simulation)
        upload(simulation, "b.jpg")
        pass_time(simulation, 300.0)
    assert "lost budget" in broken(simulation)


def test_a_lost_answer_does_not_lose_the_alarm(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The charge is written and its answer lost: the next message finds the charge, and the alarm is out."""
    charge, lost = simulation.jobs.charge, [True]

    def losing(*arguments: object) -> None:
        charge(*arguments)  # type: ignore[arg-type]
        if lost.pop():
            lost.append(False)
            raise Transient("DynamoDB timeout")
        lost.append(False)

    monkeypatch.setattr(simulation.jobs, "charge", losing)
    simulation.unmatched_runs = 1
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.habits.visible_after = HOUR
    simulation.runflow.faults = [Fault(effect=True), None]
    simulation.runflow.endings = [Ending(queued=1500.0, seconds=30.0), SLOW]
    upload(simulation)
    rest(simulation)
    assert len(simulation.jobs.charges) == 1
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1


def refused_after_an_unclear_answer(simulation: Simulation) -> str:
    """A request without an answer, no run in the list, the same bytes refused: the first may have made a run."""
    simulation.runflow.faults = [Fault(), Fault(422, code="VALIDATION", message="no")]
    job = upload(simulation)
    simulation.run_out(simulation.time + DAY)
    return job


def test_a_refusal_after_an_unclear_answer_returns_no_money(simulation: Simulation) -> None:
    job = simulation.jobs.jobs[refused_after_an_unclear_answer(simulation)]
    assert (job.state, job.reason, job.maybe_submitted) == (State.FAILED, Reason.REFUSED_UNCONFIRMED, True)
    assert simulation.jobs.spent_on(day_of(simulation.started)) == PRICE
    assert "maybe paid, counted" not in broken(simulation)


def test_returning_money_on_such_a_refusal_would_be_noticed(simulation: Simulation) -> None:
    with Change(DECISIONS + "_refused", "free=not job.unaccounted", "free=True").made():
        refused_after_an_unclear_answer(simulation)
    assert "maybe paid, counted" in broken(simulation)


# Two limits at once


def test_of_two_limits_at_once_the_higher_bounds_the_day(simulation: Simulation) -> None:
    """During a deployment old processes have the old limit, and new ones the new: each keeps to its own."""
    day = simulation.day()
    simulation.limit = 2 * PRICE
    simulation.limits.append((0.0, 2 * PRICE))
    for number in range(4):
        upload(simulation, f"old{number}.jpg")
    pass_time(simulation, 300.0)
    assert by_state(simulation) == {"delivered": 2, "waiting": 2}
    simulation.limit = 3 * PRICE
    simulation.limits.append((simulation.time, 3 * PRICE))
    simulation.idle["reconcile"].clear()  # it sees the new limit, and releases; `submit` may have either
    for _ in range(30):
        pass_time(simulation, 60.0)
        simulation.idle["submit"] = simulation.idle["submit"][:1]
    assert simulation.jobs.spent_on(day) <= 3 * PRICE
    assert not broken(simulation)
