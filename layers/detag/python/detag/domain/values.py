"""Dataclasses that nothing changes in place.

mypy takes this `dataclass` for the standard library's, and refuses every assignment to a field of a frozen one. At run
time nothing is left to refuse: compiling two methods for each class, which would, takes 5 % of a cold start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool = False, **options: bool) -> object:
        """As `dataclasses.dataclass`; what is frozen has a hash."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)


__all__ = ["dataclass"]
