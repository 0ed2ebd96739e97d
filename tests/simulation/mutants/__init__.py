"""Every guard that is taken away, by the part of detag that it belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.simulation.mutant import Mutant
from tests.simulation.mutants import (
    account,
    budget,
    hanging,
    listing,
    machines,
    missed_uploads,
    other_runs,
    outputs,
    pictures,
    pipeline,
    records,
    reopen,
    unreadable_runs,
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
    *account.MUTANTS,
    *reopen.MUTANTS,
    *records.MUTANTS,
    *pictures.MUTANTS,
    *unreadable_runs.MUTANTS,
)
SEEDS: Final = Path(__file__).parent / "seeds.json"
LIKELY: Final[dict[str, int]] = json.loads(SEEDS.read_text(encoding="utf-8"))
"""By guard, the seed that caught it when `make simulate MUTANTS=1` last ran: it is tried first."""
