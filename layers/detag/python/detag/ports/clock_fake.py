"""Time that passes when a test says so."""

from __future__ import annotations

from typing import Final

from detag.ports.clock import Clock

EPOCH: Final = 1_795_431_600.0
"""2026-11-23, 11:00 UTC: any day would do."""


class FakeClock:
    """The one true time of a test. `skew` is how many seconds this clock is ahead of it."""

    def __init__(self, time: float = EPOCH, skew: float = 0.0) -> None:
        self.time, self.skew = time, skew

    def now(self) -> float:
        """See `Clock`."""
        return self.time + self.skew

    def monotonic(self) -> float:
        """See `Clock`. Untouched by the skew."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.time += seconds

    def seen_with(self, skew: float) -> Clock:
        """The same time as a machine sees it whose clock is set `skew` seconds ahead."""
        return _Seen(self, skew)


class _Seen:
    def __init__(self, clock: FakeClock, skew: float) -> None:
        self._clock, self._skew = clock, skew

    def now(self) -> float:
        return self._clock.time + self._skew

    def monotonic(self) -> float:
        return self._clock.time
