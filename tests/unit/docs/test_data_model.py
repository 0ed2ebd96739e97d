"""What the page of the job table says is so."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from detag.adapters.job_items import (
    ALWAYS,
    DERIVED_ATTRIBUTES,
    JOB_ATTRIBUTES,
    RESERVATION_ATTRIBUTES,
    UPLOAD_ATTRIBUTES,
    job_item,
)
from detag.domain.job import TRANSITIONS, Illegal, Job, State
from detag.domain.reasons import Reason
from detag.ports.items import moved_money
from docs.generate import data_model
from docs.generate.data_model import KINDS, Kind
from tests.unit.domain.test_job import MOVES, waiting

SERVICES = Path(__file__).parents[3] / "layers/detag/python/detag/services"
DECISIONS = [SERVICES.parent / f"domain/{module}.py" for module in ("decisions", "search")]
STORE = "self._jobs."
FUNCTIONS = {"submit", "callback", "deliver", "reconcile"}
IF_THE_STEP_SAYS_SO = ("pause", "probed")
"""What `Steps.take` does with the intake for a decision that says so, which not every function can come to."""
IF_IT_CLOSES_JOBS = ("prepare", "publish")
"""What `Steps.take` does with the outbox, which a function that closes no job is put together without."""

WHEN: dict[str, Callable[[Job], bool]] = {
    ALWAYS: lambda job: True,
    "where the bucket has versions": lambda job: job.upload.version_id is not None,
    "where the event has one": lambda job: job.upload.etag != "",
    "where the event's key was URL-encoded": lambda job: job.upload.event_key is not None,
    "while waiting; once closed, unless delivered": lambda job: (
        job.state is State.WAITING or (job.state.terminal and job.state is not State.DELIVERED)
    ),
    "while open, anything is pending, or a late result is asked for": lambda job: (
        not job.state.terminal or bool(job.pending) or job.ask_at is not None
    ),
    "while submitting": lambda job: job.state is State.SUBMITTING,
    "since the first claim": lambda job: job.claimed_at > 0,
    "once delivered": lambda job: job.state is State.DELIVERED or (bool(job.requests) and bool(job.outputs)),
    "while anything is pending": lambda job: bool(job.pending),
    "once closed": lambda job: job.state.terminal,
    "once closed, nothing is pending, and no late result is asked for": lambda job: (
        job.state.terminal and not job.pending and job.ask_at is None
    ),
}
"""Exactly when."""
ONLY_WHEN: dict[str, Callable[[Job], bool]] = {
    "since the first run": lambda job: job.run_id is not None or bool(job.earlier_runs),
    "where something needs an explanation": lambda job: job.state is not State.DELIVERED,
    "after a failure for which Runflow has one": lambda job: (
        bool(job.earlier_runs or job.requests) or job.state is State.FAILED
    ),
    "after a wait, until the run is accepted": lambda job: job.state in (State.WAITING, State.SUBMITTING),
    "from the claim until the run is known, or the submission ends": lambda job: (
        job.submission_no > 0 and not job.state.terminal and job.reason not in (Reason.READY, Reason.RETRY)
    ),
    "since the first decision": lambda job: job.version > 0,
    "since the first claim, where that recorded it": lambda job: job.submission_no > 0,
    "where true": lambda job: job.maybe_submitted or job.partial,
    "once it has ended before, with a run that was or may have been charged": lambda job: (
        bool(job.requests) or job.state.terminal
    ),
    "while unconfirmed, where a search stopped half-way": lambda job: job.unconfirmed,
    "while unconfirmed or reopened, after a search that was put off": lambda job: (
        job.unconfirmed or job.reason is Reason.REOPENED
    ),
    "after a submission without a clear answer": lambda job: job.submission_no > 0,
    "from the claim until nothing more can be delivered, where there is any": lambda job: (
        job.submission_no > 0 and job.state is not State.DELIVERED
    ),
    "once the run is known, unless it failed and another follows": lambda job: (
        job.state not in (State.WAITING, State.SUBMITTING, State.SKIPPED)
    ),
    "after a run that another one followed or replaced": lambda job: (
        job.attempt + job.expired_urls > 1 or job.state.terminal or bool(job.requests)
    ),
    "after requests without a clear answer, until there is a run": lambda job: job.submission_no > 0,
    "after a 429, until another answer": lambda job: job.submission_no > 0,
    "after a callback of a run that Runflow did not show": lambda job: job.version > 0,
    "once a run's callback was asked for again": lambda job: job.submission_no > 0 or job.submitted_at > 0,
    "where it is not the job's own run": lambda job: job.run_id is not None or job.state.terminal,
    "while `done` is about another run than the job's own": lambda job: bool(job.done),
    "since it was claimed or met an equal photo, where results are reused": lambda job: job.version > 0,
    "once delivered as a copy": lambda job: job.state is State.DELIVERED or bool(job.requests),
    "where a result was known and is not used": lambda job: job.submission_no > 0,
    "once delivered, exactly as S3 has them": lambda job: job.state is State.DELIVERED or bool(job.requests),
    "since the first claim that took a picture": lambda job: job.submission_no > 0,
    "since the claim that took that picture": lambda job: job.submission_no > 0,
    "once closed, where Runflow gave it": lambda job: job.state.terminal,
    "while something keeps the result from being delivered": lambda job: job.state is State.SUBMITTED,
    "while a late result, or what a run costs, is asked for": lambda job: job.state.terminal and job.version > 0,
    "while some of a run's outputs are stored and others are not": lambda job: (
        job.state is State.SUBMITTED or job.repairable
    ),
    "once delivered, where older outputs were left": lambda job: job.state is State.DELIVERED or bool(job.requests),
    "while money is reserved or spent": lambda job: (
        job.state is not State.WAITING or job.unconfirmed or bool(job.requests)
    ),
    "once reopened": lambda job: bool(job.requests),
    "while reopened": lambda job: bool(job.requests) and not job.state.terminal,
    "once reopened, where earlier runs were or may have been charged": lambda job: bool(job.requests),
    "once a new run was asked for in place of another's result": lambda job: bool(job.requests),
    "once a new run was asked for, until it is sent unpaid": lambda job: bool(job.requests),
    "once a run is known to be of the latest claim": lambda job: job.run_id is not None or bool(job.earlier_runs),
}
"""Then, but not always then."""


def reachable(moves: int) -> list[Job]:
    """One job for each set of attributes and state that so many transitions can lead to."""
    first = waiting()
    found, latest = {_shape(first): first}, [first]
    for _ in range(moves):
        new: dict[tuple[object, ...], Job] = {}
        for following in _following(latest):
            shape = _shape(following)
            if shape not in found:
                new[shape] = following
        found |= new
        latest = list(new.values())
    return list(found.values())


def _following(jobs: list[Job]) -> Iterator[Job]:
    for job in jobs:
        for move in MOVES.values():
            with suppress(Illegal):
                yield move(job)


def _shape(job: Job) -> tuple[object, ...]:
    return (job.state, job.reason, job.maybe_submitted, frozenset(job_item(job)))


def _is_legal(move: Callable[[Job], Job], job: Job) -> bool:
    try:
        move(job)
    except Illegal:
        return False
    return True


@pytest.mark.sized
def test_an_attribute_is_there_when_the_page_says_so(full_size: bool) -> None:
    jobs = reachable(9 if full_size else 7)
    assert {job.state for job in jobs} == set(State)
    attributes = (*DERIVED_ATTRIBUTES, *UPLOAD_ATTRIBUTES, *JOB_ATTRIBUTES, *RESERVATION_ATTRIBUTES)
    assert {attribute.when for attribute in attributes} == {*WHEN, *ONLY_WHEN}
    for job in jobs:
        item = job_item(job)
        for attribute in attributes:
            if attribute.when in WHEN:
                assert (attribute.name in item) is WHEN[attribute.when](job), (attribute.name, job)
            elif attribute.name in item:
                assert ONLY_WHEN[attribute.when](job), (attribute.name, job)


def test_every_attribute_is_explained() -> None:
    for kind in KINDS:
        assert kind.about.endswith(".") and kind.expires.endswith(".")
        for row in data_model._rows(kind):
            assert row[3].endswith("."), row


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.methods], ids=lambda kind: kind.title)
def test_an_item_is_written_by_the_functions_that_are_named(kind: Kind) -> None:
    """Each calls a method that writes the item, itself or through the services that it uses; no other function does."""
    writing = {name for name in FUNCTIONS if {f"jobs.{method}" for method in kind.methods} & _reached(name)}
    assert set(kind.writers.split(", ")) == writing


def test_whoever_moves_money_is_named_as_a_writer_of_budgets() -> None:
    """Saving a job writes a day's budget as well, where what is reserved for the job changes."""
    (budget,) = (kind for kind in KINDS if kind.pk.startswith("day#"))
    moving = {
        name
        for job in reachable(4)
        for name, move in MOVES.items()
        if _is_legal(move, job) and moved_money(job.reservations, move(job).reservations)
    }
    assert {"claim", "start_over", "fail", "bill_reserved"} <= moving
    assert {one for name in moving for one in TRANSITIONS[name].by.split(", ")} == set(budget.writers.split(", "))


