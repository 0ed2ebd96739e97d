"""How DynamoDB's refusals are read: the emulator cannot produce them; a stub that knows the service's model can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.stub import Stubber

from detag.adapters.dynamodb import TRIES, DynamoJobStore
from detag.adapters.job_items import intake_item, job_item
from detag.adapters.job_requests import due_shard_request, get_request
from detag.domain.intake import Intake
from detag.domain.job import CLOSED_ORDER, DUE_SHARDS, Reservation, State, Upload, new
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import BudgetLost, DayNotOpen, LimitReached

TABLE, DAY, LIMIT = "jobs", "2026-11-23", Decimal(10)
UPLOAD = Upload("photos", "shoes/1.jpg", "v1", "0055", "e7a6", 1_000, EPOCH)
JOB = replace(new(UPLOAD, EPOCH), version=3)
UNPAID, RESERVED = replace(JOB, version=4), replace(JOB, version=4, reservation=Reservation(DAY, Decimal("0.14")))

OK, FAILED, BUSY = {"Code": "None"}, {"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"}


FULL = FAILED | {"Item": {"pk": {"S": f"day#{DAY}"}, "spent": {"N": "9.94"}, "opened_at": {"N": "1"}}}
"""A failed condition of a day, with its item as it is."""


class Table:
    """A store on a client whose answers are written beforehand; `pauses` is what it waited."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stub = Stubber(self.client)
        self.pauses: list[float] = []
        self.store = DynamoJobStore(
            self.client, TABLE, FakeClock(), sleep=self.pauses.append, uniform=lambda _low, high: high
        )

    def cancels(self, *reasons: dict[str, Any]) -> None:
        self.stub.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            http_status_code=400,
            modeled_fields={"CancellationReasons": list(reasons)},
        )

    def transacts(self) -> None:
        self.stub.add_response("transact_write_items", {})

    def refuses(self, operation: str, code: str, item: dict[str, Any] | None = None) -> None:
        fields = {"Item": item} if item is not None else {}
        self.stub.add_client_error(operation, code, http_status_code=400, modeled_fields=fields)


@pytest.fixture
def table() -> Iterator[Table]:
    table = Table()
    with table.stub:
        yield table
        table.stub.assert_no_pending_responses()


def claim(table: Table) -> None:
    table.store.save(JOB, RESERVED, limit=LIMIT)


# Cancelled transactions


def test_contention_is_waited_for(table: Table) -> None:
    table.cancels(OK, BUSY)
    table.cancels(BUSY, OK)
    table.cancels({"Code": "ThrottlingError"}, OK)
    table.cancels(OK, {"Code": "ProvisionedThroughputExceeded"})
    table.transacts()
    claim(table)
    assert table.pauses == [0.05, 0.1, 0.2, 0.4]


def test_contention_without_end_is_transient(table: Table) -> None:
    """It is neither a conflict nor a limit that is reached."""
    for _ in range(TRIES):
        table.cancels(OK, BUSY)
    with pytest.raises(Transient, match="TransactWriteItems: contended"):
        claim(table)
    assert len(table.pauses) == TRIES - 1
    assert sum(table.pauses) < 4


def test_a_changed_item_is_a_conflict_whatever_its_day_says(table: Table) -> None:
    for other in (OK, BUSY, FULL, FAILED):
        table.cancels(FAILED, other)
        with pytest.raises(Conflict):
            claim(table)
    assert table.pauses == []


def test_a_full_day_says_nothing_while_the_item_is_contended(table: Table) -> None:
    table.cancels(BUSY, FULL)
    table.transacts()
    claim(table)


def test_a_day_that_is_used_up_says_what_is_spent(table: Table) -> None:
    table.cancels(OK, FULL)
    with pytest.raises(LimitReached, match=r"\$9.94 is spent"):
        claim(table)


def test_a_day_without_an_item_or_not_opened_is_not_open(table: Table) -> None:
    counted = {"pk": {"S": f"day#{DAY}"}, "spent": {"N": "0.14"}}
    unfinished = {"pk": {"S": f"day#{DAY}"}, "opened_at": {"N": "1"}}
    for found in ({}, {"Item": counted}, {"Item": unfinished}):
        table.cancels(OK, FAILED | found)
        with pytest.raises(DayNotOpen):
            claim(table)


