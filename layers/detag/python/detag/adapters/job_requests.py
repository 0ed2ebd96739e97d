"""What is asked of DynamoDB for the job table: pure functions that return the arguments of its calls.

Every name in an expression is a placeholder: DynamoDB reserves some 570 words, `state`, `key` and `size` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from detag.adapters.job_items import (
    DELIVERED_FIELDS,
    DUE_INDEX,
    EXPIRES_AT,
    NEWEST_DAY,
    NEWEST_DAY_PK,
    OPENED_AT,
    OUTCOMES_INDEX,
    REUSED,
    SECONDS,
    SPENT,
    USD,
    WHOLE,
    Item,
    charge_item,
    day_pk,
    delivery_item,
    job_item,
    job_pk,
    name_item,
    newest_upload_item,
    newest_upload_pk,
    outcome_of,
    output_item,
    output_pk,
    picture_item,
    request_item,
)
from detag.domain.job import Job, Reservation, State
from detag.domain.picture import Picture
from detag.ports.items import LASTING_SECONDS, PHOTO, moved_money, new_outputs, reused_on, sent_photo
from detag.ports.jobs import Delivered

Request = dict[str, Any]

NOT_THERE: Final[Request] = {
    "ConditionExpression": "attribute_not_exists(#pk)",
    "ExpressionAttributeNames": {"#pk": "pk"},
}


def get_request(table: str, pk: str) -> Request:
    """A consistent GetItem."""
    return {"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": True}


def put_request(table: str, item: Item, version: int | None) -> Request:
    """A PutItem that replaces the item of a version. With version 0 there must be none; with None it may be any."""
    if version is None:
        return {"TableName": table, "Item": item}
    request: Request = {"TableName": table, "Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if version == 0:
        return request | NOT_THERE
    return request | {
        "ConditionExpression": "#rev = :rev",
        "ExpressionAttributeNames": {"#rev": "rev"},
        "ExpressionAttributeValues": {":rev": {"N": str(version)}},
    }


JOB: Final = "job"
PICTURE: Final = "picture"
NOT_DELIVERED: Final = "not delivered"


def save_requests(
    table: str,
    before: Job,
    after: Job,
    limit: Decimal | None,
    now: float,
    *,
    pictures: tuple[Picture, Picture] | None = None,
    met: Picture | None = None,
    unless_output: str | None = None,
) -> dict[str, Request]:
    """The actions of the transaction that saves a job with all that changes with it, by what each is for, the job
    first; only the job if nothing else changes. `pictures`: the job's picture as it is, and as it will be.
    """
    requests: dict[str, Request] = {JOB: {"Put": put_request(table, job_item(after), before.version)}}
    if pictures is not None:
        seen, changed = pictures
        requests[PICTURE] = {"Put": put_request(table, picture_item(changed, now), seen.version)}
    if unless_output is not None:
        requests[NOT_DELIVERED] = {"Update": sent_photo_request(table, unless_output, now, unless_output=True)}
    elif (photo := sent_photo(before, after)) is not None:
        requests[NOT_DELIVERED] = {"Update": sent_photo_request(table, photo, now, unless_output=False)}
    for output_id in new_outputs(before, after, met):
        requests[output_id] = {"Update": delivered_output_request(table, output_id, after.job_id, now)}
    reserved = after.reservation.day if after.reservation is not None else None
    reused, moved = reused_on(before, after), moved_money(before.reservations, after.reservations)
    for day, usd in moved.items():
        limited = limit if day == reserved else None
        requests[day] = spend_request(table, day, usd, limited, now, reused=day == reused)
    if reused is not None and reused not in moved:
        requests[reused] = reused_request(table, reused, now)
    return requests


def replace_picture_request(table: str, picture: Picture, item: Item, now: float) -> Request:
    """A PutItem of a picture in place of an item whose version nobody can read, while that is as it was."""
    request: Request = {
        "TableName": table,
        "Item": picture_item(picture, now),
        "ConditionExpression": "attribute_exists(#pk) AND attribute_not_exists(#rev)",
        "ExpressionAttributeNames": {"#pk": "pk", "#rev": "rev"},
    }
    if "rev" not in item:
        return request
    return request | {
        "ConditionExpression": "#rev = :rev",
        "ExpressionAttributeNames": {"#rev": "rev"},
        "ExpressionAttributeValues": {":rev": item["rev"]},
    }


def sent_photo_request(table: str, output_id: str, now: float, *, unless_output: bool) -> Request:
    """An update that records bytes as those of a photo, unless they were delivered by detag before; `unless_output`:
    then it fails.
    """
    request: Request = {
        "TableName": table,
        "Key": {"pk": {"S": output_pk(output_id)}},
        "UpdateExpression": "SET #first_as = if_not_exists(#first_as, if_not_exists(#job_id, :photo)), #sent_at = :now",
        "ExpressionAttributeNames": {"#first_as": "first_as", "#job_id": "job_id", "#sent_at": "sent_at"},
        "ExpressionAttributeValues": {":photo": {"S": PHOTO}, ":now": {"N": SECONDS.write(now)}},
    }
    if not unless_output:
        return request
    return request | {
        "ConditionExpression": "attribute_not_exists(#pk) OR #first_as = :photo",
        "ExpressionAttributeNames": request["ExpressionAttributeNames"] | {"#pk": "pk"},
    }


def delivered_output_request(table: str, output_id: str, job_id: str, now: float) -> Request:
    """An update that records bytes as delivered; what they were first stays."""
    values = output_item(job_id, now)
    return {
        "TableName": table,
        "Key": {"pk": {"S": output_pk(output_id)}},
        "UpdateExpression": "SET #first_as = if_not_exists(#first_as, :first_as), "
        + ", ".join(f"#{name} = :{name}" for name in values if name != "first_as"),
        "ExpressionAttributeNames": {f"#{name}": name for name in values},
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
    }


def reused_request(table: str, day: str, now: float) -> Request:
    """A transaction's action that counts a result that was reused."""
    update: Request = {
        "TableName": table,
        "Key": {"pk": {"S": day_pk(day)}},
        "UpdateExpression": "SET #expires_at = if_not_exists(#expires_at, :then) ADD #reused :one",
        "ExpressionAttributeNames": {"#expires_at": EXPIRES_AT.name, "#reused": REUSED.name},
        "ExpressionAttributeValues": {
            ":then": {"N": WHOLE.write(int(now + LASTING_SECONDS))},
            ":one": {"N": "1"},
        },
    }
    return {"Update": update}


