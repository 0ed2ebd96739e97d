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
    '{"action": "reopen", "key": "shoe.jpg"}',
    '{"mode": "paid", "key": "shoe.jpg"}',
]
ASKED = {"id": "r-1", "how": "paid", "by": "anna", "key": "shoe.jpg", "at": "2026-11-23T11:00:00Z"}
EVENT = {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "time": "2026-11-23T11:00:00Z"}
S3 = {"bucket": {"name": "in"}, "object": {"key": "shoe.jpg", "size": 9}}
WRAPPED: list[Any] = [
    {"Type": "Notification", "MessageId": "m", "Message": json.dumps({"reopen": ASKED})},
    {"version": "0", "source": "shop", "detail-type": "Reopen", "detail": {"reopen": ASKED}},
    {"version": "0", "source": "shop", "detail-type": "Reopen", "detail": ASKED},
    {"Records": [{"messageId": "m", "body": json.dumps({"reopen": ASKED})}]},
    {"body": json.dumps(json.dumps({"reopen": ASKED}))},
    {"requests": [{"reopen": ASKED}]},
    {"detail": {"reopen": ASKED | {"bucket": "in"}}},
    {"detail": {"reopen": ASKED | {"bucket": {"name": "in"}}}},
    {"Type": "Notification", "Message": json.dumps({"Re-open": ASKED | {"object": {"key": "shoe.jpg"}}})},
    {"Records": [{"messageId": "m", "body": json.dumps({"reopen": [ASKED | {"s3": S3}]})}]},
    {"request": ASKED},
    {"re-open": ASKED},
    {" Reopen ": ASKED},
    {"reopen": json.dumps(ASKED)},
    {"reopen": [ASKED]},
    {"reopen": ASKED | {"id": 1}},
    {"reopen": ASKED | {"by": None}},
    {"reopen": ASKED | {"how": ["paid"]}},
    {"reopen": ASKED | {"at": 1_795_431_600}},
    {"reopen": ASKED | {"key": {"name": "shoe.jpg"}}},
    {"reopen": ASKED | {"job_id": 5}},
    {"reopen": True},
    [{"reopen": ASKED}],
    json.dumps({"reopen": ASKED}),
]
"""Requests of other shapes than the documented one: inside of something else, or of other types."""
EVENTS: list[dict[str, Any]] = [
    {"Records": [{"eventSource": "aws:s3", "s3": S3}]},
    {"Type": "Notification", "Message": json.dumps({"Records": [{"eventSource": "aws:s3", "s3": S3, "by": "anna"}]})},
    {"Type": "Notification", "Message": json.dumps(EVENT | {"detail": S3 | {"how": "PUT"}})},
    EVENT | {"detail": {"bucket": {"name": "in"}, "by": "anna"}},
    EVENT | {"detail": {"object": {"key": "reopen"}, "how": "PUT"}},
    {"listed": {"key": "how", "by": "anna"}},
    EVENT,
    EVENT | {"detail": {"bucket": {"name": "in"}}},
    EVENT | {"detail": {"bucket": {"name": "in"}, "object": {"key": "shoe.jpg"}}},
    EVENT | {"detail": "of a newer kind"},
    {"listed": {"key": "shoe.jpg"}},
    {"of_newer_code": "shoe.jpg"},
    EVENT | {"detail": S3 | {"reopen": {"how": "paid"}}},
    {"Type": "Notification", "Message": json.dumps({"s3": S3, "reopen": ASKED})},
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


@pytest.mark.parametrize("wrapped", WRAPPED, ids=range(len(WRAPPED)))
def test_a_request_inside_of_something_is_refused(wrapped: Any) -> None:
    """It is not guessed at: nothing changes, and nothing is paid."""
    harness = Harness()
    harness.send(harness.upload())
    harness.wait(100.0)
    before = harness.arrive()
    assert handled(harness, json.dumps(wrapped))
    assert harness.job == before
    assert (harness.telemetry.counts["ReopenRefused"], harness.telemetry.counts["MessageFailed"]) == (1, 0)


def test_what_is_nested_deeply_is_read_in_time() -> None:
    """Of objects and texts in each other no more is looked at than an envelope needs."""
    deep: Any = {"reopen": ASKED}
    for _ in range(12):
        deep = {"inner": json.dumps(deep)} if len(json.dumps(deep)) < 20_000 else {"inner": deep}
    assert not handled(Harness(), json.dumps(deep))
    assert not handled(Harness(), '{"a":' * 900 + "1" + "}" * 900)


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_what_may_tell_of_a_photo_is_a_dead_letter(event: dict[str, Any]) -> None:
    harness = Harness()
    assert not handled(harness, json.dumps(event))
    assert (harness.telemetry.counts["ReopenRefused"], harness.telemetry.counts["MessageFailed"]) == (0, 1)


def test_a_malformed_result_is_a_dead_letter() -> None:
    """Nobody writes to its queue by hand."""
    assert not handled(Harness(), "no JSON", refuses=False)
