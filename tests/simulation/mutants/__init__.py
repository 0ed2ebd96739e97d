"""Every guard that is taken away, by the part of detag that it belongs to."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import Mutant
from tests.simulation.mutants import (
    budget,
    hanging,
    listing,
    machines,
    missed_uploads,
    other_runs,
    outputs,
    pipeline,
    uploads,
)

MUTANTS: Final[tuple[Mutant, ...]] = (
    *pipeline.MUTANTS,
    *budget.MUTANTS,
    *uploads.MUTANTS,
    *outputs.MUTANTS,
    *machines.MUTANTS,
    *missed_uploads.MUTANTS,
    *listing.MUTANTS,
    *other_runs.MUTANTS,
    *hanging.MUTANTS,
)
