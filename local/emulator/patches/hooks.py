"""How a patch checks that it still fits."""

import inspect
from collections.abc import Callable
from typing import Any


class PatchError(Exception):
    """A patch does not fit the installed MiniStack: it is no longer needed, or what it replaces has changed."""


def hook(owner: Any, name: str, parameters: str) -> Callable[..., Any]:
    """The function ``owner.name`` (or ``owner[name]``), if it still takes ``parameters`` ("a b c") in this order."""
    holder = owner if isinstance(owner, dict) else vars(owner)
    function: Callable[..., Any] | None = holder.get(name)
    if not callable(function):
        raise PatchError(f"MiniStack has no {name} any more")
    found = " ".join(inspect.signature(function).parameters)
    if found != parameters:
        raise PatchError(f"MiniStack's {name} now takes ({found}), the patch was made for ({parameters})")
    return function


def still_needed(broken: bool, behaviour: str) -> None:
    """Raise PatchError if MiniStack has ``behaviour`` without the patch."""
    if not broken:
        raise PatchError(f"MiniStack does this by itself now, so the patch can be removed: {behaviour}")
