"""What the page of the job table says is so."""

from __future__ import annotations

import ast
from collections.abc import Callable
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
from detag.domain.job import Illegal, Job, State
from detag.domain.reasons import Reason
from docs.generate import data_model
from docs.generate.data_model import KINDS, Kind
from tests.unit.domain.test_job import MOVES, waiting

SERVICES = Path(__file__).parents[3] / "layers/detag/python/detag/services"
FUNCTIONS = {"submit", "callback", "deliver", "reconcile"}

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
    "since the first claim": lambda job: job.submission_no > 0,
    "since the first run": lambda job: job.run_id is not None or bool(job.earlier_runs),
    "once delivered": lambda job: job.state is State.DELIVERED,
    "while anything is pending": lambda job: bool(job.pending),
    "once closed": lambda job: job.state.terminal,
    "once closed, nothing is pending, and no late result is asked for": lambda job: (
        job.state.terminal and not job.pending and job.ask_at is None
    ),
}
"""Exactly when."""
ONLY_WHEN: dict[str, Callable[[Job], bool]] = {
    "where something needs an explanation": lambda job: job.state is not State.DELIVERED,
    "after a failure for which Runflow has one": lambda job: bool(job.earlier_runs) or job.state is State.FAILED,
    "after a wait, until the run is accepted": lambda job: job.state in (State.WAITING, State.SUBMITTING),
    "from the claim until the run is known, or the submission ends": lambda job: (
        job.submission_no > 0 and not job.state.terminal and job.reason not in (Reason.READY, Reason.RETRY)
    ),
    "since the first decision": lambda job: job.version > 0,
    "since the first claim, where that recorded it": lambda job: job.submission_no > 0,
    "where true": lambda job: job.maybe_submitted or job.partial,
    "while unconfirmed, where a search stopped half-way": lambda job: job.unconfirmed,
    "while unconfirmed, after a search that was put off": lambda job: job.unconfirmed,
    "after a submission without a clear answer": lambda job: job.submission_no > 0,
    "from the claim until nothing more can be delivered, where there is any": lambda job: (
        job.submission_no > 0 and job.state not in (State.DELIVERED, State.SKIPPED, State.SUPERSEDED)
    ),
    "once the run is known, unless it failed and another follows": lambda job: (
        job.state not in (State.WAITING, State.SUBMITTING, State.SKIPPED)
    ),
    "after a run that another one followed or replaced": lambda job: (
        job.attempt + job.expired_urls > 1 or job.state is State.DELIVERED
    ),
    "once a run's callback was asked for again": lambda job: job.submission_no > 0 or job.submitted_at > 0,
    "where it is not the job's own run": lambda job: job.run_id is not None or job.state.terminal,
    "while `done` is about another run than the job's own": lambda job: bool(job.done),
    "once closed, where Runflow gave it": lambda job: job.state.terminal,
    "while something keeps the result from being delivered": lambda job: job.state is State.SUBMITTED,
    "while a late result, or what a run costs, is asked for": lambda job: (
        job.repairable or job.state in (State.DELIVERED, State.SUPERSEDED)
    ),
    "while some of a run's outputs are stored and others are not": lambda job: (
        job.state is State.SUBMITTED or job.repairable
    ),
    "once delivered, where older outputs were left": lambda job: job.state is State.DELIVERED,
    "while money is reserved or spent": lambda job: job.state is not State.WAITING or job.reason is Reason.UNCONFIRMED,
}
"""Then, but not always then."""


def reachable(moves: int) -> list[Job]:
    """One job for each set of attributes and state that so many transitions can lead to."""
    first = waiting()
    found, latest = {_shape(first): first}, [first]
    for _ in range(moves):
        following = [move(job) for job in latest for move in MOVES.values() if _is_legal(move, job)]
        new = {_shape(job): job for job in following if _shape(job) not in found}
        found |= new
        latest = list(new.values())
    return list(found.values())


def _shape(job: Job) -> tuple[object, ...]:
    return (job.state, job.reason, job.maybe_submitted, frozenset(job_item(job)))


def _is_legal(move: Callable[[Job], Job], job: Job) -> bool:
    try:
        move(job)
    except Illegal:
        return False
    return True


def test_an_attribute_is_there_when_the_page_says_so() -> None:
    jobs = reachable(9)
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.method], ids=lambda kind: kind.title)
def test_an_item_is_written_by_the_functions_that_are_named(kind: Kind) -> None:
    """Whoever calls the method is named, and whoever is named calls it, or uses a service that does."""
    named = set(kind.writers.split(", "))
    calling = {path.stem for path in SERVICES.glob("*.py") if kind.method in _called(path)}
    assert calling, kind.method
    assert calling & FUNCTIONS <= named <= FUNCTIONS
    assert all(name in calling or _used(name) & calling for name in named)


def _called(path: Path) -> set[str]:
    """The names of all methods that a module calls."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return {function.attr for function in calls if isinstance(function, ast.Attribute)}


def _used(name: str) -> set[str]:
    """The services that a service uses, directly or not."""
    tree = ast.parse((SERVICES / f"{name}.py").read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    direct = {module.removeprefix("detag.services.") for module in modules if module.startswith("detag.services.")}
    if name == "submit":  # it is given a service for each answer of `resume`
        direct |= {path.stem for path in SERVICES.glob("*.py") if "    def go_on(" in path.read_text(encoding="utf-8")}
    return direct.union(*map(_used, direct - {name}))


def test_what_never_expires_has_no_time_to_live() -> None:
    for kind in KINDS:
        names = {attribute.name for _, attributes in kind.attributes for attribute in attributes}
        assert ("expires_at" in names) is not kind.expires.startswith("never"), kind.title
