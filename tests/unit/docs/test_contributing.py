"""CONTRIBUTING.md: its lists of what to change are what a search for their examples finds; its commands exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from docs import generate
from tests.unit.tooling.test_requirements import committed

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SNAPSHOT = "tests/template/snapshot.json"
ELSEWHERE = ("tests/", "benchmarks/")
"""May mention an example, and are not searched."""


@dataclass(frozen=True)
class List:
    """A section of how to add something. Paths are from the repository."""

    title: str
    words: frozenset[str]
    by_hand: frozenset[str]
    generated: frozenset[str]
    tests: tuple[str, ...]
    renews_snapshot: bool


def read(section: str) -> List:
    title, _, text = section.partition("\n")
    example = re.search(r"^Example: (.*)$", text, re.MULTILINE)
    generated = re.search(r"^Then `make generate`: (.*)$", text, re.MULTILINE)
    tests = re.search(r"^Tests: (.*)$", text, re.MULTILINE)
    assert example is not None and tests is not None, title
    return List(
        title,
        frozenset(quoted(example[1])),
        frozenset(re.findall(r"^\d+\. `([^`]+)`: ", text, re.MULTILINE)),
        frozenset(quoted(generated[1]) if generated else ()),
        tuple(quoted(tests[1])),
        f"Renew `{SNAPSHOT}`" in text,
    )


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


LISTS = [read(section) for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]
each_list = pytest.mark.parametrize("one", LISTS, ids=lambda one: one.title)


def is_generated(name: str) -> bool:
    return name in generate.FILES or bool(generate.tables_in((ROOT / name).read_text(encoding="utf-8")))


@cache
def searched() -> dict[str, str]:
    """What is searched: code as it stands, and of the pages what is generated."""
    found = {}
    for path in committed():
        name, data = str(path.relative_to(ROOT)), path.read_bytes()
        if name.startswith(ELSEWHERE) or b"\0" in data:
            continue
        text = data.decode("utf-8")
        if path.suffix == ".md" and name not in generate.FILES:
            text = "\n".join(generate.generated_in(text))
        found[name] = text
    return found


def holding(words: frozenset[str]) -> set[str]:
    """The files that hold any of some words."""
    word = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(words)))})(?![\w-])")
    return {name for name, text in searched().items() if word.search(text)}


def test_it_says_how_to_add_each_thing() -> None:
    assert [one.title for one in LISTS] == [
        "A parameter", "A reason", "A type of output", "A metric with its alarm", "A wait", "A decision",
    ]  # fmt: skip


@each_list
def test_a_list_is_what_a_search_for_its_example_finds(one: List) -> None:
    assert holding(one.words) == one.by_hand | one.generated


@each_list
def test_what_is_generated_is_listed_as_such_and_nothing_else(one: List) -> None:
    assert {name for name in one.generated if not is_generated(name)} == set()
    assert {name for name in one.by_hand if name.endswith(".md")} == set()


@each_list
def test_a_list_names_the_tests_of_its_example(one: List) -> None:
    assert one.tests
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in one.tests}
    if one.title != "A wait":
        assert [name for name, text in texts.items() if not any(word in text for word in one.words)] == []


@each_list
def test_a_list_says_whether_the_snapshot_is_renewed(one: List) -> None:
    words = set(re.findall(r"[\w-]+", (ROOT / SNAPSHOT).read_text(encoding="utf-8")))
    assert one.renews_snapshot == bool(words & one.words)


def test_a_file_that_is_not_listed_would_be_noticed() -> None:
    parameter = LISTS[0]
    assert holding(parameter.words - {"url_seconds"}) < parameter.by_hand | parameter.generated
    assert holding(parameter.words | {"max_attempts"}) > parameter.by_hand | parameter.generated


def test_every_path_in_the_table_of_folders_exists() -> None:
    folders = re.search(r"\| folder \| contents \|\n.*\n((?:\|.*\n)+)", PAGE)
    assert folders is not None
    paths = [path for row in folders[1].splitlines() for path in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_environment_is_there_with_its_requirements() -> None:
    rows = re.findall(r"^\| `\.venv/(\w+)` \| .* \| `([\w/.]+)` \|$", PAGE, re.MULTILINE)
    files = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    assert {name for name, _ in rows} == files
    for name, source in rows:
        assert source == f"requirements/{name}.in"
        assert (ROOT / source).with_suffix(".txt").is_file()


def test_every_layer_of_tests_is_there() -> None:
    rows = re.findall(r"^\| `tests/(\w+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == {path.parent.relative_to(ROOT).parts[1] for path in (ROOT / "tests").rglob("test_*.py")}


def test_every_command_that_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:\w+=\S+ )?make ([a-z]+)", PAGE, re.MULTILINE))
    assert {"test", "check", "generate", "package", "lock"} <= named <= targets
    paths = set(re.findall(r"[ `]((?:bin|tests|docs|requirements|layers)/[\w/.-]+)", PAGE))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    variables = set(re.findall(r"make [a-z]+ ([A-Z]+)=", PAGE))
    assert [name for name in sorted(variables) if f"$${{{name}:" not in MAKEFILE] == []


def test_its_own_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(\s*(?!https?:)([^)#]+)", PAGE)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
