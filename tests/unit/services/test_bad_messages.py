"""Messages that nobody can understand: a photo's is kept, a person's request is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detag.batch import process
from tests.unit.services.harness import Harness

REQUESTS = [
    '{"reopen": {"key": "x"',
    '{"reopen": {"key": "a "b".jpg", "how": "paid"}}',
    r'{"reopen": {"key": "a\x.jpg"}}',
    "",
    "reopen shoe.jpg",
    '"paid"',
    "[]",
    "[" * 100_000,
    '{"reopen": []}',
    '{"how": "paid", "job_id": "0123456789abcdef0123456789abcdef"}',
    '{"Reopen": {"id": "r-1", "how": "paid", "by": "anna", "key": "shoe.jpg"}}',
    '{"id": "r-1", "by": "anna", "key": "shoe.jpg"}',
]
EVENT = {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "time": "2026-11-23T11:00:00Z"}
EVENTS: list[dict[str, Any]] = [
    EVENT,
    EVENT | {"detail": {"bucket": {"name": "in"}}},
    EVENT | {"detail": {"bucket": {"name": "in"}, "object": {"key": "shoe.jpg"}}},
    EVENT | {"detail": "of a newer kind"},
    {"listed": {"key": "shoe.jpg"}},
    {"of_newer_code": "shoe.jpg"},
]


def handled(harness: Harness, body: str, *, refuses: bool = True) -> bool:
    """Whether a function is done with a message; submit refuses what is no JSON object."""
    answer = process(
        {"Records": [{"messageId": "m-1", "body": body}]},
        lambda message: harness.submit.handle(message, harness.clock.monotonic() + 30.0),
        harness.telemetry,
        refuse=harness.submit.refuse if refuses else None,
    )
    return answer == {"batchItemFailures": []}


@pytest.mark.parametrize("body", REQUESTS, ids=range(len(REQUESTS)))
def test_a_malformed_request_is_no_dead_letter(body: str) -> None:
    """It is said in the log and counted."""
    harness = Harness()
    assert handled(harness, body)
    (line,) = [line for line in harness.telemetry.lines if line.message == "reopen refused"]
    assert str(line.fields["why"]).startswith("malformed: ")
    assert (harness.telemetry.counts["ReopenRefused"], harness.telemetry.counts["MessageFailed"]) == (1, 0)


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_what_may_tell_of_a_photo_is_a_dead_letter(event: dict[str, Any]) -> None:
    harness = Harness()
    assert not handled(harness, json.dumps(event))
    assert (harness.telemetry.counts["ReopenRefused"], harness.telemetry.counts["MessageFailed"]) == (0, 1)


def test_a_malformed_result_is_a_dead_letter() -> None:
    """Nobody writes to its queue by hand."""
    assert not handled(Harness(), "no JSON", refuses=False)
