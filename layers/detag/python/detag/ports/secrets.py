"""Secrets that an operator stores."""

from __future__ import annotations

from typing import Protocol


class Unset(Exception):
    """The secret has no value yet, or not one of the shape that docs/deploying.md gives. The message says which."""


class CallbackSecrets(Protocol):
    """The callback signing secrets that are accepted."""

    def read(self) -> tuple[bytes, ...]:
        """All of them, the current one first, as UTF-8. Not cached.

        Raises `Unset`, or `Transient` where they cannot be read now or may not be.
        """
        ...
