"""The scan of the input bucket: what it takes up, and where it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain.job import sequencer_rank
from detag.domain.missed_uploads import (
    MAX_LISTED,
    MAX_OBJECTS,
    Listed,
    Page,
    Scan,
    after_page,
    is_overtaken,
    taken_up,
)
from detag.domain.uploads import read_upload

NOW = 1_795_431_600.0
DAY = 86_400.0
SCAN = Scan(since=NOW - DAY)
SHOE = Listed("shoe.jpg", "v1", "e1", 100, NOW - 3_600)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (SHOE, True),
        (replace(SHOE, modified=NOW - 899), False),
        (replace(SHOE, modified=NOW - 900), True),
        (replace(SHOE, modified=NOW - DAY - 1), False),
        (replace(SHOE, modified=NOW - DAY), True),
        (replace(SHOE, version_id="null"), False),
    ],
    ids=["usual", "too young", "old enough", "before the stack", "after it", "without a version"],
)
def test_what_is_taken_up(listed: Listed, expected: bool) -> None:
    assert taken_up(SCAN, listed, now=NOW) is expected


def test_what_may_have_been_paid_and_forgotten_is_left_alone() -> None:
    """A job's item is deleted 90 days after its end: an upload older than 80 is never taken up."""
    scan = Scan(since=NOW - 365 * DAY)
    assert not taken_up(scan, replace(SHOE, modified=NOW - 80 * DAY - 1), now=NOW)
    assert taken_up(scan, replace(SHOE, modified=NOW - 79 * DAY), now=NOW)


def test_a_scan_goes_on_where_the_page_ended() -> None:
    moved = after_page(SCAN, Page([SHOE], 1_000, ("shoe.jpg", "v1")), now=NOW)
    assert (moved.after, moved.started_at, moved.next_at) == (("shoe.jpg", "v1"), NOW, 0.0)
    assert (moved.entries, moved.objects) == (1_000, 1)
    again = after_page(moved, Page([], 1_000, ("z.jpg", "v9")), now=NOW + 60)
    assert (again.after, again.entries, again.started_at) == (("z.jpg", "v9"), 2_000, NOW)
    done = after_page(again, Page([SHOE, SHOE], 5, None), now=NOW + 120)
    assert (done.entries, done.objects) == (2_005, 3)
    anew = after_page(done, Page([SHOE], 2, ("shoe.jpg", "v1")), now=NOW + 4_000)
    assert (anew.entries, anew.objects, anew.started_at) == (2, 1, NOW + 4_000)


def test_the_next_scan_spans_what_was_too_young_for_this_one() -> None:
    moved = after_page(SCAN, Page([SHOE], 1_000, ("shoe.jpg", "v1")), now=NOW)
    done = after_page(moved, Page([], 3, None), now=NOW + 60)
    assert (done.after, done.completed_at, done.next_at) == (None, NOW + 60, NOW + 60 + 3_600)
    assert done.since == NOW - 86_400
    young = replace(SHOE, modified=NOW - 899)
    assert taken_up(done, young, now=done.next_at)


@pytest.mark.parametrize(
    ("objects", "pages"), [(1_000, MAX_OBJECTS // 1_000 + 1), (500, MAX_OBJECTS // 500 + 1), (0, MAX_LISTED // 1_000)]
)
def test_a_bucket_that_is_too_large_is_left_for_a_day(objects: int, pages: int) -> None:
    """Above 100,000 objects, however many other versions there are, up to a million."""
    scan = SCAN
    for number in range(pages):
        assert not scan.too_large
        scan = after_page(scan, Page([SHOE] * objects, 1_000, (f"{number:05}", "v")), now=NOW)
    assert (scan.too_large, scan.after, scan.next_at, scan.since) == (True, None, NOW + DAY, SCAN.since)
    fewer = after_page(scan, Page([], 10, None), now=NOW + DAY)
    assert (fewer.too_large, fewer.completed_at) == (False, NOW + DAY)


def test_a_listed_upload_is_the_job_of_its_event() -> None:
    """A listed upload has the identity that its event has, and a rank below that of every event."""
    upload = read_upload(SHOE.message("in"))
    event = {
        "time": "2026-11-23T12:00:00Z",
        "detail": {
            "bucket": {"name": "in"},
            "object": {"key": "shoe.jpg", "version-id": "v1", "sequencer": "0055AED6DCD90281E5", "size": 100},
        },
    }
    assert upload.job_id == read_upload(event).job_id
    assert upload.rank < read_upload(event).rank
    assert upload.rank < sequencer_rank("0000000000000001")
    later = read_upload(replace(SHOE, modified=NOW).message("in"))
    assert upload.rank < later.rank
    assert (upload.etag, upload.size, upload.uploaded_at) == ("e1", 100, SHOE.modified)


def test_a_listed_upload_is_ranked_by_its_time() -> None:
    """Above what the scan has found of its name before, and below whatever an event told of."""
    upload = read_upload(SHOE.message("in"))
    for older in ("", read_upload(replace(SHOE, modified=SHOE.modified - 1).message("in")).rank, upload.rank):
        assert not is_overtaken(upload, older)
    assert is_overtaken(upload, read_upload(replace(SHOE, modified=SHOE.modified + 1).message("in")).rank)
    assert is_overtaken(upload, sequencer_rank("0000000000000001"))


@pytest.mark.parametrize("missing", ["bucket", "key", "version_id", "size", "modified"])
def test_a_message_that_lacks_something_says_so(missing: str) -> None:
    message = SHOE.message("in")
    del message["listed"][missing]
    with pytest.raises(ValueError, match=missing):
        read_upload(message)
