"""Money: what may be spent today, and what was spent without being asked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from detag.domain.backoff import Uniform
from detag.domain.intake import Override
from detag.domain.job import Job, Reservation, adopt
from detag.domain.money import SHARDS, SPREAD_FROM, day_of, free_images, images_for, spread
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import BudgetChanged, JobStore, ShardEmpty
from detag.ports.telemetry import Telemetry

ROUNDS: Final = SHARDS + 4


class Budget:
    """Reserves before paying, and charges what turned out to be paid for."""

    def __init__(
        self,
        jobs: JobStore,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
        price: Decimal,
        limit: Decimal | None,
    ) -> None:
        self._jobs, self._clock, self._telemetry, self._uniform = jobs, clock, telemetry, uniform
        self.price, self._limit = price, limit

    def limit(self, override: Override) -> int:
        """Today's limit in slots: an operator's word beats the parameter."""
        text, limit = override.limit_usd, self._limit
        if text is not None:
            try:
                limit = None if text == "none" else max(Decimal(0), Decimal(text))
            except InvalidOperation:
                self._telemetry.warning('the override limit_usd is neither an amount nor "none": the parameter holds')
        return images_for(limit, self.price)

    def reserve(self, job: Job, claimed: Callable[[Reservation], Job], limit: int) -> Job | None:
        """Save the claim of a job together with one slot of today; None where today's limit leaves no room.

        `claimed` makes the claimed job from its reservation. Raises `Conflict` where the row moved, or `Transient`.
        """
        day = day_of(self._clock.now())
        counter = int(self._uniform(0, SHARDS)) % SHARDS if limit >= SPREAD_FROM else 0
        for _ in range(ROUNDS):
            after = claimed(Reservation(day, 1, counter))
            try:
                self._jobs.save(job, after, limit=limit)
            except BudgetChanged:
                self._open(day, limit)
            except ShardEmpty:
                ledger = self._jobs.day_budget(day) or ()
                open_counters = [number for number, one in enumerate(ledger) if one.free > 0]
                if not open_counters or free_images(ledger) <= 0:
                    return None
                counter = open_counters[int(self._uniform(0, len(open_counters))) % len(open_counters)]
            else:
                return after
        raise Transient("the ledger is contended")

    def room(self, limit: int) -> int:
        """Slots that are free today under a limit; the ledger is told of the limit if it has another.

        Raises `Transient`.
        """
        day = day_of(self._clock.now())
        ledger = self._jobs.day_budget(day)
        if ledger is not None and ledger[0].limit != limit:
            self._open(day, limit)
            ledger = self._jobs.day_budget(day)
        return free_images(spread(limit, limit) if ledger is None else ledger)

    def adopt(self, job: Job, run_id: str, due_at: float) -> Job:
        """Save the adoption of a run by its job, charged if nothing was reserved for it.

        Raises `Conflict` or `Transient`.
        """
        for _ in range(ROUNDS):
            after = adopt(job, run_id, self._unreserved(), self._clock.now(), due_at)
            try:
                self._jobs.save(job, after)
            except BudgetChanged:
                self._set_today()
            else:
                self._telemetry.info("run adopted", job_id=job.job_id, run_id=run_id)
                return after
        raise Transient("the ledger is contended")

    def charge_unmatched(self, job: Job, run: Run) -> None:
        """Charge a second paid run of a job to today's cap, once, and sound the alarm. Raises `Transient`."""
        for _ in range(ROUNDS):
            try:
                charged = self._jobs.charge(run.run_id, self._unreserved())
            except BudgetChanged:
                self._set_today()
                continue
            if charged:
                self._telemetry.count("UnmatchedPaidRun")
                self._telemetry.warning("a second run was paid for one photo", job_id=job.job_id, run_id=run.run_id)
            return
        raise Transient("the ledger is contended")

    def _unreserved(self) -> Reservation:
        """One slot of the counter that has the most left."""
        day = day_of(self._clock.now())
        ledger = self._jobs.day_budget(day)
        richest = max(range(len(ledger)), key=lambda number: ledger[number].free) if ledger else 0
        return Reservation(day, 1, richest)

    def _set_today(self) -> None:
        self._open(day_of(self._clock.now()), self.limit(self._jobs.override()))

    def _open(self, day: str, limit: int) -> None:
        try:
            self._jobs.set_day_budget(day, limit)
        except Conflict:
            self._telemetry.info("another worker opened the ledger", day=day)
