"""detag without one of its guards: each is taken out of the code as it stands, and put back.

A mutant is a change of one expression, as a person would make it by mistake. It is caught by the invariant that is
named for its guard, in a simulation that the unchanged code passes.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Final

from tests.simulation.scenario import play


@dataclass(frozen=True, slots=True)
class Change:
    """`old` becomes `new` in the body of a function: `detag.services.submit:Submit._send`."""

    place: str
    old: str
    new: str

    @contextmanager
    def made(self) -> Iterator[None]:
        """While the change is made. Raises LookupError where the function does not hold `old` exactly once."""
        function = _function(self.place)
        source = _source(function)
        if source.count(self.old) != 1:
            raise LookupError(f"{self.place} holds {source.count(self.old)} times: {self.old}")
        kept = function.__code__
        function.__code__ = _compiled(function, source.replace(self.old, self.new))
        try:
            yield
        finally:
            function.__code__ = kept


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, what takes it away, and the invariant that notices."""

    guard: str
    invariant: str
    changes: tuple[Change, ...]
    within: int = 100
    """How many simulations it is looked for in."""

    def caught_in(self, likely: int | None = None) -> int | None:
        """The seed of a simulation in which the invariant notices the missing guard, the `likely` one if it does; None
        if there is none.
        """
        seeds: list[int] = [*range(self.within)] if likely is None else [likely, *range(self.within)]
        for seed in seeds:
            with self.alive():
                if self.invariant in {name for name, _ in play(seed, until=self.invariant).broken}:
                    return seed
        return None

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While the guard is missing."""
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change.made())
            yield


def _function(place: str) -> FunctionType:
    module, _, path = place.partition(":")
    found: object = import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    if callable(found):
        found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise LookupError(place)
    return found


def _source(function: FunctionType) -> str:
    """A function's text as Python itself would write it: no comments, single quotes, one line for each statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise LookupError(f"{function.__qualname__}: another change is made to it")
    tree.decorator_list = []
    tree.args.defaults, tree.args.kw_defaults = [], [None] * len(tree.args.kwonlyargs)  # they stay the function's
    return ast.unparse(tree)


def _compiled(function: FunctionType, source: str) -> CodeType:
    """The code of a changed function, with the same names around it."""
    names = function.__code__.co_freevars
    around = ast.parse(f"from __future__ import annotations\ndef around({', '.join(names)}):\n    return 0\n")
    changed = ast.parse(source).body[0]
    outer = around.body[1]
    assert isinstance(changed, ast.FunctionDef) and isinstance(outer, ast.FunctionDef)
    outer.body = [changed, ast.Return(ast.Name(changed.name, ast.Load()))]
    space: dict[str, FunctionType] = {}
    exec(compile(ast.fix_missing_locations(around), function.__code__.co_filename, "exec"), space)
    made: FunctionType = space["around"](*names)
    return made.__code__


def one(guard: str, invariant: str, place: str, old: str, new: str, within: int = 100) -> Mutant:
    """A mutant of one change."""
    return Mutant(guard, invariant, (Change(place, old, new),), within)


DECISIONS: Final = "detag.domain.decisions:"
SUBMIT: Final = "detag.services.submit:Submit."
CONFIRMATION: Final = "detag.services.confirmation:Confirmation."
SUBMISSION: Final = "detag.services.submission:Submission."
SEARCHED: Final = "detag.domain.search:"
SEARCH: Final = SEARCHED + "RunSearch."
REUSE: Final = "detag.services.reuse:Reuse."
DELIVER: Final = "detag.services.deliver:Deliver."
STORING: Final = "detag.services.storing:Storing."
RECONCILE: Final = "detag.services.reconcile:Reconcile."
STORE: Final = "detag.ports.jobs_fake:FakeJobStore."
JOB: Final = "detag.domain.job:"
IMAGES: Final = "detag.domain.images:"
