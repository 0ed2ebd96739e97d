"""What is asked of DynamoDB for the job table: pure functions that return the arguments of its calls.

Every name in an expression is a placeholder: DynamoDB reserves some 570 words, `state`, `key` and `size` among them.
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import Any, Final

from detag.adapters.job_items import (
    DUE_INDEX,
    OUTCOMES_INDEX,
    SECONDS,
    Item,
    charge_item,
    job_item,
    job_pk,
    newest_upload_item,
    outcome_of,
    shard_item,
    shard_pk,
)
from detag.domain.job import Job, Reservation, State
from detag.domain.money import SHARDS, DayBudget, Shard

Request = dict[str, Any]

NOT_THERE: Final[Request] = {
    "ConditionExpression": "attribute_not_exists(#pk)",
    "ExpressionAttributeNames": {"#pk": "pk"},
}


def get_request(table: str, pk: str) -> Request:
    """A consistent GetItem."""
    return {"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": True}


def put_request(table: str, item: Item, version: int) -> Request:
    """A PutItem that replaces the item of a version; with version 0, there must be none."""
    request: Request = {"TableName": table, "Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if version == 0:
        return request | NOT_THERE
    return request | {
        "ConditionExpression": "#rev = :rev",
        "ExpressionAttributeNames": {"#rev": "rev"},
        "ExpressionAttributeValues": {":rev": {"N": str(version)}},
    }


def save_requests(table: str, before: Job, after: Job, limit: int | None) -> list[Request]:
    """The actions of the transaction that saves a job together with its money, the job first; only the job if no money
    moves.

    What is returned goes to shard 0 (see `Reservation`), and what moves on one shard is one action: a transaction may
    name an item only once.
    """
    returned, reserved = before.reservation, after.reservation
    images: Tally[tuple[str, int]] = Tally()
    if returned is not None and returned != reserved:
        images[returned.day, 0] -= returned.images
    if reserved is not None and returned != reserved:
        images[reserved.day, reserved.shard] += reserved.images
    limited = (reserved.day, reserved.shard) if reserved is not None else None
    return [
        {"Put": put_request(table, job_item(after), before.version)},
        *(
            reserve_request(table, *shard, number, limit if shard == limited else None)
            for shard, number in images.items()
        ),
    ]


def reserve_request(table: str, day: str, shard: int, images: int, limit: int | None) -> Request:
    """A transaction's action that takes images from a shard that exists, or returns them where `images` is below 0.

    With a `limit`, only while the day has this limit and the shard has them free.
    """
    names = {"#free": "free"}
    values = {":given": {"N": str(-images)}}
    if limit is None:
        condition = "attribute_exists(#free)"
    else:
        condition = "#lim = :lim AND #free >= :images"
        names |= {"#lim": "lim"}
        values |= {":lim": {"N": str(limit)}, ":images": {"N": str(images)}}
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": shard_pk(day, shard)}},
            "UpdateExpression": "ADD #free :given",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def day_budget_request(table: str, day: str) -> Request:
    """A consistent BatchGetItem of all shards of a day."""
    keys = [{"pk": {"S": shard_pk(day, number)}} for number in range(SHARDS)]
    return {"RequestItems": {table: {"Keys": keys, "ConsistentRead": True}}}


def day_budget_writes(table: str, day: str, before: DayBudget | None, after: DayBudget) -> list[Request]:
    """The actions of the transaction that creates a day's budget, or replaces it while every shard is as before."""
    if before is None:
        return [
            {"Put": {"TableName": table, "Item": shard_item(day, number, shard)} | NOT_THERE}
            for number, shard in enumerate(after)
        ]
    return [
        _shard_update(table, shard_pk(day, number), old, new)
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]


def _shard_update(table: str, pk: str, old: Shard, new: Shard) -> Request:
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": pk}},
            "UpdateExpression": "SET #lim = :lim, #free = :free",
            "ConditionExpression": "#lim = :old_lim AND #free = :old_free",
            "ExpressionAttributeNames": {"#lim": "lim", "#free": "free"},
            "ExpressionAttributeValues": {
                ":lim": {"N": str(new.limit)},
                ":free": {"N": str(new.free)},
                ":old_lim": {"N": str(old.limit)},
                ":old_free": {"N": str(old.free)},
            },
        }
    }


def charge_requests(table: str, run_id: str, reservation: Reservation, now: float) -> list[Request]:
    """The actions of the transaction that charges a run once, the run first."""
    return [
        {"Put": {"TableName": table, "Item": charge_item(run_id, reservation, now)} | NOT_THERE},
        reserve_request(table, reservation.day, reservation.shard, reservation.images, None),
    ]


def newest_upload_request(table: str, bucket: str, key: str, sequencer: str, now: float) -> Request:
    """An UpdateItem that records a sequencer unless a newer one is there."""
    item = newest_upload_item(bucket, key, sequencer, now)
    pk = item.pop("pk")
    return {
        "TableName": table,
        "Key": {"pk": pk},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in item),
        "ConditionExpression": "attribute_not_exists(#rank) OR #rank <= :rank",
        "ExpressionAttributeNames": {f"#{name}": name for name in item},
        "ExpressionAttributeValues": {f":{name}": value for name, value in item.items()},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def set_aside_request(table: str, job_id: str, due_at: float) -> Request:
    """An UpdateItem that moves the due time of a job's item, where there is one."""
    return {
        "TableName": table,
        "Key": {"pk": {"S": job_pk(job_id)}},
        "UpdateExpression": "SET #due_at = :due_at",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeNames": {"#due_at": DUE_INDEX.sort},
        "ExpressionAttributeValues": {":due_at": {"N": SECONDS.write(due_at)}},
    }


def due_shard_request(table: str, shard: str, until: float | None = None, limit: int | None = None) -> Request:
    """A Query of one shard of the due index, oldest first; `until` a time, where there is one."""
    request: Request = {
        "TableName": table,
        "IndexName": DUE_INDEX.name,
        "KeyConditionExpression": "#shard = :shard",
        "ExpressionAttributeNames": {"#shard": DUE_INDEX.partition},
        "ExpressionAttributeValues": {":shard": {"S": shard}},
    }
    if until is not None:
        request["KeyConditionExpression"] += " AND #due_at <= :until"
        request["ExpressionAttributeNames"] |= {"#due_at": DUE_INDEX.sort}
        request["ExpressionAttributeValues"] |= {":until": {"N": SECONDS.write(until)}}
    return request if limit is None else request | {"Limit": limit}


def outcome_request(table: str, state: State, day: str, limit: int | None = None) -> Request:
    """A Query of the jobs of one final state and day: their count, or at most `limit` of them, newest first."""
    request = {
        "TableName": table,
        "IndexName": OUTCOMES_INDEX.name,
        "KeyConditionExpression": "#outcome = :outcome",
        "ExpressionAttributeNames": {"#outcome": OUTCOMES_INDEX.partition},
        "ExpressionAttributeValues": {":outcome": {"S": outcome_of(state, day)}},
    }
    return request | ({"Select": "COUNT"} if limit is None else {"ScanIndexForward": False, "Limit": limit})
