"""What a record says: first what happened, then what to do, then what it cost and all else."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import Job, Reservation, State, Upload
from detag.domain.reasons import Group, Reason
from detag.domain.records import newest_recorded, text_of, was_taken_back

STATES = {Group.FAILED: State.FAILED, Group.CANCELLED: State.CANCELLED, Group.SKIPPED: State.SKIPPED}
UPLOAD = Upload("in", "shoe.jpg", "v1", "01", "e1", 1_000, 1_795_453_200.0)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.group in STATES])
def test_the_first_line_of_a_record_is_one_sentence(reason: Reason) -> None:
    text = text_of(Job(upload=UPLOAD, state=STATES[reason.group], reason=reason))
    happened, _, rest = text.partition("\n\n")
    assert re.findall(r"\.(?= [A-Z]|$)", happened.splitlines()[0]) == ["."]
    assert " ".join(happened.splitlines()) == reason.means
    assert rest.startswith(f"What to do: {reason.do}\n\n")


def test_a_record_needs_no_engineer_to_be_read() -> None:
    """No first line speaks of what a shop owner never saw: a stack, a prefix, a parameter."""
    for reason in (reason for reason in Reason if reason.group in STATES):
        text = text_of(Job(upload=UPLOAD, state=STATES[reason.group], reason=reason))
        first = text.splitlines()[0]
        assert not re.search(r"(?i:\bstack|prefix|bucket|parameter)|[a-z][A-Z]", first), first


def test_upload_it_again_is_said_only_where_it_can_help() -> None:
    said = {reason for reason in Reason if re.search(r"(?i)\bupload (it|the original) again\b", reason.do)}
    assert said == {
        Reason.EMPTY,
        Reason.TRUNCATED,
        Reason.END_NOT_SEEN,
        Reason.DELETED,
        Reason.UNUSABLE_NAME,
        Reason.INVALID_ASPECT_RATIO,
        Reason.NOT_PREPARED,
    }


RESERVED = Reservation("2026-11-23", Decimal("0.14"))
ENDED = [reason for reason in Reason if reason.group in STATES]


def fact(name: str, **changes: object) -> str:
    """One of the facts in a job's record; the job failed unless said."""
    job = Job(**{"upload": UPLOAD, "state": State.FAILED, "reason": Reason.RUN_FAILED} | changes)  # type: ignore[arg-type]
    (line,) = [line for line in text_of(job).splitlines() if line.startswith(f"{name}:")]
    return line.removeprefix(f"{name}:").strip()


@pytest.mark.parametrize("run_id", [None, "run-1"])
@pytest.mark.parametrize("reason", ENDED)
def test_every_record_says_whether_it_was_charged(reason: Reason, run_id: str | None) -> None:
    assert fact("Charged", state=STATES[reason.group], reason=reason, run_id=run_id)


@pytest.mark.parametrize(
    ("changes", "charged"),
    [
        ({}, "nothing"),
        ({"run_id": "run-1"}, "nothing"),
        ({"run_id": "run-1", "cost": "0.00000000"}, "nothing"),
        ({"run_id": "run-1", "cost": "0.14", "reservation": RESERVED}, "$0.14"),
        ({"run_id": "run-1", "reservation": RESERVED}, "perhaps $0.14: Runflow had not said yet"),
        ({"reason": Reason.TIMED_OUT, "run_id": "run-1"}, "perhaps: Runflow had not said yet"),
        ({"reason": Reason.TIMED_OUT, "run_id": "run-1", "cost": "0"}, "nothing"),
        (
            {"run_id": "run-1", "cost": "0.28", "reservation": RESERVED, "reserved_run": f"{UPLOAD.job_id}.1"}
            | {"submission_no": 1},
            "$0.28, and perhaps $0.14: Runflow had not said yet",
        ),
        ({"run_id": "run-1", "cost": "0", "reservation": RESERVED, "reserved_run": "run-2"}, "$0.14"),
        ({"reason": Reason.REFUSED, "earlier_runs": ("run-1",)}, "nothing"),
    ],
)
def test_a_record_says_what_was_charged(changes: dict[str, object], charged: str) -> None:
    """Or what may have been, where only Runflow knows."""
    assert fact("Charged", **changes) == charged


def test_a_record_says_how_to_reopen_what_its_detail_lets_in() -> None:
    """As for a HEIC, which an operator may let through."""
    detail = "HEIC is not supported: add it to the parameter PhotoTypes and reopen the photo (unpaid)"
    assert fact("To reopen", state=State.SKIPPED, reason=Reason.UNSUPPORTED_TYPE, detail=detail)


@pytest.mark.parametrize("reason", ENDED)
def test_a_record_says_how_to_reopen_where_it_advises_that(reason: Reason) -> None:
    """Whoever reads it has the file, and no manual."""
    text = text_of(Job(upload=UPLOAD, state=STATES[reason.group], reason=reason))
    assert ("ReopenCommand" in text) is ("reopen" in reason.do.lower())
    assert text.splitlines()[-1].startswith("Job:")


@pytest.mark.parametrize(
    ("version_id", "recorded", "at_key", "stays"),
    [
        ("v1", "02", "v1", ""),
        ("v1", "02", "v2", "02"),
        ("v1", "02", None, "02"),
        ("v1", "00", "v1", "00"),
        ("v1", "", "v1", ""),
        (None, "02", None, "02"),
        ("null", "02", "null", "02"),
    ],
)
def test_whose_record_stays(version_id: str | None, recorded: str, at_key: str | None, stays: str) -> None:
    """That of a newer version, unless it was taken back: then the photo's own is at its key."""
    job = Job(upload=replace(UPLOAD, version_id=version_id))
    assert newest_recorded(job, recorded, at_key) == stays


def test_a_record_stays_where_its_upload_ended_another() -> None:
    """That the older one is there again does not make it one that was cleaned, or could not be."""
    job = Job(upload=UPLOAD, state=State.SUPERSEDED, reason=Reason.REPLACED)
    assert newest_recorded(job, "02", UPLOAD.version_id) == "02"
    assert newest_recorded(job, "02", UPLOAD.version_id, delivered=True) == "", "a late result of it is stored"


@pytest.mark.parametrize(
    ("state", "sequencer", "ended", "taken_back"),
    [
        (State.SKIPPED, "00", 20.0, True),
        (State.SKIPPED, "00", 10.0, False),
        (State.SKIPPED, "00", None, False),
        (State.SKIPPED, "02", 20.0, False),
        (State.SUPERSEDED, "00", 20.0, False),
    ],
)
def test_what_was_taken_back(state: State, sequencer: str, ended: float | None, taken_back: bool) -> None:
    """An older upload is there, and ended later; one that gave way says nothing."""
    job = Job(upload=replace(UPLOAD, sequencer="01"), state=State.FAILED, closed_at=10.0)
    assert not was_taken_back(job, None)
    there = Job(upload=replace(UPLOAD, sequencer=sequencer, version_id="v0"), state=state, closed_at=ended)
    assert was_taken_back(job, there) is taken_back
    found_by_the_scan = replace(
        there, upload=replace(there.upload, sequencer="00", uploaded_at=UPLOAD.uploaded_at + 60)
    )
    assert was_taken_back(job, found_by_the_scan) is (ended is not None and state is not State.SUPERSEDED)
