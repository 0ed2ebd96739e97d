"""docs/glossary.md: what it names is there, under the name that it gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIBRARY = ROOT / "layers/detag/python/detag"
STORED_IN = (LIBRARY, ROOT / "template.yaml")


def rows() -> list[list[str]]:
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")][2:]


ROWS = rows()


def place(path: str) -> Path:
    return LIBRARY / path if path.startswith(("domain/", "ports/", "services/", "adapters/")) else ROOT / path


def text(path: Path) -> str:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def is_defined(name: str, path: Path) -> bool:
    """Whether a name is defined at a place: in Python by a function, a class, a field or a constant."""
    if path.suffix in (".yaml", ".md"):
        return re.search(rf"\b{name}\b", text(path)) is not None
    return re.search(rf"^ *(async )?(def|class) {name}\b|^ *{name}(:| = )", text(path), re.MULTILINE) is not None


def test_words_are_in_order_and_none_is_there_twice() -> None:
    words = [row[0].lower() for row in ROWS]
    assert words == sorted(set(words))
    assert len(words) > 60


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_path_exists_and_holds_the_names_beside_it(row: list[str]) -> None:
    path = None
    for named in re.findall(r"`([^`]+)`", row[2]):
        if "/" in named or named.endswith((".md", ".yaml")):
            path = place(named)
            assert path.exists(), named
        else:
            assert path is not None
            assert is_defined(named, path), f"{named} is not defined in {path.relative_to(ROOT)}"
    assert path is not None, "says nowhere where it is"


@pytest.mark.parametrize("row", [row for row in ROWS if len(row) == 4 and "`" in row[3]], ids=lambda row: row[0])
def test_each_stored_name_is_stored(row: list[str]) -> None:
    stored = "\n".join(map(text, STORED_IN))
    for name in re.findall(r"`([^`]+)`", row[3]):
        assert re.search(rf"\b{re.escape(name)}", stored), name
