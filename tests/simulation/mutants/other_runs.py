"""The guards of another paid run of a photo; those that are rarely met, test_directed_other_runs.py keeps."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, DELIVER, JOB, one

CHARGED: Final = "unmatched run charged once"

MUTANTS: Final = (
    one("another run: charged", CHARGED, DELIVER + "_counted", "is_uncounted(job, run)", "False", 400),
    one(
        "a failed run tried again: charged",
        CHARGED,
        DECISIONS + "is_uncounted",
        "(run.charged or run.status.terminal) and elsewhere and (not stands_for(job, run))",
        "False",
        400,
    ),
    one(
        "a delivered job's earlier runs are asked for",
        CHARGED,
        DECISIONS + "_asked_for",
        "(*others, own if untold else None)",
        "(own if untold else None,)",
        400,
    ),
    one(
        "a run that Runflow denied when its callback came: kept",
        "as billed",
        DECISIONS + "_why_not_noted",
        "job.submission_no == 0",
        "True",
        400,
    ),
    one(
        "a cancelled run that ends well: delivered",
        "nothing paid is lost",
        JOB + "Job.repairable",
        "(State.FAILED, State.CANCELLED)",
        "(State.FAILED,)",
    ),
)
