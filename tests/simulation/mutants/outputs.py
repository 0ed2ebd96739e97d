"""The guards of paid results: late ones, slow ones, and the names of what is delivered."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, DELIVER, JOB, STORING, one

MUTANTS: Final = (
    # Late results
    one(
        "a copy is no run's output",
        "paid once",
        "detag.services.deliver:_same_run",
        "ours and REUSED_FROM not in existing.metadata",
        "ours",
    ),
    one(
        "late results are asked for",
        "nothing paid is lost",
        JOB + "published",
        "due_at=job.ask_at",
        "due_at=None",
        400,
    ),
    one(
        "an unknown run is given up after an hour",
        "given up in time",
        DECISIONS + "after_run",
        "_lasts(job, Trouble.UNKNOWN, waits.UNKNOWN_RUN, now)",
        "now - job.submitted_at > 60.0",
        400,
    ),
    one(
        "a deadline counts from its own trouble",
        "given up in time",
        DECISIONS + "_lasts",
        "dict(_troubles(job, trouble, now))[trouble]",
        "job.submitted_at",
        400,
    ),
    one(
        "expired URLs are counted",
        "free retries only",
        DECISIONS + "after_failure",
        "now >= job.url_expires_at and job.expired_urls < MAX_EXPIRED_URLS",
        "now >= job.url_expires_at",
        400,
    ),
    # The last road to an output
    one(
        "a run's callback is asked for again",
        "nothing paid is lost",
        DELIVER + "_ask_for_callback",
        "self._runs.redeliver(run.run_id)",
        "pass",
        400,
    ),
    one(
        "a run's callback is asked for once a day",
        "callback asked for rarely",
        DECISIONS + "callback_again",
        "now - job.callback_asked_at < waits.CALLBACK_AGAIN.seconds",
        "False",
        400,
    ),
    # Names
    one(
        "newest wins over all names",
        "newest wins",
        STORING + "alone",
        "sequencer_rank(before.sequencer) > job.upload.rank",
        "False",
    ),
    one(
        "replaced under another name: removed",
        "newest wins",
        STORING + "_replace",
        "key not in keys and ",
        "False and ",
    ),
    one(
        "replaced under another name: only what can be brought back",
        "nothing paid is lost",
        STORING + "_removed",
        "existing.versioned and ",
        "",
    ),
)
