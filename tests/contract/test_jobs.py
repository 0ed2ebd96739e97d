"""What every job store does: the fake in memory and DynamoDB alike."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

from detag.adapters.aws import aws_config
from detag.adapters.dynamodb import DynamoJobStore
from detag.domain.intake import Intake, Override
from detag.domain.job import Job, Reservation, State, Upload, new, sequencer_rank
from detag.domain.missed_uploads import Scan
from detag.domain.money import NO_LIMIT, SHARDS, free_images, used_images
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Conflict
from detag.ports.items import MAX_BODY_BYTES, MAX_DETAIL, MAX_OUTPUTS
from detag.ports.jobs import BudgetChanged, JobStore, ShardEmpty
from detag.ports.jobs_fake import FakeJobStore
from tests.emulator import Aws

DAY, NEXT_DAY = "2026-11-23", "2026-11-24"
LARGE = 4_000
"""A limit that is spread over all shards."""


class Fake:
    """The job store in memory."""

    def __init__(self) -> None:
        self.store = FakeJobStore(FakeClock())

    def write_override(self, override: Override) -> None:
        self.store.operator = override


class Dynamo:
    """The job store on a table made from the template."""

    def __init__(self, client: Any, table: str, definition: dict[str, Any]) -> None:
        client.create_table(TableName=table, **definition)
        self.client, self.table = client, table
        self.store = DynamoJobStore(client, table, FakeClock())

    def write_override(self, override: Override) -> None:
        item: dict[str, Any] = {"pk": {"S": "override"}}
        if override.paused is not None:
            item["paused"] = {"BOOL": override.paused}
        if override.limit_usd is not None:
            item["limit_usd"] = {"S": override.limit_usd}
        self.client.put_item(TableName=self.table, Item=item)


@pytest.fixture
def dynamo(aws: Aws, name: str, job_table: dict[str, Any]) -> Dynamo:
    client = aws.session.client("dynamodb", endpoint_url=aws.emulator.endpoint_url, config=aws_config())
    return Dynamo(client, name, job_table)


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


def free(store: JobStore, day: str = DAY) -> list[int]:
    """The free images of each shard of a day."""
    return [shard.free for shard in store.day_budget(day) or ()]


def first(images: int) -> list[int]:
    """The free images of each shard where all are in the first."""
    return [images] + [0] * (SHARDS - 1)


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


# Items


def test_a_job_that_was_never_saved_is_not_there(store: JobStore) -> None:
    assert store.get(job_of().job_id) is None


def test_a_job_is_read_back_as_it_was_saved(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
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
        reservation=Reservation(DAY, 1, 0),
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


def test_a_reservation_is_taken_from_its_shard_with_the_save(store: JobStore) -> None:
    store.set_day_budget(DAY, LARGE)
    job = job_of()
    store.save(job, moved(job, reservation=Reservation(DAY, 2, 3)), limit=LARGE)
    assert free(store) == [250 - 2 * (number == 3) for number in range(SHARDS)]


def test_a_reservation_needs_a_budget_of_its_day(store: JobStore) -> None:
    store.set_day_budget(NEXT_DAY, 71)
    job = saved(store, job_of())
    for limit in (71, None):
        with pytest.raises(BudgetChanged):
            store.save(job, moved(job, reservation=Reservation(DAY, 1, 0)), limit=limit)
    assert store.get(job.job_id) == job
    assert store.day_budget(DAY) is None


def test_a_reservation_under_another_limit_is_refused(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    job = saved(store, job_of())
    for limit in (70, 72):
        with pytest.raises(BudgetChanged):
            store.save(job, moved(job, reservation=Reservation(DAY, 1, 0)), limit=limit)
    assert store.get(job.job_id) == job
    assert free(store) == first(71)


def test_a_reservation_that_does_not_fit_changes_nothing(store: JobStore) -> None:
    store.set_day_budget(DAY, 1)
    job = saved(store, job_of())
    with pytest.raises(ShardEmpty):
        store.save(job, moved(job, reservation=Reservation(DAY, 2, 0)), limit=1)
    assert store.get(job.job_id) == job
    assert free(store) == first(1)


def test_the_last_image_can_be_reserved(store: JobStore) -> None:
    store.set_day_budget(DAY, 1)
    job = job_of()
    store.save(job, moved(job, reservation=Reservation(DAY, 1, 0)), limit=1)
    assert free(store) == first(0)


def test_without_a_limit_a_reservation_need_not_fit(store: JobStore) -> None:
    store.set_day_budget(DAY, 1)
    job = job_of()
    store.save(job, moved(job, reservation=Reservation(DAY, 3, 0)))
    assert free(store) == first(-2)


def test_what_is_returned_goes_to_the_first_shard(store: JobStore) -> None:
    store.set_day_budget(DAY, LARGE)
    job = saved(store, job_of(), reservation=Reservation(DAY, 2, 3))
    saved(store, job, reservation=None)
    assert free(store) == [252, 250, 250, 248] + [250] * 12


def test_a_reservation_that_both_have_moves_no_money(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    job = saved(store, job_of(), reservation=Reservation(DAY, 1, 0))
    saved(store, job, detail="on its way")
    assert free(store) == first(70)


def test_a_reservation_is_returned_once(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    job = saved(store, job_of(), reservation=Reservation(DAY, 1, 0))
    saved(store, job, reservation=None)
    with pytest.raises(Conflict):
        saved(store, job, reservation=None)
    assert free(store) == first(71)


def test_a_reservation_moves_to_another_day_in_one_step(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    store.set_day_budget(NEXT_DAY, 71)
    job = saved(store, job_of(), reservation=Reservation(DAY, 1, 0))
    after = moved(job, reservation=Reservation(NEXT_DAY, 1, 0))
    store.save(job, after, limit=71)
    assert (free(store, DAY), free(store, NEXT_DAY)) == (first(71), first(70))
    assert store.get(job.job_id) == after


def test_a_reservation_that_cannot_move_to_another_day_stays(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    store.set_day_budget(NEXT_DAY, 0)
    job = saved(store, job_of(), reservation=Reservation(DAY, 1, 0))
    with pytest.raises(ShardEmpty):
        store.save(job, moved(job, reservation=Reservation(NEXT_DAY, 1, 0)), limit=0)
    assert (free(store, DAY), free(store, NEXT_DAY)) == (first(70), first(0))
    assert store.get(job.job_id) == job


def test_on_one_shard_only_the_difference_must_fit(store: JobStore) -> None:
    """What is returned to a shard and reserved from it in one save needs only the difference to be free."""
    store.set_day_budget(DAY, 3)
    job = saved(store, job_of(), reservation=Reservation(DAY, 2, 0))
    with pytest.raises(ShardEmpty):
        store.save(job, moved(job, reservation=Reservation(DAY, 4, 0)), limit=3)
    job_of_three = moved(job, reservation=Reservation(DAY, 3, 0))
    store.save(job, job_of_three, limit=3)
    assert free(store) == first(0)
    store.save(job_of_three, moved(job_of_three, reservation=Reservation(DAY, 1, 0)), limit=3)
    assert free(store) == first(2)


def test_a_reservation_is_returned_only_to_a_budget_that_exists(store: JobStore) -> None:
    """Budgets outlive jobs, so that a reservation always has one; where it has none, none is made up."""
    store.set_day_budget(DAY, 0)
    job = saved(store, job_of(), reservation=Reservation(DAY, 1, 0))
    odd = replace(job, reservation=Reservation(NEXT_DAY, 1, 0))
    with pytest.raises(BudgetChanged):
        store.save(odd, moved(odd, reservation=None))
    assert store.get(job.job_id) == job
    assert store.day_budget(NEXT_DAY) is None


def test_a_changed_item_is_a_conflict_whatever_the_budget_says(store: JobStore) -> None:
    store.set_day_budget(DAY, 0)
    stale = saved(store, job_of())
    saved(store, stale)
    for day, limit in ((DAY, 0), (DAY, 5), (NEXT_DAY, 0)):
        with pytest.raises(Conflict):
            store.save(stale, moved(stale, reservation=Reservation(day, 1, 0)), limit=limit)
    assert free(store) == first(0)


def test_a_missing_budget_is_reported_before_an_empty_shard(store: JobStore) -> None:
    store.set_day_budget(NEXT_DAY, 0)
    odd = replace(saved(store, job_of()), reservation=Reservation(DAY, 1, 0))
    with pytest.raises(BudgetChanged):
        store.save(odd, moved(odd, reservation=Reservation(NEXT_DAY, 1, 0)), limit=0)


def test_a_day_has_no_budget_before_it_is_created(store: JobStore) -> None:
    assert store.day_budget(DAY) is None


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, first(0)), (71, first(71)), (LARGE, [250] * SHARDS), (NO_LIMIT, [62_500_000] * SHARDS)],
)
def test_a_new_budget_has_all_its_images_free(store: JobStore, limit: int, expected: list[int]) -> None:
    store.set_day_budget(DAY, limit)
    assert free(store) == expected
    assert {shard.limit for shard in store.day_budget(DAY) or ()} == {limit}


def test_a_budget_that_has_the_limit_already_is_left_alone(store: JobStore) -> None:
    store.set_day_budget(DAY, LARGE)
    job = job_of()
    store.save(job, moved(job, reservation=Reservation(DAY, 9, 3)), limit=LARGE)
    before = store.day_budget(DAY)
    store.set_day_budget(DAY, LARGE)
    assert store.day_budget(DAY) == before


@pytest.mark.parametrize("limit", [0, 3, 5, 71, LARGE, NO_LIMIT])
def test_another_limit_keeps_what_is_used(store: JobStore, limit: int) -> None:
    store.set_day_budget(DAY, 71)
    saved(store, job_of(), reservation=Reservation(DAY, 5, 0))
    store.set_day_budget(DAY, limit)
    budget = store.day_budget(DAY)
    assert budget is not None
    assert (used_images(budget), free_images(budget)) == (5, limit - 5)
    assert {shard.limit for shard in budget} == {limit}


def test_a_run_is_charged_once(store: JobStore) -> None:
    store.set_day_budget(DAY, 1)
    assert store.charge("run_1", Reservation(DAY, 1, 0)) is True
    assert store.charge("run_1", Reservation(DAY, 1, 0)) is False
    assert store.charge("run_2", Reservation(DAY, 1, 0)) is True
    assert free(store) == first(-1)


def test_a_charge_without_a_budget_can_be_repeated_with_one(store: JobStore) -> None:
    with pytest.raises(BudgetChanged):
        store.charge("run_1", Reservation(DAY, 1, 0))
    store.set_day_budget(DAY, 71)
    assert store.charge("run_1", Reservation(DAY, 1, 0)) is True
    assert free(store) == first(70)


def test_a_run_that_was_charged_needs_no_budget_any_more(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    store.charge("run_1", Reservation(DAY, 1, 0))
    assert store.charge("run_1", Reservation(NEXT_DAY, 1, 0)) is False


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


def test_each_bucket_and_key_has_its_own_newest_upload(store: JobStore) -> None:
    store.raise_newest_upload("photos", "a.jpg", "0055AF")
    for bucket, key in (("photos", "b.jpg"), ("photo", "sa.jpg"), ("others", "a.jpg"), ("photos", "A.jpg")):
        assert store.raise_newest_upload(bucket, key, "0001") == "0001"


# The scan of the input bucket


def test_a_scan_is_read_back_as_it_was_saved(store: JobStore) -> None:
    assert store.scan() is None
    first = Scan(
        since=1.5, started_at=2.25, next_at=3.125, after_key="a b/ü.jpg", after_version="v1", entries=7, version=1
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
    assert store.waiting_for_intake(100) == oldest_first
    assert store.waiting_for_intake(2) == oldest_first[:2]
    assert store.waiting_for_intake(0) == []


def test_a_released_job_waits_for_the_intake_no_more(store: JobStore) -> None:
    job = saved(store, job_of(), reason=Reason.PAUSED, due_at=EPOCH)
    saved(store, job, reason=Reason.READY, due_at=EPOCH)
    assert (store.waiting_for_intake(10), store.due(EPOCH, 10)) == ([], [job.job_id])


def test_an_unconfirmed_job_does_not_wait_for_the_intake(store: JobStore) -> None:
    job = saved(store, job_of(), reason=Reason.UNCONFIRMED, due_at=EPOCH)
    assert (store.waiting_for_intake(10), store.due(EPOCH, 10)) == ([], [job.job_id])


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
    store.set_day_budget(DAY, 71)
    job = saved(store, job_of())

    def claim(worker: int) -> None:
        after = moved(job, state=State.SUBMITTING, reason=None, detail=str(worker), reservation=Reservation(DAY, 1, 0))
        store.save(job, after, limit=71)

    results = together(10, claim)
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 9 + ["NoneType"]
    found = store.get(job.job_id)
    assert found is not None
    assert found.detail == str(results.index(None))
    assert free(store) == first(70)


def test_of_ten_workers_that_create_a_job_one_wins(store: JobStore) -> None:
    results = together(10, lambda worker: saved(store, job_of(), detail=str(worker)))
    winners = [result for result in results if isinstance(result, Job)]
    assert [store.get(job_of().job_id)] == winners
    assert sum(isinstance(result, Conflict) for result in results) == 9


def test_of_sixteen_jobs_exactly_five_fit_under_a_limit_of_five(store: JobStore) -> None:
    store.set_day_budget(DAY, 5)
    jobs = [saved(store, job_of(number)) for number in range(16)]

    def reserve(number: int) -> None:
        store.save(jobs[number], moved(jobs[number], reservation=Reservation(DAY, 1, 0)), limit=5)

    results = together(16, reserve)
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] * 5 + ["ShardEmpty"] * 11
    found = [store.get(job.job_id) for job in jobs]
    assert sum(job is not None and job.reservation is not None for job in found) == 5
    assert free(store) == first(0)


def test_nobody_is_refused_while_a_contended_shard_has_images(store: JobStore) -> None:
    store.set_day_budget(DAY, 16)
    jobs = [saved(store, job_of(number)) for number in range(16)]

    def reserve(number: int) -> None:
        store.save(jobs[number], moved(jobs[number], reservation=Reservation(DAY, 1, 0)), limit=16)

    assert together(16, reserve) == [None] * 16
    assert free(store) == first(0)


def test_changing_the_limit_while_others_reserve_loses_no_image(store: JobStore) -> None:
    store.set_day_budget(DAY, 40)
    jobs = [saved(store, job_of(number)) for number in range(24)]
    reserved: list[Job] = []

    def work(worker: int) -> None:
        if worker == 0:
            for limit in (41, 42, LARGE, 43, 40):
                store.set_day_budget(DAY, limit)
            return
        for number in range((worker - 1) * 4, worker * 4):
            after = moved(jobs[number], reservation=Reservation(DAY, 1, 0))
            for _ in range(50):
                budget = store.day_budget(DAY)
                assert budget is not None
                try:
                    store.save(jobs[number], after, limit=budget[0].limit)
                except BudgetChanged:
                    continue
                reserved.append(after)
                break

    assert together(7, work) == [None] * 7
    budget = store.day_budget(DAY)
    assert budget is not None
    assert len(reserved) == 24
    assert (used_images(budget), free_images(budget)) == (24, 16)


def test_a_budget_that_many_create_at_once_is_created_once(store: JobStore) -> None:
    assert together(8, lambda _: store.set_day_budget(DAY, 71)) == [None] * 8
    assert free(store) == first(71)


def test_a_run_that_many_charge_at_once_is_charged_once(store: JobStore) -> None:
    store.set_day_budget(DAY, 71)
    results = together(8, lambda _: store.charge("run_1", Reservation(DAY, 1, 0)))
    assert sorted(results, key=str) == [False] * 7 + [True]
    assert free(store) == first(70)


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
    dynamo.store.set_day_budget(DAY, 71)
    calls = lose_the_first_answer(dynamo.client, "TransactWriteItems")
    job = saved(dynamo.store, job_of(), reservation=Reservation(DAY, 1, 0))
    assert len(calls) == 2
    assert dynamo.store.get(job.job_id) == job
    assert free(dynamo.store) == first(70)


def just_before(client: Any, operation: str, act: Callable[[], object]) -> None:
    """Let others act once, between the reading of a call and this operation of it."""
    waiting = [act]

    def step(**_: Any) -> None:
        if waiting:
            waiting.pop()()

    client.meta.events.register(f"before-call.dynamodb.{operation}", step)


def test_a_budget_that_another_created_first_is_kept(dynamo: Dynamo) -> None:
    def another() -> None:
        dynamo.store.set_day_budget(DAY, 71)
        saved(dynamo.store, job_of(), reservation=Reservation(DAY, 1, 0))

    just_before(dynamo.client, "TransactWriteItems", another)
    dynamo.store.set_day_budget(DAY, 71)
    assert free(dynamo.store) == first(70)


def test_the_same_free_images_under_another_limit_are_a_change(dynamo: Dynamo) -> None:
    """The condition compares the limit too: 5 of 76 used leave as many free as 0 of 71."""
    dynamo.store.set_day_budget(DAY, 71)

    def another() -> None:
        saved(dynamo.store, job_of(), reservation=Reservation(DAY, 5, 0))
        dynamo.store.set_day_budget(DAY, 76)

    just_before(dynamo.client, "TransactWriteItems", another)
    with pytest.raises(Conflict):
        dynamo.store.set_day_budget(DAY, 100)
    budget = dynamo.store.day_budget(DAY)
    assert budget is not None
    assert (budget[0].limit, used_images(budget)) == (76, 5)


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
