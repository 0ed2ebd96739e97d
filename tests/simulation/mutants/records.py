"""The guards of what is told of each end: records for people, and events. Those that two workers of one moment, or one
long run, need are in `test_directed_records.py`.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import one

OUTBOX: Final = "detag.services.outbox:"
RECORDS: Final = "detag.services.records:Records."

MUTANTS: Final = (
    one(
        "a delivery removes the record",
        "records",
        "detag.services.storing:Storing._replace",
        "self._records.withdraw(job, before)",
        "before",
    ),
    one(
        "a newer record replaces one of the other kind",
        "records",
        RECORDS + "_published",
        "self._remove_known(job, before.record, unless=record)",
        "pass",
        400,
    ),
    one(
        "a photo that is gone leaves no record",
        "records",
        "detag.domain.records:decides_record",
        " or job.reason in GONE",
        "",
        400,
    ),
    one(
        "what was taken back leaves no record",
        "records",
        "detag.domain.records:newest_recorded",
        "is_back and is_newer(job, recorded)",
        "False",
        400,
    ),
    one("nothing tells of what is no photo", "events", OUTBOX + "pending_for", "job.reason in NOT_A_PHOTO", "False"),
    one(
        "a batch is over after ten minutes",
        "batches",
        "detag.domain.batches:is_idle",
        "batch.counted_to - batch.active_at >= waits.BATCH.seconds",
        "True",
    ),
)
