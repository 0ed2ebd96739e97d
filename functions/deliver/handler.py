"""Replaced by the real handler: answers that nothing is done yet."""

from __future__ import annotations

from typing import Any


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Says that this function is not there yet, in a way each trigger understands."""
    items = [{"itemIdentifier": record["messageId"]} for record in event.get("Records", [])]
    return {"statusCode": 503, "batchItemFailures": items}
