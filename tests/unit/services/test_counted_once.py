"""A run that a POST made after all is counted once, whatever became of its job meanwhile."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Fault
from tests.unit.services.harness import Harness


def test_a_run_that_money_is_kept_for_is_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A POST stalls; another worker sends the same bytes again and is refused; then the POST is accepted."""
    harness = Harness()
    harness.runs.habits.idempotency, harness.runs.habits.visible_after = "ignored", 86_400.0
    create = harness.runs.create

    def stalled(body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None) -> object:
        monkeypatch.setattr(harness.runs, "create", create)
        harness.faults = [Fault(422, code="VALIDATION", message="no")]
        for _ in range(3):
            harness.wait(700.0)
            harness.send_to(harness.job)
        assert harness.job.reason is Reason.REFUSED_UNCONFIRMED
        return create(body, idempotency_key, timeout, account)

    monkeypatch.setattr(harness.runs, "create", stalled)
    harness.send(harness.upload())
    assert sum(harness.jobs.money.values(), Decimal(0)) == PRICE
    harness.wait(60.0)
    (run,) = harness.runs.runs.values()
    harness.arrive(run)
    assert harness.job.state is State.DELIVERED
    assert (sum(harness.jobs.money.values(), Decimal(0)), harness.jobs.charges) == (PRICE, {})
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 0
