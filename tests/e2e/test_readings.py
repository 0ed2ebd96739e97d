"""Real functions against a Runflow that is as each reading of its pages says: by callback, by record and by list."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.stack.stack import Options, running
from tests.e2e.harness import Harness, number_of

READINGS: dict[str, dict[str, Any]] = {
    "signed when asked": {"add_signature": "needed", "output_shape": "image_url", "create_id": "run_id"},
    "signed unless asked": {"add_signature": "harmful", "output_shape": "images", "list_entries": "thin"},
    "signed in callbacks": {"add_signature": "useless", "output_shape": "image_list", "list_order": "ascending"},
    "the parameter refused": {"add_signature": "rejected", "output_shape": "text", "list_entries": "nested"},
    "links of its own": {"input_shown": "asset", "output_shape": "url", "list_fields": "rejected"},
    "little is shown": {"input_shown": "nothing", "list_entries": "ids", "client_ref_filter": "ignored"},
}
HOUR = 3_600.0


@pytest.mark.timeout(900)
def test_each_photo_is_delivered_under_each_reading(tmp_path: Path) -> None:
    """A callback that comes, one that is lost, and a request whose answer is lost: delivered, and paid for once."""
    options = Options(
        folder=tmp_path / "stack", parameters={"ConfirmationMinutes": "1"}, runflow=("--pixels", "reencode")
    )
    with running(options) as stack, closing(Harness(stack)) as harness:
        for name, reading in READINGS.items():
            harness.behave(**reading)
            _drop(harness, name)
        jobs, billing, outputs = harness.jobs(), harness.billing(), harness.outputs()
    assert Counter(job["state"] for job in jobs) == {"delivered": 3 * len(READINGS)}
    assert Decimal(billing["total"]) == Decimal("0.14") * len(jobs)
    assert {key.removesuffix(".webp"): number_of(output) for key, output in outputs.items()} == harness.dropped


def _drop(harness: Harness, name: str) -> None:
    """A photo on each road to a result, and time until they are delivered."""
    harness.drop(f"{name}/callback", 1)
    harness.wait_until_idle(f"{name}/callback")
    with harness.faults({"on": "callback", "do": "lose", "times": 1}):
        harness.drop(f"{name}/record", 1)
        harness.wait_until_idle(f"{name}/record")
    with harness.faults({"on": "create_run", "do": "drop", "when": "after", "times": 1}):
        harness.drop(f"{name}/list", 1)
        harness.wait_until_idle(f"{name}/list")
    for _ in range(12):
        if all(job["state"] == "delivered" for job in harness.jobs()):
            return
        harness.pass_time(HOUR / 6)
        harness.wait(lambda jobs: all(job["state"] == "delivered" for job in jobs), 4)
    ended = [(job["key"], job["state"], job.get("reason")) for job in harness.jobs()]
    pytest.fail(f"{name}: {ended}")
