"""Whatever stands in the repository's pages because the source says so.

`make generate` writes it; `make check` and a test say what is out of date. A file that is generated whole is a line of
`FILES`. A part of a page is a line of `TABLES`, and a pair of marks in the page:

    <!-- NAME: made by `make generate` -->
    <!-- end of NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks import headline, scale
from docs.generate import (
    alarms,
    data_model,
    decisions,
    duplicates,
    metrics,
    outputs,
    parameters,
    reasons,
    states,
    status,
)

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final[dict[str, Callable[[], str]]] = {
    "docs/states.md": states.draw,
    "docs/decision-tables.md": decisions.draw,
    "docs/data-model.md": data_model.draw,
    "docs/duplicates.svg": duplicates.draw,
}
TABLES: Final[dict[str, Callable[[], str]]] = {
    "parameters": parameters.table,
    "outputs": outputs.table,
    "reasons": reasons.table,
    "metrics": metrics.table,
    "alarms": alarms.table,
    "costs": headline.costs,
    "results": headline.results,
    "scale": scale.numbers,
    "claims": scale.claims_table,
    "status": status.example,
}
PAGES: Final = ("*.md", "docs/**/*.md")
_MARKED: Final = re.compile(
    r"<!-- (?P<name>\w+): made by `make generate` -->\n.*?<!-- end of (?P=name) -->", flags=re.DOTALL
)


def filled(page: str) -> str:
    """A page with its tables as the source has them. Raises KeyError for the name of a table that nobody makes."""

    def made(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name}: made by `make generate` -->\n\n{TABLES[name]().strip()}\n\n<!-- end of {name} -->"

    return _MARKED.sub(made, page)


def tables_in(page: str) -> list[str]:
    """The names of the tables that a page holds, in its order."""
    return [match["name"] for match in _MARKED.finditer(page)]


def generated_in(page: str) -> list[str]:
    """What stands between the marks of a page."""
    return [match[0] for match in _MARKED.finditer(page)]


def stale(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each file that is not as the source has it, with the text that it should have."""
    for name, made in FILES.items():
        path, text = root / name, made()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path, text
    for path in sorted({path for pattern in PAGES for path in root.glob(pattern)}):
        page = path.read_text(encoding="utf-8")
        if page != (text := filled(page)):
            yield path, text
