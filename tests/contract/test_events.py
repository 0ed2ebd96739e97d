"""What every event bus does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detag.adapters.eventbridge import EventBridgeEvents
from detag.ports.events import Events
from detag.ports.events_fake import FakeEvents

EVENT = json.loads((Path(__file__).parents[2] / "events" / "photo-delivered.json").read_text(encoding="utf-8"))


@dataclass
class Side:
    """An event bus, and what its listeners heard: detail type and detail."""

    events: Events
    heard: Callable[[], list[tuple[str, dict[str, Any]]]]


@pytest.fixture(params=["fake", "eventbridge"])
def side(request: pytest.FixtureRequest, name: str) -> Side:
    if request.param == "fake":
        fake = FakeEvents()
        return Side(fake, lambda: fake.published)
    aws = request.getfixturevalue("aws")
    bus, sqs = aws.client("events"), aws.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.create_event_bus(Name=name)
    bus.put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["detag"]}')
    bus.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "1", "Arn": arn}])

    def heard() -> list[tuple[str, dict[str, Any]]]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        events = [json.loads(message["Body"]) for message in answer.get("Messages", [])]
        return [(event["detail-type"], event["detail"]) for event in events]

    return Side(EventBridgeEvents(lambda: bus, name), heard)


def test_an_event_is_heard_as_it_was_published(side: Side) -> None:
    detail = EVENT["detail"] | {"key": "Größe 😀.jpg", "version_id": None, "outputs": ["a", "b"], "partial": False}
    side.events.publish("Photo Delivered", detail)
    assert side.heard() == [("Photo Delivered", detail)]
