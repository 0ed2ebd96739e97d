"""The guards of what hangs, and of what cannot be read."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import RECONCILE, one

MUTANTS: Final = (
    one(
        "an unreadable item is set aside",
        "set aside",
        RECONCILE + "_read",
        "self._jobs.set_aside(job_id, now, now + waits.SET_ASIDE.seconds)",
        "None",
    ),
    one(
        "an unreadable item is no bug",
        "no unexpected error",
        "detag.batch:process",
        "except Unreadable as error:",
        "except ZeroDivisionError as error:",
    ),
)
