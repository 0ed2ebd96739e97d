"""What a run that is not the job's own is charged with is what Runflow billed for it, once that is known."""

from __future__ import annotations

from decimal import Decimal

from detag.domain.job import State
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
