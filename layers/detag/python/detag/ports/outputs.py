"""The outputs behind Runflow's URLs: hostile input until proven otherwise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from detag.domain import waits


class OutputUrlExpired(Exception):
    """The URL answered 401, 403, 404 or 410: a fresh one may work (contract 13.26)."""


class Unsafe(Exception):
    """The URL, or what it gave, may not be used. The message says why, without the URL."""


class Download(Protocol):
    """A body that is being received."""

    @property
    def head(self) -> bytes:
        """Its first bytes: `HEAD_BYTES` or, where its headers go on, `LONG_HEAD_BYTES`. `body` gives them again."""
        ...

    @property
    def length(self) -> int:
        """Its whole length in bytes."""
        ...

    @property
    def body(self) -> BinaryIO:
        """All of it, from the first byte, to be read once. Reading raises `Transient` where it ends early."""
        ...


class Fetcher(Protocol):
    """Opens output URLs."""

    def open(self, url: str, seconds: float = waits.OUTPUT.seconds) -> AbstractContextManager[Download]:
        """Begin a download that takes at most so long, its last byte included, and never longer than `waits.OUTPUT`.

        Raises `OutputUrlExpired`, `Unsafe` or `Transient`.
        """
        ...
