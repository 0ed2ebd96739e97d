"""Where a test may step into a fake: around every call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Effect = Callable[[str], AbstractContextManager[None]]
"""Given the name of a call, such as "jobs.save": a context that is entered before it happens and left once it has.

Raising on entry means that nothing happened; raising on a good exit, that it happened and the caller sees an error.
"""


def no_effect(_name: str) -> AbstractContextManager[None]:
    """Nothing goes wrong."""
    return nullcontext()
