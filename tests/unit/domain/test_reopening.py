"""Requests to reopen a job, as they are read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from detag.domain import waits
from detag.domain.decisions import Step, taking_up
from detag.domain.reopening import Refusal, Reopen, Request, Way, asks_to_reopen, ids_of, read_reopen

NOW = 1_795_431_600.0
JOB = "0123456789abcdef" * 2
GOOD = {"id": "r-1", "how": "paid", "by": "anna", "at": "2026-11-23T11:00:00Z", "job_id": JOB}
REQUEST = Request("r-1", Way.PAID, "anna", NOW)


def read(**changes: Any) -> Reopen:
    asked = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return read_reopen({"reopen": asked}, NOW)


@pytest.mark.parametrize(
    "message",
    [
        {"reopen": "paid"},
        {"job_id": JOB, "paid": True},
        {"job_id": 5},
        {"request": {"job_id": JOB, "kind": "paid"}},
        {"Message": json.dumps({"job_id": JOB, "request": "paid"})},
    ],
)
def test_what_names_a_job_asks_for_something(message: dict[str, Any]) -> None:
    """Well-formed or not: nobody else names one."""
    assert asks_to_reopen(message)


@pytest.mark.parametrize(
    "message", [{"job_id": JOB}, {"detail": {"bucket": {}, "object": {}, "job_id": JOB}}, {"listed": {}}, {}]
)
def test_detags_own_messages_and_uploads_ask_for_nothing(message: dict[str, Any]) -> None:
    assert not asks_to_reopen(message)


def test_a_request_names_a_job_or_a_key() -> None:
    assert read() == Reopen(REQUEST, JOB)
    assert read(job_id=None, key="a b.jpg") == Reopen(REQUEST, None, None, "a b.jpg", None)
    named = read(job_id=None, bucket="in", key="a.jpg", version_id="v1")
    assert named == Reopen(REQUEST, None, "in", "a.jpg", "v1")
    assert read(job_id=None, key="a.jpg", version_id="null").version_id is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": "two words"}, "id is"),
        ({"id": "x" * 65}, "id is"),
        ({"id": 7}, "id is missing"),
        ({"by": None}, "by is missing"),
        ({"by": "a\nb"}, "by is at most"),
        ({"by": "x" * 101}, "by is at most"),
        ({"how": "twice"}, "unknown way"),
        ({"at": "soon"}, "at is no time"),
        ({"at": "2026-11-25T11:00:01Z"}, "in the future"),
        ({"at": "2026-09-01T11:00:00Z"}, "too long ago"),
        ({"job_id": "no id"}, "32 hex digits"),
        ({"job_id": None}, "key is missing"),
        ({"job_id": None, "key": "a.jpg", "bucket": ""}, "bucket is missing"),
    ],
)
def test_a_malformed_request_says_what_is_wrong(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        read(**changes)


@pytest.mark.parametrize("value", ["paid", None, []])
def test_what_is_no_object_is_malformed(value: object) -> None:
    with pytest.raises(Refusal, match="malformed"):
        read_reopen({"reopen": value}, NOW)


def test_whoever_asks_leaves_no_secret() -> None:
    assert "s3cret" not in read(by="https://anna:s3cret@example.com/").request.by


def test_only_well_formed_ids_are_logged() -> None:
    assert ids_of({"reopen": GOOD}) == {"request_id": "r-1", "job_id": JOB}
    assert ids_of({"reopen": {"id": "https://x.example/", "job_id": 7}}) == {}
    assert ids_of({"reopen": "this"}) == {}


@pytest.mark.parametrize("how", [Way.UNPAID, Way.PAID])
def test_what_came_after_the_request_is_not_taken_up(how: Way) -> None:
    """But for as long as two clocks may be apart: S3's says when it came, another one when it was asked for."""
    asked, now = replace(REQUEST, how=how), NOW + 3_600.0
    for late in (-60.0, 0.0, waits.CLOCK_SKEW):
        assert isinstance(taking_up(NOW + late, asked, versioned=True, now=now), Step)
    refused = taking_up(NOW + waits.CLOCK_SKEW + 1.0, asked, versioned=True, now=now)
    assert isinstance(refused, Refusal)
    assert "uploaded after it was asked for" in str(refused)
