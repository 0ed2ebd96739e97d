"""Bytes in memory while an output goes from its URL to S3: some blocks, whatever its size."""

from __future__ import annotations

import ssl
import tracemalloc
from collections.abc import Iterator

import pytest

from detag.adapters.aws import aws_client
from detag.adapters.http import Network
from detag.adapters.outputs import SafeFetcher
from detag.adapters.s3 import S3PhotoStore, s3_config
from tests.performance.account import Account
from tests.wire import Wire, answer

BLOCK = 65_536
MOST_BYTES = 4 * 1_048_576
"""Bytes: the first 64 KiB, a chunk of botocore's (1 MiB) with its copy, and what a request is made of."""


def output(size: int) -> Iterator[bytes]:
    """A JPEG of `size` bytes, made while it is sent."""
    frame = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x1e\x00\x28\x01\x01\x11\x00\xff\xda"
    yield frame
    left = size - len(frame) - 2
    while left:
        yield bytes(min(BLOCK, left))
        left -= min(BLOCK, left)
    yield b"\xff\xd9"


@pytest.mark.parametrize("megabytes", [2, 20, 60])
def test_delivering_holds_a_few_blocks_whatever_the_size(megabytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    account, size = Account(), megabytes * 1_000_000
    head, _ = answer(200, Content_Length=str(size))
    network = Network(resolve=lambda host, port: ["93.184.216.34"], inner=Wire([_parts(head, size)]))
    with account.in_place():
        photos = S3PhotoStore(aws_client("s3", s3_config(None)), "outputs")
        fetcher = SafeFetcher(ssl.create_default_context(), network=network)
        tracemalloc.start()
        try:
            with fetcher.open("https://outputs.example.com/1.jpg") as download:
                photos.put("1.jpg", download.body, download.length, "image/jpeg", {}, None)
            used = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size < account.stored < size * 1.01, "the output, and the marks of its chunks"
    assert used < MOST_BYTES


def _parts(head: bytes, size: int) -> Iterator[bytes]:
    yield head
    yield from output(size)
