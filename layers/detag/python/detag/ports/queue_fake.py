"""A queue in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from detag.ports.effect_fake import Effect, no_effect
from detag.ports.queue import MAX_BATCH, MAX_MESSAGE_BYTES


class FakeQueue:
    """See `detag.ports.queue.Queue`. Its effect, "queue.<name>.send", is entered once for every ten messages, as the
    real queue takes them: a fault in between keeps the first ten only.
    """

    def __init__(self, name: str = "queue", effect: Effect = no_effect) -> None:
        self.name = name
        self.sent: list[dict[str, Any]] = []
        """Every message that was kept, in the order of sending; a test may take them out."""
        self._effect = effect

    def send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """See `Queue`."""
        bodies = [json.dumps(message, separators=(",", ":")) for message in messages]
        if any(len(body) > MAX_MESSAGE_BYTES for body in bodies):
            raise ValueError("a message is too long for the queue")
        for start in range(0, len(bodies), MAX_BATCH):
            with self._effect(f"queue.{self.name}.send"):
                self.sent += [json.loads(body) for body in bodies[start : start + MAX_BATCH]]
