"""A job table in memory, with exactly the conditions of the real one."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from threading import RLock

from detag.domain.batches import Batch
from detag.domain.intake import UNREADABLE, Intake, Override
from detag.domain.job import CLOSED_ORDER, OPEN_ORDER, Job, Reservation, State, sequencer_rank
from detag.domain.missed_uploads import Scan
from detag.domain.money import day_of
from detag.domain.picture import Picture, woken
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.effect_fake import Effect, no_effect
from detag.ports.errors import Conflict, Unreadable
from detag.ports.items import (
    LASTING_SECONDS,
    OUTPUT,
    PHOTO,
    PictureChange,
    kept,
    kept_batch,
    kept_intake,
    kept_scan,
    moved_money,
    new_outputs,
    picture_change,
    reused_on,
    sent_photo,
)
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


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a job, at a time of the store's clock. `before` is None for a new one."""

    at: float
    before: Job | None
    after: Job


class FakeJobStore:
    """See `detag.ports.jobs.JobStore`. Its effects are "jobs.<method>". What it keeps may be read, for invariants.

    `lag` is how many seconds `due`, `waiting_for_intake` and `counts` are behind: they see the table as it was then.
    Like a real index they never go back: with a longer lag they stand still until it has passed.
    """

    names: dict[str, str]
    requests: dict[tuple[str, str, str], str]
    """Whose each name in the output bucket is."""
    scan_unreadable = False
    _scan: Scan | None = None
    _batch: Batch | None = None

    def __init__(self, clock: Clock, effect: Effect = no_effect, lag: float = 0.0) -> None:
        self.lag, self._clock, self._effect = lag, clock, effect
        self.jobs: dict[str, Job] = {}
        """Every job, by its id."""
        self.money: dict[str, Decimal] = {}
        """What is spent on each day, in US dollars."""
        self.open_days: set[str] = set()
        """The days whose budgets are open."""
        self.day_expires_at: dict[str, int] = {}
        """When TTL may delete a day's budget, by day, whether it is open or not."""
        self.newest_day = ""
        """The newest day that was ever opened."""
        self.charges: dict[str, Reservation] = {}
        """What was charged by `charge`, by run id."""
        self.newest_uploads: dict[tuple[str, str], str] = {}
        """The newest sequencer, by bucket and key."""
        self._same_since: dict[tuple[str, str], tuple[str, str]] = {}
        self.delivered: dict[tuple[str, str], Delivered] = {}
        """What has been delivered, by bucket and key."""
        self._delivering: dict[tuple[str, str], tuple[str, float]] = {}
        self.pictures: dict[str, Picture] = {}
        """Every picture, by its id."""
        self.unreadable_pictures: set[str] = set()
        """Ids of pictures of whose items not even the version can be read."""
        self.known_bytes: dict[str, str] = {}
        """What bytes were first, a photo or an output, by their id."""
        self.reused_on: Tally[str] = Tally()
        """How many results were reused, by day."""
        self.writes: list[Write] = []
        """Every write of a job, oldest first."""
        self.operator = Override()
        """The override item, for the test to write."""
        self.unreadable: set[str] = set()
        """Ids of jobs whose items cannot be read."""
        self.aside: dict[str, float] = {}
        """When an item that was set aside is due, by job id, until it is written."""
        self.intake_unreadable, self.names, self.requests = False, {}, {}
        self._intake, self._created_at = Intake(), clock.now()
        self._index, self._scheduled, self._indexed = dict[str, Job](), dict[str, Job](), 0
        self._ended, self._lock = {state: dict[str, Job]() for state in CLOSED_ORDER}, RLock()

    def expire(self) -> None:
        """What DynamoDB's TTL does with items that have expired, some time after they have."""
        now = self._clock.now()
        for job_id, job in list(self.jobs.items()):
            if job.expires_at is not None and job.expires_at <= now:
                del self.jobs[job_id]
        for day, expires_at in list(self.day_expires_at.items()):
            if expires_at <= now:
                del self.day_expires_at[day]
                self.money.pop(day, None)
                self.open_days.discard(day)

    def get(self, job_id: str) -> Job | None:
        """See `JobStore`."""
        with self._effect("jobs.get"), self._lock:
            if job_id in self.unreadable:
                raise Unreadable("its item cannot be read")
            return self.jobs.get(job_id)

    def set_aside(self, job_id: str, now: float, due_at: float) -> None:
        """See `JobStore`."""
        with self._effect("jobs.set_aside"), self._lock:
            job = self.jobs.get(job_id)
            if job is not None and job.due_at is not None and job.due_at <= now:
                self.jobs[job_id] = replace(job, due_at=due_at)
                self.aside[job_id] = due_at

    def save(
        self,
        before: Job,
        after: Job,
        *,
        limit: Decimal | None = None,
        met: Picture | None = None,
        unless_output: str | None = None,
    ) -> tuple[str, ...]:
        """See `JobStore`."""
        if after.job_id != before.job_id or after.version <= before.version:
            raise ValueError(f"not a move of job {before.job_id} from version {before.version}")
        written = kept(after)
        with self._effect("jobs.save"), self._lock:
            present = self.jobs.get(before.job_id)
            if (present.version if present else 0) != before.version:
                raise Conflict(f"job {before.job_id} is not at version {before.version}")
            if self.known_bytes.get(unless_output or "") == OUTPUT:
                raise AlreadyDelivered("the photo is an output that was delivered")
            pictures = self._pictures(picture_change(before, after, met))
            self._move_money(before.reservations, after.reservations, limit)
            self.jobs[written.job_id] = written
            self.aside.pop(written.job_id, None)
            if (photo := sent_photo(before, after)) is not None:
                self.known_bytes.setdefault(photo, PHOTO)
            for output in new_outputs(before, after, met):
                self.known_bytes.setdefault(output, OUTPUT)
            if (day := reused_on(before, after)) is not None:
                self.reused_on[day] += 1
            if pictures is not None:
                self.pictures[pictures[1].picture_id] = pictures[1]
            self.writes.append(Write(self._clock.now(), present, written))
            return woken(*pictures) if pictures is not None else ()

    def _pictures(self, change: PictureChange | None) -> tuple[Picture, Picture] | None:
        if change is None:
            return None
        if change.picture_id in self.unreadable_pictures:
            self.unreadable_pictures.remove(change.picture_id)
            self.pictures[change.picture_id] = Picture(picture_id=change.picture_id, version=1)
        there = self.pictures.get(change.picture_id, Picture(picture_id=change.picture_id))
        same = change.expected is not None and change.expected.version == there.version
        if change.takes and not same:
            raise PictureTaken(there)
        if change.waits and not same:
            raise Conflict(f"picture {change.picture_id} is not as it was read")
        changed = change.change(there)
        if changed is None:
            raise PictureTaken(there)
        return None if changed == there else (there, changed)

    def _move_money(
        self, before: Sequence[Reservation | None], after: Sequence[Reservation], limit: Decimal | None
    ) -> None:
        """`limit`: of the day of the first of `after`."""
        moved = moved_money(before, after)
        day = after[0].day if after else ""
        if limit is not None and day in moved:
            if day not in self.open_days:
                raise DayNotOpen(f"{day} is not open")
            if self.spent_on(day) > limit - moved[day]:
                raise LimitReached(f"${self.spent_on(day)} is spent on {day}")
        for day, usd in moved.items():
            self.money[day] = self.spent_on(day) + usd
            self.day_expires_at.setdefault(day, int(self._clock.now() + LASTING_SECONDS))

    def spent_on(self, day: str) -> Decimal:
        """What is spent on a day; zero where nothing was."""
        return self.money.get(day, Decimal(0))

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str, etag: str = "") -> str:
        """See `JobStore`."""
        with self._effect("jobs.raise_newest_upload"), self._lock:
            newest = max(sequencer, self.newest_uploads.get((bucket, key), ""), key=sequencer_rank)
            since, shown = self._same_since.get((bucket, key), ("", etag))
            older = sequencer_rank(sequencer) < sequencer_rank(newest)
            if not since or (not (etag and etag == shown) and since <= sequencer_rank(sequencer)):
                since = sequencer_rank(newest)
            self._same_since[bucket, key] = since, shown if older else etag
            self.newest_uploads[bucket, key] = newest
            return newest

    def same_since(self, bucket: str, key: str) -> str:
        """See `JobStore`."""
        with self._effect("jobs.same_since"), self._lock:
            return self._same_since.get((bucket, key), ("", ""))[0]

    def newest_upload(self, bucket: str, key: str) -> str:
        """See `JobStore`."""
        with self._effect("jobs.newest_upload"), self._lock:
            newest = self.newest_uploads.get((bucket, key))
            return sequencer_rank(newest) if newest else ""

    def begin_delivery(self, bucket: str, key: str, worker: str, until: float) -> Delivered:
        """See `JobStore`."""
        with self._effect("jobs.begin_delivery"), self._lock:
            holder, held_until = self._delivering.get((bucket, key), (worker, 0.0))
            if holder != worker and held_until > self._clock.now():
                raise DeliveryHeld(holder)
            self._delivering[bucket, key] = worker, until
            return replace(self.delivered.get((bucket, key), Delivered()), unfinished=holder != worker)

    def delivered_of(self, bucket: str, key: str) -> Delivered:
        """See `JobStore`."""
        with self._effect("jobs.delivered_of"), self._lock:
            return self.delivered.get((bucket, key), Delivered())

    def end_delivery(self, bucket: str, key: str, worker: str, delivered: Delivered) -> None:
        """See `JobStore`."""
        with self._effect("jobs.end_delivery"), self._lock:
            if self._delivering.get((bucket, key), ("", 0.0))[0] == worker:
                del self._delivering[bucket, key]
                if delivered.unfinished:
                    self._delivering[bucket, key] = worker, 0.0
                self.delivered[bucket, key] = replace(delivered, unfinished=False)

    def spent(self, day: str) -> Decimal | None:
        """See `JobStore`."""
        with self._effect("jobs.spent"), self._lock:
            return self.spent_on(day) if day in self.open_days else None

    def claim_name(self, output_key: str, source: str) -> bool:
        """See `JobStore`."""
        with self._effect("jobs.claim_name"), self._lock:
            return self.names.setdefault(output_key, source) == source

    def claim_request(self, request_id: str, bucket: str, key: str, job_id: str) -> bool:
        """See `JobStore`."""
        with self._effect("jobs.claim_request"), self._lock:
            return self.requests.setdefault((request_id, bucket, key), job_id) == job_id

    def reused(self, day: str) -> int:
        """See `JobStore`."""
        with self._effect("jobs.reused"), self._lock:
            return self.reused_on[day]

    def open_day(self, day: str) -> None:
        """See `JobStore`."""
        with self._effect("jobs.open_day"), self._lock:
            if day in self.open_days:
                return
            if day <= self.newest_day:
                raise BudgetLost(f"{day} was opened before")
            self.open_days.add(day)
            self.day_expires_at[day] = int(self._clock.now() + LASTING_SECONDS)
            self.newest_day = day

    def charged(self, run_id: str) -> Reservation | None:
        """See `JobStore`."""
        with self._effect("jobs.charged"), self._lock:
            return self.charges.get(run_id)

    def charge(self, run_id: str, before: Reservation | None, after: Reservation) -> None:
        """See `JobStore`."""
        with self._effect("jobs.charge"), self._lock:
            if self.charges.get(run_id) != before:
                raise Conflict(f"run {run_id} was charged with something else")
            self._move_money((before,), (after,), None)
            self.charges[run_id] = after

    def intake(self) -> Intake:
        """See `JobStore`."""
        with self._effect("jobs.intake"), self._lock:
            return UNREADABLE if self.intake_unreadable else self._intake

    def save_intake(self, before: Intake, after: Intake) -> None:
        """See `JobStore`."""
        if after.version <= before.version:
            raise ValueError(f"not a move of the intake from version {before.version}")
        with self._effect("jobs.save_intake"), self._lock:
            if self.intake_unreadable or self._intake.version != before.version:
                raise Conflict(f"the intake is not at version {before.version}")
            self._intake = kept_intake(after)

    def created_at(self) -> float:
        """See `JobStore`."""
        with self._effect("jobs.created_at"):
            return self._created_at

    def scan(self) -> Scan | None:
        """See `JobStore`."""
        with self._effect("jobs.scan"), self._lock:
            if self.scan_unreadable:
                raise Unreadable("its item cannot be read")
            return self._scan

    def save_scan(self, before: Scan | None, after: Scan) -> None:
        """See `JobStore`."""
        if before is not None and after.version <= before.version:
            raise ValueError(f"not a move of the scan from version {before.version}")
        with self._effect("jobs.save_scan"), self._lock:
            if before is not None and (self._scan.version if self._scan else 0) != before.version:
                raise Conflict(f"the scan is not at version {before.version}")
            self._scan, self.scan_unreadable = kept_scan(after), False

    def override(self) -> Override:
        """See `JobStore`."""
        with self._effect("jobs.override"), self._lock:
            return self.operator

    def due(self, now: float, limit: int) -> list[str]:
        """See `JobStore`."""
        with self._effect("jobs.due"), self._lock:
            return self._due(now, for_intake=False)[: max(limit, 0)]

    def waiting_for_intake(self, now: float, limit: int) -> list[str]:
        """See `JobStore`."""
        with self._effect("jobs.waiting_for_intake"), self._lock:
            return self._due(now, for_intake=True)[: max(limit, 0)]

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """See `JobStore`."""
        with self._effect("jobs.closed"), self._lock:
            found = [
                (job.closed_at, job_id)
                for job_id, job in self._lagging().items()
                if job.state is state and job.closed_at is not None and day_of(job.closed_at) == day
            ]
            return [job_id for _, job_id in sorted(found, reverse=True)][: max(limit, 0)]

    def closed_between(self, state: State, day: str, after: float, until: float, limit: int) -> list[tuple[float, str]]:
        """See `JobStore`."""
        with self._effect("jobs.closed_between"), self._lock:
            self._lagging()
            found = [
                (job.closed_at, job_id)
                for job_id, job in self._ended[state].items()
                if job.closed_at is not None and after < job.closed_at <= until
            ]
            return sorted(one for one in found if day_of(one[0]) == day)[: max(limit, 0)]

    def is_any_open(self, *, besides: str | None = None, waiting_for: Collection[Reason] = ()) -> bool:
        """See `JobStore`."""
        with self._effect("jobs.is_any_open"), self._lock:
            left_out = self.unreadable | {besides}
            others = (job for job_id, job in self._lagging().items() if job_id not in left_out)
            jobs = (job for job in others if not job.state.terminal and not job.waits_for_intake)
            return any(job.state is not State.WAITING or job.reason not in waiting_for for job in jobs)

    def batch(self) -> Batch | None:
        """See `JobStore`."""
        with self._effect("jobs.batch"), self._lock:
            return self._batch

    def save_batch(self, before: Batch | None, after: Batch) -> None:
        """See `JobStore`."""
        if before is not None and after.version <= before.version:
            raise ValueError(f"not a move of the batch from version {before.version}")
        with self._effect("jobs.save_batch"), self._lock:
            if before is not None and (self._batch.version if self._batch else 0) != before.version:
                raise Conflict(f"the batch is not at version {before.version}")
            self._batch = kept_batch(after)

    def counts(self, day: str) -> Counts:
        """See `JobStore`."""
        with self._effect("jobs.counts"), self._lock:
            jobs = list(self._lagging().values())
            return Counts(
                open=Tally(
                    "unreadable" if job.job_id in self.unreadable else _place(job)
                    for job in jobs
                    if job.state in OPEN_ORDER
                ),
                closed=Tally(
                    job.state.value
                    for job in jobs
                    if job.state in CLOSED_ORDER and job.closed_at is not None and day_of(job.closed_at) == day
                ),
            )

    def _due(self, now: float, *, for_intake: bool) -> list[str]:
        index = self._lagging()
        aside = {job_id: index[job_id] for job_id in self.aside if job_id in index}
        times = (
            (self.aside.get(job_id, job.due_at) or math.inf, job_id)
            for job_id, job in (self._scheduled | aside if aside else self._scheduled).items()
            if job.waits_for_intake == for_intake
        )
        return [job_id for _, job_id in sorted(one for one in times if one[0] <= now)]

    def _lagging(self) -> dict[str, Job]:
        """The jobs as the indexes show them by now."""
        if self._indexed == len(self.writes):
            return self._index
        seen = self._clock.now() - self.lag
        while self._indexed < len(self.writes) and self.writes[self._indexed].at <= seen:
            written = self.writes[self._indexed].after
            job_id = written.job_id
            self._index[job_id] = written
            self._scheduled.pop(job_id, None)
            for ended in self._ended.values():
                ended.pop(job_id, None)
            if written.due_at is not None:
                self._scheduled[job_id] = written
            if written.state.terminal:
                self._ended[written.state][job_id] = written
            self._indexed += 1
        return self._index


def _place(job: Job) -> str:
    return f"{job.state}/{job.reason}" if job.state is State.WAITING else job.state.value
