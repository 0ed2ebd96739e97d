"""Events on Amazon EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from detag.adapters.aws import calling
from detag.ports.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE: Final = "detag"


def put_events_request(bus: str, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The PutEvents request for one event."""
    return {
        "Entries": [{"EventBusName": bus, "Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail)}]
    }


class EventBridgeEvents:
    """See `detag.ports.events.Events`. For many threads; the client is asked for once, when there is an event."""

    def __init__(self, make_client: Callable[[], EventBridgeClient], bus: str) -> None:
        self._make_client, self._bus = make_client, bus
        self._client: EventBridgeClient | None = None
        self._lock = Lock()

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """See `Events`. PutEvents answers 200 even for an event that it rejected: its entry says so."""
        with calling("PutEvents"):
            answer = self._made().put_events(**put_events_request(self._bus, detail_type, detail))
        if answer["FailedEntryCount"]:
            codes = ", ".join(entry.get("ErrorCode", "no reason given") for entry in answer["Entries"])
            raise Transient(f"PutEvents: rejected: {codes}")

    def _made(self) -> EventBridgeClient:
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client
