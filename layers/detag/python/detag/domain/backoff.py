"""How long to wait before another try."""

from __future__ import annotations

from collections.abc import Callable

Uniform = Callable[[float, float], float]
"""`random.uniform`, or what a test puts in its place."""


def backoff(tries: int, uniform: Uniform, *, base: float, cap: float, at_least: float = 0.0) -> float:
    """Seconds to wait after `tries` tries in a row: exponential with full jitter, and never less than was asked for."""
    return max(at_least, uniform(0.0, min(cap, base * 2 ** min(tries, 30))))
