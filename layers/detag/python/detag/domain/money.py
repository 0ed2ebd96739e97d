"""The daily spend limit, in exact US dollars."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

NO_LIMIT: Final = Decimal(10**9)
"""Dollars that no day can use up."""


def images_left(limit: Decimal, spent: Decimal, price: Decimal) -> int:
    """How many images of one price what is left of a limit pays for: (10 - 0.28) / 0.14 = 69.4 -> 69."""
    return max(0, int(((limit - spent) / price).to_integral_value(ROUND_FLOOR)))


def day_of(now: float) -> str:
    """The UTC day of a time, as YYYY-MM-DD."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def next_day(now: float) -> float:
    """The first second of the next UTC day."""
    return (now // 86_400 + 1) * 86_400


def is_surely(day: str, now: float, *, seconds: float, skew: float) -> bool:
    """Whether it is this UTC day from now until `seconds` later, even where the clock is wrong by `skew` seconds."""
    return day_of(now - skew) == day == day_of(now + seconds + skew)
