"""An answer of reconcile to the question how things stand, by example: four photos, on the fakes."""

from __future__ import annotations

import json
from decimal import Decimal

from detag.ports.runs_fake import Ending, Fault
from docs.generate.template import template
from tests.unit.services.harness import Harness


def example() -> str:
    """One photo was delivered, one failed, one has a run; then Runflow's credit ran out, and one waits."""
    harness = Harness(limit=Decimal(template()["Parameters"]["DailySpendLimitUsd"]["Default"]))
    harness.endings = [
        Ending(),
        Ending(status="failed", code="MODEL_ERROR", message="the model gave up"),
        Ending(seconds=600.0),
    ]
    for key in ("shoe.jpg", "autumn/hat.jpg", "bag.jpg"):
        _submit(harness, key)
    harness.wait(60.0)
    for job in [job for job in harness.jobs.jobs.values() if job.upload.key != "bag.jpg"]:
        harness.give({"job_id": job.job_id, "run_id": job.run_id})
    harness.faults = [Fault(402, code="INSUFFICIENT_CREDIT")]
    _submit(harness, "belt.jpg")
    answer = {"done": harness.sweep(), **harness.reconcile.report()}
    return f"```json\n{json.dumps(answer, indent=2)}\n```"


def _submit(harness: Harness, key: str) -> None:
    harness.submit.handle(harness.upload(key), harness.clock.monotonic() + 30.0)
