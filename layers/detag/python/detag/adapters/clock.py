"""The machine's own time."""

from __future__ import annotations

import time


class SystemClock:
    """See `detag.ports.clock.Clock`."""

    def now(self) -> float:
        """See `Clock`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()
