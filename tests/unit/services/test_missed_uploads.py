"""Uploads that no event told of are found, once, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.missed_uploads import Scan
from detag.domain.uploads import read_upload
from detag.ports.errors import Transient
from tests.unit.services.harness import Harness

HOUR = 3_600.0


def missed(harness: Harness, key: str = "shoe.jpg") -> dict[str, Any]:
    """Upload a photo whose event never comes; returns it."""
    return harness.upload(key)


def submit_sent(harness: Harness) -> None:
    sent, harness.uploads.sent = harness.uploads.sent, []
    for message in sent:
        harness.submit.handle(message, harness.clock.monotonic() + 30.0)


def test_an_upload_without_an_event_is_submitted() -> None:
    harness = Harness()
    harness.wait(60.0)
    missed(harness)
    assert harness.sweep()["recovered"] == 0  # it is too young
    harness.wait(HOUR + 60)
    assert harness.sweep()["recovered"] == 1
    submit_sent(harness)
    assert harness.job.state is State.SUBMITTED
    assert harness.telemetry.counts["UploadRecovered"] == 1


def test_an_event_that_comes_later_finds_the_job() -> None:
    """An event that comes after all finds the job: one run."""
    harness = Harness()
    harness.wait(60.0)
    event = missed(harness)
    harness.wait(HOUR)
    harness.sweep()
    submit_sent(harness)
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    assert len(harness.jobs.jobs) == len(harness.runs.runs) == 1


def test_what_has_a_job_is_not_sent_again() -> None:
    harness = Harness()
    harness.wait(60.0)
    harness.submit.handle(harness.upload("shoe.jpg"), harness.clock.monotonic() + 30.0)
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 0
    assert [message for message in harness.uploads.sent if "listed" in message] == []


def test_of_a_name_that_is_known_only_the_event_can_tell() -> None:
    """Ranked below a known upload it would be superseded at once, and its event, if it still comes, find it closed."""
    harness = Harness()
    harness.wait(60.0)
    harness.submit.handle(harness.upload("shoe.jpg"), harness.clock.monotonic() + 30.0)
    harness.wait(1.0)
    event = missed(harness)
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 0
    assert any(line.message.startswith("no event yet") for line in harness.telemetry.lines)
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    assert len(harness.runs.runs) == 2


def test_the_next_version_without_an_event_is_found_too() -> None:
    """Both are ranked by their time; so is one whose first message was lost after its rank was saved."""
    harness = Harness()
    harness.wait(60.0)
    for number in (1, 2):
        harness.wait(HOUR)
        missed(harness)
        harness.wait(1_000.0)
        harness.broken["jobs.save"] = Transient("DynamoDB throttled")
        assert harness.sweep()["recovered"] == 1
        with pytest.raises(Transient):
            submit_sent(harness)
        harness.broken.clear()
        harness.wait(HOUR + 60)
        assert harness.sweep()["recovered"] == 1
        submit_sent(harness)
        assert len(harness.runs.runs) == number
    harness.wait(HOUR + 60)
    assert harness.sweep()["recovered"] == 0
    assert [line for line in harness.telemetry.lines if line.message.startswith("no event yet")] == []


def test_an_older_version_that_is_back_is_left_alone() -> None:
    """The newer one was found and deleted: ranked below it, the older would be dropped once it is paid."""
    harness = Harness()
    harness.wait(60.0)
    missed(harness)
    harness.wait(10.0)
    event = missed(harness)
    harness.wait(HOUR + 60)
    assert harness.sweep()["recovered"] == 1
    submit_sent(harness)
    harness.photos.delete("in", "shoe.jpg", event["detail"]["object"]["version-id"])
    harness.wait(HOUR + 60)
    assert harness.sweep()["recovered"] == 0


def test_a_photo_that_was_deleted_meanwhile_is_left_alone() -> None:
    harness = Harness()
    harness.wait(60.0)
    missed(harness)
    harness.photos.delete("in", "shoe.jpg")
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 0


def test_between_two_scans_nothing_is_asked() -> None:
    """A minute in which no page is due costs no call, in a warm process."""
    harness = Harness()
    harness.wait(60.0)
    harness.sweep()
    harness.calls.clear()
    harness.wait(60.0)
    harness.sweep()
    assert {"photos.versions", "jobs.scan", "jobs.created_at"} & set(harness.calls) == set()


def test_a_scan_that_fails_is_repeated_and_stops_nothing_else() -> None:
    harness = Harness()
    harness.wait(60.0)
    missed(harness)
    harness.wait(HOUR)
    harness.broken["photos.versions"] = Transient("S3 answered SlowDown")
    assert harness.sweep()["recovered"] == 0
    harness.broken.clear()
    assert harness.sweep()["recovered"] == 1


def test_the_status_report_says_how_far_the_scan_is() -> None:
    harness = Harness()
    assert harness.reconcile.report()["scan_for_missed_uploads"] == {"state": "not begun"}
    harness.sweep()
    state = harness.reconcile.report()["scan_for_missed_uploads"]
    assert state["state"] == "on" and state["completed_at"]


def test_a_job_known_by_its_encoded_key_is_not_missed() -> None:
    """An event may have named its key URL-encoded: its job is the listed object's."""
    harness = Harness()
    harness.wait(60.0)
    event = harness.upload("no image + 1.jpg", b"words")
    event["detail"]["object"]["key"] = "no+image+%2B+1.jpg"
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    assert harness.job.state is State.SKIPPED
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 0


