"""A run that a POST made after all is counted once, whatever became of its job meanwhile."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, FakeRun, Fault
from tests.unit.services.harness import Harness


def accept_late(harness: Harness, monkeypatch: pytest.MonkeyPatch, closed: Reason) -> FakeRun:
    """A POST makes a run, and its worker stalls; meanwhile the job is closed without a run; then it is accepted."""
    harness.runs.habits.idempotency, harness.runs.habits.visible_after = "ignored", 30 * 86_400.0
    create = harness.runs.create

    def stalled(body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None) -> object:
        monkeypatch.setattr(harness.runs, "create", create)
        accepted = create(body, idempotency_key, timeout, account)
        harness.faults = [Fault(422, code="VALIDATION", message="no")]
        harness.runs.habits.may_list = closed is Reason.REFUSED_UNCONFIRMED
        for _ in range(100):
            if harness.job.state is not State.FAILED:
                harness.wait(3_600.0 if closed is Reason.NOT_CONFIRMED else 700.0)
                harness.send_to(harness.job)
        assert harness.job.reason is closed
        return accepted

    monkeypatch.setattr(harness.runs, "create", stalled)
    harness.send(harness.upload())
    (run,) = harness.runs.runs.values()
    assert sum(harness.jobs.money.values(), Decimal(0)) == PRICE
    assert (harness.job.unknown_runs, harness.job.due_at) == ((run.run_id,), harness.job.ask_at)
    return run


@pytest.mark.parametrize("lost", [False, True], ids=["callback", "no callback"])
@pytest.mark.parametrize("closed", [Reason.REFUSED_UNCONFIRMED, Reason.NOT_CONFIRMED])
def test_a_run_that_money_is_kept_for_is_not_charged(
    monkeypatch: pytest.MonkeyPatch, closed: Reason, lost: bool
) -> None:
    """It is delivered for the money that was kept; without a callback, because its id is on the item."""
    harness = Harness()
    run = accept_late(harness, monkeypatch, closed)
    harness.wait(60.0)
    if lost:
        harness.wait(3_600.0)
        harness.give({"job_id": harness.job.job_id, "run_id": harness.job.unknown_runs[0]})
    else:
        harness.arrive(run)
    assert (harness.job.state, harness.job.run_id) == (State.DELIVERED, run.run_id)
    assert (sum(harness.jobs.money.values(), Decimal(0)), harness.jobs.charges) == (PRICE, {})
    assert harness.telemetry.counts["UnmatchedPaidRun"] == 0
    assert harness.job.missing_runs == ()