def test_what_is_returned_to_another_day_cannot_fail(table: Table) -> None:
    before = replace(JOB, reservation=Reservation("2026-11-22", Decimal("0.14")))
    table.cancels(OK, OK, FULL)
    with pytest.raises(LimitReached):
        table.store.save(before, RESERVED, limit=LIMIT)


def test_a_day_that_is_open_need_not_be_opened(table: Table) -> None:
    for newest in (OK, FAILED):
        table.cancels(FAILED, newest)
        table.store.open_day(DAY)


def test_a_day_that_was_open_before_is_lost(table: Table) -> None:
    table.cancels(OK, FAILED)
    with pytest.raises(BudgetLost):
        table.store.open_day(DAY)


def test_an_invalid_transaction_is_raised_as_it_is(table: Table) -> None:
    table.cancels({"Code": "ValidationError"}, OK)
    with pytest.raises(ClientError, match="TransactionCanceledException") as raised:
        claim(table)
    assert raised.value.__notes__[0].startswith("while calling TransactWriteItems")


def test_a_charged_run_is_known_though_its_day_is_contended(table: Table) -> None:
    table.cancels(FAILED, BUSY)
    with pytest.raises(Conflict):
        table.store.charge("run_1", None, Reservation(DAY, Decimal("0.14")))


def test_a_charge_is_not_taken_for_done_by_contention(table: Table) -> None:
    table.cancels(BUSY, OK)
    table.transacts()
    table.store.charge("run_1", None, Reservation(DAY, Decimal("0.14")))


# Single writes


def test_a_write_that_meets_a_transaction_waits_for_it(table: Table) -> None:
    table.refuses("put_item", "TransactionConflictException")
    table.stub.add_response("put_item", {})
    table.store.save(JOB, UNPAID)
    assert table.pauses == [0.05]


def test_a_write_that_always_meets_transactions_is_transient(table: Table) -> None:
    for _ in range(TRIES):
        table.refuses("put_item", "TransactionConflictException")
    with pytest.raises(Transient, match="PutItem: contended"):
        table.store.save(JOB, UNPAID)


def test_an_item_that_another_wrote_is_a_conflict(table: Table) -> None:
    others = job_item(UNPAID) | {"written_by": {"S": "another"}}
    for item in (others, job_item(UNPAID), {}, None):
        table.refuses("put_item", "ConditionalCheckFailedException", item)
        with pytest.raises(Conflict):
            table.store.save(JOB, UNPAID)


def test_an_intake_that_another_wrote_is_a_conflict(table: Table) -> None:
    table.refuses("put_item", "ConditionalCheckFailedException", intake_item(Intake(version=1)))
    with pytest.raises(Conflict):
        table.store.save_intake(Intake(), Intake(version=1))


def test_an_item_that_this_very_call_wrote_is_no_conflict() -> None:
    """The SDK repeated the call, because the answer to the first was lost."""
    store = DynamoJobStore(_Repeating(), TABLE, FakeClock())  # type: ignore[arg-type]
    store.save(JOB, UNPAID)


class _Repeating:
    """A client of which each PutItem was the second of its kind."""

    def put_item(self, **request: Any) -> None:
        error = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": request["Item"]}
        raise ClientError(error, "PutItem")  # type: ignore[arg-type]


# Anything


CALLS: dict[str, tuple[str, Callable[[DynamoJobStore], object]]] = {
    "get": ("get_item", lambda store: store.get(JOB.job_id)),
    "save": ("put_item", lambda store: store.save(JOB, UNPAID)),
    "claim": ("transact_write_items", lambda store: store.save(JOB, RESERVED, limit=LIMIT)),
    "raise_newest_upload": ("update_item", lambda store: store.raise_newest_upload("photos", "a.jpg", "01")),
    "spent": ("get_item", lambda store: store.spent(DAY)),
    "open_day": ("transact_write_items", lambda store: store.open_day(DAY)),
    "charged": ("get_item", lambda store: store.charged("run_1")),
    "charge": ("transact_write_items", lambda store: store.charge("run_1", None, Reservation(DAY, Decimal("0.14")))),
    "intake": ("get_item", lambda store: store.intake()),
    "save_intake": ("put_item", lambda store: store.save_intake(Intake(), Intake(version=1))),
    "override": ("get_item", lambda store: store.override()),
    "due": ("query", lambda store: store.due(EPOCH, 10)),
    "closed": ("query", lambda store: store.closed(State.FAILED, DAY, 10)),
    "waiting_for_intake": ("query", lambda store: store.waiting_for_intake(EPOCH, 10)),
    "counts": ("query", lambda store: store.counts(DAY)),
}


