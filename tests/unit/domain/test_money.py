"""The arithmetic of the daily spend limit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.money import NO_LIMIT, day_of, images_left, is_surely, next_day

MIDNIGHT = 1_795_478_400.0


@pytest.mark.parametrize(
    ("limit", "spent", "images"),
    [
        ("10", "0", 71),
        ("10", "9.86", 1),
        ("10", "9.87", 0),
        ("10", "10.14", 0),
        ("0.42", "0.28", 1),
        ("0.13", "0", 0),
        ("0", "0", 0),
    ],
)
def test_what_is_left_is_counted_in_whole_images(limit: str, spent: str, images: int) -> None:
    assert images_left(Decimal(limit), Decimal(spent), Decimal("0.14")) == images


def test_no_limit_is_never_used_up() -> None:
    assert images_left(NO_LIMIT, Decimal(10**8), Decimal("0.14")) > 10**9


@pytest.mark.parametrize(
    ("seconds_to_midnight", "sure"), [(60.0, True), (40.1, True), (40.0, False), (0.0, False), (-29.0, False)]
)
def test_a_day_is_sure_only_where_every_clock_says_so(seconds_to_midnight: float, sure: bool) -> None:
    """What begins now ends before midnight, even by a clock that is wrong."""
    now = MIDNIGHT - seconds_to_midnight
    assert is_surely("2026-11-23", now, seconds=10.0, skew=30.0) is sure


def test_a_new_day_is_sure_once_every_clock_has_it() -> None:
    assert not is_surely("2026-11-24", MIDNIGHT + 29.0, seconds=10.0, skew=30.0)
    assert is_surely("2026-11-24", MIDNIGHT + 30.0, seconds=10.0, skew=30.0)


def test_days_are_utc() -> None:
    assert (day_of(MIDNIGHT - 1), day_of(MIDNIGHT)) == ("2026-11-23", "2026-11-24")
    assert next_day(MIDNIGHT - 1) == MIDNIGHT
    assert next_day(MIDNIGHT) == MIDNIGHT + 86_400
