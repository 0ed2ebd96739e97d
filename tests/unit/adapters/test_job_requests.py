"""What is asked of DynamoDB, without a client."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from detag.adapters import job_requests
from detag.adapters.job_items import job_item
from detag.domain.job import Reservation, State, Upload, new
from detag.domain.money import spread
from detag.ports.clock_fake import EPOCH

TABLE, DAY = "jobs", "2026-11-23"
UPLOAD = Upload("photos", "shoes/1.jpg", None, "0055AED6DCD90281E5", "e7a6", 1_000, EPOCH - 1.5)
JOB = replace(new(UPLOAD, EPOCH), version=3)
RESERVED = Reservation(DAY, 1, 0)

EVERY_REQUEST: list[dict[str, Any]] = [
    job_requests.put_request(TABLE, job_item(JOB), 0),
    job_requests.put_request(TABLE, job_item(JOB), 3),
    *(
        action
        for limit in (None, 71)
        for item in (
            job_requests.reserve_request(TABLE, DAY, 0, 1, limit),
            *job_requests.day_budget_writes(TABLE, DAY, None, spread(71, 71)),
            *job_requests.day_budget_writes(TABLE, DAY, spread(71, 71), spread(5, 5)),
            *job_requests.charge_requests(TABLE, "run_1", RESERVED, EPOCH),
        )
        for action in item.values()
    ),
    job_requests.newest_upload_request(TABLE, "photos", "a.jpg", "01", EPOCH),
    job_requests.due_shard_request(TABLE, "due#0", EPOCH, 5),
    job_requests.due_shard_request(TABLE, "held#0"),
    job_requests.outcome_request(TABLE, State.FAILED, DAY),
]
KEYWORDS = {"SET", "ADD", "AND", "OR", "attribute_exists", "attribute_not_exists"}


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
        requests = job_requests.save_requests(TABLE, before, replace(after, reservation=before.reservation), 71)
        assert [list(request) for request in requests] == [["Put"]]


def shards_and_changes(before: Reservation | None, after: Reservation | None) -> list[tuple[str, str, str | None]]:
    """Shard, change of its free images, and the limit they must fit, for each shard of a save under a limit."""
    requests = job_requests.save_requests(TABLE, replace(JOB, reservation=before), replace(JOB, reservation=after), 71)
    updates = [request["Update"] for request in requests[1:]]
    values = [update["ExpressionAttributeValues"] for update in updates]
    return [
        (update["Key"]["pk"]["S"], value[":given"]["N"], value.get(":lim", {}).get("N"))
        for update, value in zip(updates, values, strict=True)
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, Reservation(DAY, 2, 7), [("day#2026-11-23#7", "-2", "71")]),
        (Reservation(DAY, 2, 7), None, [("day#2026-11-23#0", "2", None)]),
        (
            Reservation(DAY, 2, 7),
            Reservation("2026-11-24", 1, 3),
            [("day#2026-11-23#0", "2", None), ("day#2026-11-24#3", "-1", "71")],
        ),
        (
            Reservation(DAY, 2, 7),
            Reservation(DAY, 1, 3),
            [("day#2026-11-23#0", "2", None), ("day#2026-11-23#3", "-1", "71")],
        ),
        (Reservation(DAY, 2, 7), Reservation(DAY, 1, 0), [("day#2026-11-23#0", "1", "71")]),
    ],
)
def test_only_what_is_reserved_must_fit_the_limit(
    before: Reservation | None, after: Reservation | None, expected: list[tuple[str, str, str | None]]
) -> None:
    assert shards_and_changes(before, after) == expected


def test_the_due_index_is_read_up_to_a_time_and_a_number() -> None:
    request = job_requests.due_shard_request(TABLE, "due#3", EPOCH + 0.5, 7)
    assert request["Limit"] == 7
    assert request["ExpressionAttributeValues"] == {":shard": {"S": "due#3"}, ":until": {"N": "1795431600.5"}}
    assert "Limit" not in job_requests.due_shard_request(TABLE, "due#3")


def test_reads_are_consistent() -> None:
    assert job_requests.get_request(TABLE, "gate")["ConsistentRead"] is True
    assert job_requests.day_budget_request(TABLE, DAY)["RequestItems"][TABLE]["ConsistentRead"] is True


def test_requests_are_plain_json() -> None:
    assert json.loads(json.dumps(EVERY_REQUEST)) == EVERY_REQUEST
