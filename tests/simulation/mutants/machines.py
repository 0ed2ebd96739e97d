"""The guards against what AWS may do otherwise than it documents."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import one

MUTANTS: Final = (
    one(
        "key as the bucket has it",
        "dropped only once gone",
        "detag.domain.decisions:screen",
        "other_reading(job.upload) if isinstance(known.head, Gone) and known.has_own_job is None else None",
        "None",
    ),
)
