"""What others may listen to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Events(Protocol):
    """The event bus."""

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Send one event. Raises `Transient`."""
        ...
