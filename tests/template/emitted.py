"""The metrics that each function emits, read out of the source.

From a function's handler on, every module of the library that it imports is looked at, and of these whatever can be
reached: a name that reached code mentions reaches the functions of that name; a method is reached where its class is
mentioned as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detag.domain.job import TRANSITIONS
from detag.domain.metrics import Metric

TABLE: Final = "detag.domain.metrics"
HTTP: Final = range(200, 600)


@dataclass(frozen=True)
class Code:
    """One function of the library, or what stands outside of any in a module or a class."""

    owner: str | None
    """The class that it is a method of."""
    name: str | None
    """None where it runs whenever its owner is mentioned, or its module imported."""
    node: ast.AST
    module: ast.Module


def emitted(root: Path, function: str) -> set[str]:
    """The names of the metrics that a function ("submit", ...) may emit."""
    reached = list(_reached(root, function))
    return {name for code in reached for name in _metrics(code, function)}


def _metrics(code: Code, function: str) -> Iterator[str]:
    for node in _own(code.node):
        if isinstance(node, ast.Call) and (_counts(node.func) or ast.unparse(node.func) == "Metric"):
            yield from _values(node.args[0], code.module, function)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Metric":
            yield Metric[node.attr].value


def _counts(called: ast.expr) -> bool:
    """Whether this is the `count` of a telemetry, and not that of a text."""
    return isinstance(called, ast.Attribute) and called.attr == "count" and "telemetry" in ast.unparse(called.value)


def _values(name: ast.expr, module: ast.Module, function: str) -> Iterator[str]:
    """What an expression for a metric's name may come to. Nothing for `Metric.X`, or a variable, which was one."""
    if isinstance(name, ast.Constant):
        yield str(name.value)
    elif isinstance(name, ast.JoinedStr):  # a status of HTTP, in the only one that there is
        statuses = (node.value for node in ast.walk(module) if isinstance(node, ast.Constant))
        for status in {str(value) for value in statuses if type(value) is int and value in HTTP}:
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else status for part in name.values)
    elif "state" in ast.unparse(name) and "title()" in ast.unparse(name):  # the state in which a job ends
        for transition in TRANSITIONS.values():
            if transition.target is not None and transition.target.terminal and function in transition.by.split(", "):
                yield transition.target.value.title()


def _reached(root: Path, function: str) -> Iterator[Code]:
    handler = ast.parse((root / "functions" / function / "handler.py").read_text(encoding="utf-8"))
    found: dict[str, ast.Module] = {}
    _follow(root, handler, found)
    waiting = [code for module in found.values() for code in _codes(module)]
    mentioned = _mentions(ast.walk(handler))
    while True:
        now = [code for code in waiting if {code.owner, code.name} - {None} <= mentioned]
        if not now:
            return
        waiting = [code for code in waiting if code not in now]
        for code in now:
            mentioned |= _mentions(_own(code.node))
            yield code


def _follow(root: Path, module: ast.Module, found: dict[str, ast.Module]) -> None:
    """Find the modules of the library that a module imports, directly or not."""
    for node in ast.walk(module):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.module.split(".")[0] != "detag":
            continue
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
            path = root / "layers/detag/python" / (name.replace(".", "/") + ".py")
            if path.is_file() and name not in found and name != TABLE:
                found[name] = ast.parse(path.read_text(encoding="utf-8"))
                _follow(root, found[name], found)


def _codes(module: ast.Module) -> Iterator[Code]:
    yield Code(None, None, module, module)
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield Code(None, node.name, node, module)
        elif isinstance(node, ast.ClassDef):
            yield Code(node.name, None, node, module)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    special = inner.name.startswith("__")
                    yield Code(node.name, None if special else inner.name, inner, module)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a piece of code itself: of a module or a class, not what its functions and classes hold."""
    inside = isinstance(node, ast.FunctionDef)
    for child in ast.iter_child_nodes(node):
        if inside or not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield child
            yield from ast.walk(child)


def _mentions(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, ast.Name | ast.Attribute)
    }
