"""What every list of stacks does."""

from __future__ import annotations

from typing import Any

import pytest

from detag.adapters.s3 import S3Stacks, s3_config
from detag.domain.prefix_claim import MAX_BYTES
from detag.ports.errors import Conflict, Transient
from detag.ports.stacks import Stacks
from detag.ports.stacks_fake import FakeStacks
from tests.emulator import Aws


@pytest.fixture(params=["fake", "s3"])
def stacks(request: pytest.FixtureRequest, name: str) -> Stacks:
    if request.param == "fake":
        return FakeStacks()
    aws: Aws = request.getfixturevalue("aws")
    client: Any = aws.session.client("s3", endpoint_url=aws.emulator.endpoint_url, config=s3_config("http://127.0.0.1"))
    client.create_bucket(Bucket=name)
    return S3Stacks(client, name)


def test_there_is_no_list_at_first(stacks: Stacks) -> None:
    assert stacks.read() == ("", None)


def test_a_list_is_read_as_it_was_written(stacks: Stacks) -> None:
    stacks.replace("größe\n", None)
    text, etag = stacks.read()
    assert text == "größe\n"
    assert etag
    stacks.replace("two", etag)
    assert stacks.read()[0] == "two"


def test_a_list_that_is_too_long_is_not_read(stacks: Stacks) -> None:
    """Nobody knows what it is: it is not none."""
    stacks.replace("x" * MAX_BYTES, None)
    text, etag = stacks.read()
    assert len(text) == MAX_BYTES
    stacks.replace("x" * (MAX_BYTES + 1), etag)
    with pytest.raises(Transient):
        stacks.read()


def test_a_list_that_changed_meanwhile_is_not_replaced(stacks: Stacks) -> None:
    stacks.replace("one", None)
    with pytest.raises(Conflict):
        stacks.replace("another", None)
    _, etag = stacks.read()
    stacks.replace("two", etag)
    with pytest.raises(Conflict):
        stacks.replace("three", etag)
    assert stacks.read()[0] == "two"
