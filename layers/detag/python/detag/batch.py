"""A batch of queue messages, each on its own: the failed ones are reported, and the others are done with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from detag.domain.metrics import Metric
from detag.ports.errors import Transient, Unreadable, safe_description
from detag.ports.telemetry import Telemetry


class Map(Protocol):
    """`map`, or a thread pool's."""

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterable[Any]:
        """The results in the order of the items."""
        ...


def process(
    event: Mapping[str, Any],
    handle: Callable[[dict[str, Any]], None],
    telemetry: Telemetry,
    map_: Map = map,
    refuse: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Handle every message of an SQS event; returns the partial batch response (Lambda Developer Guide, "Reporting
    batch item failures for Lambda functions with an Amazon SQS trigger").

    `refuse` is given the id of a message that is no JSON object: trying it again helps nobody. Without it, such a
    message fails like any other.
    """

    def failed(record: Mapping[str, Any]) -> str | None:
        message_id = str(record["messageId"])
        try:
            message = _read(record["body"])
            if message is not None:
                handle(message)
            elif refuse is not None:
                refuse(message_id)
            else:
                raise ValueError("a message must be a JSON object")
        except Transient as error:
            telemetry.warning("message will be retried", message_id=message_id, error=str(error))
            return message_id
        except Unreadable as error:  # until it can be read, the message is kept in the dead-letter queue
            telemetry.warning("job item cannot be read", message_id=message_id, error=str(error))
            telemetry.count(Metric.UNREADABLE_ITEM)
            return message_id
        except Exception as error:  # noqa: BLE001 - a bug, or no message of ours: at last it is in the dead-letter queue
            telemetry.warning("message failed", message_id=message_id, error=safe_description(error))
            telemetry.count(Metric.MESSAGE_FAILED)
            return message_id
        return None

    failures = [message_id for message_id in map_(failed, event["Records"]) if message_id]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _read(body: str) -> dict[str, Any] | None:
    """The JSON object in a message; None where there is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
