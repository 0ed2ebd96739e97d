"""bin/release_notes.py: a release's notes are its section of the changelog."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHANGELOG = """# Changelog

What changed.

## [Unreleased]

### Added

- Not out yet.

## [1.10.0] - 2026-12-02

Read this
first.

### Added

- A point that goes on
  in a second line, and even
  in a third.
- Another
  - with one below it

### Fixed

- Nothing.

## [1.1.0] - 2026-12-01

### Removed

- All of it.

## [1.0.1] - 2026-11-30

### Changed

## [1.0.0] - 2026-11-29

- A try.

[Unreleased]: https://example.com/compare/v1.10.0...HEAD
[1.10.0]: https://example.com/compare/v1.1.0...v1.10.0
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_notes", ROOT / "bin" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release_notes: Any = load()


def test_a_paragraph_and_a_point_are_one_line_each() -> None:
    assert release_notes.notes(CHANGELOG, "v1.10.0").splitlines() == [
        "Read this first.",
        "",
        "### Added",
        "",
        "- A point that goes on in a second line, and even in a third.",
        "- Another",
        "  - with one below it",
        "",
        "### Fixed",
        "",
        "- Nothing.",
    ]


@pytest.mark.parametrize(("tag", "notes"), [("v1.1.0", "### Removed\n\n- All of it.\n"), ("v1.0.0", "- A try.\n")])
def test_a_section_ends_where_the_next_or_the_links_begin(tag: str, notes: str) -> None:
    assert release_notes.notes(CHANGELOG, tag) == notes


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("v1.2.0", 'has no section for v1.2.0: put the heading "## [1.2.0] - " with the date'),
        ("v1.1", "names no version"),
        ("1.1.0", "names no version"),
        ("v1.0.1", "says nothing under 1.0.1"),
    ],
)
def test_a_tag_without_notes_is_refused_with_the_reason(
    tag: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(CHANGELOG, encoding="utf-8")

    assert release_notes.main([tag], changelog) == 1
    printed = capsys.readouterr()
    assert (printed.out, reason in printed.err) == ("", True)


def test_the_changelog_is_written_so_that_it_can_be_read() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## .*$", text, re.MULTILINE)
    readable = []
    for heading in headings:
        try:
            readable.append(release_notes.notes(text.replace(heading, "## [99.0.0] - 2026-12-01"), "v99.0.0"))
        except release_notes.NoNotes:
            continue  # what is unreleased may be empty
    assert len(readable) >= max(1, len(headings) - 1)
    assert all(notes.startswith("### ") and "\n- " in notes for notes in readable)
