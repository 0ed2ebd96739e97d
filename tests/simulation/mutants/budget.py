"""The guards of money: the day's budget, what Runflow billed, midnight, and what was lost."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, JOB, STORE, one

MUTANTS: Final = (
    one(
        "no free retry while another run may have been charged",
        "paid once",
        DECISIONS + "after_failure",
        "elif job.missing_runs:",
        "elif False:",
    ),
    one("budget: as billed", "as billed", JOB + "_billed", "usd=max(Decimal(cost), Decimal(0))", "usd=reservation.usd"),
    one("budget: opened once", "lost budget", STORE + "open_day", "day <= self.newest_day", "False", 400),
    one(
        "budget: a refusal while unconfirmed",
        "maybe paid, counted",
        JOB + "back_off",
        "if job.is_unanswered:",
        "if False:",
        400,
    ),
    one(
        "budget: kept for the unconfirmed request alone",
        "maybe paid, counted",
        DECISIONS + "is_reserved",
        "job.reserved_run in (run.run_id, run.client_ref)",
        "True",
        400,
    ),
    one(
        "budget: a result is paid from its own request",
        "as billed",
        DECISIONS + "after_fetch_of_other",
        "is_reserved(job, run)",
        "False",
        400,
    ),
    one("budget: what was spent before", "day budget", STORE + "_move_money", "self.spent_on(day) + usd", "usd"),
    one(
        "midnight: money of the day",
        "paid from its own day",
        DECISIONS + "before_post",
        "not is_surely(day, now, seconds=killed_in, skew=waits.CLOCK_SKEW)",
        "False",
        400,
    ),
    one(
        "midnight: two clocks",
        "paid from its own day",
        DECISIONS + "before_post",
        "skew=waits.CLOCK_SKEW",
        "skew=0.0",
        400,
    ),
)
