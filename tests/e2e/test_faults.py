"""Real functions, real processes, twelve faults: each photo is delivered, and paid for once."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.stack.stack import Options, running
from tests.e2e.harness import OPEN, Harness, number_of

HOUR = 3_600.0


@pytest.mark.sized
@pytest.mark.timeout(900)
def test_each_photo_survives_twelve_faults(tmp_path: Path, full_size: bool) -> None:
    """Twelve faults and up to three hundred photos later, each photo is delivered and billed once."""
    each = 25 if full_size else 13
    options = Options(
        folder=tmp_path / "stack", parameters={"ConfirmationMinutes": "1"}, runflow=("--pixels", "reencode")
    )
    with running(options) as stack, closing(Harness(stack)) as harness:
        _inject_faults(harness, each)
        harness.wait(lambda jobs: len(jobs) == len(harness.dropped), 240)
        for _ in range(40):
            if not _unfinished(harness.jobs()):
                break
            # Well within the hour that a photo's URL lives: nothing is submitted anew for it.
            harness.pass_time(HOUR / 6)
            harness.wait(lambda jobs: not _unfinished(jobs), 4)
        _check(harness, 12 * each)


def _inject_faults(harness: Harness, each: int) -> None:
    """Each block: a fault, and photos dropped into it. First the killed processes: what they had received from the
    queue comes back to it three minutes later.
    """
    with harness.faults({"on": "create_run", "do": "delay", "seconds": 2.0, "when": "after"}):  # 1
        harness.drop("killed submit", each)
        harness.kill("Submit", 3)
        harness.wait_until_idle("killed submit", 5)
    with harness.faults({"on": "output", "do": "delay", "seconds": 1.0}):  # 2
        harness.drop("killed deliver", each)
        harness.kill("Deliver", 3)
        harness.wait_until_idle("killed deliver", 5)
    with harness.faults({"on": "create_run", "do": "status", "status": 503, "times": 8}):  # 3: no run was made
        harness.drop("503", each)
        harness.wait_until_idle("503")
    with harness.faults({"on": "create_run", "do": "status", "status": 500, "when": "after", "times": 8}):  # 4: one was
        _reopen_intake(harness)
        harness.drop("500 after", each)
        harness.wait_until_idle("500 after")
    with harness.faults({"on": "create_run", "do": "drop", "times": 6}):  # 5
        _reopen_intake(harness)
        harness.drop("dropped", each)
        harness.wait_until_idle("dropped")
    with harness.faults({"on": "create_run", "do": "drop", "when": "after", "times": 6}):  # 6
        _reopen_intake(harness)
        harness.drop("dropped after", each)
        harness.wait_until_idle("dropped after")
    with harness.faults(  # 7
        {"on": "create_run", "do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 12}
    ):
        _reopen_intake(harness)
        harness.drop("429", each)
        harness.wait_until_idle("429")
    with harness.faults({"on": "account", "do": "no_credit", "times": 3}):  # 8
        _reopen_intake(harness)
        harness.drop("402", each)
        harness.wait_until_idle("402")
    with harness.faults({"on": "account", "do": "revoke_key", "times": 3}):  # 9
        _reopen_intake(harness)
        harness.drop("401", each)
        harness.wait_until_idle("401")
    with harness.faults({"on": "callback", "do": "lose", "share": 0.6, "seed": 7}):  # 10
        _reopen_intake(harness)
        harness.drop("lost callbacks", each)
        harness.wait_until_idle("lost callbacks")
    with harness.faults(  # 11
        {"on": "callback", "do": "duplicate", "copies": 3},
        {"on": "callback", "do": "reorder", "share": 0.5, "seed": 9},
        {"on": "callback", "do": "corrupt", "how": "signature", "times": 3, "skip": 3},
    ):
        harness.drop("repeated callbacks", each)
        harness.wait_until_idle("repeated callbacks")
    with harness.faults(  # 12
        {"on": "run", "do": "fail", "times": 5},
        {"on": "output_url", "do": "expire", "times": 5, "skip": 5},
        {"on": "output", "do": "drop", "times": 3},
    ):
        harness.drop("failed runs", each)
        harness.wait_until_idle("failed runs")


def _reopen_intake(harness: Harness) -> None:
    """Some faults pause intake. Time passes until it lets photos through again, so that the next fault meets them."""
    for _ in range(20):
        if harness.report()["intake"]["state"] == "open":
            return
        harness.pass_time(HOUR / 6)
        harness.wait(lambda jobs: not harness.busy(), 3)
    raise AssertionError("intake never opened again")


def _unfinished(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs that are open, or have something pending. Of a closed one, runs that failed are asked for for a week."""
    return [job for job in jobs if job["state"] in OPEN or "owed" in job or ("due_at" in job and "ask_at" not in job)]


def _check(harness: Harness, photos: int) -> None:
    jobs, billing, outputs = harness.jobs(), harness.billing(), harness.outputs()
    assert len(harness.dropped) == photos
    assert Counter(job["state"] for job in jobs) == {"delivered": len(harness.dropped)}, "each photo is delivered"
    assert Counter(job["key"] for job in jobs) == Counter(harness.dropped.keys()), "each has one job"
    assert not [job["key"] for job in jobs if "body" in job], "no live URL is left"
    assert _unfinished(jobs) == [], "nothing is left to do"

    paid = Counter(
        client_ref.split(".")[0] for client_ref, one in billing["by_client_ref"].items() for _ in range(one["paid"])
    )
    assert paid == Counter(job["job_id"] for job in jobs), "each job was paid for exactly once"
    assert Decimal(billing["total"]) == Decimal("0.14") * len(harness.dropped), "and nothing else was"
    assert harness.spent() == Decimal(billing["total"]), "the day budgets say the same as the bill"

    assert {key.removesuffix(".webp"): number_of(output) for key, output in outputs.items()} == harness.dropped, (
        "at each key, the output is made from its own photo"
    )
    assert harness.dead_letters() == 0, "nothing needs a person"
