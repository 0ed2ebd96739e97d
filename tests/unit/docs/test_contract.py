"""Citations of docs/runflow-contract.md, wherever they are: each names a section, item or part that the page has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/runflow-contract.md"
NOT_READ = (PAGE, Path(__file__))
"""The page has a test of its own below; here stand citations that are wrong on purpose."""

S = r"\s+(?:#\s+)?"  # a citation may go on in the next line of a comment
AND = rf"(?:,|{S}and|{S}to){S}"
SECTIONS = rf"\d+(?:{AND}\d+)*"
ITEMS = rf"\d+\.\d+(?:{AND}\d+\.\d+)*"
PART = rf",{S}\"(?P<part>[^\"\n]+)\""
CITATION = re.compile(
    rf"(?i)\bcontract{S}(?:sections?{S}(?P<sections>{SECTIONS})(?!\.?\d)(?:{PART})?|(?P<items>{ITEMS})(?!\.?\d))"
)
PUBLIC = re.compile(rf"RFC{S}\d+,{S}section{S}[\d.]+")
"""A section of a document that is not ours."""

LOOKS_LIKE_ONE = re.compile(
    rf"(?i)\b(?:section|sect?\.|item|chapter)s?{S}\d"
    r"|§\s*\d"
    r"|\bcontract(?:'s)?[\s,:(#-]+\d"
    r"|\(\s*(?:see\s+)?1[36]\.[1-9]\d?\s*\)"
)


@dataclass(frozen=True)
class Page:
    """What can be cited: sections, numbered items, and the parts of each section by name."""

    sections: frozenset[str]
    items: tuple[str, ...]
    parts: dict[str, frozenset[str]]


def read(text: str) -> Page:
    """The page by its headings (`## 4. ...`, `### ...`) and the words in bold that begin an item or a paragraph."""
    parts = {}
    for number, body in re.findall(r"(?ms)^## (\d+)\. (.*?)(?=^## |\Z)", text):
        names = re.findall(r"(?m)^### (.+)$|^(?:- )?\*\*([^*]+?)\.\*\*", body)
        parts[number] = frozenset((heading or bold).replace("`", "") for heading, bold in names)
    return Page(frozenset(parts), tuple(re.findall(r"(?m)^- \*\*(\d+\.\d+)\b", text)), parts)


def numbers(listed: str) -> Iterator[str]:
    """`1 to 3, 5 and 7` one by one; `13.4 to 13.6` as well."""
    for first, last in re.findall(r"([\d.]+)(?:[\s#]+to[\s#]+([\d.]+))?", listed):
        section, dot, item = first.rpartition(".")
        for number in range(int(item), int((last or first).rpartition(".")[2]) + 1):
            yield f"{section}{dot}{number}"


def wrong(text: str, page: Page) -> Iterator[tuple[int, str]]:
    """Where a text cites what is not there, or cites in a form that nobody else uses: offset and words."""
    known = list(CITATION.finditer(text))
    for match in known:
        cited = list(numbers(match["sections"] or match["items"]))
        there = page.sections if match["sections"] else page.items
        part = match["part"]
        if any(number not in there for number in cited) or (part and part not in page.parts.get(cited[-1], ())):
            yield match.start(), match[0]
    spans = [match.span() for match in (*known, *PUBLIC.finditer(text))]
    for match in LOOKS_LIKE_ONE.finditer(text):
        if not any(start < match.end() and match.start() < end for start, end in spans):
            yield match.start(), match[0]


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of the repository. Hidden folders hold what was made or installed."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name in (".ci", ".github") or not name.startswith((".", "__"))]
        for path in (Path(folder, name) for name in names):
            if (
                path not in NOT_READ
                and path.suffix not in (".svg", ".pyc")
                and b"\0" not in (body := path.read_bytes())
            ):
                yield path, body.decode(errors="replace")


@pytest.fixture(scope="module")
def page() -> Page:
    return read(PAGE.read_text(encoding="utf-8"))


def test_every_citation_resolves(page: Page) -> None:
    found = 0
    unresolved = []
    for path, text in texts():
        found += len(CITATION.findall(text))
        for offset, words in wrong(text, page):
            line = text.count("\n", 0, offset) + 1
            unresolved.append(f"{path.relative_to(ROOT)}:{line}: {' '.join(words.split())}")
    assert not unresolved, "\n".join(["write `contract section 6` or `contract 13.20`:", *unresolved])
    assert found > 80, "the search no longer sees the citations that there are"


@pytest.mark.parametrize(
    "text",
    [
        "contract section 3",
        '(contract section 3, "Search")',
        "Contract sections 1 to 5, 11",
        "contract sections\n    # 2 and 12",
        "contract 13.28.",
        "contract 13.4, 13.6 and\n    13.7",
        "contract 13.20 to 13.24",
        "(RFC\n    3986, section 5.2.4)",
        "the contract is kept: 3 times",
    ],
)
def test_a_good_citation_is_accepted(text: str, page: Page) -> None:
    assert list(wrong(text, page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "contract section 17",
        "contract sections 1 to 17",
        'contract section 3, "Serch"',
        "contract 13.29",
        "contract 13.27 to 13.29",
        "contract 3.1",
        "contract\n# 13.0",
        "section 6",
        "Sections 3 and 4",
        "sec. 6",
        "§6",
        "item 20",
        "section 13, item 20",
        "contract 6",
        "the contract's 13.4",
        "contract, 13.4",
        "(13.28)",
        "(see 13.28)",
    ],
)
def test_any_other_is_reported(text: str, page: Page) -> None:
    assert list(wrong(text, page))


def test_the_numbers_of_the_page_are_in_order_without_a_gap(page: Page) -> None:
    assert page.sections == {str(number) for number in range(1, 17)}
    counts = {"8": 5, "10": 4, "13": 28, "15": 9, "16": 9}
    assert page.items == tuple(f"{section}.{item}" for section, last in counts.items() for item in range(1, last + 1))


def test_the_page_refers_to_its_own_numbers(page: Page) -> None:
    text = PAGE.read_text(encoding="utf-8")
    lists = re.findall(rf"(?i)\bsections?\s+({SECTIONS})", text)
    sections = {number for listed in lists for number in numbers(listed)}
    items = set(re.findall(r"(?<![\d.$])((?:8|10|13|15|16)\.\d+)\b", text))
    assert sections <= page.sections
    assert items <= set(page.items)


def test_every_mark_names_a_source_that_the_page_lists() -> None:
    legend, _, facts = PAGE.read_text(encoding="utf-8").partition("\n## 1. ")
    marks = re.findall(r"`\[(says|shows|code|seen) ([^\]]+)\]`", facts)
    sources = {name.removeprefix("shows ") for _, names in marks for name in names.split(", ")}
    listed = set(re.findall(r"[\w:]+", " ".join(re.findall(r"(?m)^\| ([^|`]+) \|", legend))))
    listed |= {"js", "templates", "adcreative", "resize"}
    assert len(sources) > 25
    assert sources <= listed
