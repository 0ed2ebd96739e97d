"""The job table on DynamoDB. Its items are in `job_items`, what is asked for them in `job_requests`."""

from __future__ import annotations

import random
import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from detag.adapters.aws import THROTTLES, calling, error_code
from detag.adapters.job_items import (
    BATCH_PK,
    INTAKE_PK,
    OVERRIDE_PK,
    SCAN_PK,
    WRITTEN_BY,
    Item,
    batch_item,
    day_pk,
    intake_item,
    job_id_of,
    job_pk,
    newest_upload_pk,
    picture_pk,
    place_of,
    read_batch,
    read_delivered,
    read_intake,
    read_job,
    read_override,
    read_picture,
    read_reservation,
    read_reused,
    read_same_since,
    read_scan,
    read_spent,
    run_pk,
    scan_item,
)
from detag.adapters.job_requests import (
    JOB,
    NOT_DELIVERED,
    PICTURE,
    Request,
    begin_delivery_request,
    charge_requests,
    claim_name_request,
    claim_request_request,
    closed_between_request,
    due_shard_request,
    end_delivery_request,
    get_request,
    newest_bytes_request,
    newest_upload_request,
    open_day_requests,
    other_bytes_request,
    outcome_request,
    put_request,
    replace_picture_request,
    save_requests,
    set_aside_request,
)
from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.batches import Batch
from detag.domain.intake import UNREADABLE, Intake, Override
from detag.domain.job import CLOSED_ORDER, DUE_SHARDS, Job, Reservation, State, sequencer_rank
from detag.domain.missed_uploads import Scan
from detag.domain.picture import Picture, woken
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unreadable
from detag.ports.items import PictureChange, picture_change
from detag.ports.jobs import (
    AlreadyDelivered,
    BudgetLost,
    Counts,
    DayNotOpen,
    Delivered,
    DeliveryHeld,
    LimitReached,
    PictureTaken,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

TRIES: Final = 8
PAGE: Final = 50
"""Items that are looked at until one is open: a few that are closed may be due."""
CONDITION_FAILED: Final = "ConditionalCheckFailed"
CONTENTION: Final = THROTTLES | {"TransactionConflict"}

# Answers


def reasons_of(error: ClientError) -> list[dict[str, Any]]:
    """Why a transaction was cancelled, one entry for each of its actions in their order; none for any other error."""
    return [dict(reason) for reason in error.response.get("CancellationReasons", [])]


def contended(error: ClientError) -> bool:
    """Whether a write failed only because others were at the same items at the same moment.

    A transaction whose first action failed its condition is lost whatever the others say. If only a later one failed
    while some item was contended, nothing is known yet.
    """
    if error_code(error) == "TransactionConflictException":
        return True
    codes = [reason.get("Code") for reason in reasons_of(error)]
    return bool(CONTENTION.intersection(codes)) and codes[0] != CONDITION_FAILED


def failed_conditions(error: ClientError) -> list[int]:
    """The positions of a transaction's actions whose conditions failed; raises the error again where there are none."""
    codes = [reason.get("Code", "None") for reason in reasons_of(error)]
    failed = [position for position, code in enumerate(codes) if code == CONDITION_FAILED]
    if not failed:
        raise error
    return failed


def claim_error(error: ClientError) -> Exception:
    """Why the day's budget refused a transaction of which no other action may fail."""
    (position,) = failed_conditions(error)
    day = reasons_of(error)[position].get("Item") or {}
    spent = read_spent(day)
    return DayNotOpen("the day is not open") if spent is None else LimitReached(f"${spent} is spent")


def refused_by_picture(error: ClientError, actions: Sequence[str], before: Job) -> Item | None:
    """The item of the picture, where its own condition failed and not that of the job; None where there is none.

    Raises what else the transaction that saves a job was refused for.
    """
    failed = {actions[position]: position for position in failed_conditions(error)}
    if JOB in failed:
        raise Conflict(f"job {before.job_id} is not at version {before.version}") from None
    if NOT_DELIVERED in failed:
        raise AlreadyDelivered("the photo is an output that was delivered") from None
    if PICTURE in failed:
        item: Item | None = reasons_of(error)[failed[PICTURE]].get("Item")
        return item
    raise claim_error(error) from None


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
        return self._item(job_pk(job_id), read_job)

    def set_aside(self, job_id: str, now: float, due_at: float) -> None:
        """See `JobStore`."""
        try:
            with calling("UpdateItem"):
                self._client.update_item(**set_aside_request(self._table, job_id, now, due_at))
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def save(
        self,
        before: Job,
        after: Job,
        *,
        limit: Decimal | None = None,
        met: Picture | None = None,
        unless_output: str | None = None,
    ) -> tuple[str, ...]:
        """See `JobStore`. A picture that is not as it was expected is known by the failed condition: no read."""
        if after.job_id != before.job_id or after.version <= before.version:
            raise ValueError(f"not a move of job {before.job_id} from version {before.version}")
        change = picture_change(before, after, met)
        seen = change.expected if change is not None else None
        for _ in range(TRIES):
            pictures = self._pictures(change, seen)
            how: Any = {"pictures": pictures, "met": met, "unless_output": unless_output}
            requests = save_requests(self._table, before, after, limit, self._clock.now(), **how)
            if len(requests) == 1:
                self._put(requests[JOB]["Put"])
                return ()
            try:
                self._transact(list(requests.values()))
            except ClientError as error:
                item = refused_by_picture(error, list(requests), before)
                seen = self._refused(change, item)
            else:
                return woken(*pictures) if pictures is not None else ()
        raise Transient("TransactWriteItems: picture contended")

    def _refused(self, change: PictureChange | None, item: Item | None) -> Picture | None:
        """A picture as it is, where it is not as a job expected it, and the job is saved with it all the same."""
        if change is None:
            return None
        picture = self._picture(change.picture_id, item)
        if change.takes:
            raise PictureTaken(picture) from None
        if change.waits:
            raise Conflict(f"picture {change.picture_id} is not as it was read") from None
        return picture

    def _pictures(self, change: PictureChange | None, seen: Picture | None) -> tuple[Picture, Picture] | None:
        """A picture as it is, and as it will be; None where it stays as it is."""
        if change is None:
            return None
        seen = seen or self._picture(change.picture_id, self._get(picture_pk(change.picture_id)))
        changed = change.change(seen)
        if changed is None:
            raise PictureTaken(seen)
        return None if changed == seen else (seen, changed)

    def _picture(self, picture_id: str, item: Item | None) -> Picture:
        """The picture of an item. One whose version cannot be read is replaced by a free one first: of two workers that
        find it only one may take it, and whoever has taken it must be able to leave it.
        """
        for _ in range(TRIES):
            if (picture := read_picture(picture_id, item)) is not None:
                return picture
            free = Picture(picture_id=picture_id, version=1)
            try:
                with calling("PutItem"):
                    self._client.put_item(**replace_picture_request(self._table, free, item or {}, self._clock.now()))
            except ClientError as error:
                if error_code(error) != "ConditionalCheckFailedException":
                    raise
                item = self._get(picture_pk(picture_id))
            else:
                return free
        raise Transient("PutItem: picture contended")

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str, etag: str = "") -> str:
        """See `JobStore`. Another call than this one is made only where the bytes are others than before."""
        rank = sequencer_rank(sequencer)
        if etag:
            there = self._update_unless(newest_upload_request(self._table, bucket, key, sequencer, etag))
            if there is None:
                return sequencer
            if (newest := str(there["rank"]["S"])) > rank:
                if there.get("etag") != {"S": etag} and read_same_since(there) <= rank:
                    self._update_unless(other_bytes_request(self._table, bucket, key, newest))
                return str(there["sequencer"]["S"])
        there = self._update_unless(newest_bytes_request(self._table, bucket, key, sequencer, etag))
        return sequencer if there is None else str(there["sequencer"]["S"])

    def same_since(self, bucket: str, key: str) -> str:
        """See `JobStore`."""
        return self._item(newest_upload_pk(bucket, key), read_same_since) or ""

    def _update_unless(self, request: Request) -> Mapping[str, Any] | None:
        """Update an item; None where that was done, else the item on which its condition failed."""
        try:
            with calling("UpdateItem"):
                self._client.update_item(**request)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return _old_item(error)
        return None

    def newest_upload(self, bucket: str, key: str) -> str:
        """See `JobStore`."""
        return self._item(newest_upload_pk(bucket, key), lambda item: str(item["rank"]["S"])) or ""

    def begin_delivery(self, bucket: str, key: str, worker: str, until: float) -> Delivered:
        """See `JobStore`."""
        request = begin_delivery_request(self._table, bucket, key, worker, self._clock.now(), until)
        try:
            with calling("UpdateItem"):
                answer = self._client.update_item(**request)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            raise DeliveryHeld(f"outputs of {key} are being stored") from None
        return read_delivered(answer.get("Attributes", {}), worker)

    def delivered_of(self, bucket: str, key: str) -> Delivered:
        """See `JobStore`."""
        return self._item(newest_upload_pk(bucket, key), read_delivered) or Delivered()

    def end_delivery(self, bucket: str, key: str, worker: str, delivered: Delivered) -> None:
        """See `JobStore`."""
        try:
            with calling("UpdateItem"):
                self._client.update_item(**end_delivery_request(self._table, bucket, key, worker, delivered))
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def claim_name(self, output_key: str, source: str) -> bool:
        """See `JobStore`."""
        return self._is_put(claim_name_request(self._table, output_key, source))

    def claim_request(self, request_id: str, bucket: str, key: str, job_id: str) -> bool:
        """See `JobStore`."""
        now = self._clock.now()
        return self._is_put(claim_request_request(self._table, request_id, bucket, key, job_id, now))

    def _is_put(self, request: Request) -> bool:
        """Whether an item could be put under its condition."""
        try:
            with calling("PutItem"):
                self._client.put_item(**request)
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def spent(self, day: str) -> Decimal | None:
        """See `JobStore`."""
        item = self._get(day_pk(day))
        return read_spent(item) if item else None

    def reused(self, day: str) -> int:
        """See `JobStore`."""
        return read_reused(self._get(day_pk(day)) or {})

    def open_day(self, day: str) -> None:
        """See `JobStore`."""
        try:
            self._transact(open_day_requests(self._table, day, self._clock.now()))
        except ClientError as error:
            if 0 not in failed_conditions(error):
                raise BudgetLost(f"{day} was opened before") from None

    def charged(self, run_id: str) -> Reservation | None:
        """See `JobStore`."""
        return self._item(run_pk(run_id), read_reservation)

    def charge(self, run_id: str, before: Reservation | None, after: Reservation) -> None:
        """See `JobStore`."""
        try:
            self._transact(charge_requests(self._table, run_id, before, after, self._clock.now()))
        except ClientError as error:
            failed_conditions(error)
            raise Conflict(f"run {run_id} was charged with something else") from None

    def intake(self) -> Intake:
        """See `JobStore`."""
        try:
            return self._item(INTAKE_PK, read_intake) or Intake()
        except Unreadable:
            return UNREADABLE

    def save_intake(self, before: Intake, after: Intake) -> None:
        """See `JobStore`."""
        if after.version <= before.version:
            raise ValueError(f"not a move of the intake from version {before.version}")
        self._put(put_request(self._table, intake_item(after), before.version))

    def created_at(self) -> float:
        """See `JobStore`."""
        with calling("DescribeTable"):
            created = self._client.describe_table(TableName=self._table)["Table"]["CreationDateTime"]
        return created.timestamp()

    def scan(self) -> Scan | None:
        """See `JobStore`."""
        return self._item(SCAN_PK, read_scan)

    def save_scan(self, before: Scan | None, after: Scan) -> None:
        """See `JobStore`."""
        if before is not None and after.version <= before.version:
            raise ValueError(f"not a move of the scan from version {before.version}")
        self._put(put_request(self._table, scan_item(after), before.version if before else None))

    def override(self) -> Override:
        """See `JobStore`."""
        item = self._get(OVERRIDE_PK)
        return read_override(item) if item else Override()

    def due(self, now: float, limit: int) -> list[str]:
        """See `JobStore`."""
        return self._oldest("due", now, limit)

    def waiting_for_intake(self, now: float, limit: int) -> list[str]:
        """See `JobStore`."""
        return self._oldest("held", now, limit)

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """See `JobStore`."""
        if limit < 1:
            return []
        with calling("Query"):
            answer = self._client.query(**outcome_request(self._table, state, day, limit))
        return [job_id_of(item) for item in answer["Items"]]

    def closed_between(self, state: State, day: str, after: float, until: float, limit: int) -> list[tuple[float, str]]:
        """See `JobStore`."""
        if limit < 1 or until <= after:
            return []
        with calling("Query"):
            answer = self._client.query(**closed_between_request(self._table, state, day, after, until, limit))
        return [(float(item["closed_at"]["N"]), job_id_of(item)) for item in answer["Items"]]

    def is_any_open(self, *, besides: str | None = None, waiting_for: Collection[Reason] = ()) -> bool:
        """See `JobStore`."""
        uncounted = {None, "unreadable", *(f"{State.WAITING}/{reason}" for reason in waiting_for)}
        for number in range(DUE_SHARDS):
            for page in self._query(due_shard_request(self._table, f"due#{number}", limit=PAGE)):
                others = (item for item in page["Items"] if job_id_of(item) != besides)
                if any(place_of(item) not in uncounted for item in others):
                    return True
        return False

    def batch(self) -> Batch | None:
        """See `JobStore`."""
        return self._item(BATCH_PK, read_batch)

    def save_batch(self, before: Batch | None, after: Batch) -> None:
        """See `JobStore`."""
        if before is not None and after.version <= before.version:
            raise ValueError(f"not a move of the batch from version {before.version}")
        self._put(put_request(self._table, batch_item(after), before.version if before else None))

    def counts(self, day: str) -> Counts:
        """See `JobStore`."""
        places: Tally[str] = Tally()
        for prefix in ("due", "held"):
            for number in range(DUE_SHARDS):
                for page in self._query(due_shard_request(self._table, f"{prefix}#{number}")):
                    places.update(filter(None, map(place_of, page["Items"])))
        closed = {
            state.value: sum(page["Count"] for page in self._query(outcome_request(self._table, state, day)))
            for state in CLOSED_ORDER
        }
        return Counts(open=places, closed={state: number for state, number in closed.items() if number})

    def _oldest(self, prefix: str, until: float, limit: int) -> list[str]:
        if limit < 1:
            return []
        found: list[tuple[float, str]] = []
        for number in range(DUE_SHARDS):
            missing = limit
            for page in self._query(due_shard_request(self._table, f"{prefix}#{number}", until, limit)):
                found += [(float(item["due_at"]["N"]), job_id_of(item)) for item in page["Items"]]
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

    def _item(self, pk: str, read: Callable[[Item], T]) -> T | None:
        """An item, read; None where there is none. Raises `Unreadable`."""
        item = self._get(pk)
        try:
            return read(item) if item else None
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            missing = f" {error.args[0]}" if isinstance(error, KeyError) else ""  # a name; other errors quote values
            raise Unreadable(f"its item cannot be read: {type(error).__name__}{missing}") from None

    def _get(self, pk: str) -> Item | None:
        with calling("GetItem"):
            return self._client.get_item(**get_request(self._table, pk)).get("Item")

    def _put(self, request: Request) -> None:
        """Raises `Conflict`, unless the item that is there instead was written by this very call: the SDK repeats a
        call whose answer was lost, and the second then finds what the first one wrote.
        """
        mark = {"S": uuid4().hex}
        request = request | {"Item": request["Item"] | {WRITTEN_BY.name: mark}}
        try:
            self._write("PutItem", lambda: self._client.put_item(**request))
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if _old_item(error).get(WRITTEN_BY.name) != mark:
                raise Conflict(f"{request['Item']['pk']['S']} changed since it was read") from None

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
        """A few tries with growing pauses between them; raises `Transient` after the last."""
        for number in range(TRIES):
            if number:
                self._sleep(waits.CONTENTION.seconds(number - 1, self._uniform))
            yield
        raise Transient(f"{operation}: contended")


def _old_item(error: ClientError) -> Mapping[str, Any]:
    """The item that a condition failed on; empty where there is none."""
    item = error.response.get("Item", {})
    return item if isinstance(item, dict) else {}
