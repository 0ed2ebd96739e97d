"""What has ended is counted once, whatever the index and the batch's own item are like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detag.domain.batches import Batch
from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.domain.waits import BATCH, LATE_END
from detag.ports.errors import Unreadable
from tests.unit.services.harness import Harness

FINISHED = BATCH.seconds + LATE_END.seconds


def skip(harness: Harness, photos: int) -> None:
    """So many files that are no photos."""
    for number in range(photos):
        harness.submit.handle(harness.upload(f"{number:03}.jpg", b"prices"), harness.clock.monotonic() + 30.0)


def published(harness: Harness) -> list[dict[str, Any]]:
    """The batches that other programs hear of, ten minutes later."""
    for seconds in (LATE_END.seconds, BATCH.seconds):
        harness.wait(seconds + 1.0)
        harness.sweep()
    return [detail for kind, detail in harness.events.published if kind == "Batch Finished"]


def test_ten_ends_are_a_batch() -> None:
    harness = Harness()
    harness.sweep()
    skip(harness, 10)
    (batch,) = published(harness)
    assert batch["states"] == {"skipped": 10}


def test_a_job_that_was_opened_again_meanwhile_is_not_counted() -> None:
    """The index still shows it as closed; it is counted once it ends again."""
    harness = Harness()
    harness.sweep()
    skip(harness, 11)
    harness.jobs.closed_between(State.SKIPPED, "", 0.0, 0.0, 1)  # the index has seen all of them
    first = next(iter(harness.jobs.jobs.values()))
    harness.jobs.jobs[first.job_id] = replace(first, state=State.WAITING, reason=Reason.READY, closed_at=None)
    (batch,) = published(harness)
    assert (batch["photos"], batch["states"]) == (10, {"skipped": 10})


def test_an_item_of_the_batch_that_cannot_be_read_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.sweep()
    skip(harness, 10)

    read, save = harness.jobs.batch, harness.jobs.save_batch
    written: list[Batch] = []

    def batch() -> Batch | None:
        if not written:
            raise Unreadable("the batch")
        return read()

    def save_batch(before: Batch | None, after: Batch) -> None:
        written.append(after)
        save(before, after)

    monkeypatch.setattr(harness.jobs, "batch", batch)
    monkeypatch.setattr(harness.jobs, "save_batch", save_batch)
    assert [batch["states"] for batch in published(harness)] == [{"skipped": 10}], (
        "they ended within a quarter of an hour"
    )


def test_ends_are_not_counted_shortly_before_the_deadline() -> None:
    """Reconcile would be ended in the middle."""
    harness = Harness()
    harness.sweep()
    skip(harness, 10)
    harness.wait(FINISHED)
    harness.calls.clear()
    harness.reconcile.sweep(harness.clock.monotonic() + 14.0)
    assert not [call for call in harness.calls if "batch" in call or "closed_between" in call]
    assert published(harness)
