"""Queues on Amazon SQS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detag.adapters.aws import calling
from detag.ports.errors import Transient
from detag.ports.queue import MAX_BATCH, MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def batch_requests(queue_url: str, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The SendMessageBatch requests for these messages: at most ten to a batch, and at most 256 KiB.

    Bodies are ASCII JSON: SQS refuses some characters that JSON can only hold escaped. Raises ValueError for a message
    that is too long by itself.
    """
    return [{"QueueUrl": queue_url, "Entries": entries} for entries in _batches(messages)]


def _batches(messages: Sequence[Mapping[str, Any]]) -> Iterator[list[dict[str, str]]]:
    entries: list[dict[str, str]] = []
    left = MAX_MESSAGE_BYTES
    for message in messages:
        body = json.dumps(message, separators=(",", ":"))
        if len(body) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(body)} bytes is too long for the queue")
        if len(entries) == MAX_BATCH or len(body) > left:
            yield entries
            entries, left = [], MAX_MESSAGE_BYTES
        entries.append({"Id": str(len(entries)), "MessageBody": body})
        left -= len(body)
    if entries:
        yield entries


class SqsQueue:
    """See `detag.ports.queue.Queue`."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client, self._url = client, queue_url

    def send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """See `Queue`."""
        for request in batch_requests(self._url, messages):
            with calling("SendMessageBatch"):
                answer = self._client.send_message_batch(**request)
            if failed := answer.get("Failed"):
                codes = ", ".join(sorted({entry["Code"] for entry in failed}))
                raise Transient(f"SendMessageBatch: {len(failed)} of {len(request['Entries'])} rejected: {codes}")
