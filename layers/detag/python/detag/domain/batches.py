"""When a batch of photos is finished: what has ended since the last one, and whether anything can go on by itself.

Nobody says how many photos a shop is going to upload. A batch begins with the first end after a pause and is finished
once nothing has happened for ten minutes. A photo that ends twice, as a failure and then as a delivery, is counted as
both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from detag.domain import waits
from detag.domain.intake import Intake
from detag.domain.job import DAY_SECONDS, RETENTION_SECONDS, Job, State
from detag.domain.money import day_of
from detag.domain.reasons import Reason
from detag.domain.records import NOT_A_PHOTO
from detag.domain.reopening import Way
from detag.domain.values import dataclass

FEWEST: Final = 10
"""Photos of a batch that is worth an event, with those that wait: each of fewer has its own."""
MOST_COUNTED: Final = 500
"""Ends that are counted in one minute."""
ENDS: Final = (State.DELIVERED, State.FAILED, State.CANCELLED, State.SKIPPED, State.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What has ended since the last batch was finished."""

    counted_to: float
    """Ends up to this time are counted."""
    active_at: float = 0.0
    """When something was last seen to happen."""
    ends: tuple[tuple[str, int], ...] = ()
    """How many photos ended in each state and for each reason: `delivered`, `skipped/empty`;
    `failed/not_confirmed/nothing_new` where it was reopened to ask, and nothing new was found; and
    `delivered/nothing_new` where it had been delivered, and was reopened for nothing.
    """
    usd: Decimal = Decimal(0)
    """What Runflow charged for them, in US dollars."""
    reused: int = 0
    """How many of them were delivered for nothing, since an equal photo was cleaned before."""
    first_upload: float = 0.0
    """The time of the oldest upload among them."""
    last_upload: float = 0.0
    """The time of the newest upload among them."""
    waited: int = 0
    """How many photos waited when an event last said so: while as many do, they are no news."""
    version: int = 0
    """Incremented by each write, which replaces only the version that it read."""

    @property
    def photos(self) -> int:
        """How many photos have ended, without those that are delivered ones of old."""
        return sum(count for end, count in self.ends if end != _DELIVERED_BEFORE)


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Ends of a span of time, oldest first; `up_to` is its end, or where it was cut because there are too many."""

    jobs: Sequence[Job]
    up_to: float
    whole: bool


def begin(now: float) -> Batch:
    """The first batch of a stack, with what has just ended: what ended before that is no part of it."""
    return Batch(counted_to=now - waits.LATE_END.seconds - waits.BATCH.seconds, version=1)


def span(batch: Batch, now: float) -> tuple[float, list[str]]:
    """Up to when ends are counted now, and the UTC days that may have such: a worker may save an end long after it has
    looked at its clock, and an index shows it later still.
    """
    until = now - waits.LATE_END.seconds
    days, at = [], max(batch.counted_to, now - RETENTION_SECONDS)  # no item is older, whatever this one says
    while at < until and day_of(at) != day_of(until):
        days.append(day_of(at))
        at += DAY_SECONDS
    return until, [*days, day_of(until)]


def count(batch: Batch, found: Uncounted, *, moving: bool, now: float) -> Batch:
    """The batch with what has ended since. `moving`: something can go on by itself."""
    jobs = [job for job in found.jobs if job.reason not in NOT_A_PHOTO]
    ends = Counter(dict(batch.ends))
    ends.update(_end_of(job) for job in jobs)
    uploads = [job.upload.uploaded_at for job in jobs] + [batch.first_upload, batch.last_upload] * bool(batch.ends)
    busy = now if moving or not found.whole else 0.0
    return replace(
        batch,
        counted_to=max(batch.counted_to, found.up_to),
        active_at=max([batch.active_at, busy, *(job.closed_at or 0.0 for job in jobs)]),
        ends=tuple(sorted(ends.items())),
        usd=batch.usd + sum((job.cost_since for job in jobs), Decimal(0)),
        reused=batch.reused + sum(job.reused_from is not None and not job.is_delivered_before for job in jobs),
        first_upload=min(uploads, default=0.0),
        last_upload=max(uploads, default=0.0),
    )


_COMES_BACK: Final = (Reason.RUNFLOW_DOWN, Reason.TOO_MANY_REQUESTS)


def goes_on(intake: Intake, *, is_open: bool) -> bool:
    """Whether anything can go on by itself. What waits for the limit or for a person cannot; what waits for Runflow to
    be back, or to take more, can. `is_open`: some open job waits neither for the intake nor for a person, and does not
    only test whether a paused intake may go on: its probe comes every quarter of an hour for as long as nobody tops up.
    """
    return is_open or intake.state == "draining" or intake.reason in _COMES_BACK


def waiting_for_a_person(intake: Intake) -> frozenset[Reason]:
    """Why an open job that does not wait for the intake waits for what only a person can do: without a key that works,
    nothing is searched for, and without any key nothing is asked for. What waits for an equal photo goes on as that one
    does, which is open itself.
    """
    always = {Reason.OTHER_ACCOUNT, Reason.SAME_PICTURE}
    match intake.reason if intake.state == "paused" else None:
        case Reason.UNAUTHORIZED:
            return frozenset({*always, Reason.UNCONFIRMED})
        case Reason.NOT_CONFIGURED:
            return frozenset({*always, Reason.UNCONFIRMED, Reason.REOPENED})
    return frozenset(always)


def is_idle(batch: Batch) -> bool:
    """Whether a batch is over: for ten minutes, all of whose ends are counted, nothing has happened."""
    return bool(batch.ends) and batch.counted_to - batch.active_at >= waits.BATCH.seconds


def waiting_of(places: Mapping[str, int]) -> dict[str, int]:
    """How many photos wait for each reason, from how many are open, by state and reason (`waiting/spend_limit`)."""
    waits_for = {place.removeprefix(_WAITING): number for place, number in places.items() if place.startswith(_WAITING)}
    return dict(sorted(waits_for.items()))


def is_told(batch: Batch, waiting: Mapping[str, int]) -> bool:
    """Whether a batch that is over is worth an event. `waiting`: how many other photos wait for each reason."""
    left = sum(waiting.values())
    news = left if left < batch.waited else left - batch.waited  # some of them went on: the others are still left
    return batch.photos > 0 and batch.photos + news >= FEWEST


def after_batch(batch: Batch, waiting: Mapping[str, int]) -> Batch:
    """The next batch, with nothing in it, after one that is over."""
    waits_now = sum(waiting.values())
    waited = waits_now if is_told(batch, waiting) else min(batch.waited, waits_now)
    return Batch(counted_to=batch.counted_to, waited=waited)


def is_worth_saving(before: Batch, after: Batch) -> bool:
    """Whether the item is written: not in each minute of a stack that does nothing."""
    return after.ends != before.ends or after.counted_to - before.counted_to >= waits.BATCH_SAVED.seconds


def event_of(batch: Batch, waiting: Mapping[str, int]) -> dict[str, Any]:
    """The event of a batch that is finished: plain JSON values. `waiting`: how many others wait for each reason."""
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for end, number in batch.ends:
        if end == _DELIVERED_BEFORE:
            continue
        state, _, rest = end.partition("/")
        states[state] += number
        if reason := rest.removesuffix(_NOTHING_NEW):
            reasons[reason] += number
    return {
        "photos": batch.photos,
        "states": dict(states),
        "reasons": dict(reasons),
        "waiting": dict(waiting),
        "usd": format(batch.usd, "f"),
        "reused": batch.reused,
        "nothing_new": sum(number for end, number in batch.ends if end.endswith(_NOTHING_NEW)),
        "first_upload": _written(batch.first_upload),
        "last_upload": _written(batch.last_upload),
    }


_WAITING: Final = "waiting/"
_NOTHING_NEW: Final = "/nothing_new"
_DELIVERED_BEFORE: Final = f"{State.DELIVERED}{_NOTHING_NEW}"


def _end_of(job: Job) -> str:
    if job.is_delivered_before:
        return _DELIVERED_BEFORE
    end = f"{job.state}/{job.reason}" if job.reason else job.state.value
    asked = bool(job.requests) and job.requests[-1].how is Way.ASK
    return end + _NOTHING_NEW if asked and job.state is not State.DELIVERED and not job.cost_since else end


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
