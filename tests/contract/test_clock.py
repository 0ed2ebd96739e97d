"""What every clock does."""

from __future__ import annotations

import time

import pytest

from detag.adapters.clock import SystemClock
from detag.ports.clock import Clock
from detag.ports.clock_fake import EPOCH, FakeClock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock(), FakeClock(skew=-30), FakeClock().seen_with(30)])
def test_neither_time_nor_stopwatch_goes_back(clock: Clock) -> None:
    times = [(clock.now(), clock.monotonic()) for _ in range(100)]
    assert [now for now, _ in times] == sorted(now for now, _ in times)
    assert [seconds for _, seconds in times] == sorted(seconds for _, seconds in times)


def test_the_systems_clock_tells_the_time() -> None:
    assert abs(SystemClock().now() - time.time()) < 60


def test_time_passes_as_a_test_says() -> None:
    clock = FakeClock()
    before = clock.monotonic()
    clock.advance(1.5)
    assert (clock.now(), clock.monotonic() - before) == (EPOCH + 1.5, 1.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_skewed_clock_still_measures_durations() -> None:
    """A skewed clock is wrong about the time and right about how much of it has passed."""
    clock = FakeClock(skew=2)
    seen = clock.seen_with(-30)
    before = seen.monotonic()
    clock.advance(5)
    assert (clock.now(), seen.now(), seen.monotonic() - before) == (EPOCH + 7, EPOCH - 25, 5)
