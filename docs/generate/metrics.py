"""What the functions count."""

from __future__ import annotations

from detag.domain.metrics import METRICS
from docs.generate import markdown


def table() -> str:
    """Every metric."""
    rows = ([f"`{metric}`", ", ".join(entry.functions), entry.counts] for metric, entry in METRICS.items())
    return markdown.table(["metric", "function", "what it counts"], rows)
