"""Records, where what writes them fails half-way."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.domain.naming import RECORD_OF
from detag.ports.errors import Conflict, Transient
from detag.ports.runs_fake import Ending, Fault, tiny_image
from tests.unit.services.harness import Harness, submitted


def records(harness: Harness) -> list[str]:
    return [key for key, one in harness.photos.outputs.items() if RECORD_OF in one.metadata]


def test_a_repair_removes_a_record_that_no_item_tells_of() -> None:
    """The record was written and the word of it lost; now nothing can be written, but the output is there."""
    harness = submitted(Ending(seconds=25 * 3_600.0))
    harness.wait(24 * 3_600.0 + 1)
    harness.broken["jobs.end_delivery"] = Transient("DynamoDB throttled")
    assert harness.arrive().pending == ("record",)
    assert records(harness) == ["_failed/shoe.jpg.txt"]
    harness.wait(7_200.0)
    harness.broken = {"photos.put_record": Transient("S3 throttled")}
    assert harness.arrive().state is State.DELIVERED
    assert records(harness) == []


def test_a_skipped_photo_that_loses_its_write_is_not_published() -> None:
    """Another worker may have read it by then, and sent it."""
    harness = Harness()
    harness.broken["jobs.save"] = Conflict("written by another")
    with pytest.raises(Transient, match="contended"):
        harness.send(harness.upload(data=b"words"))
    assert (records(harness), harness.events.published) == ([], [])


def test_a_record_that_fails_leaves_the_photo_to_others() -> None:
    """Its worker gives the right back: a newer photo need not wait for it."""
    harness = Harness()
    harness.broken["photos.put_record"] = Transient("S3 throttled")
    assert harness.send(harness.upload(data=b"words")).pending == ("record",)
    harness.jobs.begin_delivery("in", "shoe.jpg", "another", harness.clock.now() + 1.0)


def test_an_item_that_cannot_be_read_takes_no_record_away() -> None:
    """An older photo is at the key again; whether it ended since cannot be told."""
    harness = Harness()
    older = harness.clean("shoe.jpg", tiny_image("image/jpeg", b"older"))
    harness.broken["photos.put_record"] = Transient("S3 throttled")
    harness.submit.handle(harness.upload(data=b"words"), harness.clock.monotonic() + 30.0)
    newer = list(harness.jobs.jobs.values())[-1]
    assert newer.pending == ("record",)
    harness.photos.delete("in", "shoe.jpg", newer.upload.version_id)
    harness.jobs.unreadable.add(older.job_id)
    harness.broken.clear()
    harness.give({"job_id": newer.job_id, "run_id": None})
    assert records(harness) == ["_skipped/shoe.jpg.txt"]


def test_a_delivery_waits_for_a_record_that_cannot_be_removed() -> None:
    harness = Harness()
    harness.send(harness.upload(data=b"words"))
    harness.clock.advance(1.0)
    event = harness.upload()
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    harness.wait(60.0)
    newer = next(job for job in harness.jobs.jobs.values() if job.run_id)
    harness.broken["photos.remove"] = Transient("S3 throttled")
    message = {"job_id": newer.job_id, "run_id": newer.run_id}
    harness.give(message)
    assert harness.jobs.jobs[newer.job_id].state is State.SUBMITTED
    harness.broken.clear()
    harness.give(message)
    assert harness.jobs.jobs[newer.job_id].state is State.DELIVERED
    assert records(harness) == []


def test_a_late_result_removes_the_record_of_what_was_taken_back() -> None:
    """The older photo is there again, and its run turned up after its job had ended because of the newer one."""
    harness = Harness()
    harness.faults = [Fault(effect=True, late=2_000.0)]
    older = harness.send(harness.upload("shoe.jpg", tiny_image("image/jpeg", b"older")))
    harness.wait(900.0)
    harness.submit.handle(harness.upload(data=b"words"), harness.clock.monotonic() + 30.0)
    newer = list(harness.jobs.jobs.values())[-1]
    harness.send_to(older)
    assert harness.jobs.jobs[older.job_id].state is State.SUPERSEDED
    harness.photos.delete("in", "shoe.jpg", newer.upload.version_id)
    assert records(harness) == ["_skipped/shoe.jpg.txt"]
    harness.wait(3_600.0)
    (run_id,) = harness.runs.runs
    harness.give({"job_id": older.job_id, "run_id": run_id})
    assert harness.jobs.jobs[older.job_id].state is State.DELIVERED
    assert records(harness) == []
