"""A picture is paid for once, whatever the store: the fake in memory and DynamoDB alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.adapters.job_items import PICTURE_ATTRIBUTES
from detag.domain.job import Job, Reservation, State, Upload, new
from detag.domain.picture import MAX_WAITING, Delivery, Output, Picture, output_id, prefer, reject
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH
from detag.ports.errors import Conflict
from detag.ports.jobs import AlreadyDelivered, JobStore, LimitReached, PictureTaken
from tests.contract.test_jobs import Dynamo, Fake, dynamo, side, store

__all__ = ["dynamo", "side", "store"]

DAY = "2026-11-23"
PICTURE = "0123456789abcdef"
UNTIL = EPOCH + 86_400.0
OUTPUT = Output(1, "shoes/0.jpg", "v1", "e1", 9, "image/webp")
LATE = Output(1, "shoes/7.jpg", "v7", "e9", 9, "image/webp")


def job_of(number: int) -> Job:
    upload = Upload("photos", f"shoes/{number}.jpg", f"v{number}", f"00{number:04X}", "e7a6", 1_000, EPOCH)
    return new(upload, EPOCH)


def claimed(job: Job, over: Picture | None = None) -> Job:
    taken = (over.version if over else 0) + 1
    return replace(
        job,
        version=job.version + 1,
        state=State.SUBMITTING,
        reason=None,
        submission_no=job.submission_no + 1,
        due_at=EPOCH + 60,
        picture=PICTURE,
        picture_version=taken,
        picture_until=UNTIL,
    )


def waiting(job: Job) -> Job:
    later = EPOCH + 300
    return replace(job, version=job.version + 1, reason=Reason.SAME_PICTURE, due_at=later, picture=PICTURE)


def closed(job: Job, state: State, **changes: object) -> Job:
    after = replace(job, version=job.version + 1, state=state, reason=None, due_at=None, closed_at=EPOCH + 9)
    return replace(after, **changes)  # type: ignore[arg-type]


def seen(store: JobStore) -> Picture:
    """The picture as the claim of another job finds it."""
    other = job_of(99)
    with pytest.raises(PictureTaken) as taken:
        store.save(other, claimed(other))
    return taken.value.picture


def test_of_two_claims_of_one_picture_one_is_saved(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    store.save(first, claimed(first))
    assert seen(store) == Picture(picture_id=PICTURE, version=1, taken_by=first.job_id, taken_until=UNTIL)
    assert store.get(second.job_id) is None
    with pytest.raises(PictureTaken):
        store.save(second, claimed(second))
    assert store.get(second.job_id) is None, "nothing of it was saved"


def test_a_claim_that_is_refused_for_money_takes_no_picture(store: JobStore) -> None:
    store.open_day(DAY)
    first, second = job_of(1), job_of(2)
    reserved = replace(claimed(first), reservation=Reservation(DAY, Decimal("0.14")))
    with pytest.raises(LimitReached):
        store.save(first, reserved, limit=Decimal("0.1"))
    assert store.save(second, claimed(second)) == ()


def test_a_picture_that_is_known_costs_no_limit(store: JobStore) -> None:
    """Who may have a copy for nothing is told so, though the day's limit leaves nothing."""
    store.open_day(DAY)
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    reserved = replace(claimed(second), reservation=Reservation(DAY, Decimal("0.14")))
    with pytest.raises(PictureTaken):
        store.save(second, reserved, limit=Decimal(0))


def test_whoever_waits_is_named_when_the_picture_is_left(store: JobStore) -> None:
    first, second, third = job_of(1), job_of(2), job_of(3)
    store.save(first, taken := claimed(first))
    store.save(second, waiting(second), met=seen(store))
    store.save(third, waits := waiting(third), met=seen(store))
    assert store.save(taken, closed(taken, State.FAILED)) == (second.job_id, third.job_id)
    left = seen(store)
    assert (left.taken_by, left.waiting, left.first.outputs) == (None, (), ())
    assert store.save(waits, claimed(waits, left), met=left) == ()


