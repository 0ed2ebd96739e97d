"""What every queue does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from detag.adapters.sqs import SqsQueue
from detag.ports.queue import MAX_MESSAGE_BYTES, Queue
from detag.ports.queue_fake import FakeQueue


@dataclass
class Side:
    """A queue, and what has come out of it."""

    queue: Queue
    received: Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["fake", "sqs"])
def side(request: pytest.FixtureRequest, name: str) -> Side:
    if request.param == "fake":
        fake = FakeQueue()
        return Side(fake, lambda: fake.sent)
    client = request.getfixturevalue("aws").client("sqs")
    url = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "180"})["QueueUrl"]

    def received() -> list[dict[str, Any]]:
        bodies: list[dict[str, Any]] = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
        return bodies

    return Side(SqsQueue(client, url), received)


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    """The messages' own numbers: no queue promises an order."""
    return sorted(message["n"] for message in messages)


def test_a_message_arrives_as_it_was_sent(side: Side) -> None:
    message = {"key": 'Größe 😀 \u0001\ufffe\\"&<', "links": ["https://x/?a=b&c"], "no": None, "n": {"m": [1, 2.5]}}
    side.queue.send([message])
    assert side.received() == [message]


def test_more_messages_than_one_call_takes_all_arrive(side: Side) -> None:
    side.queue.send([{"n": number} for number in range(25)])
    assert numbers(side.received()) == list(range(25))


def test_messages_that_need_several_calls_all_arrive(side: Side) -> None:
    """Messages that are together too long for one call all arrive."""
    side.queue.send([{"n": number, "text": "x" * 100_000} for number in range(7)])
    assert numbers(side.received()) == list(range(7))


def test_the_longest_message_arrives_and_a_longer_one_is_refused(side: Side) -> None:
    text = "x" * (MAX_MESSAGE_BYTES - len('{"text":""}'))
    side.queue.send([{"text": text}])
    with pytest.raises(ValueError, match="too long"):
        side.queue.send([{"n": 2}, {"text": text + "x"}])
    assert side.received() == [{"text": text}]


def test_nothing_to_send_is_no_error(side: Side) -> None:
    side.queue.send([])
    assert side.received() == []
