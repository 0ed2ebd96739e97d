"""The guards of requests to reopen a job; those that are rarely met, test_directed_reopen.py keeps."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, DELIVER, JOB, Change, Mutant, one

REOPENING: Final = "detag.services.reopening:Reopening."
OPEN: Final = """if not job.state.terminal:
        return Refusal(f'the job is open: {job.state}')"""
ONCE: Final = f"""if any((one.request_id == request.request_id for one in job.requests)):
        return Idle('carried out already')
    {OPEN}
    if (job.closed_at or 0.0) > request.at + waits.CLOCK_SKEW:
        return Refusal('it was asked for before the job was closed')"""
AFTER_IT_CLOSED: Final = "(job.closed_at or 0.0) > request.at + waits.CLOCK_SKEW"
CHARGED: Final = "charged or _was_charged(job)"
NO_CLAIM: Final = Change(JOB + "claim", "not job.only_asks", "True")

MUTANTS: Final = (
    Mutant(
        "reopen: each request once",
        "reopened on request",
        (
            Change(DECISIONS + "reopening", ONCE, OPEN),
            Change(
                JOB + "reopen", "all((one.request_id != request.request_id for one in job.requests))", "job is not None"
            ),
        ),
    ),
    one(
        "reopen: a request of before it closed",
        "redriving is harmless",
        DECISIONS + "reopening",
        AFTER_IT_CLOSED,
        "False",
        400,
    ),
    Mutant(
        "reopen: unpaid only where nothing was charged",
        "unpaid is unpaid",
        (
            Change(DECISIONS + "reopening", CHARGED, "False"),
            Change(DECISIONS + "after_asking", "run.charged and run.cost != 0", "False"),
        ),
        400,
    ),
    Mutant(
        "reopen: ask sends nothing",
        "asked for what is there",
        (Change(DECISIONS + "after_asking", "job.only_asks", "False"), NO_CLAIM),
        400,
    ),
    one(
        "reopen: what was paid stays counted",
        "reopened on request",
        JOB + "_put_away",
        "(*spent, Spent(run_id, job.reservation))",
        "spent",
    ),
    one(
        "reopen: a result that is to be replaced is not used",
        "replaced is replaced",
        DECISIONS + "after_other_run",
        "run.run_id in job.replaced_runs",
        "False",
        400,
    ),
    one(
        "reopen: what an earlier run cost",
        "as billed",
        DELIVER + "_counted",
        "job = self._steps.take(job, billed)",
        "pass",
        400,
    ),
    one(
        "reopen: the end before is published first",
        "no unexpected error",
        REOPENING + "_published",
        "job = self._steps.publish_pending(job)",
        "return job",
        400,
    ),
    one(
        "reopen: by its key, however its sequencer is written",
        "reopened on request",
        REOPENING + "_known",
        "range(len(shortest), RANK_LENGTH + 1)",
        "range(RANK_LENGTH, RANK_LENGTH + 1)",
        400,
    ),
)
