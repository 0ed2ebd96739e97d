"""What is charged, with what, and who hears of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.intake import Override
from detag.domain.job import Reservation, State
from detag.domain.money import NO_LIMIT
from detag.domain.reasons import Reason
from detag.domain.runs import Run, RunStatus
from detag.ports.errors import Transient
from detag.ports.runs_fake import Fault
from detag.services.budget import Budget
from tests.unit.services.harness import PRICE, Harness

DAY = "2026-11-23"


def budget_of(harness: Harness) -> Budget:
    return harness.deliver._budget


def unmatched(cost: str | None) -> Run:
    return Run("run-x", RunStatus.SUCCEEDED, cost=None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    ("written", "limit"),
    [(None, "10"), ("25", "25"), ("2.1", "2.1"), ("-1", "0"), ("lots", "10"), ("none", None), ("1e12", None)],
)
def test_an_override_beats_the_parameter(written: str | None, limit: str | None) -> None:
    budget = budget_of(Harness(limit=Decimal(10)))
    assert budget.limit(Override(limit_usd=written)) == (NO_LIMIT if limit is None else Decimal(limit))


def test_the_first_claim_opens_the_day() -> None:
    harness = Harness()
    for number in range(2):
        harness.submit.handle(harness.upload(f"{number}.jpg"), harness.clock.monotonic() + 30.0)
    assert harness.calls.count("jobs.open_day") == 1
    assert harness.jobs.money == {DAY: 2 * PRICE}


def test_a_price_above_the_limit_pays_for_nothing() -> None:
    harness = Harness(limit=Decimal("0.1"))
    job = harness.send(harness.upload())
    assert (job.reason, harness.jobs.money, harness.runs.posts) == (Reason.SPEND_LIMIT, {}, [])


@pytest.mark.parametrize(("cost", "charged"), [("0.28", "0.28"), (None, "0.14"), ("0", "0.14"), ("-1", "0")])
def test_an_unmatched_run_is_charged_with_what_it_cost(cost: str | None, charged: str) -> None:
    """That a result cost nothing is not believed at once."""
    harness = Harness()
    job = harness.send(harness.upload())
    budget_of(harness).charge_unmatched(job, unmatched(cost))
    assert harness.jobs.charges == {"run-x": Reservation(DAY, Decimal(charged))}


def test_what_a_run_cost_is_corrected_once_it_is_known() -> None:
    """Charged while it ran, at the price, on one day; what it cost comes the next day, and counts on the first."""
    harness = Harness()
    job = harness.send(harness.upload())
    budget = budget_of(harness)
    budget.charge_unmatched(job, replace(unmatched(None), status=RunStatus.RUNNING))
    harness.wait(86_400.0)
    for _ in range(2):
        budget.charge_unmatched(job, unmatched("0.28"))
    assert harness.jobs.charges == {"run-x": Reservation(DAY, Decimal("0.28"))}
    assert harness.jobs.money == {DAY: PRICE + Decimal("0.28")}
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 1


def test_the_alarm_is_sent_before_the_charge_is_written() -> None:
    """So that whoever finds the charge knows it is out; where the charge fails, both are tried again."""
    harness = Harness()
    job = harness.send(harness.upload())
    harness.broken["jobs.charge"] = Transient("no answer")
    with pytest.raises(Transient):
        budget_of(harness).charge_unmatched(job, unmatched(None))
    assert (harness.telemetry.counts["UnmatchedPaidRun"], harness.jobs.charges) == (1, {})


def test_unmatched_runs_are_charged_before_one_is_adopted() -> None:
    """Once the job has a run, nothing leads back to the others."""
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    job = harness.send(harness.upload())
    harness.runs.create(str(job.body), "another key", 10.0)
    harness.wait(631.0)
    harness.broken["jobs.charge"] = Transient("no answer")
    assert harness.send({"job_id": job.job_id}).run_id is None
    del harness.broken["jobs.charge"]
    assert harness.send({"job_id": job.job_id}).state is State.SUBMITTED
    assert len(harness.jobs.charges) == 1


def test_a_lost_budget_turns_photos_away_with_its_own_reason() -> None:
    harness = Harness()
    harness.send(harness.upload("a.jpg"))
    harness.jobs.open_days.clear()
    harness.submit.handle(harness.upload("b.jpg"), harness.clock.monotonic() + 30.0)
    job = list(harness.jobs.jobs.values())[-1]
    assert (job.state, job.reason, job.reservation) == (State.WAITING, Reason.BUDGET_LOST, None)
    assert harness.jobs.intake().reason is Reason.BUDGET_LOST
    assert len(harness.runs.posts) == 1
