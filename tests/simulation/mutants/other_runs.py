"""The guards of what becomes of another paid run of a photo."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, DELIVER, JOB, one

CHARGED: Final = "unmatched run charged once"

MUTANTS: Final = (
    one("another run: charged", CHARGED, DELIVER + "_use_other", "is_uncounted(job, run)", "False", 400),
    one(
        "a failed run tried again: charged",
        CHARGED,
        DELIVER + "_go_on",
        "is_uncounted(job, run)",
        "False",
        400,
    ),
    one(
        "another run: its output used",
        "paid once",
        DECISIONS + "after_other_run",
        "FetchOther(run) if run.output_urls else Again(NO_OUTPUT_YET)",
        "Idle('not used')",
        400,
    ),
    one(
        "another run: the reservation stays with its own",
        CHARGED,
        JOB + "deliver_other",
        "reserved_run=job.run_id if job.reservation else None",
        "reserved_run=None",
        400,
    ),
    one(
        "another run: what was reserved is billed",
        "as billed",
        DECISIONS + "_bill_reserved",
        "job.state is not State.DELIVERED",
        "True",
        400,
    ),
)
