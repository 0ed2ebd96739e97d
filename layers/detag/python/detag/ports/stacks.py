"""The object of an input bucket in which stacks claim their folders."""

from __future__ import annotations

from typing import Protocol


class Stacks(Protocol):
    """One text, which many stacks read and replace."""

    def read(self) -> tuple[str, str | None]:
        """The text, and the ETag that `replace` needs: empty and None where there is no such object.

        Raises `Transient`, also where it may not be read or is longer than `MAX_BYTES`.
        """
        ...

    def replace(self, text: str, etag: str | None) -> None:
        """Write the text, unless the object is another than the one that was read. Raises `Conflict` or `Transient`."""
        ...
