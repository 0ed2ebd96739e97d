"""What the operator sees: metrics and log lines."""

from __future__ import annotations

from typing import Protocol

from detag.domain.metrics import Metric


class Telemetry(Protocol):
    """Counts and lines. Nothing given here may hold a URL, a body, a header or a secret."""

    def count(self, metric: Metric, value: float = 1) -> None:
        """Add to a metric of the namespace `detag`."""
        ...

    def alarm(self, metric: Metric) -> None:
        """Count one for a metric, and send it at once: before what it speaks of is written down."""
        ...

    def info(self, message: str, **fields: object) -> None:
        """A line about something expected."""
        ...

    def warning(self, message: str, **fields: object) -> None:
        """A line about something a person may want to look at."""
        ...
