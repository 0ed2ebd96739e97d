"""What every job store does: the fake in memory and DynamoDB alike."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

from detag.adapters.aws import aws_config
from detag.adapters.dynamodb import DynamoJobStore
from detag.adapters.job_items import INTAKE_PK, PICTURE_ATTRIBUTES, SCAN_PK, job_pk, picture_pk
from detag.domain.batches import Batch
from detag.domain.intake import UNREADABLE, Intake, Override
from detag.domain.job import Job, Reservation, State, Trouble, Upload, bill_earlier, new, reopen, sequencer_rank
from detag.domain.missed_uploads import Scan
from detag.domain.reasons import Reason
from detag.domain.reopening import Request, Way
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Conflict, Unreadable
from detag.ports.items import MAX_BODY_BYTES, MAX_DETAIL, MAX_OUTPUTS
from detag.ports.jobs import BudgetLost, DayNotOpen, Delivered, DeliveryHeld, JobStore, LimitReached
from detag.ports.jobs_fake import FakeJobStore
from tests.emulator import Aws

DATA_MODEL = Path(__file__).parents[2] / "docs" / "data-model.md"
DAY, NEXT_DAY = "2026-11-23", "2026-11-24"
PRICE = Decimal("0.14")
RESERVED = Reservation(DAY, PRICE)
ASKED = Request("r-1", Way.PAID, "anna", EPOCH)


class Fake:
    """The job store in memory."""

    def spoil_job(self, job_id: str) -> None:
        self.store.unreadable.add(job_id)

    def spoil_intake(self) -> None:
        self.store.intake_unreadable = True

    def spoil_scan(self) -> None:
        self.store.scan_unreadable = True

    def spoil_picture(self, picture_id: str, version: dict[str, Any] | None) -> None:
        self.store.unreadable_pictures.add(picture_id)

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeJobStore(self.clock)

    def write_override(self, override: Override) -> None:
        self.store.operator = override

    def day_expires_at(self, day: str) -> float:
        return self.store.day_expires_at[day]


class Dynamo:
    """The job store on a table made from the template."""

    def __init__(self, client: Any, table: str, definition: dict[str, Any]) -> None:
        client.create_table(TableName=table, **definition)
        self.client, self.table, self.clock = client, table, FakeClock()
        self.store = DynamoJobStore(client, table, self.clock)

    def spoil_job(self, job_id: str) -> None:
        self._spoil(job_pk(job_id), "created_at")

    def spoil_intake(self) -> None:
        self._spoil(INTAKE_PK, "since")

    def spoil_scan(self) -> None:
        self._spoil(SCAN_PK, "since")

    def spoil_picture(self, picture_id: str, version: dict[str, Any] | None) -> None:
        """An item by somebody's hand, with that version."""
        item: dict[str, Any] = {"pk": {"S": picture_pk(picture_id)}, "taken_by": {"S": "nobody"}}
        self.client.put_item(
            TableName=self.table, Item=item | ({PICTURE_ATTRIBUTES[0].name: version} if version else {})
        )

    def _spoil(self, pk: str, name: str) -> None:
        """Make an attribute of an item one that this code does not understand."""
        self.client.update_item(
            TableName=self.table,
            Key={"pk": {"S": pk}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": "of newer code"}},
        )

    def write_override(self, override: Override) -> None:
        item: dict[str, Any] = {"pk": {"S": "override"}}
        if override.paused is not None:
            item["paused"] = {"BOOL": override.paused}
        if override.limit_usd is not None:
            item["limit_usd"] = {"S": override.limit_usd}
        self.client.put_item(TableName=self.table, Item=item)

    def day_expires_at(self, day: str) -> float:
        key = {"pk": {"S": f"day#{day}"}}
        return float(self.client.get_item(TableName=self.table, Key=key)["Item"]["expires_at"]["N"])


@pytest.fixture
def dynamo(aws: Aws, name: str, job_table: dict[str, Any]) -> Iterator[Dynamo]:
    """Whatever a test leaves in the table has only attributes that docs/data-model.md tells of."""
    client = aws.session.client("dynamodb", endpoint_url=aws.emulator.endpoint_url, config=aws_config())
    yield Dynamo(client, name, job_table)
    documented = attributes_of_items()
    for item in client.scan(TableName=name)["Items"]:
        kind = item["pk"]["S"].partition("#")[0]
        assert item.keys() <= documented[kind], f"an item {kind}"


@cache
def attributes_of_items() -> dict[str, set[str]]:
    """By the beginning of an item's key, what the page of the job table says that it may have."""
    found: dict[str, set[str]] = {}
    for section in DATA_MODEL.read_text(encoding="utf-8").split("\n## ")[1:]:
        if kind := re.search(r"^`(\w+)[#`]", section, re.MULTILINE):
            found.setdefault(kind[1], {"pk"}).update(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    return found


@pytest.fixture(params=["fake", "dynamodb"])
def side(request: pytest.FixtureRequest) -> Fake | Dynamo:
    if request.param == "fake":
        return Fake()
    dynamo: Dynamo = request.getfixturevalue("dynamo")
    return dynamo


@pytest.fixture
def store(side: Fake | Dynamo) -> JobStore:
    return side.store


def job_of(number: int = 0, uploaded_at: float = EPOCH) -> Job:
    """A job without an item."""
    upload = Upload("photos", f"shoes/{number}.jpg", f"v{number}", f"00{number:04X}", "e7a6", 1_000, uploaded_at)
    return new(upload, EPOCH)


def moved(job: Job, **changes: Any) -> Job:
    return replace(job, version=job.version + 1, **changes)


def saved(store: JobStore, job: Job, **changes: Any) -> Job:
    """The job of a new item, or of the next version of its item."""
    after = moved(job, **changes)
    store.save(job, after)
    return after


def spent(store: JobStore, day: str = DAY) -> Decimal:
    """What is spent on a day that is open."""
    found = store.spent(day)
    assert found is not None
    return found


def together(number: int, work: Callable[[int], object]) -> list[object]:
    """The results, or the exceptions, of so many calls that begin at the same moment."""
    start = threading.Barrier(number)

    def begin(index: int) -> object:
        start.wait()
        try:
            return work(index)
        except Exception as error:  # noqa: BLE001 - the test judges what it was
            return error

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


HEAD_WRITES: dict[str, Callable[[JobStore], object]] = {
    "a newer upload": lambda store: store.raise_newest_upload("in", "a.jpg", "0B"),
    "a newer upload without versions": lambda store: store.raise_newest_upload("in", "a.jpg", "0B", "e1"),
    "the same upload": lambda store: store.raise_newest_upload("in", "a.jpg", "0A"),
    "a delivery that begins": lambda store: store.begin_delivery("in", "a.jpg", "two", EPOCH + 100),
    "a delivery that ends": lambda store: store.end_delivery("in", "a.jpg", "one", Delivered("0A", ("a.jpg.webp",))),
}


@pytest.mark.parametrize("write", HEAD_WRITES.values(), ids=HEAD_WRITES)
def test_what_a_name_was_delivered_never_expires(dynamo: Dynamo, write: Callable[[JobStore], object]) -> None:
    """Without its item an old photo would be paid for again, and its result dropped. Earlier versions gave it a time by
    which DynamoDB may delete it: it loses that when it is next written.
    """
    store = dynamo.store
    store.raise_newest_upload("in", "a.jpg", "0A")
    store.begin_delivery("in", "a.jpg", "one", EPOCH - 1_000_000_000)
    (item,) = dynamo.client.scan(TableName=dynamo.table)["Items"]
    assert "expires_at" not in item
    dynamo.client.put_item(TableName=dynamo.table, Item=item | {"expires_at": {"N": "1829991600"}})
    write(store)
    (item,) = dynamo.client.scan(TableName=dynamo.table)["Items"]
    assert "expires_at" not in item


# Items


def test_a_job_that_was_never_saved_is_not_there(store: JobStore) -> None:
    assert store.get(job_of().job_id) is None


def test_what_is_not_there_cannot_be_set_aside(store: JobStore) -> None:
    job = job_of()
    store.set_aside(job.job_id, EPOCH, EPOCH + 60)
    assert store.get(job.job_id) is None


def test_what_cannot_be_read_is_set_aside(side: Fake | Dynamo) -> None:
    """It is due again at its time, and nothing else of it is changed."""
    store = side.store
    job = saved(store, job_of(), due_at=EPOCH)
    other = saved(store, job_of(1), due_at=EPOCH + 1)
    side.spoil_job(job.job_id)
    with pytest.raises(Unreadable):
        store.get(job.job_id)
    assert store.due(EPOCH + 1, 10) == [job.job_id, other.job_id]
    store.set_aside(job.job_id, EPOCH + 1, EPOCH + 60)
    assert store.due(EPOCH + 59, 10) == [other.job_id]
    assert store.due(EPOCH + 60, 10) == [other.job_id, job.job_id]


def test_what_waits_for_the_intake_is_set_aside_too(side: Fake | Dynamo) -> None:
    store = side.store
    job = saved(store, job_of(), reason=Reason.PAUSED, due_at=EPOCH)
    side.spoil_job(job.job_id)
    assert store.waiting_for_intake(EPOCH, 10) == [job.job_id]
    store.set_aside(job.job_id, EPOCH, EPOCH + 60)
    assert store.waiting_for_intake(EPOCH + 59, 10) == []
    assert store.waiting_for_intake(EPOCH + 60, 10) == [job.job_id]


def test_what_has_moved_on_is_not_set_aside(store: JobStore) -> None:
    """Newer code may be at the same item: what it wrote stays."""
    job = saved(store, job_of(), due_at=EPOCH)
    later = saved(store, job, due_at=EPOCH + 60)
    store.set_aside(job.job_id, EPOCH, EPOCH + 1_000)
    assert store.get(job.job_id) == later
    closed = saved(store, later, state=State.SKIPPED, reason=Reason.EMPTY, closed_at=EPOCH, due_at=None)
    store.set_aside(job.job_id, EPOCH + 60, EPOCH + 1_000)
    assert store.get(job.job_id) == closed


def test_an_intake_that_cannot_be_read_is_paused_and_kept(side: Fake | Dynamo) -> None:
    store = side.store
    store.save_intake(Intake(), Intake(reason=Reason.PAUSED, since=EPOCH, version=1))
    side.spoil_intake()
    assert store.intake() == UNREADABLE
    with pytest.raises(Conflict):
        store.save_intake(UNREADABLE, Intake(version=1))
    assert store.intake() == UNREADABLE


def test_a_scan_that_cannot_be_read_can_start_over(side: Fake | Dynamo) -> None:
    store, scan = side.store, Scan(since=EPOCH)
    store.save_scan(scan, replace(scan, version=5))
    side.spoil_scan()
    with pytest.raises(Unreadable):
        store.scan()
    store.save_scan(None, replace(scan, version=1))
    assert store.scan() == replace(scan, version=1)


def test_a_batch_is_written_by_one_at_a_time(store: JobStore) -> None:
    first = Batch(counted_to=EPOCH, version=1)
    assert store.batch() is None
    store.save_batch(None, first)
    ends = (("delivered", 12), ("skipped/empty", 3))
    next_one = replace(
        first, ends=ends, usd=Decimal("1.68"), active_at=EPOCH, first_upload=EPOCH - 9.5, last_upload=EPOCH, version=2
    )
    store.save_batch(first, next_one)
    assert store.batch() == next_one
    with pytest.raises(Conflict):
        store.save_batch(first, replace(first, version=2))
    store.save_batch(None, first)
    assert store.batch() == first


def test_what_goes_on_is_open_and_does_not_wait_for_the_intake(store: JobStore) -> None:
    assert not store.is_any_open()
    saved(store, job_of(1), reason=Reason.SPEND_LIMIT, due_at=EPOCH)
    saved(store, job_of(2), state=State.FAILED, reason=Reason.TIMED_OUT, closed_at=EPOCH, ask_at=EPOCH, due_at=EPOCH)
    assert not store.is_any_open()
    probe = saved(store, job_of(4), reason=Reason.READY, due_at=EPOCH)
    assert store.is_any_open() and not store.is_any_open(besides=probe.job_id)
    saved(store, job_of(5), reason=Reason.OTHER_ACCOUNT, due_at=EPOCH)
    assert store.is_any_open(besides=probe.job_id)
    assert not store.is_any_open(besides=probe.job_id, waiting_for={Reason.OTHER_ACCOUNT})
    saved(store, job_of(3), state=State.SUBMITTED, reason=None, due_at=EPOCH + 300.0)
    assert store.is_any_open(besides=probe.job_id, waiting_for={Reason.OTHER_ACCOUNT})


def test_what_was_closed_in_a_span_of_time_is_found(store: JobStore) -> None:
    closed = {}
    for number, after in enumerate((1.0, 2.0, 3.0, 86_401.0)):
        at = EPOCH + after
        job = saved(store, job_of(number), state=State.DELIVERED, reason=None, due_at=None, closed_at=at)
        closed[job.job_id] = at
    first, second, third, next_day = ((at, job_id) for job_id, at in closed.items())
    found = store.closed_between(State.DELIVERED, DAY, EPOCH, EPOCH + 90_000.0, 10)
    assert found == [first, second, third]
    assert store.closed_between(State.DELIVERED, DAY, EPOCH + 1.0, EPOCH + 2.0, 10) == [second]
    assert store.closed_between(State.DELIVERED, DAY, EPOCH, EPOCH + 9.0, 2) == [first, second]
    assert store.closed_between(State.DELIVERED, NEXT_DAY, EPOCH, EPOCH + 90_000.0, 10) == [next_day]
    assert store.closed_between(State.FAILED, DAY, EPOCH, EPOCH + 9.0, 10) == []
    assert store.closed_between(State.DELIVERED, DAY, EPOCH + 9.0, EPOCH, 10) == []


def test_the_right_to_store_is_given_back_with_the_record(store: JobStore) -> None:
    recorded = Delivered("01", ("shoe.jpg",), recorded="02", record="_failed/shoe.jpg.txt")
    store.begin_delivery("in", "shoe.jpg", "one", EPOCH + 60.0)
    store.end_delivery("in", "shoe.jpg", "one", recorded)
    assert store.begin_delivery("in", "shoe.jpg", "two", EPOCH + 60.0) == recorded
    removed = replace(recorded, recorded="", record="")
    store.end_delivery("in", "shoe.jpg", "two", removed)
    assert store.begin_delivery("in", "shoe.jpg", "three", EPOCH + 60.0) == removed


def test_a_name_belongs_to_whoever_asked_first(store: JobStore) -> None:
    """For good, however often the two ask; of another name nothing follows."""
    name = "cleaned/größe/" + "x" * 1_000
    assert store.claim_name(name, "in/shoe.jpg")
    for _ in range(2):
        assert not store.claim_name(name, "in/shoe.png")
        assert store.claim_name(name, "in/shoe.jpg"), "its own stays its own"
    assert store.claim_name(name + ".webp", "in/shoe.png")
    assert store.claim_name(name.upper(), "in/shoe.png")


def test_a_request_is_for_the_job_that_it_first_led_to(store: JobStore) -> None:
    """However often it comes; another request, or one for another photo, has nothing to do with it."""
    assert store.claim_request("r-1", "in", "größe.jpg", "a" * 32)
    for _ in range(2):
        assert not store.claim_request("r-1", "in", "größe.jpg", "b" * 32)
        assert store.claim_request("r-1", "in", "größe.jpg", "a" * 32)
    assert store.claim_request("r-2", "in", "größe.jpg", "b" * 32)
    assert store.claim_request("r-1", "in", "shoe.jpg", "b" * 32)


def test_a_name_has_one_owner_of_many_that_ask_at_once(store: JobStore) -> None:
    sources = [f"in/{number}.jpg" for number in range(8)]
    with ThreadPoolExecutor(len(sources)) as pool:
        claimed = list(pool.map(lambda source: store.claim_name("shoe.webp", source), sources))
    assert claimed.count(True) == 1
    assert [store.claim_name("shoe.webp", source) for source in sources] == claimed


def test_a_name_never_expires(dynamo: Dynamo) -> None:
    """Its item has no time by which DynamoDB may delete it, and says whose the name is."""
    dynamo.store.claim_name("shoe.webp", "in/shoe.jpg")
    (item,) = dynamo.client.scan(TableName=dynamo.table)["Items"]
    assert item.pop("pk")["S"].startswith("name#")
    assert item == {"output_key": {"S": "shoe.webp"}, "source": {"S": "in/shoe.jpg"}}


@pytest.mark.parametrize("name", ["spent", "opened_at"])
def test_a_budget_that_cannot_be_read_pays_nothing(dynamo: Dynamo, name: str) -> None:
    """What was spent is not known: as where the item was deleted, nothing is claimed on that day."""
    store = dynamo.store
    store.open_day(DAY)
    item = {"pk": {"S": f"day#{DAY}"}, "spent": {"N": "0"}, "opened_at": {"N": "1"}}
    item = item | {"spent": {"S": "a lot"}} if name == "spent" else {key: item[key] for key in ("pk", "spent")}
    dynamo.client.put_item(TableName=dynamo.table, Item=item)
    assert store.spent(DAY) is None
    job = job_of()
    with pytest.raises(DayNotOpen):
        store.save(job, moved(job, reservation=RESERVED), limit=Decimal(100))
    if name == "spent":
        store.open_day(DAY)  # it is open: that repairs nothing
        with pytest.raises(DayNotOpen):
            store.save(job, moved(job, reservation=RESERVED), limit=Decimal(100))
    else:
        with pytest.raises(BudgetLost):
            store.open_day(DAY)
    assert store.get(job.job_id) is None


def test_a_newest_day_that_is_no_day_opens_none(dynamo: Dynamo) -> None:
    dynamo.client.put_item(TableName=dynamo.table, Item={"pk": {"S": "budget"}, "newest_day": {"N": "1"}})
    with pytest.raises(BudgetLost):
        dynamo.store.open_day(DAY)


def test_a_job_is_read_back_as_it_was_saved(store: JobStore) -> None:
    job = moved(
        job_of(),
        state=State.WAITING,
        reason=Reason.UNCONFIRMED,
        detail="Größe 😀 \u0001",
        code="E1",
        not_before=EPOCH + 1.25,
        due_at=EPOCH + 0.000001,
        submission_no=2,
        attempt=3,
        expired_urls=1,
        tries=4,
        body='{"input": {}}',
        url_expires_at=EPOCH + 3_600,
        claimed_at=EPOCH,
        maybe_submitted=True,
        search_from="cursor",
        content_type="image/jpeg",
        source_metadata=(("colour", "red"), ("empty", "")),
        earlier_runs=("run_2", "run_1"),
        unknown_runs=("run_3",),
        troubles=((Trouble.NOT_STORED, EPOCH + 0.5), (Trouble.UNKNOWN, EPOCH)),
        callback_asked_at=EPOCH + 0.25,
        reservation=RESERVED,
    )
    store.save(replace(job, version=0, reservation=None), job)
    assert store.get(job.job_id) == job


def test_a_closed_job_is_read_back_as_it_was_saved(store: JobStore) -> None:
    job = saved(store, job_of())
    closed = saved(
        store,
        job,
        state=State.DELIVERED,
        reason=None,
        due_at=None,
        outputs=("b.jpg", "a.jpg"),
        cost="0.14",
        partial=True,
        run_id="run_1",
        submitted_at=EPOCH,
        closed_at=EPOCH + 9,
    )
    assert store.get(job.job_id) == closed


# Who stores outputs of a photo


def test_one_worker_at_a_time_stores_outputs_of_a_photo(store: JobStore) -> None:
    now = EPOCH
    assert store.begin_delivery("in", "a.jpg", "one", now + 100) == Delivered()
    with pytest.raises(DeliveryHeld):
        store.begin_delivery("in", "a.jpg", "two", now + 100)
    assert store.begin_delivery("in", "a.jpg", "one", now + 100) == Delivered(), "a call that the SDK repeats"
    assert store.begin_delivery("in", "b.jpg", "two", now + 100) == Delivered(), "another photo"
    store.end_delivery("in", "a.jpg", "one", Delivered("0A", ("a.jpg.webp",)))
    assert store.begin_delivery("in", "a.jpg", "two", now + 100) == Delivered("0A", ("a.jpg.webp",))


def test_the_right_to_store_outputs_ends_by_itself(store: JobStore) -> None:
    now = EPOCH
    store.begin_delivery("in", "a.jpg", "one", now - 1_000_000_000)
    store.begin_delivery("in", "a.jpg", "two", now + 1_000_000_000)
    store.end_delivery("in", "a.jpg", "one", Delivered("0A", ("late.jpg",)))
    with pytest.raises(DeliveryHeld):
        store.begin_delivery("in", "a.jpg", "three", now)
    store.end_delivery("in", "a.jpg", "two", Delivered())
    assert store.begin_delivery("in", "a.jpg", "three", now) == Delivered()


def test_a_right_that_has_run_out_is_told_until_it_is_seen_to(store: JobStore) -> None:
    """What its worker stored is not recorded; whoever has not looked for that says so."""
    past = EPOCH - 1_000_000_000
    assert not store.begin_delivery("in", "a.jpg", "one", past).unfinished
    unfinished = store.begin_delivery("in", "a.jpg", "two", EPOCH + 1_000_000_000)
    assert unfinished == Delivered(unfinished=True)
    store.end_delivery("in", "a.jpg", "two", unfinished)
    assert store.delivered_of("in", "a.jpg") == Delivered()
    assert store.begin_delivery("in", "a.jpg", "three", past).unfinished
    store.end_delivery("in", "a.jpg", "three", Delivered("0A", ("a.jpg.webp",)))
    assert store.begin_delivery("in", "a.jpg", "four", past) == Delivered("0A", ("a.jpg.webp",))


def test_newest_upload_and_delivery_keep_out_of_each_others_way(store: JobStore) -> None:
    """They are one item."""
    store.begin_delivery("in", "a.jpg", "one", EPOCH + 100)
    assert store.raise_newest_upload("in", "a.jpg", "0B") == "0B"
    store.end_delivery("in", "a.jpg", "one", Delivered("0A", ("a.jpg",)))
    assert store.raise_newest_upload("in", "a.jpg", "0A") == "0B"
    assert store.begin_delivery("in", "a.jpg", "two", EPOCH + 100) == Delivered("0A", ("a.jpg",))


# Items


def test_a_job_is_created_once(store: JobStore) -> None:
    created = saved(store, job_of(), detail="first")
    with pytest.raises(Conflict):
        saved(store, job_of(), detail="second")
    assert store.get(created.job_id) == created


def test_of_two_moves_from_one_version_the_first_is_written(store: JobStore) -> None:
    job = saved(store, job_of())
    winner = saved(store, job, detail="first")
    with pytest.raises(Conflict):
        saved(store, job, detail="second")
    assert store.get(job.job_id) == winner


def test_an_item_that_does_not_exist_cannot_be_replaced(store: JobStore) -> None:
    job = moved(job_of())
    with pytest.raises(Conflict):
        saved(store, job)
    assert store.get(job.job_id) is None


def test_a_move_that_does_not_go_forward_is_refused(store: JobStore) -> None:
    job = saved(store, job_of())
    with pytest.raises(ValueError, match="not a move"):
        store.save(job, job)
    with pytest.raises(ValueError, match="not a move"):
        store.save(job, moved(replace(job, upload=job_of(1).upload)))


def test_what_only_people_read_is_cut_to_fit_an_item(store: JobStore) -> None:
    job = saved(store, job_of(), detail="x" * 5_000, outputs=tuple(f"{n}.jpg" for n in range(500)))
    found = store.get(job.job_id)
    assert found is not None
    assert (found.detail, found.outputs) == (job.detail and job.detail[:MAX_DETAIL], job.outputs[:MAX_OUTPUTS])


def test_a_body_is_never_cut(store: JobStore) -> None:
    with pytest.raises(ValueError, match="body"):
        saved(store, job_of(), body="x" * (MAX_BODY_BYTES + 1))
    assert store.get(job_of().job_id) is None


# Money


def test_a_reservation_is_spent_with_the_save(store: JobStore) -> None:
    store.open_day(DAY)
    job = job_of()
    store.save(job, moved(job, reservation=RESERVED), limit=Decimal(10))
    assert spent(store) == PRICE


def test_money_is_exact(store: JobStore) -> None:
    """Ten times 0.1 are 1, whatever binary fractions say, and the last of them fits a limit of 1."""
    store.open_day(DAY)
    for number in range(10):
        job = job_of(number)
        store.save(job, moved(job, reservation=Reservation(DAY, Decimal("0.1"))), limit=Decimal(1))
    assert spent(store) == 1
    with pytest.raises(LimitReached):
        store.save(job_of(10), moved(job_of(10), reservation=Reservation(DAY, Decimal("0.0001"))), limit=Decimal(1))


def test_nothing_is_reserved_on_a_day_that_is_not_open(store: JobStore) -> None:
    store.open_day(NEXT_DAY)
    job = saved(store, job_of())
    with pytest.raises(DayNotOpen):
        store.save(job, moved(job, reservation=RESERVED), limit=Decimal(10))
    assert (store.get(job.job_id), store.spent(DAY)) == (job, None)


@pytest.mark.parametrize("limit", [Decimal(0), Decimal("0.13"), Decimal("0.27")])
def test_a_reservation_that_does_not_fit_changes_nothing(store: JobStore, limit: Decimal) -> None:
    store.open_day(DAY)
    saved(store, job_of(1), reservation=RESERVED)
    job = saved(store, job_of())
    with pytest.raises(LimitReached):
        store.save(job, moved(job, reservation=RESERVED), limit=limit)
    assert (store.get(job.job_id), spent(store)) == (job, PRICE)


def test_the_last_cent_can_be_reserved(store: JobStore) -> None:
    store.open_day(DAY)
    store.save(job_of(), moved(job_of(), reservation=RESERVED), limit=PRICE)
    assert spent(store) == PRICE


def test_each_claim_brings_the_limit_of_its_time(store: JobStore) -> None:
    """No limit is stored: of two that are in force at once, each holds for those who have it."""
    store.open_day(DAY)
    for number, limit in enumerate((Decimal("0.14"), Decimal("0.42"), Decimal("0.42"))):
        store.save(job_of(number), moved(job_of(number), reservation=RESERVED), limit=limit)
    with pytest.raises(LimitReached):
        store.save(job_of(3), moved(job_of(3), reservation=RESERVED), limit=Decimal("0.14"))
    assert spent(store) == 3 * PRICE


def test_without_a_limit_money_moves_whatever_there_is(store: JobStore) -> None:
    """Also on a day that is not open, which counts it once it is."""
    job = saved(store, job_of(), reservation=RESERVED)
    assert store.spent(DAY) is None
    store.open_day(DAY)
    assert spent(store) == PRICE
    saved(store, job, reservation=replace(RESERVED, usd=Decimal("0.28")))
    assert spent(store) == Decimal("0.28")


def test_a_reservation_that_both_have_moves_no_money(store: JobStore) -> None:
    store.open_day(DAY)
    job = saved(store, job_of(), reservation=RESERVED)
    saved(store, job, detail="on its way", reservation=Reservation(DAY, Decimal("0.140")))
    assert spent(store) == PRICE


def test_a_reservation_is_returned_once(store: JobStore) -> None:
    store.open_day(DAY)
    job = saved(store, job_of(), reservation=RESERVED)
    saved(store, job, reservation=None)
    with pytest.raises(Conflict):
        saved(store, job, reservation=None)
    assert spent(store) == 0


def test_a_reservation_is_returned_to_its_own_day(store: JobStore) -> None:
    store.open_day(DAY)
    job = saved(store, job_of(), reservation=RESERVED)
    store.open_day(NEXT_DAY)
    saved(store, job_of(1), reservation=Reservation(NEXT_DAY, PRICE))
    saved(store, job, reservation=None)
    assert (spent(store, DAY), spent(store, NEXT_DAY)) == (Decimal(0), PRICE)


def test_a_reopened_job_keeps_what_its_runs_cost(store: JobStore) -> None:
    """What was reserved stays counted on its day, beside that of the new run; a correction moves its own day's."""
    store.open_day(DAY)
    job = saved(store, job_of(), state=State.SUBMITTED, run_id="run-1", reservation=RESERVED)
    job = saved(store, job, state=State.DELIVERED, reason=None, closed_at=EPOCH, due_at=None, cost="0.14")
    asked = replace(ASKED, at=EPOCH + 0.1234567)
    opened = reopen(job, asked, Reason.READY, EPOCH, EPOCH + 300)
    store.save(job, opened)
    found = store.get(job.job_id)
    assert found is not None and found.requests == (replace(asked, at=EPOCH + 0.123457),)
    assert replace(found, requests=(asked,)) == opened
    assert (spent(store), found.total_cost) == (PRICE, PRICE)
    store.open_day(NEXT_DAY)
    after = moved(opened, state=State.SUBMITTING, reason=None, reservation=Reservation(NEXT_DAY, PRICE))
    with pytest.raises(LimitReached):
        store.save(opened, after, limit=Decimal("0.13"))
    store.save(opened, after, limit=PRICE)
    assert (spent(store), spent(store, NEXT_DAY)) == (PRICE, PRICE)
    waiting = moved(after, state=State.WAITING, reason=Reason.READY)
    store.save(after, waiting)
    store.save(waiting, bill_earlier(waiting, "run-1", "0.07"))
    assert (spent(store), spent(store, NEXT_DAY)) == (Decimal("0.07"), PRICE)


def test_a_reservation_moves_to_another_day_in_one_step(store: JobStore) -> None:
    store.open_day(DAY)
    job = saved(store, job_of(), reservation=RESERVED)
    after = moved(job, reservation=Reservation(NEXT_DAY, PRICE))
    with pytest.raises(DayNotOpen):
        store.save(job, after, limit=Decimal(10))
    store.open_day(NEXT_DAY)
    with pytest.raises(LimitReached):
        store.save(job, after, limit=Decimal("0.1"))
    assert (spent(store, DAY), spent(store, NEXT_DAY), store.get(job.job_id)) == (PRICE, Decimal(0), job)
    store.save(job, after, limit=Decimal(10))
    assert (spent(store, DAY), spent(store, NEXT_DAY), store.get(job.job_id)) == (Decimal(0), PRICE, after)


def test_a_changed_item_is_a_conflict_whatever_the_budget_says(store: JobStore) -> None:
    store.open_day(DAY)
    stale = saved(store, job_of())
    saved(store, stale)
    for day in (DAY, NEXT_DAY):
        with pytest.raises(Conflict):
            store.save(stale, moved(stale, reservation=Reservation(day, PRICE)), limit=Decimal(0))
    assert spent(store) == 0


def test_a_day_opens_once(store: JobStore) -> None:
    assert store.spent(DAY) is None
    store.open_day(DAY)
    store.open_day(DAY)
    assert spent(store) == 0


def test_days_open_in_their_order(store: JobStore) -> None:
    """One that is older than the newest is taken for lost: it may have been open before."""
    store.open_day(NEXT_DAY)
    with pytest.raises(BudgetLost):
        store.open_day(DAY)
    assert store.spent(DAY) is None


@pytest.mark.parametrize("way", ["charge", "reservation", "refund"])
def test_a_day_that_nothing_opened_expires_too(side: Fake | Dynamo, way: str) -> None:
    """Money moves on it whether it is open or not; that does not open it."""
    store = side.store
    if way == "charge":
        store.charge("run_1", None, RESERVED)
    else:
        job = saved(store, job_of(), reservation=RESERVED)
        if way == "refund":
            saved(store, job, reservation=None)
    assert side.day_expires_at(DAY) == int(EPOCH) + 400 * 86_400
    assert store.spent(DAY) is None
    with pytest.raises(DayNotOpen):
        store.save(job_of(1), moved(job_of(1), reservation=RESERVED), limit=Decimal(10))
    store.open_day(DAY)
    assert spent(store) == (0 if way == "refund" else PRICE)


def test_money_that_moves_later_does_not_keep_a_day_for_longer(side: Fake | Dynamo) -> None:
    side.store.open_day(DAY)
    expires_at = side.day_expires_at(DAY)
    side.clock.advance(86_400.0)
    side.store.charge("run_1", None, RESERVED)
    assert side.day_expires_at(DAY) == expires_at


def test_a_run_is_charged_once(store: JobStore) -> None:
    store.open_day(DAY)
    assert store.charged("run_1") is None
    store.charge("run_1", None, RESERVED)
    with pytest.raises(Conflict):
        store.charge("run_1", None, RESERVED)
    assert (store.charged("run_1"), spent(store)) == (RESERVED, PRICE)
    store.charge("run_2", None, RESERVED)
    assert spent(store) == 2 * PRICE


def test_what_a_run_was_charged_with_can_be_corrected(store: JobStore) -> None:
    store.open_day(DAY)
    store.charge("run_1", None, RESERVED)
    dearer = replace(RESERVED, usd=Decimal("0.28"))
    store.charge("run_1", RESERVED, dearer)
    with pytest.raises(Conflict):
        store.charge("run_1", RESERVED, dearer)
    assert (store.charged("run_1"), spent(store)) == (dearer, Decimal("0.28"))


# Newest uploads


def test_the_newest_sequencer_of_a_key_is_kept(store: JobStore) -> None:
    assert store.raise_newest_upload("photos", "a.jpg", "0055AE") == "0055AE"
    assert store.raise_newest_upload("photos", "a.jpg", "0055AF") == "0055AF"
    assert store.raise_newest_upload("photos", "a.jpg", "0055AE") == "0055AF"
    assert store.raise_newest_upload("photos", "a.jpg", "0055AF") == "0055AF"


def test_sequencers_of_different_lengths_are_padded_on_the_right(store: JobStore) -> None:
    assert store.raise_newest_upload("photos", "a.jpg", "0055A") == "0055A"
    assert store.raise_newest_upload("photos", "a.jpg", "0055A001") == "0055A001"
    assert store.raise_newest_upload("photos", "a.jpg", "0055a") == "0055A001"
    assert store.raise_newest_upload("photos", "a.jpg", "0056") == "0056"


@pytest.mark.parametrize(
    ("uploads", "since"),
    [
        ([("10", "A")], "10"),
        ([("10", "A"), ("20", "A"), ("30", "A")], "10"),
        ([("20", "A"), ("10", "A")], "20"),
        ([("10", "A"), ("20", "B")], "20"),
        ([("10", "A"), ("20", "B"), ("30", "A"), ("40", "A")], "30"),
        ([("10", "A"), ("30", "A"), ("20", "B")], "30"),
        ([("20", "A"), ("30", "A"), ("10", "B")], "20"),
        ([("10", "A"), ("20", "A"), ("10", "A")], "10"),
        ([("10", ""), ("20", "")], "20"),
        ([("10", "A"), ("20", ""), ("30", "A")], "30"),
    ],
)
def test_since_when_a_key_has_the_same_bytes(store: JobStore, uploads: list[tuple[str, str]], since: str) -> None:
    """In whatever order the uploads are seen: what was uploaded is named by its sequencer and its ETag."""
    assert store.same_since("in", "a.jpg") == ""
    newest = [store.raise_newest_upload("in", "a.jpg", sequencer, etag) for sequencer, etag in uploads][-1]
    assert (store.same_since("in", "a.jpg"), newest) == (sequencer_rank(since), max(one for one, _ in uploads))
    assert store.same_since("in", "b.jpg") == ""


def test_each_bucket_and_key_has_its_own_newest_upload(store: JobStore) -> None:
    store.raise_newest_upload("photos", "a.jpg", "0055AF")
    for bucket, key in (("photos", "b.jpg"), ("photo", "sa.jpg"), ("others", "a.jpg"), ("photos", "A.jpg")):
        assert store.raise_newest_upload(bucket, key, "0001") == "0001"


# The scan of the input bucket


def test_a_scan_is_read_back_as_it_was_saved(store: JobStore) -> None:
    assert store.scan() is None
    first = Scan(
        since=1.5,
        place="my-shop/crème & more/",
        started_at=2.25,
        next_at=3.125,
        after_key="a b/ü.jpg",
        after_version="v1",
        entries=7,
        objects=3,
        version=1,
    )
    store.save_scan(Scan(since=1.5), first)
    assert store.scan() == first
    done = Scan(since=2.0, started_at=2.25, next_at=9.0, completed_at=8.0, too_large=True, entries=9, version=2)
    store.save_scan(first, done)
    assert store.scan() == done


def test_of_two_moves_of_the_scan_the_first_is_written(store: JobStore) -> None:
    first, second = Scan(since=1.0, entries=1, version=1), Scan(since=1.0, entries=2, version=1)
    store.save_scan(Scan(since=1.0), first)
    with pytest.raises(Conflict):
        store.save_scan(Scan(since=1.0), second)
    assert store.scan() == first


def test_the_table_knows_when_it_was_created(side: Fake | Dynamo) -> None:
    now = time.time() if isinstance(side, Dynamo) else FakeClock().now()
    assert abs(side.store.created_at() - now) < 60


def test_the_newest_upload_of_a_key_can_be_asked_for(store: JobStore) -> None:
    assert store.newest_upload("in", "a.jpg") == ""
    raised = store.raise_newest_upload("in", "a.jpg", "0055")
    assert store.newest_upload("in", "a.jpg") == sequencer_rank("0055") == sequencer_rank(raised)
    assert store.newest_upload("in", "b.jpg") == ""


# The intake


def test_the_intake_is_open_where_nobody_paused_it(store: JobStore) -> None:
    assert store.intake() == Intake()


def test_the_intake_is_read_back_as_it_was_saved(store: JobStore) -> None:
    closed = Intake(
        reason=Reason.OUT_OF_CREDIT,
        since=EPOCH + 0.25,
        draining=True,
        probe_at=EPOCH + 60,
        probes=2,
        probe_job=job_of().job_id,
        version=1,
    )
    store.save_intake(Intake(), closed)
    assert store.intake() == closed
    store.save_intake(closed, Intake(version=2))
    assert store.intake() == Intake(version=2)


def test_of_two_moves_of_the_intake_the_first_is_written(store: JobStore) -> None:
    first_move = Intake(reason=Reason.PAUSED, version=1)
    store.save_intake(Intake(), first_move)
    with pytest.raises(Conflict):
        store.save_intake(Intake(), Intake(reason=Reason.UNAUTHORIZED, version=1))
    store.save_intake(first_move, Intake(version=2))
    with pytest.raises(Conflict):
        store.save_intake(first_move, Intake(reason=Reason.UNAUTHORIZED, version=2))
    assert store.intake() == Intake(version=2)


def test_an_intake_that_does_not_go_forward_is_refused(store: JobStore) -> None:
    with pytest.raises(ValueError, match="not a move"):
        store.save_intake(Intake(), Intake())


@pytest.mark.parametrize(
    "override", [Override(paused=True), Override(paused=False), Override(limit_usd="2.50"), Override(limit_usd="none")]
)
def test_an_override_is_read_as_it_was_written(side: Fake | Dynamo, override: Override) -> None:
    assert side.store.override() == Override()
    side.write_override(override)
    assert side.store.override() == override


# What is due, and what waits for the intake


def test_due_jobs_come_oldest_first(store: JobStore) -> None:
    jobs = [saved(store, job_of(number), due_at=EPOCH + (number * 7) % 20) for number in range(20)]
    oldest_first = [job.job_id for job in sorted(jobs, key=lambda job: job.due_at or 0)]
    assert store.due(EPOCH + 100, 100) == oldest_first
    assert store.due(EPOCH + 100, 3) == oldest_first[:3]
    assert store.due(EPOCH + 4, 100) == oldest_first[:5]
    assert store.due(EPOCH + 3.999999, 100) == oldest_first[:4]
    assert store.due(EPOCH - 1, 100) == []
    assert store.due(EPOCH + 100, 0) == []


def test_a_job_that_was_put_off_is_due_later(store: JobStore) -> None:
    job = saved(store, job_of(), due_at=EPOCH)
    saved(store, job, due_at=EPOCH + 60)
    assert store.due(EPOCH + 59, 10) == []
    assert store.due(EPOCH + 60, 10) == [job.job_id]


def test_a_closed_job_is_due_only_while_anything_is_pending(store: JobStore) -> None:
    job = saved(store, job_of())
    publishing = saved(
        store, job, state=State.FAILED, reason=Reason.REFUSED, closed_at=EPOCH, due_at=EPOCH, pending=("event",)
    )
    assert store.due(EPOCH, 10) == [job.job_id]
    saved(store, publishing, due_at=None, pending=())
    assert store.due(EPOCH + 1e6, 10) == []


def test_jobs_wait_for_the_intake_in_the_order_of_their_uploads(store: JobStore) -> None:
    jobs = [job_of(number, uploaded_at=EPOCH - number) for number in range(12)]
    waiting = [saved(store, job, reason=Reason.SPEND_LIMIT, due_at=job.upload.uploaded_at) for job in jobs]
    oldest_first = [job.job_id for job in reversed(waiting)]
    assert store.due(EPOCH + 100, 100) == []
    assert store.waiting_for_intake(EPOCH, 100) == oldest_first
    assert store.waiting_for_intake(EPOCH, 2) == oldest_first[:2]
    assert store.waiting_for_intake(EPOCH, 0) == []


def test_a_released_job_waits_for_the_intake_no_more(store: JobStore) -> None:
    job = saved(store, job_of(), reason=Reason.PAUSED, due_at=EPOCH)
    saved(store, job, reason=Reason.READY, due_at=EPOCH)
    assert (store.waiting_for_intake(EPOCH, 10), store.due(EPOCH, 10)) == ([], [job.job_id])


def test_an_unconfirmed_job_does_not_wait_for_the_intake(store: JobStore) -> None:
    job = saved(store, job_of(), reason=Reason.UNCONFIRMED, due_at=EPOCH)
    assert (store.waiting_for_intake(EPOCH, 10), store.due(EPOCH, 10)) == ([], [job.job_id])


def test_jobs_are_counted_by_state_and_reason(store: JobStore) -> None:
    assert (store.counts(DAY).open, store.counts(DAY).closed) == ({}, {})
    jobs = [saved(store, job_of(number)) for number in range(20)]
    for job in jobs[:3]:
        saved(store, job, reason=Reason.PAUSED)
    for job in jobs[3:5]:
        saved(store, job, state=State.SUBMITTING, reason=None)
    for job in jobs[5:9]:
        saved(store, job, state=State.SUBMITTED, reason=None)
    for job in jobs[9:14]:
        saved(store, job, state=State.DELIVERED, reason=None, due_at=None, closed_at=EPOCH)
    saved(store, jobs[14], state=State.FAILED, reason=Reason.REFUSED, closed_at=EPOCH, pending=("event",))
    saved(store, jobs[15], state=State.SKIPPED, reason=Reason.EMPTY, due_at=None, closed_at=EPOCH + 86_400)
    counts = store.counts(DAY)
    assert counts.open == {"waiting/ready": 4, "waiting/paused": 3, "submitting": 2, "submitted": 4}
    assert counts.closed == {"delivered": 5, "failed": 1}
    assert store.counts(NEXT_DAY).closed == {"skipped": 1}


def test_a_repaired_job_is_counted_on_the_day_of_its_repair(store: JobStore) -> None:
    job = saved(store, job_of(), state=State.FAILED, reason=Reason.TIMED_OUT, due_at=None, closed_at=EPOCH)
    saved(store, job, state=State.DELIVERED, reason=None, closed_at=EPOCH + 86_400)
    assert (store.counts(DAY).closed, store.counts(NEXT_DAY).closed) == ({}, {"delivered": 1})


def test_closed_jobs_are_found_newest_first(store: JobStore) -> None:
    def failed(number: int, closed_at: float) -> str:
        job = saved(store, job_of(number), state=State.FAILED, reason=Reason.REFUSED, due_at=None, closed_at=closed_at)
        return job.job_id

    first, second, tomorrow = failed(1, EPOCH), failed(2, EPOCH + 1), failed(3, EPOCH + 86_400)
    saved(store, job_of(4), state=State.DELIVERED, reason=None, due_at=None, closed_at=EPOCH)
    assert store.closed(State.FAILED, DAY, 10) == [second, first]
    assert store.closed(State.FAILED, DAY, 1) == [second]
    assert store.closed(State.FAILED, DAY, 0) == []
    assert store.closed(State.FAILED, NEXT_DAY, 10) == [tomorrow]


# Many at once


def test_of_ten_workers_that_claim_a_job_one_wins(store: JobStore) -> None:
    store.open_day(DAY)
    job = saved(store, job_of())

    def claim(worker: int) -> None:
        after = moved(job, state=State.SUBMITTING, reason=None, detail=str(worker), reservation=RESERVED)
        store.save(job, after, limit=Decimal(10))

    results = together(10, claim)
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 9 + ["NoneType"]
    found = store.get(job.job_id)
    assert found is not None
    assert found.detail == str(results.index(None))
    assert spent(store) == PRICE


def test_of_ten_workers_that_create_a_job_one_wins(store: JobStore) -> None:
    results = together(10, lambda worker: saved(store, job_of(), detail=str(worker)))
    winners = [result for result in results if isinstance(result, Job)]
    assert [store.get(job_of().job_id)] == winners
    assert sum(isinstance(result, Conflict) for result in results) == 9


def test_of_sixteen_jobs_exactly_five_fit_under_a_limit_of_five(store: JobStore) -> None:
    store.open_day(DAY)
    jobs = [saved(store, job_of(number)) for number in range(16)]

    def reserve(number: int) -> None:
        store.save(jobs[number], moved(jobs[number], reservation=RESERVED), limit=5 * PRICE)

    results = together(16, reserve)
    assert sorted(type(result).__name__ for result in results) == ["LimitReached"] * 11 + ["NoneType"] * 5
    found = [store.get(job.job_id) for job in jobs]
    assert sum(job is not None and job.reservation is not None for job in found) == 5
    assert spent(store) == 5 * PRICE


def test_nobody_is_refused_below_the_limit(store: JobStore) -> None:
    store.open_day(DAY)
    jobs = [saved(store, job_of(number)) for number in range(16)]

    def reserve(number: int) -> None:
        store.save(jobs[number], moved(jobs[number], reservation=RESERVED), limit=16 * PRICE)

    assert together(16, reserve) == [None] * 16
    assert spent(store) == 16 * PRICE


def test_a_day_that_many_open_while_others_claim_loses_nothing(store: JobStore) -> None:
    jobs = [saved(store, job_of(number)) for number in range(8)]

    def work(number: int) -> None:
        store.open_day(DAY)
        store.save(jobs[number], moved(jobs[number], reservation=RESERVED), limit=Decimal(10))

    assert together(8, work) == [None] * 8
    assert spent(store) == 8 * PRICE


def test_a_run_that_many_charge_at_once_is_charged_once(store: JobStore) -> None:
    store.open_day(DAY)
    results = together(8, lambda _: store.charge("run_1", None, RESERVED))
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 7 + ["NoneType"]
    assert spent(store) == PRICE


def test_of_many_uploads_at_once_the_newest_is_kept(store: JobStore) -> None:
    together(8, lambda number: store.raise_newest_upload("photos", "a.jpg", f"00{number}"))
    assert store.raise_newest_upload("photos", "a.jpg", "0") == "007"


# The table itself


def lose_the_first_answer(client: Any, operation: str) -> list[int]:
    """Let the service do the operation, and then answer the first time as if it had broken down."""
    calls: list[int] = []
    no_headers: Any = {}

    def send(request: Any, **_: Any) -> AWSResponse | None:
        calls.append(1)
        if len(calls) > 1:
            return None
        answer = URLLib3Session().send(request)
        assert answer.status_code == 200
        return AWSResponse(request.url, 500, no_headers, _Nothing())

    client.meta.events.register(f"before-send.dynamodb.{operation}", send)
    return calls


class _Nothing:
    """The body of an answer that never came."""

    def stream(self, **_: Any) -> list[bytes]:
        return [b"{}"]


def test_a_write_whose_answer_was_lost_is_known_as_our_own(dynamo: Dynamo) -> None:
    calls = lose_the_first_answer(dynamo.client, "PutItem")
    job = saved(dynamo.store, job_of())
    assert len(calls) == 2
    assert dynamo.store.get(job.job_id) == job


def test_a_transaction_whose_answer_was_lost_counts_once(dynamo: Dynamo) -> None:
    dynamo.store.open_day(DAY)
    calls = lose_the_first_answer(dynamo.client, "TransactWriteItems")
    job = saved(dynamo.store, job_of(), reservation=RESERVED)
    assert len(calls) == 2
    assert dynamo.store.get(job.job_id) == job
    assert spent(dynamo.store) == PRICE


def test_a_budget_that_was_deleted_is_lost(dynamo: Dynamo) -> None:
    """It does not begin anew; what was reserved can be returned and corrected all the same."""
    dynamo.store.open_day(DAY)
    job = saved(dynamo.store, job_of(), reservation=RESERVED)
    dynamo.client.delete_item(TableName=dynamo.table, Key={"pk": {"S": f"day#{DAY}"}})
    with pytest.raises(DayNotOpen):
        dynamo.store.save(job_of(1), moved(job_of(1), reservation=RESERVED), limit=Decimal(10))
    with pytest.raises(BudgetLost):
        dynamo.store.open_day(DAY)
    saved(dynamo.store, job, reservation=None)
    dynamo.store.charge("run_1", None, RESERVED)
    assert dynamo.store.spent(DAY) is None
    with pytest.raises(BudgetLost):
        dynamo.store.open_day(DAY)
    dynamo.store.open_day(NEXT_DAY)


def test_a_person_can_write_down_what_was_spent(dynamo: Dynamo) -> None:
    """As docs/operating.md says."""
    dynamo.store.open_day(DAY)
    key = {"pk": {"S": f"day#{DAY}"}}
    dynamo.client.delete_item(TableName=dynamo.table, Key=key)
    dynamo.client.put_item(TableName=dynamo.table, Item=key | {"spent": {"N": "4.2"}, "opened_at": {"N": "0"}})
    with pytest.raises(LimitReached):
        dynamo.store.save(job_of(), moved(job_of(), reservation=RESERVED), limit=Decimal("4.3"))
    saved(dynamo.store, job_of(), reservation=RESERVED)
    assert spent(dynamo.store) == Decimal("4.34")
    assert dynamo.day_expires_at(DAY) == int(EPOCH) + 400 * 86_400


def test_an_earlier_version_reserved_no_dollars(dynamo: Dynamo) -> None:
    """Its items count images on counters that are not read any more: they can be read, and move no money."""
    job = saved(dynamo.store, job_of(), reservation=RESERVED)
    key = {"pk": {"S": f"job#{job.job_id}"}}
    dynamo.client.update_item(
        TableName=dynamo.table,
        Key=key,
        UpdateExpression="SET slots = :one, #c = :two REMOVE reserved_usd",
        ExpressionAttributeNames={"#c": "counter"},
        ExpressionAttributeValues={":one": {"N": "1"}, ":two": {"N": "2"}},
    )
    dynamo.store.open_day(DAY)
    found = dynamo.store.get(job.job_id)
    assert found is not None and found.reservation == Reservation(DAY, Decimal(0))
    saved(dynamo.store, found, reservation=None)
    assert spent(dynamo.store) == PRICE


def test_a_job_with_the_longest_texts_fits_into_an_item(dynamo: Dynamo) -> None:
    long = replace(job_of(), upload=replace(job_of().upload, key="😀" * 256))
    job = saved(
        dynamo.store,
        long,
        body="x" * MAX_BODY_BYTES,
        detail="😀" * 5_000,
        outputs=tuple(f"{number:04}" + "ü" * 510 for number in range(500)),
        source_metadata=(("x" * 1_000, "y" * 1_000),),
        earlier_runs=tuple("r" * 64 for _ in range(500)),
    )
    item = dynamo.client.get_item(TableName=dynamo.table, Key={"pk": {"S": f"job#{job.job_id}"}})["Item"]
    assert len(json.dumps(item, ensure_ascii=False).encode()) < 200_000


def test_an_item_written_as_settling_is_unconfirmed_everywhere(dynamo: Dynamo) -> None:
    """`unconfirmed` was stored under that name before: the item and its copy in the index may both have it."""
    job = saved(dynamo.store, job_of(), reason=Reason.UNCONFIRMED)
    dynamo.client.update_item(
        TableName=dynamo.table,
        Key={"pk": {"S": f"job#{job.job_id}"}},
        UpdateExpression="SET #reason = :reason",
        ExpressionAttributeNames={"#reason": "reason"},
        ExpressionAttributeValues={":reason": {"S": "settling"}},
    )
    assert dynamo.store.get(job.job_id) == job
    assert dynamo.store.counts(DAY).open == {"waiting/unconfirmed": 1}
    saved(dynamo.store, job, detail="read and written again")
    item = dynamo.client.get_item(TableName=dynamo.table, Key={"pk": {"S": f"job#{job.job_id}"}})["Item"]
    assert item["reason"] == {"S": "unconfirmed"}


def test_an_operator_may_write_the_limit_as_a_number(dynamo: Dynamo) -> None:
    item = {"pk": {"S": "override"}, "limit_usd": {"N": "2.5"}, "paused": {"S": "true"}}
    dynamo.client.put_item(TableName=dynamo.table, Item=item)
    override = dynamo.store.override()
    assert override.paused is True
    assert Decimal(override.limit_usd or "0") == Decimal("2.5")