def test_a_wait_for_what_has_changed_is_a_conflict(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    met = seen(store)
    store.save(taken, closed(taken, State.FAILED))
    with pytest.raises(Conflict):
        store.save(second, waiting(second), met=met)
    assert store.get(second.job_id) is None


def unconfirmed(store: JobStore, job: Job, over: Picture | None = None, **changes: object) -> tuple[Job, Job]:
    """A job whose POST had no clear answer, and the same once its photo is sent again."""
    store.save(job, taken := replace(claimed(job, over), **changes), met=over)  # type: ignore[arg-type]
    waits = replace(taken, version=taken.version + 1, state=State.WAITING, reason=Reason.UNCONFIRMED)
    store.save(taken, waits)
    return waits, replace(waits, version=waits.version + 1, state=State.SUBMITTING, reason=None)


def late(store: JobStore) -> None:
    """Something is delivered of the picture after all, by a job that does not have it."""
    job = replace(job_of(7), version=3, state=State.FAILED, picture=PICTURE, picture_until=UNTIL)
    store.save(replace(job_of(7)), job)
    store.save(job, closed(job, State.DELIVERED, stored=(LATE,), run_id="run-7"))


def test_a_photo_is_sent_again_while_its_job_has_the_picture(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    waits, sent = unconfirmed(store, first)
    store.save(second, waiting(second), met=seen(store))
    store.save(waits, sent)
    assert (seen(store).taken_by, seen(store).waiting) == (first.job_id, (second.job_id,))


def test_a_photo_is_not_sent_again_once_its_picture_is_known(store: JobStore) -> None:
    first = job_of(1)
    waits, sent = unconfirmed(store, first)
    late(store)
    with pytest.raises(PictureTaken):
        store.save(waits, sent)
    assert store.get(first.job_id) == waits


@pytest.mark.parametrize("again", [None, "request-1"])
def test_a_photo_is_sent_again_though_known_before(store: JobStore, again: str | None) -> None:
    """What was known when it was claimed is not what it waits for; nor is anything where a new run was asked for."""
    late(store)
    waits, sent = unconfirmed(store, job_of(1), seen(store), again=again)
    store.save(waits, sent)
    assert store.get(sent.job_id) == sent


def test_a_photo_is_not_sent_again_once_another_has_it(store: JobStore) -> None:
    waits, sent = unconfirmed(store, job_of(1))
    second = job_of(2)
    store.save(second, claimed(second, seen(store)), met=seen(store))
    with pytest.raises(PictureTaken):
        store.save(waits, sent)


def test_only_so_many_are_woken_at_once(store: JobStore) -> None:
    first = job_of(1)
    store.save(first, taken := claimed(first))
    for number in range(MAX_WAITING + 1):
        job = job_of(100 + number)
        store.save(job, waiting(job), met=seen(store))
    assert len(store.save(taken, closed(taken, State.FAILED))) == MAX_WAITING


def test_what_was_delivered_is_known(store: JobStore) -> None:
    first = job_of(1)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    (made,) = seen(store).results
    assert (made.outputs, made.originals, made.source_key) == ((OUTPUT,), (OUTPUT,), "shoes/1.jpg")
    assert seen(store).taken_by is None


def test_a_copy_is_known_in_place_of_what_it_was_made_of(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    copy = replace(OUTPUT, key="shoes/2.jpg", version_id="v2")
    reused = closed(second, State.DELIVERED, stored=(copy,), picture=PICTURE, reused_from=OUTPUT.key)
    store.save(second, reused, met=seen(store))
    assert (seen(store).first.outputs, seen(store).first.originals) == ((copy,), (OUTPUT,))
    assert store.reused(DAY) == 1


def copied(store: JobStore, number: int, met: Picture | None = None) -> Delivery:
    """What is delivered as a copy for one more photo, of the picture as it is or was met."""
    job = job_of(number)
    output = replace(OUTPUT, key=job.upload.key, version_id=f"v{number}")
    reused = closed(job, State.DELIVERED, stored=(output,), picture=PICTURE, reused_from=OUTPUT.key)
    store.save(job, reused, met=met or seen(store))
    return Delivery(job.upload.key, (output,))


def known(store: JobStore, partial: bool = False) -> Delivery:
    """What was delivered first."""
    store.save(job_of(1), taken := claimed(job_of(1)))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,), partial=partial))
    return Delivery("shoes/1.jpg", (OUTPUT,))


@pytest.mark.parametrize("partial", [False, True])
def test_each_name_of_a_result_is_remembered(store: JobStore, partial: bool) -> None:
    first = known(store, partial)
    second, third = copied(store, 2), copied(store, 3)
    assert seen(store).deliveries == (third, second, first)
    assert (seen(store).first.originals, seen(store).first.partial) == ((OUTPUT,), partial)


def test_what_a_copy_found_gone_is_forgotten(store: JobStore) -> None:
    """Unless another job has changed the picture meanwhile: then the next copy finds that out."""
    first, second = known(store), copied(store, 2)
    met = prefer(seen(store), seen(store).results[0], [second])
    third = copied(store, 3, met)
    assert seen(store).deliveries == (third, first)
    late = copied(store, 4, met)
    assert seen(store).deliveries == (late, third, first)


