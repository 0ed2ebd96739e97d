"""The guards of what a key of another account proves."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DELIVER, RECONCILE, SEARCH, SUBMISSION, Change, Mutant, one

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
        "another account: which it was",
        "paid once",
        SUBMISSION + "_claim",
        "account=account",
        "account=job.account or account",
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
    Mutant(
        "another account: a run that it does not show",
        "nothing paid is lost",
        (
            Change(RECONCILE + "_polled", "account=job.account", "account=None"),
            Change(DELIVER + "_run", "account=job.account", "account=None"),
        ),
        400,
    ),
    one(
        "another account: a person is told of a run",
        "nothing open",
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
    one(
        "another account: nothing is sent to it",
        "paid once",
        SUBMISSION + "_post",
        ", job.account)",
        ")",
        400,
    ),
)
