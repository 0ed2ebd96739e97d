"""The job table on DynamoDB: one table, whose key `pk` says what an item is.

    job#<job id>            a job; in the index `due` while it has a due time, in `outcomes` once it is closed
    head#<hash>             the newest sequencer of one bucket and key
    day#<YYYY-MM-DD>#<n>    counter n of a day's ledger
    run#<run id>            a run that was charged without a job
    intake, override          the control item, and what an operator wrote over the parameters

Every name in an expression is a placeholder: DynamoDB reserves some 570 words, `state`, `key` and `size` among them.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from detag.adapters.aws import THROTTLES, calling, error_code
from detag.domain.backoff import Uniform, backoff
from detag.domain.intake import Intake, Override
from detag.domain.job import (
    CLOSED_ORDER,
    DAY_SECONDS,
    DUE_SHARDS,
    OPEN_ORDER,
    Job,
    Reservation,
    State,
    Upload,
    sequencer_rank,
)
from detag.domain.money import SHARDS, DayBudget, Shard, day_of, spread, with_limit
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.items import kept, kept_intake
from detag.ports.jobs import BudgetChanged, Counts, ShardEmpty

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
"""An item as DynamoDB's low-level API writes it: `{"rev": {"N": "3"}}`."""
Request = dict[str, Any]
T = TypeVar("T")

LASTING_SECONDS: Final = 400 * DAY_SECONDS
"""How long newest_uploads, day_budgets and charged runs stay: longer than any row that refers to them."""
TRIES: Final = 8
PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.8
"""For contention on one item: full jitter of 0.05, 0.1, ... 0.8, 0.8 s between eight tries, 1.6 s on the average."""
CONDITION_FAILED: Final = "ConditionalCheckFailed"
CONTENTION: Final = THROTTLES | {"TransactionConflict"}

# Items


def job_item(job: Job) -> Item:
    """A job's item: flat, readable, and without what is None or empty. Raises ValueError as `kept` does."""
    job = kept(job)
    upload, room = job.upload, job.reservation
    return _item(
        pk=_job_pk(job.job_id),
        job_id=job.job_id,
        bucket=upload.bucket,
        key=upload.key,
        version_id=upload.version_id,
        sequencer=upload.sequencer,
        etag=upload.etag,
        size=upload.size,
        uploaded_at=upload.uploaded_at,
        state=job.state,
        reason=job.reason,
        detail=job.detail,
        code=job.code,
        decision=job.decision,
        rev=job.version,
        created_at=job.created_at,
        not_before=job.not_before or None,
        lane=job.due_shard,
        due_at=job.due_at,
        lease_until=job.lease_until or None,
        submission_no=job.submission_no,
        attempt=job.attempt,
        expired_urls=job.expired_urls,
        tries=job.tries,
        body=job.body,
        url_expires_at=job.url_expires_at or None,
        claimed_at=job.claimed_at or None,
        doubtful=job.maybe_submitted,
        look_from=job.search_from,
        content_type=job.content_type,
        source_metadata=job.source_metadata,
        run_id=job.run_id,
        submitted_at=job.submitted_at or None,
        earlier_runs=job.earlier_runs,
        reserved_day=room.day if room else None,
        slots=room.images if room else None,
        counter=room.shard if room else None,
        outputs=job.outputs,
        cost=job.cost,
        partial=job.partial,
        owed=job.pending,
        closed_at=job.closed_at,
        outcome=f"{job.state}#{day_of(job.closed_at)}" if job.closed_at is not None else None,
        expires_at=job.expires_at,
    )