def test_each_result_is_remembered(store: JobStore) -> None:
    """One that came late, of which a copy was made since; one that was asked for in their place; and a rejected run."""
    first = known(store)
    late(store)
    met = reject(prefer(seen(store), seen(store).results[1], ()), [replace(seen(store).results[0], run_id="run-0")])
    copy = copied(store, 2, met)
    there = seen(store)
    assert [one.deliveries for one in there.results] == [(copy, Delivery("shoes/7.jpg", (LATE,))), (first,)]
    assert (there.first.run_id, there.rejected_runs) == ("run-7", ("run-0",))
    asked = replace(claimed(job_of(3), there), again="request-1")
    store.save(job_of(3), asked, met=there)
    anew = replace(OUTPUT, key="shoes/3.jpg", version_id="v3", etag="e3")
    store.save(asked, closed(asked, State.DELIVERED, stored=(anew,), run_id="run-3", partial=True))
    assert [(one.run_id, one.replaced, one.partial) for one in seen(store).results] == [
        ("run-3", False, True),
        ("run-7", True, False),
        (None, True, False),
    ]


def test_a_claim_notes_what_was_rejected(store: JobStore) -> None:
    late(store)
    met = reject(seen(store), seen(store).results)
    store.save(job_of(3), claimed(job_of(3), met), met=met)
    assert (seen(store).rejected_runs, seen(store).first.outputs) == (("run-7",), (LATE,))


def test_a_day_counts_a_copy_and_moves_money_at_once(store: JobStore) -> None:
    """Both are of one item, which a transaction may change only once."""
    store.open_day(DAY)
    job = job_of(2)
    store.save(job, taken := replace(claimed(job), reservation=Reservation(DAY, Decimal("0.14"))), limit=Decimal(1))
    returned = Reservation(DAY, Decimal(0))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,), reused_from=OUTPUT.key, reservation=returned))
    assert (store.spent(DAY), store.reused(DAY)) == (Decimal(0), 1)


def test_an_item_of_before_is_readable(dynamo: Dynamo) -> None:
    """It names the last copy and the originals, and nothing between."""
    known(dynamo.store)
    second = copied(dynamo.store, 2)
    dynamo.client.update_item(
        TableName=dynamo.table,
        Key={"pk": {"S": f"picture#{PICTURE}"}},
        UpdateExpression="REMOVE #older",
        ExpressionAttributeNames={"#older": "older"},
    )
    assert seen(dynamo.store).deliveries == (second, Delivery("", (OUTPUT,)))


def test_a_copy_never_replaces_a_newer_result(store: JobStore) -> None:
    """A copy of what was known when it was made."""
    first, second, third = job_of(1), job_of(2), job_of(3)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    met = seen(store)
    anew = replace(OUTPUT, key="shoes/2.jpg", version_id="v2", etag="e2")
    store.save(second, taken := claimed(second, met), met=met)
    store.save(taken, closed(taken, State.DELIVERED, stored=(anew,)))
    copy = replace(OUTPUT, key="shoes/3.jpg", version_id="v3")
    reused = closed(third, State.DELIVERED, stored=(copy,), picture=PICTURE, reused_from=OUTPUT.key)
    store.save(third, reused, met=met)
    assert seen(store).first.outputs == (anew,)


def test_what_was_known_stays_known_where_a_new_run_fails(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    met = seen(store)
    store.save(second, again := claimed(second, met), met=met)
    assert (seen(store).taken_by, seen(store).first.outputs) == (second.job_id, (OUTPUT,))
    store.save(again, closed(again, State.FAILED))
    assert (seen(store).taken_by, seen(store).first.outputs) == (None, (OUTPUT,))


def test_a_job_that_lost_its_picture_ends_all_the_same(store: JobStore) -> None:
    """Another job has taken it after the time that a run may take: that one keeps it, and the result is known."""
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    met = seen(store)
    store.save(second, claimed(second, met), met=met)
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    assert (seen(store).taken_by, seen(store).first.outputs) == (second.job_id, (OUTPUT,))


def test_what_is_not_remembered_leaves_the_picture(store: JobStore) -> None:
    first = job_of(1)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,), picture=None))
    assert (seen(store).taken_by, seen(store).first.outputs) == (None, ())


