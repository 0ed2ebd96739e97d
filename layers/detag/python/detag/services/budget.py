"""What may be spent today, and what was spent without a reservation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Final

from detag.domain.backoff import Uniform
from detag.domain.intake import Override
from detag.domain.job import Job, Reservation, adopt
from detag.domain.metrics import Metric
from detag.domain.money import SHARDS, SPREAD_FROM, day_of, free_images, images_for, spread
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import BudgetChanged, JobStore, ShardEmpty
from detag.ports.telemetry import Telemetry

ROUNDS: Final = SHARDS + 4


class Budget:
    """Reserves images before they are paid, and charges what turned out to be paid for.

    `price` in US dollars for an image; `limit` in US dollars for a UTC day, None for no limit.
    """

    def __init__(
        self,
        *,
        price: Decimal,
        limit: Decimal | None,
        jobs: JobStore,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self.price, self._limit = price, limit
        self._jobs, self._clock, self._telemetry, self._uniform = jobs, clock, telemetry, uniform

    def limit(self, override: Override) -> int:
        """Today's limit in images: an operator's override beats the parameter."""
        text, limit = override.limit_usd, self._limit
        if text is not None:
            try:
                limit = None if text == "none" else max(Decimal(0), Decimal(text))
            except InvalidOperation:
                self._telemetry.warning("override limit_usd is invalid, using the parameter")
        return images_for(limit, self.price)

    def reserve(self, job: Job, claimed: Callable[[Reservation], Job], limit: int) -> Job | None:
        """Save the claim of a job together with one image of today; None where today's limit leaves none.

        `claimed` makes the claimed job from its reservation. Raises `Conflict` where the item changed, or `Transient`.
        """
        day = day_of(self._clock.now())
        shard = int(self._uniform(0, SHARDS)) % SHARDS if limit >= SPREAD_FROM else 0
        for _ in range(ROUNDS):
            after = claimed(Reservation(day, 1, shard))
            try:
                self._jobs.save(job, after, limit=limit)
            except BudgetChanged:
                self._set(day, limit)
            except ShardEmpty:
                budget = self._jobs.day_budget(day) or ()
                with_images = [number for number, one in enumerate(budget) if one.free > 0]
                if not with_images or free_images(budget) <= 0:
                    return None
                shard = with_images[int(self._uniform(0, len(with_images))) % len(with_images)]
            else:
                return after
        raise Transient("day budget contended")

    def left(self, limit: int) -> int:
        """Images that are left today under a limit; the day budget gets the limit if it has another.

        Raises `Transient`.
        """
        day = day_of(self._clock.now())
        budget = self._jobs.day_budget(day)
        if budget is not None and budget[0].limit != limit:
            self._set(day, limit)
            budget = self._jobs.day_budget(day)
        return free_images(spread(limit, limit) if budget is None else budget)

    def adopt(self, job: Job, run_id: str, due_at: float, *, client_ref: str | None = None) -> Job:
        """Save the adoption of a run by its job, charged if nothing was reserved for it. `client_ref`: see `adopt`.

        Raises `Conflict` or `Transient`.
        """
        for _ in range(ROUNDS):
            adopted = adopt(job, run_id, self._unreserved(), self._clock.now(), due_at, client_ref=client_ref)
            after = replace(adopted, decision=f"run adopted: {run_id}")
            try:
                self._jobs.save(job, after)
            except BudgetChanged:
                self._set_today()
            else:
                self._telemetry.info("run adopted", job_id=job.job_id, run_id=run_id)
                return after
        raise Transient("day budget contended")

    def charge_unmatched(self, job: Job, run: Run) -> None:
        """Charge an unmatched run of a job to today's budget, once, and count it. Raises `Transient`."""
        for _ in range(ROUNDS):
            try:
                charged = self._jobs.charge(run.run_id, self._unreserved())
            except BudgetChanged:
                self._set_today()
                continue
            if charged:
                self._telemetry.count(Metric.UNMATCHED_PAID_RUN)
                self._telemetry.warning("unmatched paid run", job_id=job.job_id, run_id=run.run_id)
            return
        raise Transient("day budget contended")

    def _unreserved(self) -> Reservation:
        """One image of the shard that has the most left."""
        day = day_of(self._clock.now())
        budget = self._jobs.day_budget(day)
        richest = max(range(len(budget)), key=lambda number: budget[number].free) if budget else 0
        return Reservation(day, 1, richest)

    def _set_today(self) -> None:
        self._set(day_of(self._clock.now()), self.limit(self._jobs.override()))

    def _set(self, day: str, limit: int) -> None:
        try:
            self._jobs.set_day_budget(day, limit)
        except Conflict:
            self._telemetry.info("day budget set by another worker", day=day)
