"""The guards of the scan for uploads that no event told of."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import one

MISSED: Final = "detag.services.missed_uploads:MissedUploads."
SCAN: Final = "detag.domain.missed_uploads:"

MUTANTS: Final = (
    one("the scan looks for uploads", "missed uploads", MISSED + "_page", "self._uploads.send(missed)", "pass", 200),
    one(
        "the next scan spans what was too young",
        "missed uploads",
        SCAN + "after_page",
        "started - waits.SCAN_OVERLAP.seconds",
        "now",
        200,
    ),
    one(
        "the next version without an event is found",
        "missed uploads",
        SCAN + "is_overtaken",
        "newest > upload.rank",
        "newest != ''",
        400,
    ),
)
