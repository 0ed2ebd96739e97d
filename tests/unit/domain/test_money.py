"""The cap's arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.money import (
    NO_LIMIT,
    SHARDS,
    SPREAD_FROM,
    Shard,
    day_of,
    free_images,
    images_for,
    next_day,
    spread,
    used_images,
    with_limit,
)


@pytest.mark.parametrize(
    ("limit", "slots"),
    [("10", 71), ("0.14", 1), ("0.13", 0), ("0", 0), ("14", 100), ("1400.00", 10_000), (None, NO_LIMIT)],
)
def test_a_limit_is_counted_in_whole_images(limit: str | None, slots: int) -> None:
    assert images_for(Decimal(limit) if limit else None, Decimal("0.14")) == slots


@pytest.mark.parametrize("limit", [0, 1, 71, SPREAD_FROM - 1, SPREAD_FROM, SPREAD_FROM + 7, 10_000, NO_LIMIT])
def test_a_new_ledger_has_exactly_the_limit_free(limit: int) -> None:
    ledger = spread(limit, limit)
    assert len(ledger) == SHARDS
    assert free_images(ledger) == limit
    assert used_images(ledger) == 0
    assert all(counter.free >= 0 for counter in ledger)


def test_a_small_limit_stays_in_one_counter_and_a_large_one_is_spread() -> None:
    assert [counter.free for counter in spread(71, 71)] == [71] + [0] * 15
    assert {counter.free for counter in spread(16_000, 16_000)} == {1_000}


@pytest.mark.parametrize("other", [0, 5, 71, 5_000, NO_LIMIT])
def test_changing_the_limit_keeps_what_was_used(other: int) -> None:
    ledger = (Shard(2_000, 100), *(Shard(2_000, 90) for _ in range(15)))
    used = used_images(ledger)
    assert used == 2_000 - 1_450
    changed = with_limit(ledger, other)
    assert used_images(changed) == used
    assert free_images(changed) == other - used


def test_a_debt_is_in_the_first_counter_and_no_other_has_room() -> None:
    changed = with_limit((Shard(2_000, 0),) * SHARDS, 71)
    assert changed[0].free == 71 - 2_000
    assert all(counter.free == 0 for counter in changed[1:])


def test_days_are_utc() -> None:
    midnight = 1_795_478_400.0
    assert (day_of(midnight - 1), day_of(midnight)) == ("2026-11-23", "2026-11-24")
    assert next_day(midnight - 1) == midnight
    assert next_day(midnight) == midnight + 86_400