def read_job(item: Item) -> Job:
    """The job of an item that `job_item` made."""
    values = _values(item)
    day = values.get("reserved_day")
    return Job(
        upload=Upload(
            bucket=values["bucket"],
            key=values["key"],
            version_id=values.get("version_id"),
            sequencer=values["sequencer"],
            etag=values.get("etag", ""),
            size=int(values["size"]),
            uploaded_at=float(values["uploaded_at"]),
        ),
        state=State(values["state"]),
        reason=Reason.of(values["reason"]) if "reason" in values else None,
        detail=values.get("detail"),
        code=values.get("code"),
        decision=values.get("decision"),
        version=int(values["rev"]),
        created_at=float(values["created_at"]),
        not_before=float(values.get("not_before", 0)),
        due_at=float(values["due_at"]) if "due_at" in values else None,
        lease_until=float(values.get("lease_until", 0)),
        submission_no=int(values["submission_no"]),
        attempt=int(values["attempt"]),
        expired_urls=int(values["expired_urls"]),
        tries=int(values["tries"]),
        body=values.get("body"),
        url_expires_at=float(values.get("url_expires_at", 0)),
        claimed_at=float(values.get("claimed_at", 0)),
        maybe_submitted=values.get("doubtful", False),
        search_from=values.get("look_from"),
        content_type=values.get("content_type"),
        source_metadata=values.get("source_metadata", ()),
        run_id=values.get("run_id"),
        submitted_at=float(values.get("submitted_at", 0)),
        earlier_runs=values.get("earlier_runs", ()),
        reservation=Reservation(day, int(values["slots"]), int(values["counter"])) if day else None,
        outputs=values.get("outputs", ()),
        cost=values.get("cost"),
        partial=values.get("partial", False),
        pending=values.get("owed", ()),
        closed_at=float(values["closed_at"]) if "closed_at" in values else None,
    )


def intake_item(intake: Intake) -> Item:
    """The control item."""
    intake = kept_intake(intake)
    return _item(
        pk="gate",
        reason=intake.reason,
        since=intake.since,
        draining=intake.draining,
        probe_at=intake.probe_at,
        probes=intake.probes,
        probe_job=intake.probe_job,
        rev=intake.version,
    )


def read_intake(item: Item) -> Intake:
    """The intake of an item that `intake_item` made."""
    values = _values(item)
    return Intake(
        reason=Reason.of(values["reason"]) if "reason" in values else None,
        since=float(values["since"]),
        draining=values.get("draining", False),
        probe_at=float(values["probe_at"]),
        probes=int(values["probes"]),
        probe_job=values.get("probe_job"),
        version=int(values["rev"]),
    )


def read_override(item: Item) -> Override:
    """What an operator wrote by hand: `paused` true or false, `limit_usd` an amount or "none", each as text or not.

    What can't be understood pauses: nothing is paid for on a guess.
    """
    values = {name: str(value).strip().lower() for name, value in _values(item).items()}
    paused, limit = values.get("paused"), values.get("limit_usd")
    if paused not in (None, "true", "false") or not _is_limit(limit):
        return Override(paused=True)
    return Override(paused=None if paused is None else paused == "true", limit_usd=limit)


def _is_limit(text: str | None) -> bool:
    try:
        return text is None or text == "none" or Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _item(**values: object) -> Item:
    kept_values = {name: value for name, value in values.items() if value not in (None, "", ()) and value is not False}
    return {name: _attribute(value) for name, value in kept_values.items()}


def _attribute(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, float):
        return {"N": f"{value:.6f}".rstrip("0").rstrip(".")}
    if isinstance(value, tuple):
        return {"L": [_attribute(one) for one in value]}
    raise TypeError(f"no attribute for {type(value).__name__}")


def _values(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(attribute) for name, attribute in item.items()}


