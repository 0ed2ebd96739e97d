"""The daily cap, in whole slots of one image's price.

A day's ledger is a row of counters. Their `free` slots add up to limit - reserved; below zero where a limit was lowered
under what was spent, or where a run was charged that no reservation covered. Small limits keep all their room in one
counter; large ones spread it over all, so that many workers can reserve at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

SHARDS: Final = 16
SPREAD_FROM: Final = 1_000
"""Slots from which the room is spread: below, a whole day's claims are too few to contend."""
NO_LIMIT: Final = 10**9


@dataclass(frozen=True, slots=True)
class Shard:
    """One counter of a day's ledger."""

    limit: int
    """The whole day's limit in slots, as this counter was last told: the same on all."""
    free: int


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


def spread(limit: int, room: int) -> DayBudget:
    """A ledger with `room` slots free: all in the first counter, or evenly over all where the limit is large."""
    if limit < SPREAD_FROM or room < SHARDS:
        return (Shard(limit, room), *(Shard(limit, 0) for _ in range(SHARDS - 1)))
    share, rest = divmod(room, SHARDS)
    return tuple(Shard(limit, share + (number < rest)) for number in range(SHARDS))


def free_images(ledger: Sequence[Shard]) -> int:
    """What may still be reserved; negative where more was spent than the limit is now."""
    return sum(counter.free for counter in ledger)


def used_images(ledger: Sequence[Shard]) -> int:
    """What is reserved or spent."""
    return ledger[0].limit - free_images(ledger) if ledger else 0


def with_limit(ledger: DayBudget, limit: int) -> DayBudget:
    """The same day under another limit: what is used stays used."""
    return spread(limit, limit - used_images(ledger))
