"""What may be spent today, and what was spent without a reservation."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from detag.domain.decisions import Adopt, Step, UseRun, adoption, charge_for
from detag.domain.intake import Override
from detag.domain.job import Job, Reservation
from detag.domain.metrics import Metric
from detag.domain.money import NO_LIMIT, day_of, images_left
from detag.domain.reasons import Reason
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.jobs import BudgetLost, DayNotOpen, JobStore, LimitReached
from detag.ports.telemetry import Telemetry
from detag.services.steps import Steps


class Budget:
    """Reserves the price of an image before it is paid, and charges what turned out to be paid for.

    `price` in US dollars for an image; `limit` in US dollars for a UTC day, None for no limit.
    """

    def __init__(
        self, *, price: Decimal, limit: Decimal | None, jobs: JobStore, steps: Steps, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._price, self._limit = price, NO_LIMIT if limit is None else limit
        self._jobs, self._steps, self._clock, self._telemetry = jobs, steps, clock, telemetry

    def limit(self, override: Override) -> Decimal:
        """Today's limit in US dollars: an operator's override beats the parameter."""
        text, limit = override.limit_usd, self._limit
        if text is not None:
            try:
                limit = NO_LIMIT if text == "none" else max(Decimal(0), Decimal(text))
            except InvalidOperation:
                self._telemetry.warning("override limit_usd is invalid, using the parameter")
        return min(limit, NO_LIMIT)

    def price_of(self, images: int) -> Decimal:
        """What so many images cost, in US dollars."""
        return self._price * images

    def reserve(self, job: Job, step: Step, day: str, override: Override) -> Job | Reason:
        """Save the claim of a job, which reserves the price of an image from the budget of a UTC day; or say why that
        cannot be. `override`: an operator's, of the day's limit.

        Raises `PictureTaken`, `AlreadyDelivered`, `Conflict` where the item changed, or `Transient`.
        """
        limit = self.limit(override)
        try:
            try:
                return self._steps.take(job, step, limit=limit)
            except DayNotOpen:
                self._jobs.open_day(day)
                return self._steps.take(job, step, limit=limit)
        except LimitReached:
            return Reason.SPEND_LIMIT
        except (BudgetLost, DayNotOpen) as error:
            self._telemetry.warning("today's budget is lost, nothing is paid", why=str(error))
            return Reason.BUDGET_LOST

    def left(self, limit: Decimal) -> int:
        """How many images a limit pays for beyond what is spent today, as far as is known. Raises `Transient`."""
        return images_left(limit, self._jobs.spent(self._today()) or Decimal(0), self._price)

    def adopt(self, job: Job, found: Adopt | UseRun) -> Job:
        """Save that a job takes over a run that was found, charged at the price if nothing was reserved for it. The
        others that were found are charged first: once the job has a run, nothing leads back to them.

        Raises `Conflict` or `Transient`.
        """
        for run in found.unmatched:
            self.charge_unmatched(job, run)
        if isinstance(found, UseRun):
            return self._steps.take(job, found.step)
        price = Reservation(self._today(), self._price)
        return self._steps.take(job, adoption(found, price, now=self._clock.now()))

    def charge_unmatched(self, job: Job, run: Run) -> None:
        """Charge an unmatched run of a job to today's budget, once; or correct what it was charged with.

        Its alarm is sent first: no crash, and no lost answer, leaves a charge without one. Raises `Conflict` where
        another worker charges it, or `Transient`.
        """
        before = self._jobs.charged(run.run_id)
        after = charge_for(run, before, price=Reservation(self._today(), self._price))
        if after is None:
            return
        about = {"job_id": job.job_id, "run_id": run.run_id, "usd": str(after.usd)}
        if before is None:
            self._telemetry.alarm(Metric.UNMATCHED_PAID_RUN)
            self._telemetry.warning("unmatched paid run", **about, day=after.day, why=run.status)
        if after != before:
            self._jobs.charge(run.run_id, before, after)
            if before is not None:
                self._telemetry.info("charge corrected", **about, day=after.day, why=f"it was ${before.usd}")

    def _today(self) -> str:
        return day_of(self._clock.now())
