"""Real functions, real processes, twelve faults: each photo is delivered, and paid for once."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.stack.stack import Options, running
from tests.e2e.storm import OPEN, Storm, number_of

EACH = 25
HOUR = 3_600.0


@pytest.mark.timeout(900)
def test_twelve_faults_and_three_hundred_photos_later_each_photo_is_delivered_and_billed_once(tmp_path: Path) -> None:
    options = Options(
        folder=tmp_path / "stack", parameters={"ConfirmationMinutes": "1"}, runflow=("--pixels", "reencode")
    )
    with running(options) as stack, closing(Storm(stack)) as storm:
        _rage(storm)
        storm.wait(lambda rows: len(rows) == len(storm.dropped), 240)
        for _ in range(40):
            if not _unfinished(storm.rows()):
                break
            storm.pass_time(HOUR / 6)  # well within the hour that a photo's URL lives: nothing is submitted anew for it
            storm.wait(lambda rows: not _unfinished(rows), 4)
        _judge(storm)


def _rage(storm: Storm) -> None:
    """Each block: a fault, and photos dropped into it. First the killed processes: what they had received from the
    queue comes back to it three minutes later.
    """
    with storm.faults({"on": "create_run", "do": "delay", "seconds": 2.0, "when": "after"}):  # 1
        storm.drop("killed submit", EACH)
        storm.kill("Submit", 3)
        storm.settled("killed submit", 5)
    with storm.faults({"on": "output", "do": "delay", "seconds": 1.0}):  # 2
        storm.drop("killed deliver", EACH)
        storm.kill("Deliver", 3)
        storm.settled("killed deliver", 5)
    with storm.faults({"on": "create_run", "do": "status", "status": 503, "times": 8}):  # 3: no run was made
        storm.drop("503", EACH)
        storm.settled("503")
    with storm.faults({"on": "create_run", "do": "status", "status": 500, "when": "after", "times": 8}):  # 4: one was
        _open_gate(storm)
        storm.drop("500 after", EACH)
        storm.settled("500 after")
    with storm.faults({"on": "create_run", "do": "drop", "times": 6}):  # 5
        _open_gate(storm)
        storm.drop("dropped", EACH)
        storm.settled("dropped")
    with storm.faults({"on": "create_run", "do": "drop", "when": "after", "times": 6}):  # 6
        _open_gate(storm)
        storm.drop("dropped after", EACH)
        storm.settled("dropped after")
    with storm.faults(  # 7
        {"on": "create_run", "do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 12}
    ):
        _open_gate(storm)
        storm.drop("429", EACH)
        storm.settled("429")
    with storm.faults({"on": "account", "do": "no_credit", "times": 3}):  # 8
        storm.drop("402", EACH)
        storm.settled("402")
    with storm.faults({"on": "account", "do": "revoke_key", "times": 3}):  # 9
        _open_gate(storm)
        storm.drop("401", EACH)
        storm.settled("401")
    with storm.faults({"on": "callback", "do": "lose", "share": 0.6, "seed": 7}):  # 10
        _open_gate(storm)
        storm.drop("lost callbacks", EACH)
        storm.settled("lost callbacks")
    with storm.faults(  # 11
        {"on": "callback", "do": "duplicate", "copies": 3},
        {"on": "callback", "do": "reorder", "share": 0.5, "seed": 9},
        {"on": "callback", "do": "corrupt", "how": "signature", "times": 3, "skip": 3},
    ):
        storm.drop("repeated callbacks", EACH)
        storm.settled("repeated callbacks")
    with storm.faults(  # 12
        {"on": "run", "do": "fail", "times": 5},
        {"on": "output_link", "do": "expire", "times": 5, "skip": 5},
        {"on": "output", "do": "drop", "times": 3},
    ):
        storm.drop("failed runs", EACH)
        storm.settled("failed runs")


def _open_gate(storm: Storm) -> None:
    """Some faults pause intake. Time passes until it lets photos through again, so that the next fault meets them."""
    for _ in range(20):
        report = storm.report()
        if not report["intake"]["held"]:
            return
        storm.pass_time(HOUR / 6)
        storm.wait(lambda rows: not storm.busy(), 3)


def _unfinished(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are open, or keep_pending something."""
    return [row for row in rows if row["state"] in OPEN or "due_at" in row]


def _judge(storm: Storm) -> None:
    rows, billing, outputs = storm.rows(), storm.billing(), storm.outputs()
    assert len(storm.dropped) == 12 * EACH
    assert Counter(row["state"] for row in rows) == {"delivered": len(storm.dropped)}, "each photo is delivered"
    assert Counter(row["key"] for row in rows) == Counter(storm.dropped.keys()), "each has one job"
    assert not [row["key"] for row in rows if "body" in row], "no live URL is left"
    assert _unfinished(rows) == [], "nothing is left to do"

    paid = Counter(
        client_ref.split(".")[0] for client_ref, one in billing["by_client_ref"].items() for _ in range(one["paid"])
    )
    assert paid == Counter(row["job_id"] for row in rows), "each job was paid for exactly once"
    assert Decimal(billing["total"]) == Decimal("0.14") * len(storm.dropped), "and nothing else was"
    assert storm.reserved() == len(storm.dropped), "the ledger says the same as the bill"

    assert {key.removesuffix(".webp"): number_of(picture) for key, picture in outputs.items()} == storm.dropped, (
        "at each key, the picture is made from its own photo"
    )
    assert storm.dead_letters() == 0, "nothing needs a person"
