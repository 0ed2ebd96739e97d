"""Prints what CHANGELOG.md says of a version, as the notes of its release.

    python bin/release_notes.py v1.2.0

Exit status 1, with the reason, if it says nothing. Runs on the bare standard library.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"


class NoNotes(Exception):
    """There are no notes for the tag. The text says why."""


def notes(changelog: str, tag: str) -> str:
    """The section of the version that the tag (v1.2.0, v1.2.0-rc.1) names, without its heading.

    Each paragraph and each point is one line: GitHub shows a release's line breaks, which those of a file are not.
    Raises NoNotes if the tag names no version, or the changelog has no such section or nothing in it.
    """
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        raise NoNotes(f"{tag} names no version: a release's tag looks like v1.2.0")
    version = tag.removeprefix("v")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    found = [section for section in sections if re.match(rf"\[?{re.escape(version)}\]?(\s|$)", section)]
    if not found:
        raise NoNotes(
            f"CHANGELOG.md has no section for {tag}: put the heading "
            f'"## [{version}] - " with the date above the unreleased changes, and move the tag there'
        )
    text = found[0].partition("\n")[2]
    text = re.sub(r"^\[[^\]]+\]: .*\n?", "", text, flags=re.MULTILINE)  # where the headings' links lead
    if not re.search(r"^[^#\s]", text, re.MULTILINE):
        raise NoNotes(f"CHANGELOG.md says nothing under {version}")
    return re.sub(r"(?<=\S)\n *(?![-#\s])(?=\S)", " ", text).strip() + "\n"


def main(arguments: Sequence[str], changelog: Path = CHANGELOG) -> int:
    """Returns the exit status."""
    (tag,) = arguments
    try:
        print(notes(changelog.read_text(encoding="utf-8"), tag), end="")
    except NoNotes as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
