"""What may go wrong at any port."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

_OURS: Final = Path(__file__).parents[1]


class Transient(Exception):
    """The call failed and may work later: throttled, timed out, no connection, contended.

    It may have had its effect. Its text is of our own making: no URL, no body, no key.
    """


class Unclaimed(Transient):
    """Whose the folder is cannot be told now, whichever photo asks: of that a person is told."""


class Unreadable(Exception):
    """An item that this code cannot read: written by newer code before a rollback, or edited by hand.

    Its text names the attribute or the kind of value, and none of what the item holds.
    """


class Conflict(Exception):
    """The item changed since it was read: read it again and go on from its state."""


def safe_description(error: BaseException) -> str:
    """An unexpected error as it may be logged: its kind, its notes, and the place in detag that it came through.

    Never its own text: an SDK's, a parser's or a server's may hold a URL, a body or a key.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_OURS)]
    place = [f"({Path(frame.filename).name}:{frame.lineno})" for frame in ours[-1:]]
    return " ".join((type(error).__name__, *getattr(error, "__notes__", ()), *place))
