"""docs/architecture.md: its paths, its walks, its rules of import and the tests that it names are those of the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.checker import INVARIANTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PYTHON = ROOT / "layers/detag/python"
LIBRARY = PYTHON / "detag"
FUNCTIONS = ("submit", "callback", "deliver", "reconcile")
FOLDERS = ("domain", "ports", "services", "adapters")
LINES = 40
NOT_PURE = {"now", "today", "utcnow", "open", "print", "input", "eval", "exec"}
PURE = {
    "__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "functools", "hashlib", "io",
    "itertools", "json", "re", "struct", "types", "typing", "unicodedata", "urllib",
}  # fmt: skip
READERS_OF_HEADERS = {"filetype"}
"""The only library of the domain: it is given bytes, and tells what they are."""


def place(name: str) -> Path:
    """Where a path of the page is."""
    inside = name.partition("/")[0] in FOLDERS or ("/" not in name and name.endswith(".py"))
    return (LIBRARY if inside else ROOT) / name


# What the code is: modules, what they import, what they define


def sources(library: Path = LIBRARY) -> dict[str, Path]:
    """The modules of a library by their full names."""
    found = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """What a file imports, wherever in it: a module of detag by its full name, any other by its package's name."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [one if one in modules else str(node.module) for one in whole]
        found |= {name if name in modules else name.partition(".")[0] for name in names}
    return found


MODULES = sources()


def of_detag(path: Path) -> set[str]:
    return imports(path, MODULES) & set(MODULES)


def kind(module: str) -> str:
    """`domain` for `detag.domain.job`; `app` for `detag.app`."""
    return module.split(".")[1] if "." in module else module


def foreign(path: Path) -> set[str]:
    """The packages that a file imports and that are neither Python's nor ours."""
    return imports(path, MODULES) - set(MODULES) - set(sys.stdlib_module_names)


def functions(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module, by names such as `Submit.handle`; those inside others are theirs."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield owner + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{owner}{node.name}.")


def calls(node: ast.AST) -> Iterator[str]:
    """The names that are called in a piece of code, as they are evaluated: arguments first; what is handed over for
    later, a lambda or a function's name, after the call that it is handed to.
    """
    if not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from calls(child)
        return
    later: list[str] = []
    for given in (*node.args, *(keyword.value for keyword in node.keywords)):
        if isinstance(given, ast.Lambda):
            later += calls(given)
        elif isinstance(given, ast.Name | ast.Attribute):
            later.append(_name(given))
        else:
            yield from calls(given)
    yield from calls(node.func)
    yield _name(node.func)
    yield from later