def _value(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return tuple(_value(one) for one in value) if kind == "L" else value


def _job_pk(job_id: str) -> str:
    return f"job#{job_id}"


def _job_id(item: Mapping[str, Any]) -> str:
    return str(item["pk"]["S"]).removeprefix("job#")


# Requests


def get_request(table: str, pk: str) -> Request:
    """A consistent GetItem."""
    return {"TableName": table, "Key": {"pk": {"S": pk}}, "ConsistentRead": True}


def put_request(table: str, item: Item, rev: int) -> Request:
    """A PutItem that replaces the item of a revision; revision 0 is that there is none."""
    request: Request = {"TableName": table, "Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if rev == 0:
        return request | {"ConditionExpression": "attribute_not_exists(#pk)", "ExpressionAttributeNames": {"#pk": "pk"}}
    return request | {
        "ConditionExpression": "#rev = :rev",
        "ExpressionAttributeNames": {"#rev": "rev"},
        "ExpressionAttributeValues": {":rev": {"N": str(rev)}},
    }


def save_requests(table: str, before: Job, after: Job, limit: int | None) -> list[Request]:
    """The transaction's items that save a job together with its money, the job first; only the job if no money moves.

    What is given back goes to counter 0 (see `Reservation`), and moves on one counter are one item: a transaction may
    name an item only once.
    """
    given, taken = before.reservation, after.reservation
    slots: Tally[tuple[str, int]] = Tally()
    if given is not None and given != taken:
        slots[given.day, 0] -= given.images
    if taken is not None and given != taken:
        slots[taken.day, taken.shard] += taken.images
    limited = (taken.day, taken.shard) if taken is not None else None
    return [
        {"Put": put_request(table, job_item(after), before.version)},
        *(
            take_request(table, *counter, number, limit if counter == limited else None)
            for counter, number in slots.items()
        ),
    ]


def take_request(table: str, day: str, counter: int, slots: int, limit: int | None) -> Request:
    """A transaction's item that takes slots (below 0: gives them back) from a counter that exists; with a `limit`, only
    while the day has this limit and the counter has them free.
    """
    names = {"#free": "free"}
    values = {":given": {"N": str(-slots)}}
    if limit is None:
        condition = "attribute_exists(#free)"
    else:
        condition = "#lim = :lim AND #free >= :slots"
        names |= {"#lim": "lim"}
        values |= {":lim": {"N": str(limit)}, ":slots": {"N": str(slots)}}
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": _shard_pk(day, counter)}},
            "UpdateExpression": "ADD #free :given",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def day_budget_request(table: str, day: str) -> Request:
    """A consistent BatchGetItem of all counters of a day."""
    keys = [{"pk": {"S": _shard_pk(day, number)}} for number in range(SHARDS)]
    return {"RequestItems": {table: {"Keys": keys, "ConsistentRead": True}}}


def day_budget_writes(table: str, day: str, before: DayBudget | None, after: DayBudget) -> list[Request]:
    """The transaction's items that make a day's ledger, or replace it while every counter is as it was read."""
    if before is None:
        return [
            {
                "Put": {
                    "TableName": table,
                    "Item": _item(
                        pk=_shard_pk(day, number),
                        lim=counter.limit,
                        free=counter.free,
                        expires_at=int(_start_of(day) + LASTING_SECONDS),
                    ),
                    "ConditionExpression": "attribute_not_exists(#pk)",
                    "ExpressionAttributeNames": {"#pk": "pk"},
                }
            }
            for number, counter in enumerate(after)
        ]
    return [
        {
            "Update": {
                "TableName": table,
                "Key": {"pk": {"S": _shard_pk(day, number)}},
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
        for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]


def charge_requests(table: str, run_id: str, reservation: Reservation, now: float) -> list[Request]:
    """The transaction's items that charge a run once: the run first."""
    item = _item(
        pk=f"run#{run_id}",
        run_id=run_id,
        reserved_day=reservation.day,
        slots=reservation.images,
        counter=reservation.shard,
        charged_at=now,
        expires_at=int(now + LASTING_SECONDS),
    )
    return [
        {
            "Put": {
                "TableName": table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(#pk)",
                "ExpressionAttributeNames": {"#pk": "pk"},
            }
        },
        take_request(table, reservation.day, reservation.shard, reservation.images, None),
    ]


def newest_upload_request(table: str, bucket: str, key: str, sequencer: str, now: float) -> Request:
    """An UpdateItem that enters a sequencer unless a newer one is there."""
    names = ("rank", "sequencer", "bucket", "key", "expires_at")
    return {
        "TableName": table,
        "Key": {"pk": {"S": "head#" + hashlib.sha256(f"{bucket}\0{key}".encode()).hexdigest()}},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in names),
        "ConditionExpression": "attribute_not_exists(#rank) OR #rank <= :rank",
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {
            ":rank": {"S": sequencer_rank(sequencer)},
            ":sequencer": {"S": sequencer},
            ":bucket": {"S": bucket},
            ":key": {"S": key},
            ":expires_at": {"N": str(int(now + LASTING_SECONDS))},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def due_shard_request(table: str, lane: str, until: float | None = None, limit: int | None = None) -> Request:
    """A Query of one lane of the due index, oldest first; `until` a time, where there is one."""
    request: Request = {
        "TableName": table,
        "IndexName": "due",
        "KeyConditionExpression": "#lane = :lane",
        "ExpressionAttributeNames": {"#lane": "lane"},
        "ExpressionAttributeValues": {":lane": {"S": lane}},
    }
    if until is not None:
        request["KeyConditionExpression"] += " AND #due_at <= :until"
        request["ExpressionAttributeNames"] |= {"#due_at": "due_at"}
        request["ExpressionAttributeValues"] |= {":until": _attribute(float(until))}
    return request if limit is None else request | {"Limit": limit}


def outcome_request(table: str, state: State, day: str) -> Request:
    """A Query that counts the jobs of one final state and day."""
    return {
        "TableName": table,
        "IndexName": "outcomes",
        "KeyConditionExpression": "#outcome = :outcome",
        "ExpressionAttributeNames": {"#outcome": "outcome"},
        "ExpressionAttributeValues": {":outcome": {"S": f"{state}#{day}"}},
        "Select": "COUNT",
    }


def closed_request(table: str, state: State, day: str, limit: int) -> Request:
    """A Query of the jobs of one final state and day, newest first."""
    return {
        "TableName": table,
        "IndexName": "outcomes",
        "KeyConditionExpression": "#outcome = :outcome",
        "ExpressionAttributeNames": {"#outcome": "outcome"},
        "ExpressionAttributeValues": {":outcome": {"S": f"{state}#{day}"}},
        "ScanIndexForward": False,
        "Limit": limit,
    }


def _shard_pk(day: str, number: int) -> str:
    return f"day#{day}#{number}"


def _start_of(day: str) -> float:
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


# Answers


def reasons_of(error: ClientError) -> list[dict[str, Any]]:
    """Why a transaction was cancelled, one entry for each of its items in their order; none for any other error."""
    return [dict(reason) for reason in error.response.get("CancellationReasons", [])]


def contended(error: ClientError) -> bool:
    """Whether a write failed only because others were at the same items at the same moment.

    A transaction whose first item failed its condition is lost whatever the others say. If only a later one failed
    while some item was contended, nothing is known yet.
    """
    if error_code(error) == "TransactionConflictException":
        return True
    codes = [reason.get("Code") for reason in reasons_of(error)]
    return bool(CONTENTION.intersection(codes)) and codes[0] != CONDITION_FAILED


def failed_conditions(error: ClientError) -> list[int]:
    """The positions of a transaction's items whose conditions failed; raises the error again where there are none."""
    codes = [reason.get("Code", "None") for reason in reasons_of(error)]
    failed = [position for position, code in enumerate(codes) if code == CONDITION_FAILED]
    if not failed:
        raise error
    return failed


def budget_error(error: ClientError, requests: Sequence[Request]) -> Exception:
    """What the counters of a transaction say by failing, `BudgetChanged` before `ShardEmpty`."""
    no_room: Exception | None = None
    for position in failed_conditions(error):
        wanted = requests[position]["Update"]
        pk, limit = wanted["Key"]["pk"]["S"], wanted["ExpressionAttributeValues"].get(":lim")
        present = reasons_of(error)[position].get("Item")
        if not present:
            return BudgetChanged(f"{pk} is not there")
        if present.get("lim") != limit:
            return BudgetChanged(f"the limit of {pk} is {present['lim']['N']}")
        no_room = ShardEmpty(f"{pk} has {present['free']['N']} free")
    return no_room or error


class DynamoJobStore:
    """See `detag.ports.jobs.JobStore`. For many threads, as its client is."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._client, self._table, self._clock = client, table, clock
        self._sleep, self._uniform = sleep, uniform

    def get(self, job_id: str) -> Job | None:
        """See `JobStore`."""
        item = self._get(_job_pk(job_id))
        return read_job(item) if item else None

    def save(self, before: Job, after: Job, *, limit: int | None = None) -> None:
        """See `JobStore`."""
        if after.job_id != before.job_id or after.version <= before.version:
            raise ValueError(f"not a move of job {before.job_id} from rev {before.version}")
        requests = save_requests(self._table, before, after, limit)
        if len(requests) == 1:
            self._put(requests[0]["Put"])
            return
        try:
            self._transact(requests)
        except ClientError as error:
            if 0 in failed_conditions(error):
                raise Conflict(f"job {before.job_id} is not at rev {before.version}") from None
            raise budget_error(error, requests) from None

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str) -> str:
        """See `JobStore`."""
        request = newest_upload_request(self._table, bucket, key, sequencer, self._clock.now())
        try:
            with calling("UpdateItem"):
                self._client.update_item(**request)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return str(_old_item(error)["sequencer"]["S"])
        return sequencer

    def day_budget(self, day: str) -> DayBudget | None:
        """See `JobStore`."""
        found: dict[str, Mapping[str, Any]] = {}
        request = day_budget_request(self._table, day)
        for _ in self._patience("BatchGetItem"):
            with calling("BatchGetItem"):
                answer = self._client.batch_get_item(**request)
            found |= {item["pk"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            if not answer.get("UnprocessedKeys"):
                break
            request = {"RequestItems": answer["UnprocessedKeys"]}
        items = [found.get(_shard_pk(day, number)) for number in range(SHARDS)]
        whole = tuple(Shard(int(item["lim"]["N"]), int(item["free"]["N"])) for item in items if item)
        return whole if len(whole) == SHARDS else None

    def set_day_budget(self, day: str, limit: int) -> None:
        """See `JobStore`. Reservations that come in between are waited for, not overwritten."""
        for _ in self._patience("set_day_budget"):
            before = self.day_budget(day)
            if before is not None and before[0].limit == limit:
                return
            after = spread(limit, limit) if before is None else with_limit(before, limit)
            try:
                self._transact(day_budget_writes(self._table, day, before, after))
            except ClientError as error:
                failed_conditions(error)
            else:
                return
            now = self.day_budget(day)
            if now is not None and (before is None or now[0].limit != before[0].limit):
                if now[0].limit != limit:
                    raise Conflict(f"another gave {day} a limit of {now[0].limit}")
                return

    def charge(self, run_id: str, reservation: Reservation) -> bool:
        """See `JobStore`."""
        requests = charge_requests(self._table, run_id, reservation, self._clock.now())
        try:
            self._transact(requests)
        except ClientError as error:
            if 0 in failed_conditions(error):
                return False
            raise budget_error(error, requests) from None
        return True

    def intake(self) -> Intake:
        """See `JobStore`."""
        item = self._get("gate")
        return read_intake(item) if item else Intake()

    def save_intake(self, before: Intake, after: Intake) -> None:
        """See `JobStore`."""
        if after.version <= before.version:
            raise ValueError(f"not a move of the intake from rev {before.version}")
        self._put(put_request(self._table, intake_item(after), before.version))

    def override(self) -> Override:
        """See `JobStore`."""
        item = self._get("override")
        return read_override(item) if item else Override()

    def due(self, now: float, limit: int) -> list[str]:
        """See `JobStore`."""
        return self._oldest("due", now, limit)

    def waiting_for_intake(self, limit: int) -> list[str]:
        """See `JobStore`."""
        return self._oldest("held", None, limit)

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """See `JobStore`."""
        if limit < 1:
            return []
        with calling("Query"):
            answer = self._client.query(**closed_request(self._table, state, day, limit))
        return [_job_id(item) for item in answer["Items"]]

    def counts(self, day: str) -> Counts:
        """See `JobStore`."""
        places: Tally[str] = Tally()
        for line in ("due", "held"):
            for number in range(DUE_SHARDS):
                for page in self._query(due_shard_request(self._table, f"{line}#{number}")):
                    places.update(_place(item) for item in page["Items"] if State(item["state"]["S"]) in OPEN_ORDER)
        closed = {
            state.value: sum(page["Count"] for page in self._query(outcome_request(self._table, state, day)))
            for state in CLOSED_ORDER
        }
        return Counts(open=places, closed={state: number for state, number in closed.items() if number})

    def _oldest(self, line: str, until: float | None, limit: int) -> list[str]:
        if limit < 1:
            return []
        found: list[tuple[float, str]] = []
        for number in range(DUE_SHARDS):
            missing = limit
            for page in self._query(due_shard_request(self._table, f"{line}#{number}", until, limit)):
                found += [(float(item["due_at"]["N"]), _job_id(item)) for item in page["Items"]]
                missing -= len(page["Items"])
                if missing <= 0:
                    break
        return [job_id for _, job_id in sorted(found)[:limit]]

    def _query(self, request: Request) -> Iterator[Mapping[str, Any]]:
        """The pages of a query, each asked for when it is wanted."""
        while True:
            with calling("Query"):
                page: Mapping[str, Any] = self._client.query(**request)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request = request | {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _get(self, pk: str) -> Item | None:
        with calling("GetItem"):
            return self._client.get_item(**get_request(self._table, pk)).get("Item")

    def _put(self, request: Request) -> None:
        """Raises `Conflict`, unless the item that is there instead was written by this very call: the SDK repeats a
        call whose answer was lost, and the second then finds what the first one wrote.
        """
        mark = {"S": uuid4().hex}
        request = request | {"Item": request["Item"] | {"written_by": mark}}
        try:
            self._write("PutItem", lambda: self._client.put_item(**request))
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if _old_item(error).get("written_by") != mark:
                raise Conflict(f"{request['Item']['pk']['S']} is not as it was read") from None

    def _transact(self, requests: Sequence[Request]) -> None:
        """Raises ClientError with the reasons where it was cancelled for other causes than contention."""
        transaction: Request = {"TransactItems": list(requests)}
        self._write("TransactWriteItems", lambda: self._client.transact_write_items(**transaction))

    def _write(self, operation: str, write: Callable[[], object]) -> None:
        """Write, and again a few times while others are at the same items. Raises ClientError or `Transient`."""
        for _ in self._patience(operation):
            with calling(operation):
                try:
                    write()
                except ClientError as error:
                    if not contended(error):
                        raise
                else:
                    return

    def _patience(self, operation: str) -> Iterator[None]:
        """A few turns with growing pauses between them; raises `Transient` after the last."""
        for number in range(TRIES):
            if number:
                self._sleep(backoff(number - 1, self._uniform, base=PAUSE_SECONDS, cap=LONGEST_PAUSE_SECONDS))
            yield
        raise Transient(f"{operation}: contended")


def _place(item: Mapping[str, Any]) -> str:
    state = str(item["state"]["S"])
    return f"{state}/{item['reason']['S']}" if state == State.WAITING else state


def _old_item(error: ClientError) -> Mapping[str, Any]:
    """The item that a condition failed on; empty where there is none."""
    item = error.response.get("Item", {})
    return item if isinstance(item, dict) else {}
