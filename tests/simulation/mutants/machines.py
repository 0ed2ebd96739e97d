"""The guards against what AWS may do otherwise than it documents."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import one

MUTANTS: Final = (
    one(
        "key as the bucket has it",
        "dropped only once gone",
        "detag.services.admission:Admission._screen",
        "other_reading(job.upload) if isinstance(head, Gone) else None",
        "None",
    ),
)