def test_what_is_not_shared_is_known_and_takes_nothing(store: JobStore) -> None:
    """Results were not reused when it was claimed: whoever pays goes on, and its result is the newest one."""
    first, second, third = job_of(1), job_of(2), job_of(3)
    alone = replace(claimed(second), picture_until=0.0)
    store.save(second, alone)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    before = seen(store)
    store.save(third, claimed(third, before), met=before)
    assert store.save(alone, replace(alone, version=alone.version + 1, state=State.SUBMITTED)) == ()
    assert seen(store).taken_by == third.job_id
    sent = store.get(second.job_id)
    assert sent is not None
    store.save(sent, closed(sent, State.DELIVERED, stored=(LATE,)))
    known = seen(store)
    assert (known.taken_by, [one.outputs for one in known.results]) == (third.job_id, [(LATE,), (OUTPUT,)])


def test_what_detag_delivered_is_refused(store: JobStore) -> None:
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    fed_back = replace(claimed(second), picture="another")
    with pytest.raises(AlreadyDelivered):
        store.save(second, fed_back, unless_output=output_id(OUTPUT.etag, OUTPUT.size))
    assert store.get(second.job_id) is None
    assert store.save(second, fed_back, unless_output=output_id(OUTPUT.etag, OUTPUT.size + 1)) == ()


@pytest.mark.parametrize("is_known", [False, True])
def test_an_output_is_told_before_its_picture(store: JobStore, is_known: bool) -> None:
    """It was paid for as a photo once, because somebody asked for that, or is being paid for: it is skipped again."""
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    if not is_known:
        store.save(job_of(3), claimed(job_of(3), seen(store)), met=seen(store))
    with pytest.raises(AlreadyDelivered):
        store.save(second, claimed(second), unless_output=output_id(OUTPUT.etag, OUTPUT.size))


def test_a_copy_is_known_as_an_output(store: JobStore) -> None:
    """By its own ETag, which is another one where its original was stored in parts."""
    first, second, third = job_of(1), job_of(2), job_of(3)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    copy = replace(OUTPUT, key="shoes/2.jpg", version_id="v2", etag="e1-3")
    reused = closed(second, State.DELIVERED, stored=(copy,), picture=PICTURE, reused_from=OUTPUT.key)
    store.save(second, reused, met=seen(store))
    with pytest.raises(AlreadyDelivered):
        store.save(third, replace(claimed(third), picture="3"), unless_output=output_id(copy.etag, copy.size))


def test_a_photo_that_came_back_as_it_was_stays_a_photo(store: JobStore) -> None:
    """Runflow made an output of the very bytes of a photo that was claimed before, whoever's it was."""
    first, second = job_of(1), job_of(2)
    store.save(first, taken := claimed(first))
    same = replace(OUTPUT, etag=first.upload.etag, size=first.upload.size)
    store.save(taken, closed(taken, State.DELIVERED, stored=(same,)))
    in_other_shape = replace(claimed(second), picture="another")
    assert store.save(second, in_other_shape, unless_output=output_id(same.etag, same.size)) == ()


def test_an_output_stays_an_output(store: JobStore) -> None:
    """Also once it was cleaned as a photo, because somebody asked for that with a word of their own."""
    first, second, third = job_of(1), job_of(2), job_of(3)
    store.save(first, taken := claimed(first))
    store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    fed_back = replace(second.upload, etag=OUTPUT.etag, size=OUTPUT.size)
    store.save(second := replace(second, upload=fed_back), replace(claimed(second), picture="with a word"))
    with pytest.raises(AlreadyDelivered):
        store.save(third, replace(claimed(third), picture="2"), unless_output=output_id(OUTPUT.etag, OUTPUT.size))


def test_an_output_of_an_earlier_version_stays_one(dynamo: Dynamo) -> None:
    """Its item does not say what the bytes were first: an output."""
    known = output_id("e7a6", 1_000) or ""
    item = {"pk": {"S": f"output#{known}"}, "job_id": {"S": "a"}, "delivered_at": {"N": "1"}}
    dynamo.client.put_item(TableName=dynamo.table, Item=item)
    first, second = job_of(1), job_of(2)
    for _ in range(2):
        with pytest.raises(AlreadyDelivered):
            dynamo.store.save(second, replace(claimed(second), picture="another"), unless_output=known)
        if dynamo.store.get(first.job_id) is None:
            dynamo.store.save(first, claimed(first))  # with a word


def test_of_racing_claims_of_one_picture_one_wins(store: JobStore) -> None:
    """Twenty at once: one pays, and each of the others is told who does."""

    def claim(number: int) -> str:
        job = job_of(number)
        try:
            store.save(job, claimed(job))
        except PictureTaken as taken:
            return str(taken.picture.taken_by)
        return "claimed"

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(claim, range(20)))
    assert answers.count("claimed") == 1
    winner = job_of(answers.index("claimed")).job_id
    assert set(answers) == {"claimed", winner}


