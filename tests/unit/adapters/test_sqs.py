"""What is asked of SQS, and how its refusals are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from detag.adapters.sqs import SqsQueue, batch_requests
from detag.ports.errors import Transient
from detag.ports.queue import MAX_MESSAGE_BYTES

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/uploads"

Stub = Any
"""A Stubber: botocore's types do not say whose client it has."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    client = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def sizes(messages: list[dict[str, Any]]) -> list[int]:
    """How many messages each request holds."""
    return [len(request["Entries"]) for request in batch_requests(URL, messages)]


def test_a_request_holds_at_most_ten_messages() -> None:
    """A request holds at most ten messages, each with an id of its own."""
    requests = batch_requests(URL, [{"n": number} for number in range(21)])
    assert [len(request["Entries"]) for request in requests] == [10, 10, 1]
    assert requests[1] == {
        "QueueUrl": URL,
        "Entries": [{"Id": str(number), "MessageBody": f'{{"n":{10 + number}}}'} for number in range(10)],
    }


def test_a_request_holds_at_most_256_kilobytes() -> None:
    half = {"text": "x" * (MAX_MESSAGE_BYTES // 2 - len('{"text":""}'))}
    assert sizes([half] * 4) == [2, 2]
    assert sizes([half, {"text": half["text"] + "x"}, half]) == [1, 1, 1]


def test_the_size_is_that_of_the_escaped_text() -> None:
    assert sizes([{"text": "😀" * 21_000}] * 2) == [1, 1]  # twelve bytes each, as \ud83d\ude00


def test_bodies_hold_no_character_that_sqs_refuses() -> None:
    ((entry,),) = [request["Entries"] for request in batch_requests(URL, [{"key": "\x00\x0b\ufffe\ud800 ü"}])]
    assert entry["MessageBody"].isascii()
    assert entry["MessageBody"].isprintable()


def test_no_messages_are_no_request() -> None:
    assert batch_requests(URL, []) == []


def test_one_message_that_was_not_kept_is_transient(stub: Stub) -> None:
    failed = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    stub.add_response("send_message_batch", {"Successful": [], "Failed": [failed]})
    with pytest.raises(Transient, match="1 of 2 rejected: InternalError"):
        SqsQueue(stub.client, URL).send([{"n": 1}, {"n": 2}])


def test_what_comes_after_a_batch_that_failed_is_not_sent(stub: Stub) -> None:
    stub.add_client_error("send_message_batch", "RequestThrottled", http_status_code=403)
    with pytest.raises(Transient, match="RequestThrottled"):
        SqsQueue(stub.client, URL).send([{"n": number} for number in range(11)])


def test_a_queue_that_is_not_there_is_told_with_the_operation(stub: Stub) -> None:
    stub.add_client_error("send_message_batch", "AWS.SimpleQueueService.NonExistentQueue", http_status_code=400)
    with pytest.raises(ClientError, match="SendMessageBatch"):
        SqsQueue(stub.client, URL).send([{"n": 1}])


def test_a_message_is_compact_json(stub: Stub) -> None:
    message = {"job_id": "1f3a", "links": ["a", "b"]}
    body = '{"job_id":"1f3a","links":["a","b"]}'
    stub.add_response(
        "send_message_batch",
        {"Successful": [], "Failed": []},
        {"QueueUrl": URL, "Entries": [{"Id": "0", "MessageBody": body}]},
    )
    SqsQueue(stub.client, URL).send([message])
    assert json.loads(body) == message
