"""The daily spend limit, counted in images of one price.

A day's budget is kept in shards. Their free images add up to limit - used; below zero where a limit was lowered under
what was used, or where a run was charged that had no reservation. A small limit keeps all its free images in one shard;
a large one spreads them over all, so that many workers can reserve at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

SHARDS: Final = 16
SPREAD_FROM: Final = 1_000
"""The limit, in images, from which they are spread: below, a whole day's claims are too few to contend."""
NO_LIMIT: Final = 10**9
"""Images that no day can use up."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of a day's budget."""

    limit: int
    """The limit of the whole day, in images: the same on every shard."""
    free: int
    """How many images may still be reserved from this shard."""


DayBudget = tuple[Shard, ...]


def images_for(limit_usd: Decimal | None, price_usd: Decimal) -> int:
    """How many images a limit pays for: 10 / 0.14 = 71.4 -> 71. None is no limit."""
    if limit_usd is None:
        return NO_LIMIT
    return min(NO_LIMIT, int((limit_usd / price_usd).to_integral_value(ROUND_FLOOR)))


def day_of(now: float) -> str:
    """The UTC day of a time, as YYYY-MM-DD."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def next_day(now: float) -> float:
    """The first second of the next UTC day."""
    return (now // 86_400 + 1) * 86_400


def spread(limit: int, free: int) -> DayBudget:
    """A budget with `free` images left: all in shard 0, or evenly over all shards where the limit is large."""
    if limit < SPREAD_FROM or free < SHARDS:
        return (Shard(limit, free), *(Shard(limit, 0) for _ in range(SHARDS - 1)))
    share, rest = divmod(free, SHARDS)
    return tuple(Shard(limit, share + (number < rest)) for number in range(SHARDS))


def free_images(day_budget: Sequence[Shard]) -> int:
    """How many images may still be reserved; negative where more were used than the limit is now."""
    return sum(shard.free for shard in day_budget)


def used_images(day_budget: Sequence[Shard]) -> int:
    """How many images are reserved or paid for."""
    return day_budget[0].limit - free_images(day_budget) if day_budget else 0


def with_limit(day_budget: DayBudget, limit: int) -> DayBudget:
    """The same day under another limit: what is used stays used."""
    return spread(limit, limit - used_images(day_budget))
