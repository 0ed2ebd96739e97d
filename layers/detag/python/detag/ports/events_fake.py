"""An event bus in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from detag.ports.effect_fake import Effect, no_effect


class FakeEvents:
    """See `detag.ports.events.Events`. Its effect is "events.publish"."""

    def __init__(self, effect: Effect = no_effect) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        """Detail type and detail of every event that was kept."""
        self._effect = effect

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """See `Events`."""
        text = json.dumps(detail)
        with self._effect("events.publish"):
            self.published.append((detail_type, json.loads(text)))
