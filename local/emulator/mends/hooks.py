"""How a mend makes sure that it still fits."""

import inspect
from collections.abc import Callable
from typing import Any


class MendError(Exception):
    """A mend does not fit the installed MiniStack: no longer needed, or nothing there to hold on to."""


def hook(owner: Any, name: str, parameters: str) -> Callable[..., Any]:
    """The function ``owner.name`` (or ``owner[name]``), if it still takes ``parameters`` ("a b c") in this order."""
    holder = owner if isinstance(owner, dict) else vars(owner)
    function: Callable[..., Any] | None = holder.get(name)
    if not callable(function):
        raise MendError(f"MiniStack has no {name} to mend any more")
    found = " ".join(inspect.signature(function).parameters)
    if found != parameters:
        raise MendError(f"MiniStack's {name} now takes ({found}), the mend was made for ({parameters})")
    return function


def still_needed(broken: bool, behaviour: str) -> None:
    """Raise MendError if MiniStack has learnt ``behaviour`` by itself."""
    if not broken:
        raise MendError(f"MiniStack does this by itself now, so the mend can go: {behaviour}")
