"""The guards of runs whose records Runflow cannot show."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, RECONCILE, Change, Mutant, one

ASK: Final = "detag.services.existing_runs:ExistingRuns._ask"

MUTANTS: Final = (
    one(
        "a run that cannot be read stops no other",
        "nothing open",
        RECONCILE + "_polls",
        "step, failures = (after_poll_without_answer(job, str(error), now=self._clock.now()), failures + 1)",
        "return",
    ),
    one(
        "a run that cannot be read for a week is given up",
        "nothing open",
        DECISIONS + "after_poll_without_answer",
        "_lasts(job, Trouble.UNREADABLE, waits.LATE_RESULT, now)",
        "False",
    ),
    one(
        "one record that cannot be read ends no search",
        "no failure for a paused intake",
        ASK,
        "failures == DOWN_AFTER:\n                search.answered(None)\n                return error",
        "failures == 1:\n                return error",
        400,
    ),
    Mutant(
        "a run that cannot be read is not given up earlier",
        "given up in time",
        (
            Change(DECISIONS + "after_poll_without_answer", "waits.LATE_RESULT", "waits.DELIVERY"),
            Change(
                DECISIONS + "deliver_later",
                "waits.LATE_RESULT if trouble is Trouble.UNREADABLE else waits.DELIVERY",
                "waits.DELIVERY",
            ),
        ),
    ),
)