def _reached(name: str) -> set[str]:
    """The names of all functions that a service calls, itself or through those of its own and of services it uses."""
    modules = [SERVICES / f"{one}.py" for one in (name, *_used(name))]
    bodies = _bodies(*DECISIONS, *modules)
    found = _from(_called(_tree(modules[0])), bodies)
    pausing = any(_says_to_pause(body) for one in found for body in bodies.get(one, ()))
    left_out = (() if pausing else IF_THE_STEP_SAYS_SO) + (() if _closes_jobs(name) else IF_IT_CLOSES_JOBS)
    bodies = {one: found for one, found in bodies.items() if one not in left_out}
    return _from(_called(_tree(modules[0])), bodies)


def _from(calls: set[str], bodies: dict[str, list[ast.AST]]) -> set[str]:
    found: set[str] = set()
    while calls:
        found |= calls
        calls = {call for one in calls for body in bodies.get(one, ()) for call in _called(body)} - found
    return found


def _bodies(*paths: Path) -> dict[str, list[ast.AST]]:
    found: dict[str, list[ast.AST]] = {}
    for node in (node for path in paths for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef)):
        found.setdefault(node.name, []).append(node)
    return found


def _closes_jobs(name: str) -> bool:
    (composed,) = _bodies(SERVICES.parent / "app.py")[name]
    return "_steps(jobs, clock, telemetry, None)" not in ast.unparse(composed)


def _says_to_pause(body: ast.AST) -> bool:
    return any(isinstance(node, ast.keyword) and node.arg == "pauses" for node in ast.walk(body))


def _called(tree: ast.AST) -> set[str]:
    """The names of all functions and methods that are called in a piece of code; `jobs.` before those of the store."""
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {name.removeprefix("self._") if name.startswith(STORE) else name.rpartition(".")[2] for name in called}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _used(name: str) -> set[str]:
    """The services that a service uses, directly or not."""
    tree = _tree(SERVICES / f"{name}.py")
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    direct = {module.removeprefix("detag.services.") for module in modules if module.startswith("detag.services.")}
    return direct.union(*map(_used, direct - {name}))


def test_what_never_expires_has_no_time_to_live() -> None:
    for kind in KINDS:
        names = {attribute.name for _, attributes in kind.attributes for attribute in attributes}
        assert ("expires_at" in names) is not kind.expires.startswith("never"), kind.title