@pytest.mark.parametrize("name", CALLS)
def test_throttling_is_transient(table: Table, name: str) -> None:
    operation, call = CALLS[name]
    table.refuses(operation, "ProvisionedThroughputExceededException")
    with pytest.raises(Transient, match="ProvisionedThroughputExceededException"):
        call(table.store)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_allowed_is_raised_with_its_operation(table: Table, name: str) -> None:
    operation, call = CALLS[name]
    table.refuses(operation, "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDeniedException") as raised:
        call(table.store)
    assert raised.value.__notes__[0].startswith("while calling ")


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_that_does_not_come_is_transient(name: str) -> None:
    with pytest.raises(Transient, match="ReadTimeoutError"):
        CALLS[name][1](DynamoJobStore(_Silent(), TABLE, FakeClock()))  # type: ignore[arg-type]


class _Silent:
    """A client that never gets an answer."""

    def __getattr__(self, operation: str) -> Callable[..., None]:
        def call(**_: Any) -> None:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")

        return call


# The due index


def index_item(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"job#{number}"}, "due_at": {"N": str(number)}, "state": {"S": "submitted"}}


def test_shards_are_read_page_by_page_only_as_far_as_needed(table: Table) -> None:
    more = {"pk": {"S": "job#1"}}
    table.stub.add_response("query", {"Items": [index_item(5)], "LastEvaluatedKey": more})
    table.stub.add_response("query", {"Items": [], "LastEvaluatedKey": more})
    table.stub.add_response("query", {"Items": [index_item(9)], "LastEvaluatedKey": more})
    for shard in range(1, DUE_SHARDS):
        table.stub.add_response("query", {"Items": [index_item(shard)] if shard == 7 else []})
    assert table.store.due(EPOCH, 2) == ["5", "7"]


def test_a_page_begins_where_the_last_one_ended(table: Table) -> None:
    more = {"pk": {"S": "job#1"}, "lane": {"S": "held#0"}, "due_at": {"N": "1"}}
    first = due_shard_request(TABLE, "held#0", EPOCH, 5)
    table.stub.add_response("query", {"Items": [index_item(1)], "LastEvaluatedKey": more}, first)
    table.stub.add_response("query", {"Items": [index_item(2)]}, first | {"ExclusiveStartKey": more})
    for shard in range(1, DUE_SHARDS):
        table.stub.add_response("query", {"Items": []}, due_shard_request(TABLE, f"held#{shard}", EPOCH, 5))
    assert table.store.waiting_for_intake(EPOCH, 5) == ["1", "2"]


def test_counts_are_summed_over_all_pages(table: Table) -> None:
    more = {"pk": {"S": "job#1"}}
    table.stub.add_response("query", {"Items": [index_item(1)] * 3, "LastEvaluatedKey": more})
    for _ in range(2 * DUE_SHARDS):
        table.stub.add_response("query", {"Items": [index_item(2)]})
    table.stub.add_response("query", {"Count": 1_000, "LastEvaluatedKey": more})
    table.stub.add_response("query", {"Count": 2})
    for _ in range(4):
        table.stub.add_response("query", {"Count": 0})
    counts = table.store.counts(DAY)
    assert (counts.open, counts.closed) == ({"submitted": 3 + 2 * DUE_SHARDS}, {"delivered": 1_002})


def test_jobs_indexed_as_settling_are_counted_as_unconfirmed(table: Table) -> None:
    settling = index_item(1) | {"state": {"S": "waiting"}, "reason": {"S": "settling"}}
    unconfirmed = settling | {"reason": {"S": "unconfirmed"}}
    table.stub.add_response("query", {"Items": [settling, unconfirmed, settling]})
    for _ in range(2 * DUE_SHARDS - 1):
        table.stub.add_response("query", {"Items": []})
    for _ in CLOSED_ORDER:
        table.stub.add_response("query", {"Count": 0})
    assert table.store.counts(DAY).open == {"waiting/unconfirmed": 3}


def test_a_job_is_read_from_its_item(table: Table) -> None:
    table.stub.add_response("get_item", {"Item": job_item(JOB)}, get_request(TABLE, f"job#{JOB.job_id}"))
    assert table.store.get(JOB.job_id) == JOB
