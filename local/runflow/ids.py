"""UUIDv7 identifiers (contract section 2: run ids are UUIDv7)."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

_last = 0


def uuid7() -> str:
    """A new UUIDv7, later in text order than every one made before it by this process (RFC 9562, section 6.2, method 3)."""
    global _last
    # 48 bits of milliseconds and 12 of a fraction of one; a clock that stands still or goes back is counted up.
    _last = max(_last + 1, (time.time_ns() << 12) // 1_000_000)
    high = (_last >> 12) << 16 | 0x7 << 12 | (_last & 0xFFF)
    return str(UUID(int=high << 64 | 0b10 << 62 | secrets.randbits(62)))
