"""Why a photo waits, or how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from detag.domain.reasons import Group, Reason
from docs.generate import markdown


def table() -> str:
    """Every reason, group by group."""
    return markdown.table(["reason", "what it means", "what to do"], _rows())


def _rows() -> Iterator[list[str]]:
    for group in Group:
        yield [f"**{group.value}**", "", ""]
        yield from ([f"`{reason}`", reason.means, reason.do] for reason in Reason if reason.group is group)
