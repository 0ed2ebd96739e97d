"""UUIDv7 identifiers (contract section 2: run ids are UUIDv7)."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


class _Clock:
    """48 bits of milliseconds and 12 of a fraction of one; when the clock stands still or goes back, it counts on."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self) -> int:
        self._last = max(self._last + 1, (time.time_ns() << 12) // 1_000_000)
        return self._last


_clock = _Clock()


def uuid7() -> str:
    """A new UUIDv7, in text order after all that this process made before (RFC 9562, section 6.2, method 3)."""
    ticks = _clock.tick()
    high = (ticks >> 12) << 16 | 0x7 << 12 | (ticks & 0xFFF)
    return str(UUID(int=high << 64 | 0b10 << 62 | secrets.randbits(62)))
