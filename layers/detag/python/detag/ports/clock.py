"""Time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """A wall clock that may be set wrong, and a stopwatch that never goes back."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean something."""
        ...