def spend_request(
    table: str, day: str, usd: Decimal, limit: Decimal | None, now: float, *, reused: bool = False
) -> Request:
    """A transaction's action that adds to what is spent on a day, or takes off it where `usd` is below 0.

    With a `limit`, only while the day is open and the limit leaves enough for it. Without one the day need not be open,
    nor does this open it; an item that this makes expires like any other. `reused`: it counts a result that was reused
    as well, since a transaction may change an item only once.
    """
    update: Request = {
        "TableName": table,
        "Key": {"pk": {"S": day_pk(day)}},
        "UpdateExpression": "SET #expires_at = if_not_exists(#expires_at, :then) ADD #spent :usd",
        "ExpressionAttributeNames": {"#spent": SPENT.name, "#expires_at": EXPIRES_AT.name},
        "ExpressionAttributeValues": {
            ":usd": {"N": USD.write(usd)},
            ":then": {"N": WHOLE.write(int(now + LASTING_SECONDS))},
        },
    }
    if reused:
        update["UpdateExpression"] += ", #reused :one"
        update["ExpressionAttributeNames"] |= {"#reused": REUSED.name}
        update["ExpressionAttributeValues"] |= {":one": {"N": "1"}}
    if limit is not None:
        update |= {
            "ConditionExpression": "attribute_exists(#opened_at) AND #spent <= :most",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        update["ExpressionAttributeNames"] |= {"#opened_at": OPENED_AT.name}
        update["ExpressionAttributeValues"] |= {":most": {"N": USD.write(limit - usd)}}
    return {"Update": update}


def open_day_requests(table: str, day: str, now: float) -> list[Request]:
    """The actions of the transaction that opens a day, which keeps what is spent on it already, the day first."""
    opened: Request = {
        "TableName": table,
        "Key": {"pk": {"S": day_pk(day)}},
        "UpdateExpression": "SET #opened_at = :now, #expires_at = :then, #spent = if_not_exists(#spent, :nothing)",
        "ConditionExpression": "attribute_not_exists(#opened_at)",
        "ExpressionAttributeNames": {
            "#opened_at": OPENED_AT.name,
            "#expires_at": EXPIRES_AT.name,
            "#spent": SPENT.name,
        },
        "ExpressionAttributeValues": {
            ":now": {"N": SECONDS.write(now)},
            ":then": {"N": WHOLE.write(int(now + LASTING_SECONDS))},
            ":nothing": {"N": "0"},
        },
    }
    newest: Request = {
        "TableName": table,
        "Key": {"pk": {"S": NEWEST_DAY_PK}},
        "UpdateExpression": "SET #newest = :day",
        "ConditionExpression": "attribute_not_exists(#newest) OR #newest < :day",
        "ExpressionAttributeNames": {"#newest": NEWEST_DAY.name},
        "ExpressionAttributeValues": {":day": {"S": day}},
    }
    return [{"Update": opened}, {"Update": newest}]


def charge_requests(
    table: str, run_id: str, before: Reservation | None, after: Reservation, now: float
) -> list[Request]:
    """The actions of the transaction that charges a run, the run first: only while it is charged as `before`."""
    put: Request = {"TableName": table, "Item": charge_item(run_id, after, now)}
    if before is None:
        put |= NOT_THERE
    else:
        put |= {
            "ConditionExpression": "#day = :day AND (#usd = :usd OR attribute_not_exists(#usd))",
            "ExpressionAttributeNames": {"#day": "reserved_day", "#usd": "reserved_usd"},
            "ExpressionAttributeValues": {":day": {"S": before.day}, ":usd": {"N": USD.write(before.usd)}},
        }
    return [
        {"Put": put},
        *(spend_request(table, day, usd, None, now) for day, usd in moved_money((before,), (after,)).items()),
    ]


def claim_name_request(table: str, output_key: str, source: str) -> Request:
    """A PutItem that makes a name in the output bucket a photo's, unless it is another's."""
    return _claim(table, name_item(output_key, source), "source")


def claim_request_request(table: str, request_id: str, bucket: str, key: str, job_id: str, now: float) -> Request:
    """A PutItem that makes a request by key one for a job, unless it is another's."""
    return _claim(table, request_item(request_id, bucket, key, job_id, now), "job_id")


def _claim(table: str, item: Item, owner: str) -> Request:
    """A PutItem for the first that comes; `owner`: the attribute that says who that was."""
    return {
        "TableName": table,
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#pk) OR #owner = :owner",
        "ExpressionAttributeNames": {"#pk": "pk", "#owner": owner},
        "ExpressionAttributeValues": {":owner": item[owner]},
    }


def newest_upload_request(table: str, bucket: str, key: str, sequencer: str, etag: str) -> Request:
    """An UpdateItem that records a sequencer unless a newer one is there, or one of other bytes."""
    request = newest_bytes_request(table, bucket, key, sequencer, etag)
    same = "#same_since = if_not_exists(#same_since, :same_since)"
    return request | {
        "UpdateExpression": request["UpdateExpression"].replace("#same_since = :same_since", same),
        "ConditionExpression": "attribute_not_exists(#rank) OR (#rank <= :rank AND #etag = :etag)",
    }


def newest_bytes_request(table: str, bucket: str, key: str, sequencer: str, etag: str) -> Request:
    """An UpdateItem that records a sequencer, of other bytes than before, unless a newer one is there."""
    item = newest_upload_item(bucket, key, sequencer, etag)
    pk = item.pop("pk")
    gone = [EXPIRES_AT.name] if "etag" in item else [EXPIRES_AT.name, "etag"]
    return {
        "TableName": table,
        "Key": {"pk": pk},
        "UpdateExpression": _update(item, gone),
        "ConditionExpression": "attribute_not_exists(#rank) OR #rank <= :rank",
        "ExpressionAttributeNames": {f"#{name}": name for name in (*item, *gone, "etag")},
        "ExpressionAttributeValues": {f":{name}": value for name, value in item.items()},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def other_bytes_request(table: str, bucket: str, key: str, newest: str) -> Request:
    """An UpdateItem that records that an older upload than the one of rank `newest` had other bytes."""
    return {
        "TableName": table,
        "Key": {"pk": {"S": newest_upload_pk(bucket, key)}},
        "UpdateExpression": "SET #same_since = :newest",
        "ConditionExpression": "#same_since < :newest",
        "ExpressionAttributeNames": {"#same_since": "same_since"},
        "ExpressionAttributeValues": {":newest": {"S": newest}},
    }


def begin_delivery_request(table: str, bucket: str, key: str, worker: str, now: float, until: float) -> Request:
    """An UpdateItem that reserves the right to store outputs of a photo, unless another worker has it."""
    item = delivery_item(bucket=bucket, key=key, worker=worker, until=until)
    return {
        "TableName": table,
        "Key": {"pk": {"S": newest_upload_pk(bucket, key)}},
        "UpdateExpression": _update(item, [EXPIRES_AT.name]),
        "ConditionExpression": "attribute_not_exists(#storing) OR #storing_until <= :now OR #storing = :storing",
        "ExpressionAttributeNames": {f"#{name}": name for name in (*item, EXPIRES_AT.name)},
        "ExpressionAttributeValues": {f":{name}": value for name, value in item.items()}
        | {":now": {"N": SECONDS.write(now)}},
        "ReturnValues": "ALL_OLD",  # it tells whose right has run out, and nothing else is changed
    }


def end_delivery_request(table: str, bucket: str, key: str, worker: str, delivered: Delivered) -> Request:
    """An UpdateItem that gives the right back, while the worker has it, and records what has been delivered. What is
    unfinished is known by a right that has run out.
    """
    ended = {"until": 0.0} if delivered.unfinished else {}
    item = delivery_item(**{field: getattr(delivered, field) for field in DELIVERED_FIELDS}, **ended)
    gone = [EXPIRES_AT.name, *(() if delivered.unfinished else ("storing", "storing_until"))]
    gone += [name for name in ("recorded", "record") if name not in item]
    names = {f"#{name}": name for name in ("storing", *item, *gone)}
    return {
        "TableName": table,
        "Key": {"pk": {"S": newest_upload_pk(bucket, key)}},
        "UpdateExpression": _update(item, gone),
        "ConditionExpression": "#storing = :worker",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name}": value for name, value in item.items()} | {":worker": {"S": worker}},
    }


def _update(item: Item, gone: Sequence[str]) -> str:
    """An expression that writes some attributes, under their own names, and takes others away."""
    written = f"SET {', '.join(f'#{name} = :{name}' for name in item)} " if item else ""
    return f"{written}REMOVE {', '.join(f'#{name}' for name in gone)}"


def set_aside_request(table: str, job_id: str, now: float, due_at: float) -> Request:
    """An UpdateItem that moves the due time of a job's item, where it is due."""
    return {
        "TableName": table,
        "Key": {"pk": {"S": job_pk(job_id)}},
        "UpdateExpression": "SET #due_at = :due_at",
        "ConditionExpression": "#due_at <= :now",
        "ExpressionAttributeNames": {"#due_at": DUE_INDEX.sort},
        "ExpressionAttributeValues": {":due_at": {"N": SECONDS.write(due_at)}, ":now": {"N": SECONDS.write(now)}},
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


def closed_between_request(table: str, state: State, day: str, after: float, until: float, limit: int) -> Request:
    """A Query of at most `limit` jobs of one final state and day that were closed in a span of time, oldest first."""
    request = outcome_request(table, state, day, limit) | {"ScanIndexForward": True}
    request["KeyConditionExpression"] += " AND #closed_at BETWEEN :after AND :until"
    request["ExpressionAttributeNames"] |= {"#closed_at": OUTCOMES_INDEX.sort}
    after += 0.000_001  # BETWEEN has both ends, and times are kept to the microsecond
    times = {":after": {"N": SECONDS.write(after)}, ":until": {"N": SECONDS.write(max(after, until))}}
    return request | {"ExpressionAttributeValues": request["ExpressionAttributeValues"] | times}
