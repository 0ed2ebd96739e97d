"""A name that was last delivered, or last had a record, longer ago than anything that expires is kept."""

from __future__ import annotations

from datetime import UTC, datetime

from detag.domain.job import DAY_SECONDS, State
from tests.unit.services.harness import Harness, submitted

LONG_AGO = 401 * DAY_SECONDS


def after_all_expired(harness: Harness) -> None:
    """So long later that DynamoDB has deleted every item that may expire."""
    harness.wait(LONG_AGO)
    harness.jobs.expire()
    assert harness.jobs.jobs == {}


def billed(harness: Harness) -> list[str]:
    """What Runflow billed, run by run."""
    return [str(run.billed) for run in harness.runs.runs.values()]


def delivered_long_ago() -> Harness:
    """One photo, whose job has expired; its output is there."""
    harness = submitted()
    harness.wait(100.0)
    assert harness.arrive().state is State.DELIVERED
    after_all_expired(harness)
    return harness


def test_an_old_photo_that_is_paid_for_anew_is_delivered() -> None:
    """The new result is that of the newest upload of its name, and takes the place of the old one."""
    harness = delivered_long_ago()
    asked = {"key": "shoe.jpg", "how": "paid", "by": "anna", "id": "r-1"}
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    assert harness.send({"reopen": asked | {"at": at}}).state is State.SUBMITTED
    harness.wait(100.0)
    assert harness.arrive().state is State.DELIVERED
    assert harness.photos.outputs["shoe.jpg.webp"].metadata["detag-run-id"] == harness.run.run_id


def test_an_upload_without_an_event_is_not_paid_for_and_dropped() -> None:
    """What the scan finds ranks below all that an event told of."""
    harness = delivered_long_ago()
    event = harness.upload()
    there = event["detail"]["object"]
    listed = {"bucket": "in", "key": "shoe.jpg", "version_id": there["version-id"], "modified": harness.clock.now()}
    harness.wait(3_600.0)
    assert harness.send({"listed": listed | {"etag": there["etag"], "size": there["size"]}}).state is State.SUPERSEDED
    assert billed(harness) == ["0.14"]


def test_an_old_record_is_removed_with_a_delivery() -> None:
    harness = Harness()
    harness.send(harness.upload(data=b""))
    assert list(harness.photos.outputs) == ["_skipped/shoe.jpg.txt"]
    after_all_expired(harness)
    harness.send(harness.upload())
    harness.wait(100.0)
    assert harness.arrive().state is State.DELIVERED
    assert list(harness.photos.outputs) == ["shoe.jpg.webp"]
