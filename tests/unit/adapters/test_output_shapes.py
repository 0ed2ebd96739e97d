"""Outputs in the shapes of real photographs: what was paid for is received, and nothing larger than a photo can be."""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager

import pytest

from detag.adapters.http import Network
from detag.adapters.outputs import Guard, SafeFetcher
from detag.domain.images import LONG_HEAD_BYTES, sniff
from detag.ports.outputs import Download, Unsafe
from tests.shapes import SENT, SHAPES, claimed, gif, jpeg
from tests.wire import Wire, answer, resolver


def opened(output: bytes) -> AbstractContextManager[Download]:
    """An output URL, opened."""
    names = resolver({"outputs.test": ["93.184.216.34"]})
    network = Network(Guard().address, resolve=names, inner=Wire([answer(body=output)]))
    return SafeFetcher(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None, network).open("https://outputs.test/1")


def received(output: bytes) -> bytes:
    """What comes of an output."""
    with opened(output) as download:
        return download.body.read()


@pytest.mark.parametrize("name", ["large JPEG with 128 KB of headers", "PNG with a long profile"])
def test_an_output_with_long_headers_is_received_whole(name: str) -> None:
    output = SENT[name].data
    with opened(output) as download:
        assert download.head == output[:LONG_HEAD_BYTES]
        assert sniff(download.head, download.length).width in (900, 160)
        assert download.body.read(100) + download.body.read() == output


@pytest.mark.parametrize("behind", ["a few bytes", "more than is read of them"])
def test_long_headers_are_no_way_around_the_bound(behind: str) -> None:
    """Neither an output that is too large, nor one that does not tell, is stored."""
    name = "JPEG of 4 billion pixels behind long headers"
    output = SHAPES[name if behind == "a few bytes" else "JPEG with more headers than are read"].data
    with pytest.raises(Unsafe, match=r"pixels|width and height"):
        received(output)


def test_a_gif_is_as_large_as_its_frame() -> None:
    with pytest.raises(Unsafe, match="65,535 x 65,535"):
        received(gif((1, 1), (65_535, 65_535)))


def test_what_the_largest_photo_may_become_is_received() -> None:
    output = claimed(jpeg(), 60_000, 60_000)
    assert received(output) == output


@pytest.mark.parametrize("name", [name for name, shape in SENT.items() if shape.tails < 2])
def test_what_may_be_sent_may_be_received(name: str) -> None:
    assert received(SENT[name].data) == SENT[name].data