def called(path: Path) -> set[str]:
    """The names that are called anywhere in a file."""
    return {_name(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# The map


def table() -> dict[str, str]:
    """What may be imported, by folder or file, as the page has it."""
    rows = re.findall(r"^\| `([\w.]+)/?` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    return {name.removesuffix(".py"): allowed for name, allowed in rows}


RULES = {name: set(re.findall(r"`(\w+)`", allowed)) for name, allowed in table().items() if name != "functions"}


def test_the_table_has_every_folder_and_module() -> None:
    assert set(RULES) == {kind(module) for module in MODULES} - {"detag"}
    assert table()["functions"] == "everything but `domain`, `ports` and `services`"
    assert table()["cold_start"] == "nothing"


@pytest.mark.parametrize("module", [module for module in MODULES if "." in module])
def test_a_folder_imports_only_what_it_may(module: str) -> None:
    imported = {kind(name) for name in of_detag(MODULES[module])}
    assert imported - RULES[kind(module)] == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_leaves_the_inside_alone(function: str) -> None:
    imported = {kind(name) for name in of_detag(ROOT / "functions" / function / "handler.py")}
    assert imported & {"domain", "ports", "services"} == set()
    assert {"app", "settings", "cold_start"} <= imported


@pytest.mark.parametrize("module", MODULES)
def test_only_adapters_import_a_library(module: str) -> None:
    """boto3, httpx, Powertools and the rest are out of everybody else's sight."""
    allowed = {"domain": READERS_OF_HEADERS, "wiring": {"certifi"}}
    if kind(module) != "adapters":
        assert foreign(MODULES[module]) - allowed.get(kind(module), set()) == set()


def test_the_map_names_resources_of_the_template() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    resources = set(re.findall(r"^  (\w+):\n(?:    .*\n)*?    Type: AWS::", template, re.MULTILINE))
    diagram, walks = PAGE.partition("The library, from the top down")[0], PAGE.partition("## Three walks")[2]
    drawn = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", diagram.partition("```")[2])) - {"EventBridge"}
    told = set(re.findall(r"`([A-Z][A-Za-z]+)`", walks.partition("## What must stay true")[0]))
    assert {"InputBucket", "UploadRule", "UploadQueue", "JobTable", "HttpApi", "ResultQueue", "OutputBucket"} <= drawn
    assert (drawn | told) - resources == set()


# The walks


@dataclass(frozen=True)
class Stop:
    """One line of a walk."""

    path: Path
    name: str

    @property
    def module(self) -> str:
        return next((module for module, path in MODULES.items() if path == self.path), "")

    @property
    def code(self) -> ast.FunctionDef:
        return dict(functions(tree(self.path).body))[self.name]


def walks() -> list[tuple[Stop, list[Stop]]]:
    """Each function of the walks that calls others, with these in their order."""
    found: list[tuple[Stop, list[Stop]]] = []
    above: list[tuple[Stop, list[Stop]]] = []
    for spaces, path, name in re.findall(r"^( *)- `([\w/.]+)`: `([\w.]+)`", PAGE, re.MULTILINE):
        stop = Stop(place(path), name)
        del above[len(spaces) // 2 :]
        if above:
            above[-1][1].append(stop)
        above.append((stop, []))
        found.append(above[-1])
    return found


def own_protocols(path: Path) -> Iterator[ast.ClassDef]:
    """The protocols of a module."""
    return (node for node in tree(path).body if isinstance(node, ast.ClassDef) and _is_protocol(node))


WALKS = walks()
CALLS = [(caller, under) for caller, under in WALKS if under]


def test_the_walks_are_the_three() -> None:
    begun = [stop.path.parent.name for stop, _ in WALKS if stop.name == "lambda_handler"]
    assert begun == list(FUNCTIONS)
    assert len(WALKS) > 80


@pytest.mark.parametrize("stop", [stop for stop, _ in WALKS], ids=lambda stop: stop.name)
def test_every_function_of_a_walk_is_in_its_file(stop: Stop) -> None:
    assert stop.name in dict(functions(tree(stop.path).body))


@pytest.mark.parametrize(("caller", "under"), CALLS, ids=[caller.name for caller, _ in CALLS])
def test_what_stands_under_a_function_is_called_by_it(caller: Stop, under: list[Stop]) -> None:
    """What stands under a function is called by it, in the order of the page."""
    made = calls(caller.code)
    for stop in under:
        assert stop.name.split(".")[-1] in made, f"{caller.name} does not call {stop.name}, or not in this place"


@pytest.mark.parametrize(("caller", "under"), CALLS, ids=[caller.name for caller, _ in CALLS])
def test_a_call_leads_where_the_page_says(caller: Stop, under: list[Stop]) -> None:
    """The caller's file imports the one that is named; or the port of an adapter. A handler has services from app, and
    so has a service that names, in a protocol of its own, what it calls.
    """
    imported, composed = of_detag(caller.path), of_detag(MODULES["detag.app"])
    if caller.name == "lambda_handler":
        imported |= composed
    own = {name.split(".")[-1] for name, _ in functions([*own_protocols(caller.path)])}
    for stop in under:
        ports = (tree(MODULES[module]).body for module in imported if kind(module) == "ports")
        through = {name.split(".")[-1] for body in ports for name, _ in functions(body)}
        by_port = kind(stop.module) == "adapters" and stop.name.split(".")[-1] in through
        by_protocol = stop.module in composed and stop.name.split(".")[-1] in own
        assert stop.path == caller.path or stop.module in imported or by_port or by_protocol, stop.name


MOST_STOPS = 26
LONGEST_SUBMIT = 250


def test_an_upload_is_easy_to_follow() -> None:
    """From `Submit.handle` to the POST there are few functions to look at, and their home is a short file."""
    names = [stop.name for stop, _ in WALKS]
    between = names[names.index("Submit.handle") + 1 : names.index("RunflowRuns.create")]
    assert 10 < len(between) <= MOST_STOPS
    lines = (LIBRARY / "services/submit.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_SUBMIT


def test_the_order_of_calls_is_that_of_their_evaluation() -> None:
    code = ast.parse("one(two(), three)\nfour(lambda: five())\nif six():\n    self.seven.eight(key=nine())")
    assert list(calls(code)) == ["two", "one", "three", "four", "five", "six", "nine", "eight"]


# The invariants


def named_tests() -> list[tuple[str, str]]:
    found = []
    path = ""
    for one, test in re.findall(r"`(tests/[\w/.]+\.py)`|`(test_\w+)`", PAGE.partition("## What must stay true")[2]):
        path = one or path
        if test:
            found.append((path, test))
    return found


@pytest.mark.parametrize(("path", "test"), named_tests())
def test_every_test_that_it_names_exists(path: str, test: str) -> None:
    assert test in dict(functions(tree(ROOT / path).body))


def test_every_invariant_says_what_keeps_it() -> None:
    points = re.split(r"^\d+\. ", PAGE.partition("## What must stay true")[2], flags=re.MULTILINE)[1:]
    assert 12 <= len(points) <= 20
    assert [point.splitlines()[0] for point in points if "`test_" not in point] == []
    checked = [re.sub(r"\s+", " ", name) for point in points for name in _checked(point)]
    assert len(checked) > 10
    assert set(checked) - set(INVARIANTS) == set()


def _checked(point: str) -> list[str]:
    return re.findall(r"\*([^*]+)\*", point.partition("simulation: ")[2])


def test_every_path_that_it_names_exists() -> None:
    named = set(re.findall(r"`([\w./]+(?:/|\.py|\.yaml))`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not place(name).exists()] == []


@pytest.mark.parametrize("module", [module for module in MODULES if kind(module) == "domain"])
def test_the_domain_is_pure(module: str) -> None:
    """It has no clock, no chance, no file and no network."""
    standard = imports(MODULES[module], MODULES) & set(sys.stdlib_module_names) | {"__future__"}
    assert standard - PURE == set()
    assert called(MODULES[module]) & NOT_PURE == set()


def test_services_are_made_in_app_only() -> None:
    """Wherever a class of the services is called, the services' own small values aside."""
    made = {name: module for module in MODULES if kind(module) == "services" for name in _made(MODULES[module])}
    assert {"Submit", "CallbackHandler", "Deliver", "Reconcile", "Budget", "Outbox", "Steps"} <= set(made)
    makers = {path for path in _code() if called(path) & set(made) and of_detag(path) & set(made.values())}
    assert makers == {LIBRARY / "app.py"}


def test_services_are_put_together_by_keyword() -> None:
    """Of two clocks or buckets in the wrong order no type tells."""
    made = {name for module in MODULES if kind(module) == "services" for name in _made(MODULES[module])}
    calls = [node for node in ast.walk(tree(LIBRARY / "app.py")) if isinstance(node, ast.Call)]
    services = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in made]
    assert len(services) > 10
    assert [ast.unparse(call) for call in services if call.args] == []


def _made(path: Path) -> list[str]:
    """The classes of a module that are made of ports and other services: they write out their `__init__`."""
    return [name.removesuffix(".__init__") for name, _ in functions(tree(path).body) if name.endswith(".__init__")]


def _code() -> Iterator[Path]:
    for folder in ("layers/detag/python", "functions", "local", "benchmarks", "docs", "tests"):
        yield from (ROOT / folder).rglob("*.py")


@pytest.mark.parametrize("module", MODULES)
def test_only_handlers_read_the_environment(module: str) -> None:
    nodes = ast.walk(tree(MODULES[module]))
    assert [node for node in nodes if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")] == []
    assert "os" not in imports(MODULES[module], MODULES) or kind(module) == "adapters"


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules that import themselves, by whatever detour."""
    reached = {module: set(imported) for module, imported in graph.items()}
    for middle in graph:
        for module in graph:
            if middle in reached[module]:
                reached[module] |= reached[middle]
    return [module for module in graph if module in reached[module]]


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: of_detag(path) - {module} for module, path in MODULES.items()}
    assert circles(graph) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]


def long_functions(path: Path) -> list[str]:
    """The functions of a file that are longer than they may be, from `def` to their last line."""
    nodes = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node.name for node in nodes if (node.end_lineno or 0) - node.lineno + 1 > LINES]


def test_no_function_is_long(tmp_path: Path) -> None:
    assert {path.name: long_functions(path) for path in MODULES.values() if long_functions(path)} == {}
    made = tmp_path / "made.py"
    made.write_text("def short():\n" + "    1\n" * 39 + "def long():\n" + "    1\n" * 40, encoding="utf-8")
    assert long_functions(made) == ["long"]


def protocols() -> list[str]:
    """The ports: the modules of `ports/` that define a protocol."""
    files = sorted((LIBRARY / "ports").glob("*.py"))
    return [path.stem for path in files if any(_is_protocol(node) for node in tree(path).body)]


def _is_protocol(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and "Protocol" in [_name(base) for base in node.bases]


@pytest.mark.parametrize("port", [port for port in protocols() if not port.endswith("_fake")])
def test_a_port_has_a_fake_and_a_contract_test(port: str) -> None:
    suite = tree(ROOT / f"tests/contract/test_{port}.py")
    assert (LIBRARY / f"ports/{port}_fake.py").is_file()
    assert any(name.startswith("test_") for name, _ in functions(suite.body))


FIRST = """
import os, sys
sys.path[:0] = sys.argv[1:]

class Watch:
    def find_spec(self, name, *_):
        if name.startswith("detag."):
            print(name)
            sys.stdout.flush()
            os._exit(0)

before = set(sys.modules)
sys.meta_path.insert(0, Watch())
import handler
"""


def first_import(folder: Path) -> str:
    """The first module of detag that a handler imports, in a process of its own."""
    command = [sys.executable, "-I", "-B", "-c", FIRST, str(folder), str(PYTHON)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_first_import_of_a_handler_is_cold_start(function: str, tmp_path: Path) -> None:
    """The first import is seen as it happens: nothing hangs on the alphabet. Sorted otherwise, it would be noticed."""
    folder = ROOT / "functions" / function
    assert first_import(folder) == "detag.cold_start"
    line = "from detag import cold_start  # first: from here to `done` is Lambda's init\n"
    first, _, rest = (folder / "handler.py").read_text(encoding="utf-8").partition(line)
    (tmp_path / "handler.py").write_text(first + "from detag import app\n" + line + rest, encoding="utf-8")
    assert first_import(tmp_path) == "detag.app"
