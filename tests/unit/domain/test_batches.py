"""When a batch is finished, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.batches import (
    Batch,
    Uncounted,
    after_batch,
    begin,
    count,
    event_of,
    goes_on,
    is_idle,
    is_told,
    is_worth_saving,
    span,
    waiting_for_a_person,
    waiting_of,
)
from detag.domain.intake import Intake
from detag.domain.job import Job, State, Upload
from detag.domain.reasons import INTAKE_REASONS, Reason
from detag.domain.reopening import Request, Way
from detag.domain.waits import BATCH, LATE_END

NOW = 1_795_453_200.0
UPLOAD = Upload("in", "shoe.jpg", "v1", "01", "e1", 1_000, NOW)


def ended(state: State = State.DELIVERED, reason: Reason | None = None, at: float = NOW, **changes: object) -> Job:
    return replace(Job(upload=UPLOAD, state=state, reason=reason, closed_at=at), **changes)  # type: ignore[arg-type]


def counted(jobs: list[Job], now: float = NOW, *, moving: bool = False, batch: Batch | None = None) -> Batch:
    return count(batch or begin(now), Uncounted(jobs, now, whole=True), moving=moving, now=now)


def test_a_batch_tells_ends_dollars_and_times() -> None:
    jobs = [ended(cost="0.14") for _ in range(8)] + [
        ended(cost="0", reused_from="boot.jpg.webp"),
        ended(State.SKIPPED, Reason.EMPTY, upload=replace(UPLOAD, uploaded_at=NOW - 60.0)),
        ended(State.FAILED, Reason.RUN_FAILED, cost="0.14", upload=replace(UPLOAD, uploaded_at=NOW + 60.0)),
        ended(State.SKIPPED, Reason.NOT_A_PHOTO, upload=replace(UPLOAD, uploaded_at=0.0)),
    ]
    batch = counted(jobs[6:], batch=counted(jobs[:6]))
    places = {"waiting/spend_limit": 3_970, "waiting/paused": 2, "submitted": 1, "unreadable": 1}
    assert event_of(batch, waiting_of(places)) == {
        "photos": 11,
        "states": {"delivered": 9, "failed": 1, "skipped": 1},
        "reasons": {"empty": 1, "run_failed": 1},
        "waiting": {"spend_limit": 3_970, "paused": 2},
        "usd": "1.26",
        "reused": 1,
        "nothing_new": 0,
        "first_upload": "2026-11-23T16:59:00+00:00",
        "last_upload": "2026-11-23T17:01:00+00:00",
    }


def test_a_batch_that_cost_nothing_says_so_in_digits() -> None:
    """However many decimals Runflow writes."""
    batch = counted([ended(State.FAILED, Reason.RUN_FAILED, cost="0.00000000")] * 10)
    assert event_of(batch, {})["usd"] == "0.00000000"
    asked_again = ended(cost="0.14000000", run_id="run-1", told_costs=(("run-1", "0.14000000"),))
    assert event_of(counted([asked_again] * 10), {})["usd"] == "0.00000000"


def test_a_batch_says_where_asking_again_found_nothing() -> None:
    """Whoever asked about a hundred failed photos does not take them for a hundred new failures."""

    def asked(how: Way, state: State = State.FAILED, reason: Reason | None = Reason.NO_OUTPUT, **changes: Any) -> Job:
        return ended(state, reason, requests=(Request("r-1", how, "anna", NOW),), run_id="run-1", **changes)

    before = (("run-1", "0.14"),)
    jobs = [asked(Way.ASK, cost="0.14", told_costs=before) for _ in range(4)] + [
        asked(Way.ASK, State.CANCELLED, Reason.CANCELLED_AT_RUNFLOW, cost="0"),
        asked(Way.ASK, State.DELIVERED, None, cost="0.14", told_costs=before),
        asked(Way.ASK, cost="0.14"),  # it was charged in the meantime
        asked(Way.UNPAID, cost="0"),
        ended(State.FAILED, Reason.NO_OUTPUT, cost="0.14"),
    ]
    told = event_of(counted(jobs), {})
    assert told["nothing_new"] == 5
    assert told["states"] == {"failed": 7, "cancelled": 1, "delivered": 1}
    assert told["reasons"] == {"no_output": 7, "cancelled_at_runflow": 1}
    assert told["usd"] == "0.28"


def test_a_delivered_photo_reopened_for_nothing_is_no_end() -> None:
    """It was delivered long ago: a batch of such photos alone is over, and not told of."""
    before = ended(decision="closed as before: no run of it has a result", reused_from="boot.jpg.webp")
    batch = counted([before] * 20)
    assert (is_idle(replace(batch, counted_to=NOW + 2 * BATCH.seconds)), is_told(batch, {})) == (True, False)
    told = event_of(counted([ended()] * 10, batch=batch), {})
    assert (told["photos"], told["states"], told["nothing_new"], told["reused"]) == (10, {"delivered": 10}, 20, 0)


@pytest.mark.parametrize(
    ("photos", "waiting", "told"), [(9, 0, False), (10, 0, True), (9, 1, True), (1, 9, True), (0, 40, False)]
)
def test_fewer_than_ten_photos_are_no_batch(photos: int, waiting: int, told: bool) -> None:
    assert is_told(counted([ended()] * photos), {"spend_limit": waiting}) is told


def test_a_batch_is_over_after_ten_minutes() -> None:
    batch = counted([ended(at=NOW)])
    assert not is_idle(replace(batch, counted_to=NOW + BATCH.seconds - 1.0))
    assert is_idle(replace(batch, counted_to=NOW + BATCH.seconds))


def test_what_goes_on_keeps_a_batch_from_being_over() -> None:
    later = NOW + 2 * BATCH.seconds
    assert is_idle(counted([], later, batch=counted([ended()])))
    assert not is_idle(counted([], later, moving=True, batch=counted([ended()])))
    more = Uncounted([], later, whole=False)
    assert not is_idle(count(counted([ended()]), more, moving=False, now=later)), "some ends are not counted yet"


def test_nothing_is_no_batch() -> None:
    assert not is_idle(replace(begin(NOW), counted_to=NOW * 2))
    assert not is_idle(replace(counted([ended(State.SKIPPED, Reason.NOT_A_PHOTO)]), counted_to=NOW * 2))


@pytest.mark.parametrize("reason", sorted(INTAKE_REASONS))
def test_only_runflow_comes_back_by_itself(reason: Reason) -> None:
    """What waits for the limit, or for a person, counts as idle."""
    comes_back = reason in (Reason.RUNFLOW_DOWN, Reason.TOO_MANY_REQUESTS)
    assert goes_on(Intake(reason=reason), is_open=False) is comes_back
    assert goes_on(Intake(reason=reason, draining=True), is_open=False)
    assert goes_on(Intake(), is_open=True)
    assert not goes_on(Intake(), is_open=False)


@pytest.mark.parametrize("draining", [False, True])
@pytest.mark.parametrize("reason", [None, *sorted(INTAKE_REASONS)])
def test_without_a_key_nothing_is_searched_for(reason: Reason | None, draining: bool) -> None:
    """What may have been paid for is searched for while only money or an operator keeps intake paused."""
    waiting = waiting_for_a_person(Intake(reason=reason, draining=draining))
    assert {Reason.OTHER_ACCOUNT, Reason.SAME_PICTURE} <= waiting
    paused = reason if not draining else None
    assert (Reason.UNCONFIRMED in waiting) is (paused in (Reason.UNAUTHORIZED, Reason.NOT_CONFIGURED))
    assert (Reason.REOPENED in waiting) is (paused is Reason.NOT_CONFIGURED)


def test_ends_are_counted_of_each_day_up_to_five_minutes_ago() -> None:
    midnight = 1_795_478_400.0
    assert span(Batch(counted_to=midnight - 700.0), midnight + 200.0) == (midnight - 100.0, ["2026-11-23"])
    until, days = span(Batch(counted_to=midnight - 700.0), midnight + 400.0)
    assert (until, days) == (midnight + 400.0 - LATE_END.seconds, ["2026-11-23", "2026-11-24"])
    assert len(span(Batch(counted_to=midnight - 3 * 86_400.0 - 1), midnight)[1]) == 4
    assert len(span(Batch(counted_to=-1.0), midnight)[1]) == 90, "no closed job is kept for longer"


def test_a_stack_that_does_nothing_writes_once_an_hour() -> None:
    batch = begin(NOW)
    assert not is_worth_saving(batch, counted([], NOW + 1_800.0, batch=batch))
    assert is_worth_saving(batch, counted([], NOW + 3_600.0, batch=batch))
    assert is_worth_saving(batch, counted([ended()], NOW + 60.0, batch=batch))
    assert counted([ended(cost="0.14")]).usd == Decimal("0.14")


def test_those_that_wait_are_told_once() -> None:
    """What ends beside them one by one has its own event; ten more that wait are news again."""
    waiting = {"spend_limit": 11}
    first = counted([ended()])
    assert is_told(first, waiting)
    after = after_batch(first, waiting)
    assert (after.waited, after.ends, after.counted_to) == (11, (), first.counted_to)
    single = counted([ended()], batch=after)
    assert not is_told(single, waiting)
    assert is_told(single, {"spend_limit": 20})
    assert is_told(counted([ended()] * 4, batch=after), {"spend_limit": 7}), "four of them went on"
    fewer = after_batch(single, {"spend_limit": 4})
    assert fewer.waited == 4, "seven went on"
    assert is_told(counted([ended()], batch=fewer), {"spend_limit": 13})
    assert after_batch(single, {"spend_limit": 15}).waited == 11, "nobody was told of the four"
