"""Telemetry that a test can read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from detag.domain.metrics import Metric
from detag.ports.effect_fake import Effect, no_effect


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    level: str
    message: str
    fields: dict[str, object] = field(default_factory=dict)


class FakeTelemetry:
    """See `detag.ports.telemetry.Telemetry`. Its effects are "telemetry.<method>"."""

    def __init__(self, effect: Effect = no_effect) -> None:
        self.counts: Counter[str] = Counter()
        """The sum of each metric."""
        self.lines: list[Line] = []
        self._effect = effect

    def count(self, metric: Metric, value: float = 1) -> None:
        """See `Telemetry`."""
        with self._effect("telemetry.count"):
            self.counts[metric] += value  # type: ignore[assignment]  # a Counter holds any number

    def alarm(self, metric: Metric) -> None:
        """See `Telemetry`."""
        with self._effect("telemetry.alarm"):
            self.counts[metric] += 1

    def info(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        with self._effect("telemetry.info"):
            self.lines.append(Line("info", message, fields))

    def warning(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        with self._effect("telemetry.warning"):
            self.lines.append(Line("warning", message, fields))
