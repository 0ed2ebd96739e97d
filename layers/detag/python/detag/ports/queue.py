"""Queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Queue(Protocol):
    """One queue to send to: at least once, in any order."""

    def send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Keep all of these messages. Raises `Transient` where any may not have been kept."""
        ...
