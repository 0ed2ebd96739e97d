"""Queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

MAX_BATCH: Final = 10
MAX_MESSAGE_BYTES: Final = 262_144
"""Of one message's JSON, and of a whole batch (SQS Developer Guide, "Message quotas"; newer queues take more)."""


class Queue(Protocol):
    """One queue to send to: at least once, in any order."""

    def send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Keep all of these messages. Raises `Transient` where any may not have been kept, and ValueError, with nothing
        sent, where one is longer than `MAX_MESSAGE_BYTES` as ASCII JSON.
        """
        ...
