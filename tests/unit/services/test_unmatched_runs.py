"""What a run that is not the job's own is charged with is what Runflow billed for it, once that is known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import Reservation, State
from detag.domain.outcomes import Outcome
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.unit.services.harness import Harness


def test_a_charge_is_corrected_where_the_run_ends_free() -> None:
    """Runflow made two runs of one request; the one that is not used is charged while it goes on, and then fails."""
    harness = Harness()
    harness.runs.habits.idempotency = "ignored"
    harness.endings = [Ending(), Ending(status="failed", cost=Decimal(0), code="X", message="x", seconds=9000.0)]
    harness.faults = [Fault(effect=True)]
    harness.send(harness.upload())
    harness.runs.create(*harness.runs.posts[0], timeout=30.0)
    harness.wait(1200.0)
    harness.send_to(harness.job)
    assert sum(charge.usd for charge in harness.jobs.charges.values()) == PRICE
    harness.wait(10_000.0)
    for run in list(harness.runs.runs.values()):
        harness.arrive(run)
    assert harness.job.state is State.DELIVERED
    assert sum(harness.jobs.money.values()) == harness.runs.billed == PRICE


def test_a_run_accepted_after_another_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is under way for so long that its photo is sent again; then both are answered. No callback comes."""
    harness = Harness()
    harness.runs.habits.idempotency, harness.runs.habits.visible_after = "ignored", 86_400.0
    create = harness.runs.create

    def slow(*request: Any) -> Outcome:
        monkeypatch.setattr(harness.runs, "create", create)
        for _ in range(3):  # its lease, and then the time for confirmation, are over
            harness.wait(700.0)
            harness.send_to(harness.job)
        assert harness.job.state is State.SUBMITTED
        return create(*request)

    monkeypatch.setattr(harness.runs, "create", slow)
    harness.send(harness.upload())
    own, late = harness.runs.runs.values()
    assert harness.job.run_id == own.run_id
    assert harness.jobs.charges == {late.run_id: Reservation("2026-11-23", PRICE)}
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 1


def test_a_run_of_an_older_submission_is_used_after_another() -> None:
    """Two requests have no clear answer. The second's run is adopted and fails, and the first one's is used."""
    harness = Harness()
    harness.runs.habits.idempotency, harness.runs.habits.visible_after = "ignored", 86_400.0
    harness.faults = [Fault(effect=True), Fault(effect=True)]
    harness.endings = [Ending(), Ending(status="failed", cost=Decimal(0), code="INVALID_INPUT", message="x")]
    harness.send(harness.upload())
    harness.wait(7200.0)  # the URL in the first has expired
    while len(harness.runs.runs) < 2:
        harness.wait(700.0)
        harness.send_to(harness.job)
    older, newer = harness.runs.runs.values()
    harness.arrive(newer)  # its callback comes before anybody knows it: adopted
    harness.wait(60.0)
    assert harness.arrive(newer).state is State.FAILED
    assert harness.arrive(older).state is State.DELIVERED
    assert harness.job.run_id == older.run_id
