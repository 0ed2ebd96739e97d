"""What is asked of DynamoDB, without a client."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from detag.adapters import dynamodb
from detag.domain.intake import Intake, Override
from detag.domain.job import RETENTION_SECONDS, Job, Reservation, State, Upload, new
from detag.domain.reasons import Reason
from detag.domain.money import SHARDS, spread
from detag.ports.clock_fake import EPOCH

TABLE, DAY = "jobs", "2026-11-23"
UPLOAD = Upload("photos", "shoes/1.jpg", None, "0055AED6DCD90281E5", "e7a6", 1_000, EPOCH - 1.5)
JOB = replace(new(UPLOAD, EPOCH), version=3)
CLOSED = replace(
    JOB, state=State.FAILED, reason=Reason.REFUSED, due_at=None, closed_at=EPOCH + 0.25, detail="no", cost="0.14"
)
ROOM = Reservation(DAY, 1, 0)

EVERY_REQUEST: list[dict[str, Any]] = [
    dynamodb.put_request(TABLE, dynamodb.job_item(JOB), 0),
    dynamodb.put_request(TABLE, dynamodb.job_item(JOB), 3),
    *(
        action
        for limit in (None, 71)
        for item in (
            dynamodb.take_request(TABLE, DAY, 0, 1, limit),
            *dynamodb.day_budget_writes(TABLE, DAY, None, spread(71, 71)),
            *dynamodb.day_budget_writes(TABLE, DAY, spread(71, 71), spread(5, 5)),
            *dynamodb.charge_requests(TABLE, "run_1", ROOM, EPOCH),
        )
        for action in item.values()
    ),
    dynamodb.newest_upload_request(TABLE, "photos", "a.jpg", "01", EPOCH),
    dynamodb.due_shard_request(TABLE, "due#0", EPOCH, 5),
    dynamodb.due_shard_request(TABLE, "held#0"),
    dynamodb.outcome_request(TABLE, State.FAILED, DAY),
]
KEYWORDS = {"SET", "ADD", "AND", "OR", "attribute_exists", "attribute_not_exists"}


@pytest.mark.parametrize("request_", EVERY_REQUEST)
def test_expressions_use_placeholders_only_and_each_one_given(request_: dict[str, Any]) -> None:
    """A word that DynamoDB reserves, or a placeholder that is not used, makes it refuse the request."""
    expressions = " ".join(value for name, value in request_.items() if name.endswith("Expression"))
    words = set(re.findall(r"[#:]?\w+", expressions)) - KEYWORDS
    given = {*request_.get("ExpressionAttributeNames", {}), *request_.get("ExpressionAttributeValues", {})}
    assert words == given


def test_an_open_jobs_item_is_flat_and_has_only_what_there_is() -> None:
    assert dynamodb.job_item(JOB) == {
        "pk": {"S": f"job#{JOB.job_id}"},
        "job_id": {"S": JOB.job_id},
        "bucket": {"S": "photos"},
        "key": {"S": "shoes/1.jpg"},
        "sequencer": {"S": "0055AED6DCD90281E5"},
        "etag": {"S": "e7a6"},
        "size": {"N": "1000"},
        "uploaded_at": {"N": "1795431598.5"},
        "state": {"S": "waiting"},
        "reason": {"S": "ready"},
        "rev": {"N": "3"},
        "created_at": {"N": "1795431600"},
        "lane": {"S": JOB.due_shard},
        "due_at": {"N": "1795431600"},
        "submission_no": {"N": "0"},
        "attempt": {"N": "1"},
        "expired_urls": {"N": "0"},
        "tries": {"N": "0"},
    }


def test_a_closed_jobs_item_leaves_the_due_index_enters_the_outcomes_and_expires() -> None:
    item = dynamodb.job_item(CLOSED)
    assert {"lane", "due_at"}.isdisjoint(item)
    assert item["outcome"] == {"S": "failed#2026-11-23"}
    assert item["closed_at"] == {"N": "1795431600.25"}
    assert item["expires_at"] == {"N": str(int(EPOCH + RETENTION_SECONDS))}


def test_a_closed_job_that_owes_something_is_in_both_indexes_and_does_not_expire() -> None:
    item = dynamodb.job_item(replace(CLOSED, due_at=EPOCH + 300, pending=("event",)))
    assert {"lane", "due_at", "outcome", "closed_at"} <= set(item)
    assert "expires_at" not in item


def test_a_held_job_stands_in_the_line() -> None:
    assert dynamodb.job_item(replace(JOB, reason=Reason.PAUSED))["lane"]["S"].startswith("held#")


def test_a_reservation_is_written_out() -> None:
    item = dynamodb.job_item(replace(JOB, reservation=Reservation(DAY, 2, 7)))
    assert (item["reserved_day"], item["slots"], item["counter"]) == ({"S": DAY}, {"N": "2"}, {"N": "7"})


def test_a_save_without_money_is_one_write() -> None:
    after = replace(JOB, version=4, reservation=ROOM)
    for before in (replace(JOB, reservation=ROOM), replace(JOB, reservation=None)):
        requests = dynamodb.save_requests(TABLE, before, replace(after, reservation=before.reservation), 71)
        assert [list(request) for request in requests] == [["Put"]]


def keys_and_amounts(before: Reservation | None, after: Reservation | None) -> list[tuple[str, str, str | None]]:
    """Counter, change of its free slots, and the limit it is held against, for each counter of a save under a limit."""
    requests = dynamodb.save_requests(TABLE, replace(JOB, reservation=before), replace(JOB, reservation=after), 71)
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
def test_only_what_is_taken_is_held_against_the_limit(
    before: Reservation | None, after: Reservation | None, expected: list[tuple[str, str, str | None]]
) -> None:
    assert keys_and_amounts(before, after) == expected


def test_ledgers_heads_and_charged_runs_outlive_the_rows_that_need_them() -> None:
    made = dynamodb.day_budget_writes(TABLE, DAY, None, spread(71, 71))
    assert len(made) == SHARDS
    midnight = EPOCH - EPOCH % 86_400
    expiries = [
        *(int(write["Put"]["Item"]["expires_at"]["N"]) - midnight for write in made),
        int(dynamodb.charge_requests(TABLE, "run_1", ROOM, EPOCH)[0]["Put"]["Item"]["expires_at"]["N"]) - EPOCH,
        int(
            dynamodb.newest_upload_request(TABLE, "b", "k", "1", EPOCH)["ExpressionAttributeValues"][":expires_at"]["N"]
        )
        - EPOCH,
    ]
    assert min(expiries) >= RETENTION_SECONDS * 4


def test_a_lane_is_read_up_to_a_time_and_a_number() -> None:
    request = dynamodb.due_shard_request(TABLE, "due#3", EPOCH + 0.5, 7)
    assert request["Limit"] == 7
    assert request["ExpressionAttributeValues"] == {":lane": {"S": "due#3"}, ":until": {"N": "1795431600.5"}}
    assert "Limit" not in dynamodb.due_shard_request(TABLE, "due#3")


def test_reads_are_consistent() -> None:
    assert dynamodb.get_request(TABLE, "gate")["ConsistentRead"] is True
    assert dynamodb.day_budget_request(TABLE, DAY)["RequestItems"][TABLE]["ConsistentRead"] is True


def test_requests_are_plain_json() -> None:
    assert json.loads(json.dumps(EVERY_REQUEST)) == EVERY_REQUEST


def test_the_gate_is_one_readable_item() -> None:
    intake = Intake(reason=Reason.UNAUTHORIZED, since=EPOCH, probe_at=EPOCH + 60, probes=1, probe_job="1f3a", version=5)
    assert dynamodb.intake_item(intake) == {
        "pk": {"S": "gate"},
        "reason": {"S": "unauthorized"},
        "since": {"N": "1795431600"},
        "probe_at": {"N": "1795431660"},
        "probes": {"N": "1"},
        "probe_job": {"S": "1f3a"},
        "rev": {"N": "5"},
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, Override()),
        ({"paused": {"BOOL": False}}, Override(paused=False)),
        ({"paused": {"S": "TRUE"}}, Override(paused=True)),
        ({"limit_usd": {"N": "25"}}, Override(limit_usd="25")),
        ({"limit_usd": {"S": " None "}}, Override(limit_usd="none")),
        (
            {"limit_usd": {"S": "25"}, "paused": {"BOOL": False}, "note": {"S": "sale"}},
            Override(paused=False, limit_usd="25"),
        ),
    ],
)
def test_an_operators_word_is_read_leniently(written: dict[str, Any], expected: Override) -> None:
    assert dynamodb.read_override({"pk": {"S": "override"}} | written) == expected


@pytest.mark.parametrize(
    "written",
    [
        {"limit_usd": {"S": "25 dollars"}},
        {"limit_usd": {"S": ""}},
        {"limit_usd": {"S": "inf"}},
        {"limit_usd": {"S": "NaN"}},
        {"limit_usd": {"NULL": True}},
        {"paused": {"S": "perhaps"}},
        {"paused": {"N": "1"}},
        {"paused": {"BOOL": False}, "limit_usd": {"S": "ten"}},
    ],
)
def test_an_operators_word_that_nobody_understands_pauses(written: dict[str, Any]) -> None:
    assert dynamodb.read_override(written) == Override(paused=True)


def test_a_job_that_is_no_job_is_refused() -> None:
    item = dynamodb.job_item(JOB) | {"state": {"S": "lost"}}
    with pytest.raises(ValueError, match="lost"):
        dynamodb.read_job(item)


def test_nothing_of_an_unknown_type_is_written() -> None:
    odd: Any = {"colour": "red"}
    with pytest.raises(TypeError, match="dict"):
        dynamodb.job_item(replace(JOB, content_type=odd))


def test_a_row_of_an_older_version_is_still_a_job() -> None:
    """Only what every row has had from the start is required."""
    required = {"bucket", "key", "sequencer", "size", "uploaded_at", "state", "rev", "created_at"}
    counts = {"submission_no", "attempt", "expired_urls", "tries"}
    item = {name: value for name, value in dynamodb.job_item(JOB).items() if name in required | counts}
    assert dynamodb.read_job(item) == Job(
        upload=replace(UPLOAD, etag=""), state=State.WAITING, reason=None, version=3, created_at=EPOCH
    )
