"""What is asked of DynamoDB, without a client."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.adapters import job_requests
from detag.adapters.job_items import job_item
from detag.domain.job import Reservation, State, Upload, new
from detag.ports.clock_fake import EPOCH

TABLE, DAY = "jobs", "2026-11-23"
UPLOAD = Upload("photos", "shoes/1.jpg", None, "0055AED6DCD90281E5", "e7a6", 1_000, EPOCH - 1.5)
JOB = replace(new(UPLOAD, EPOCH), version=3)
PRICE, LIMIT = Decimal("0.14"), Decimal(10)
RESERVED = Reservation(DAY, PRICE)

EVERY_REQUEST: list[dict[str, Any]] = [
    job_requests.put_request(TABLE, job_item(JOB), 0),
    job_requests.put_request(TABLE, job_item(JOB), 3),
    *(
        action
        for item in (
            job_requests.spend_request(TABLE, DAY, PRICE, None, EPOCH),
            job_requests.spend_request(TABLE, DAY, PRICE, LIMIT, EPOCH),
            *job_requests.open_day_requests(TABLE, DAY, EPOCH),
            *job_requests.charge_requests(TABLE, "run_1", None, RESERVED, EPOCH),
            *job_requests.charge_requests(TABLE, "run_1", RESERVED, replace(RESERVED, usd=LIMIT), EPOCH),
        )
        for action in item.values()
    ),
    job_requests.newest_upload_request(TABLE, "photos", "a.jpg", "01", "e7a6"),
    job_requests.newest_bytes_request(TABLE, "photos", "a.jpg", "01", "e7a6"),
    job_requests.newest_bytes_request(TABLE, "photos", "a.jpg", "01", ""),
    job_requests.other_bytes_request(TABLE, "photos", "a.jpg", "02"),
    job_requests.due_shard_request(TABLE, "due#0", EPOCH, 5),
    job_requests.due_shard_request(TABLE, "held#0"),
    job_requests.outcome_request(TABLE, State.FAILED, DAY),
]
KEYWORDS = {"SET", "ADD", "REMOVE", "AND", "OR", "attribute_exists", "attribute_not_exists", "if_not_exists"}


@pytest.mark.parametrize("request_", EVERY_REQUEST)
def test_expressions_use_placeholders_only_and_each_one_given(request_: dict[str, Any]) -> None:
    """A word that DynamoDB reserves, or a placeholder that is not used, makes it refuse the request."""
    expressions = " ".join(value for name, value in request_.items() if name.endswith("Expression"))
    words = set(re.findall(r"[#:]?\w+", expressions)) - KEYWORDS
    given = {*request_.get("ExpressionAttributeNames", {}), *request_.get("ExpressionAttributeValues", {})}
    assert words == given


def test_a_save_without_money_is_one_write() -> None:
    after = replace(JOB, version=4, reservation=RESERVED)
    for before in (replace(JOB, reservation=RESERVED), replace(JOB, reservation=None)):
        requests = job_requests.save_requests(
            TABLE, before, replace(after, reservation=before.reservation), LIMIT, EPOCH
        )
        assert [list(request) for request in requests.values()] == [["Put"]]


def days_and_changes(before: Reservation | None, after: Reservation | None) -> list[tuple[str, str, str | None]]:
    """Item, change of what is spent, and the most that may be spent before it, for each day of a save under $10."""
    requests = job_requests.save_requests(
        TABLE, replace(JOB, reservation=before), replace(JOB, reservation=after), LIMIT, EPOCH
    )
    updates = [request["Update"] for request in list(requests.values())[1:]]
    values = [update["ExpressionAttributeValues"] for update in updates]
    return [
        (update["Key"]["pk"]["S"], value[":usd"]["N"], value.get(":most", {}).get("N"))
        for update, value in zip(updates, values, strict=True)
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, RESERVED, [("day#2026-11-23", "0.14", "9.86")]),
        (RESERVED, None, [("day#2026-11-23", "-0.14", None)]),
        (
            RESERVED,
            Reservation("2026-11-24", PRICE),
            [("day#2026-11-23", "-0.14", None), ("day#2026-11-24", "0.14", "9.86")],
        ),
        (RESERVED, Reservation(DAY, 2 * PRICE), [("day#2026-11-23", "0.14", "9.86")]),
        (RESERVED, Reservation(DAY, Decimal("0.140")), []),
        (Reservation(DAY, Decimal(0)), None, []),
    ],
)
def test_only_what_is_reserved_must_fit_the_limit(
    before: Reservation | None, after: Reservation | None, expected: list[tuple[str, str, str | None]]
) -> None:
    assert days_and_changes(before, after) == expected


def test_the_due_index_is_read_up_to_a_time_and_a_number() -> None:
    request = job_requests.due_shard_request(TABLE, "due#3", EPOCH + 0.5, 7)
    assert request["Limit"] == 7
    assert request["ExpressionAttributeValues"] == {":shard": {"S": "due#3"}, ":until": {"N": "1795431600.5"}}
    assert "Limit" not in job_requests.due_shard_request(TABLE, "due#3")


def test_reads_are_consistent() -> None:
    assert job_requests.get_request(TABLE, "gate")["ConsistentRead"] is True


def test_requests_are_plain_json() -> None:
    assert json.loads(json.dumps(EVERY_REQUEST)) == EVERY_REQUEST
