"""The arithmetic of the daily spend limit."""

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
    ("limit", "images"),
    [("10", 71), ("0.14", 1), ("0.13", 0), ("0", 0), ("14", 100), ("1400.00", 10_000), (None, NO_LIMIT)],
)
def test_a_limit_is_counted_in_whole_images(limit: str | None, images: int) -> None:
    assert images_for(Decimal(limit) if limit else None, Decimal("0.14")) == images


@pytest.mark.parametrize("limit", [0, 1, 71, SPREAD_FROM - 1, SPREAD_FROM, SPREAD_FROM + 7, 10_000, NO_LIMIT])
def test_a_new_budget_has_exactly_the_limit_free(limit: int) -> None:
    budget = spread(limit, limit)
    assert len(budget) == SHARDS
    assert free_images(budget) == limit
    assert used_images(budget) == 0
    assert all(shard.free >= 0 for shard in budget)


def test_only_a_large_limit_is_spread_over_the_shards() -> None:
    assert [shard.free for shard in spread(71, 71)] == [71] + [0] * 15
    assert {shard.free for shard in spread(16_000, 16_000)} == {1_000}


@pytest.mark.parametrize("other", [0, 5, 71, 5_000, NO_LIMIT])
def test_changing_the_limit_keeps_what_was_used(other: int) -> None:
    budget = (Shard(2_000, 100), *(Shard(2_000, 90) for _ in range(15)))
    used = used_images(budget)
    assert used == 2_000 - 1_450
    changed = with_limit(budget, other)
    assert used_images(changed) == used
    assert free_images(changed) == other - used


def test_what_is_overspent_is_in_the_first_shard_alone() -> None:
    """And no other shard has free images."""
    changed = with_limit((Shard(2_000, 0),) * SHARDS, 71)
    assert changed[0].free == 71 - 2_000
    assert all(shard.free == 0 for shard in changed[1:])


def test_days_are_utc() -> None:
    midnight = 1_795_478_400.0
    assert (day_of(midnight - 1), day_of(midnight)) == ("2026-11-23", "2026-11-24")
    assert next_day(midnight - 1) == midnight
    assert next_day(midnight) == midnight + 86_400