@pytest.mark.parametrize("spoil", [PICTURE_ATTRIBUTES[0].name, PICTURE_ATTRIBUTES[2].name])
def test_an_item_that_cannot_be_read_counts_as_none(dynamo: Dynamo, spoil: str) -> None:
    first, second = job_of(1), job_of(2)
    dynamo.store.save(first, claimed(first))
    dynamo._spoil(f"picture#{PICTURE}", spoil)
    met = seen(dynamo.store)
    assert (met.taken_by, met.first.outputs) == (None, ())
    dynamo.store.save(second, claimed(second, met), met=met)
    assert seen(dynamo.store).taken_by == second.job_id


BY_HAND: dict[str, dict[str, Any] | None] = {
    "none": None,
    "text": {"S": "three"},
    "digits as text": {"S": "3"},
    "nothing": {"N": "0"},
    "below nothing": {"N": "-3"},
    "a fraction": {"N": "2.5"},
    "a list": {"L": []},
}


@pytest.fixture(params=list(BY_HAND.values()), ids=list(BY_HAND))
def version(request: pytest.FixtureRequest) -> object:
    """A version of a picture that nobody can read."""
    return request.param


def test_a_picture_without_a_version_is_taken_once(side: Fake | Dynamo, version: dict[str, object] | None) -> None:
    """Of two jobs that find it at the same time, too."""
    side.spoil_picture(PICTURE, version)
    first, second = job_of(1), job_of(2)
    met = seen(side.store)
    assert (met.taken_by, met.first.outputs) == (None, ())
    assert seen(side.store) == met
    side.store.save(first, claimed(first, met), met=met)
    with pytest.raises(PictureTaken) as taken:
        side.store.save(second, claimed(second, met), met=met)
    assert taken.value.picture.taken_by == first.job_id


@pytest.mark.parametrize("end", [State.DELIVERED, State.FAILED])
@pytest.mark.parametrize("spoilt", ["before the claim", "after the claim"])
def test_a_job_that_paid_ends_whatever_its_picture(
    side: Fake | Dynamo, version: dict[str, object] | None, spoilt: str, end: State
) -> None:
    """And it can be reopened, and paid for and delivered again."""
    job = job_of(1)
    if spoilt == "before the claim":
        side.spoil_picture(PICTURE, version)
        met = seen(side.store)
        side.store.save(job, taken := claimed(job, met), met=met)
    else:
        side.store.save(job, taken := claimed(job))
        side.spoil_picture(PICTURE, version)
    stored = (OUTPUT,) if end is State.DELIVERED else ()
    side.store.save(taken, ended := closed(taken, end, stored=stored))
    assert (seen(side.store).taken_by, seen(side.store).first.outputs) == (None, stored)
    side.spoil_picture(PICTURE, version)
    reopened = replace(ended, version=ended.version + 1, state=State.WAITING, reason=Reason.READY, closed_at=None)
    side.store.save(ended, reopened)
    met = seen(side.store)
    side.store.save(reopened, again := claimed(reopened, met), met=met)
    anew = replace(OUTPUT, version_id="v2", etag="e2")
    side.store.save(again, closed(again, State.DELIVERED, stored=(anew,)))
    assert seen(side.store).first.outputs == (anew,)


def test_a_job_waits_for_a_picture_that_was_unreadable(side: Fake | Dynamo, version: dict[str, object] | None) -> None:
    side.spoil_picture(PICTURE, version)
    first, second = job_of(1), job_of(2)
    met = seen(side.store)
    side.store.save(first, taken := claimed(first, met), met=met)
    side.store.save(second, waiting(second), met=seen(side.store))
    assert side.store.save(taken, closed(taken, State.FAILED)) == (second.job_id,)


def test_a_known_picture_is_never_deleted(dynamo: Dynamo) -> None:
    """It is remembered while its output exists; one that is only taken expires."""
    first = job_of(1)
    dynamo.store.save(first, taken := claimed(first))
    key = {"pk": {"S": f"picture#{PICTURE}"}}
    assert "expires_at" in dynamo.client.get_item(TableName=dynamo.table, Key=key)["Item"]
    dynamo.store.save(taken, closed(taken, State.DELIVERED, stored=(OUTPUT,)))
    assert "expires_at" not in dynamo.client.get_item(TableName=dynamo.table, Key=key)["Item"]