def test_an_encoded_event_after_the_scan_pays_nothing() -> None:
    harness = Harness()
    harness.wait(60.0)
    event = missed(harness, "crème 1.jpg")
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 1
    submit_sent(harness)
    event["detail"]["object"]["key"] = "cr%C3%A8me+1.jpg"
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    assert len(harness.jobs.jobs) == len(harness.runs.runs) == 1


def test_what_was_taken_up_ranks_by_its_own_time() -> None:
    """Not only above the newest that is known: what the scan found before it came is older, however late its message
    arrives.
    """
    harness = Harness()
    missed(harness)
    harness.wait(HOUR + 60)
    harness.sweep()
    submit_sent(harness)
    harness.wait(HOUR)
    missed(harness)
    harness.wait(HOUR + 60)
    harness.sweep()
    (late,) = (message for message in harness.uploads.sent if "listed" in message)
    newest = read_upload(missed(harness))
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    asked = {"id": "r-1", "how": "paid", "by": "anna", "at": at, "key": newest.key}
    harness.submit.handle({"reopen": asked}, harness.clock.monotonic() + 30.0)
    taken_up = harness.jobs.jobs[newest.job_id]
    assert (taken_up.state, taken_up.upload.rank > read_upload(late).rank) == (State.SUBMITTED, True)
    harness.submit.handle(late, harness.clock.monotonic() + 30.0)
    assert harness.jobs.newest_upload("in", newest.key) == taken_up.upload.rank


DAY = 24 * HOUR
OTHERS = {"stack": "111122223333/eu-central-1/detag"}
"""The input bucket is not the stack's own."""


def at_another_place(harness: Harness, place: str) -> None:
    """The scan of a stack that was set up ten days ago, in the middle of some place that it then cleaned."""
    since = harness.clock.now()
    harness.wait(10 * DAY)
    later = harness.clock.now() + DAY
    harness.jobs.save_scan(None, Scan(since=since, place=place, after_key="zebra.jpg", next_at=later, version=1))


@pytest.mark.parametrize("place", ["in/a/", "in/", "another/b/", ""])
@pytest.mark.parametrize("bucket", [{}, OTHERS], ids=["own bucket", "given bucket"])
def test_photos_that_were_in_a_new_folder_are_not_paid(bucket: dict[str, str], place: str) -> None:
    """Also where the item does not say which place it is of, as one of an older version; what comes from then on and
    has no event is found, from the first page on.
    """
    harness = Harness(places={"input_prefix": "b/"} | bucket)
    at_another_place(harness, place)
    missed(harness, "b/old.jpg")
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 0
    harness.wait(HOUR)
    missed(harness, "b/new.jpg")
    harness.wait(2 * HOUR)
    assert harness.sweep()["recovered"] == 1
    (message,) = harness.uploads.sent
    assert read_upload(message).key == "b/new.jpg"


def test_a_given_bucket_without_a_prefix_is_a_new_place() -> None:
    """An item that names no place is of the stack's own bucket at the most."""
    harness = Harness(places=OTHERS)
    at_another_place(harness, "")
    missed(harness, "zoo.jpg")
    harness.wait(2 * DAY)
    assert harness.sweep()["recovered"] == 0


def test_an_older_item_of_the_own_bucket_goes_on() -> None:
    """One that names no place, as there was only one."""
    harness = Harness()
    at_another_place(harness, "")
    missed(harness, "zoo.jpg")
    missed(harness, "boot.jpg")  # before the place where it stands
    harness.wait(DAY)
    assert harness.sweep()["recovered"] == 1
    (message,) = harness.uploads.sent
    assert read_upload(message).key == "zoo.jpg"
    harness.sweep()
    after = harness.jobs.scan()
    assert after is not None and after.place == "in/"


def test_a_scan_that_fails_keeps_when_its_place_was_new() -> None:
    harness = Harness(places={"input_prefix": "b/"})
    at_another_place(harness, "in/a/")
    harness.broken["photos.versions"] = Transient("S3 answered SlowDown")
    harness.sweep()
    missed(harness, "b/new.jpg")
    harness.wait(HOUR)
    harness.broken.clear()
    assert harness.sweep()["recovered"] == 1


def test_a_place_is_kept_while_it_is_scanned() -> None:
    """A folder that is the same keeps its span, page after page and from one scan to the next."""
    harness = Harness(places={"input_prefix": "b/"} | OTHERS)
    missed(harness, "b/shoe.jpg")
    harness.wait(HOUR)
    assert harness.sweep()["recovered"] == 1
    harness.wait(HOUR + 60)
    missed(harness, "b/boot.jpg")
    harness.wait(HOUR)
    submit_sent(harness)
    assert harness.sweep()["recovered"] == 1
