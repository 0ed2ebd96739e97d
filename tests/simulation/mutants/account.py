"""The guards of what a key of another account proves."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import SEARCH, one

MUTANTS: Final = (
    one(
        "another account: none found",
        "paid once",
        "detag.services.existing_runs:ExistingRuns._read_list",
        "self._runs.page(search.cursor, search.account)",
        "self._runs.page(search.cursor)",
        400,
    ),
    one(
        "another account: only where it is",
        "no failure for a paused intake",
        SEARCH + "result",
        "if self._foreign:",
        "if self._foreign or is_over:",
        400,
    ),
    one(
        "another account: a person is told of a run",
        "no failure for a paused intake",
        "detag.domain.decisions:after_foreign_poll",
        "metric=Metric.OTHER_ACCOUNT",
        "metric=None",
        400,
    ),
    one(
        "another account: a person is told of an unconfirmed photo",
        "no failure for a paused intake",
        "detag.domain.decisions:when_due",
        "Metric.OTHER_ACCOUNT if job.reason is Reason.OTHER_ACCOUNT else None",
        "None",
        400,
    ),
)
