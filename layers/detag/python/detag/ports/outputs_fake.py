"""Output URLs in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from detag.domain import waits
from detag.domain.images import HEAD_BYTES, LONG_HEAD_BYTES, TAIL_BYTES, NotAnImage, check_tail, headers_go_on, sniff
from detag.ports.effect_fake import Effect, no_effect
from detag.ports.outputs import Download, Unsafe


@dataclass(frozen=True, slots=True)
class _Download:
    head: bytes
    length: int
    body: BinaryIO


class FakeFetcher:
    """See `detag.ports.outputs.Fetcher`. Its effects are "fetcher.open" and, at each reading of a body, "fetcher.read".

    `read` gives what a URL leads to, such as `FakeRuns.read_output_url`; it raises `OutputUrlExpired`, `Unsafe` or
    `Transient`.
    """

    def __init__(self, read: Callable[[str], bytes], effect: Effect = no_effect) -> None:
        self._read, self._effect = read, effect

    @contextmanager
    def open(self, url: str, seconds: float = waits.OUTPUT.seconds) -> Iterator[Download]:
        """See `Fetcher`."""
        with self._effect("fetcher.open"):
            data = self._read(url)
            head = data[:HEAD_BYTES]
            if headers_go_on(head, len(data)):
                head = data[:LONG_HEAD_BYTES]
            try:
                shown = check_tail(sniff(head, len(data)), head, data[-TAIL_BYTES:])
            except NotAnImage as error:
                raise Unsafe(error.fact) from None
            if not shown:
                raise Unsafe("this image file stops before its end, or hides it")
        yield _Download(head, len(data), io.BufferedReader(_Body(data, self._effect), HEAD_BYTES))


class _Body(io.RawIOBase):
    def __init__(self, data: bytes, effect: Effect) -> None:
        self._data, self._effect = io.BytesIO(data), effect

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._effect("fetcher.read"):
            return self._data.readinto(buffer)
