"""When it is proved that no run exists, by what a search was shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain.decisions import Unanswered
from detag.domain.runs import Run, RunStatus
from detag.domain.search import MAX_CURSOR, ORDERED, Found, NoneFound, RunSearch, Unfinished
from tests.unit.domain.test_decisions import NAMED, NOW, PHOTO, UNCONFIRMED

DAY = 86_400.0
OURS = replace(NAMED, status=RunStatus.SUCCEEDED)
BARE = Run("run-2", RunStatus.UNKNOWN)
ELSEWHERE = replace(NAMED, image_url="https://cdn.example/1.jpg")


def older(count: int, since: float = NOW - DAY) -> list[Run]:
    """Runs of others that were made before the claim, newest first."""
    return [
        Run(f"other-{since}-{number}", RunStatus.SUCCEEDED, client_ref="theirs", created_at=since - number)
        for number in range(count)
    ]


def search() -> RunSearch:
    return RunSearch(UNCONFIRMED, PHOTO)


def test_a_list_read_to_its_end_proves_that_none_exists() -> None:
    one = search()
    one.read(older(3), "next")
    assert one.result() == Unfinished("next")
    one.read(older(3, NOW - 2 * DAY), None)
    assert one.result() == NoneFound()


@pytest.mark.parametrize(("count", "over"), [(ORDERED - 1, False), (ORDERED, True)])
def test_so_many_older_runs_in_a_row_end_a_search(count: int, over: bool) -> None:
    one = search()
    one.read(older(count), "next")
    assert (one.result() == NoneFound()) is over


def test_a_list_that_was_once_out_of_order_is_read_to_its_end() -> None:
    one = search()
    one.read(older(1, NOW - 2 * DAY), "next")
    one.read(older(ORDERED), "next")
    assert one.result() == Unfinished("next")


def test_a_run_of_ours_is_found_wherever_it_is() -> None:
    one = search()
    one.read([BARE, *older(3), OURS], "next", 2)
    assert one.result("a timeout") == Found([OURS])


@pytest.mark.parametrize(
    "run",
    [BARE, ELSEWHERE, replace(OURS, aspect_ratio="1x1"), replace(OURS, created_at=NOW - DAY)],
    ids=["bare id", "unknown host", "another ratio", "another time"],
)
@pytest.mark.parametrize("record", ["unknown", "the same"])
def test_what_does_not_tell_is_asked_for_and_proves_nothing(run: Run, record: str) -> None:
    one = search()
    one.read([run], None)
    assert (one.to_ask, one.result()) == ([run.run_id], Unfinished(None, (run.run_id,)))
    one.answered(run if record == "the same" else None)
    found = one.result()
    assert isinstance(found, Unanswered) and run.run_id in found.why


def test_a_name_that_may_be_cut_off_is_asked_for() -> None:
    """Its record shows it, or shows that it is another: of an entry alone it cannot be told."""
    one, cut = search(), Run("run-1", RunStatus.RUNNING, client_ref=str(OURS.client_ref)[:20])
    one.read([cut, replace(cut, run_id="run-2", client_ref="theirs")], None)
    assert one.to_ask == ["run-1"]
    one.answered(OURS)
    assert one.result() == Found([OURS])


def test_an_entry_without_an_id_proves_nothing() -> None:
    """Nor can it be kept for the next search: that begins at the top."""
    for following in ("next", None):
        one = search()
        one.read(older(3), following, 1)
        assert one.result() == Unanswered("entries of the run list without an id: 1")


def test_who_names_our_job_is_told_of() -> None:
    one = search()
    hat = replace(OURS, run_id="run-4", image_url="https://in.s3.amazonaws.com/hat.jpg")
    one.read([ELSEWHERE, replace(OURS, run_id="run-3", aspect_ratio="4:3"), hat], None)
    assert one.strangers == [
        ("run-1", "run names our job and does not prove to be ours"),
        ("run-3", "run names our job and does not prove to be ours"),
        ("run-4", "run names our job and is not ours"),
    ]


def test_a_cursor_too_long_to_keep_is_no_progress() -> None:
    one = search()
    one.read(older(3), "c" * (MAX_CURSOR + 1))
    assert isinstance(one.result(), Unanswered)


@pytest.mark.parametrize("without_id", [0, 1], ids=["a run that nobody knows", "an entry without an id"])
def test_a_failed_run_proves_nothing_beside_what_does_not_tell(without_id: int) -> None:
    """A run with a result may be among the others."""
    failed, one = replace(NAMED, status=RunStatus.FAILED), search()
    one.read([failed] if without_id else [failed, BARE], None, without_id)
    if not without_id:
        one.answered(None)
    assert isinstance(one.result(), Unanswered)


def test_a_failed_run_is_found_where_there_is_no_other() -> None:
    failed, one = replace(NAMED, status=RunStatus.FAILED), search()
    one.read([failed], None)
    assert one.result() == Found([failed])


def test_a_run_that_does_not_tell_is_counted_once() -> None:
    """The filter shows it, and the list does."""
    one = search()
    for _ in range(2):
        one.judge([replace(OURS, image_url=None)])
        one.answered(None)
    one.read([], None)
    assert one.result() == Unanswered(f"run {OURS.run_id} does not tell whose it is")
    one.judge([replace(OURS, run_id="run-y", image_url=None)])
    one.answered(None)
    assert one.result() == Unanswered(f"run {OURS.run_id} does not tell whose it is, nor do 1 more")
