"""What is asked of EventBridge, and how its refusals are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from detag.adapters.eventbridge import EventBridgeEvents, put_events_request
from detag.ports.errors import Transient

Stub = Any
"""A Stubber: botocore's types do not say whose client it has."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    client = boto3.client("events", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_an_event_names_its_bus_its_source_and_its_type() -> None:
    ((entry,),) = put_events_request("default", "Photo Delivered", {"job_id": "1f3a", "cost": None}).values()
    assert json.loads(entry.pop("Detail")) == {"job_id": "1f3a", "cost": None}
    assert entry == {"EventBusName": "default", "Source": "detag", "DetailType": "Photo Delivered"}


def test_an_event_that_was_taken_is_done_with(stub: Stub) -> None:
    request = put_events_request("default", "Photo Failed", {"job_id": "1f3a"})
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e1"}]}, request)
    EventBridgeEvents(lambda: stub.client, "default").publish("Photo Failed", {"job_id": "1f3a"})


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_a_rejected_entry_is_transient(stub: Stub, code: str) -> None:
    """An event that was not taken is transient, though the call went well."""
    stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "later"}]})
    with pytest.raises(Transient, match=code):
        EventBridgeEvents(lambda: stub.client, "default").publish("Photo Failed", {})


def test_a_throttled_call_is_transient(stub: Stub) -> None:
    stub.add_client_error("put_events", "ThrottlingException", http_status_code=400)
    with pytest.raises(Transient):
        EventBridgeEvents(lambda: stub.client, "default").publish("Photo Failed", {})


def test_what_is_not_allowed_is_told_with_the_operation(stub: Stub) -> None:
    stub.add_client_error("put_events", "AccessDeniedException", http_status_code=400)
    with pytest.raises(ClientError, match="PutEvents"):
        EventBridgeEvents(lambda: stub.client, "default").publish("Photo Failed", {})


def test_its_client_is_made_once_and_when_it_is_needed(stub: Stub) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(stub.client)
        return stub.client

    for _ in range(2):
        stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e1"}]})
    events = EventBridgeEvents(make, "default")
    assert not made
    events.publish("Photo Failed", {})
    events.publish("Photo Failed", {})
    assert len(made) == 1
