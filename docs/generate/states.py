"""The page of states, reasons and transitions: `docs/states.md`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

from detag.domain import job as jobs
from detag.domain.job import CLOSED_ORDER, OPEN_ORDER, TRANSITIONS, State, Transition
from detag.domain.reasons import Group, Reason
from docs.generate import markdown

MEANS: Final = {
    State.WAITING: "It is not its turn yet: it has a reason to wait and a time at which it is due.",
    State.SUBMITTING: "A worker has it under a lease. Body and reservation are on its item; a POST may be in progress.",
    State.SUBMITTED: "Its run has an id. A callback or `reconcile` moves it on.",
    State.DELIVERED: "Its outputs are in the output bucket.",
    State.FAILED: "It cannot be done. A record in `_failed/` says why and what to do.",
    State.CANCELLED: "Somebody cancelled its run at Runflow, which charges for the work done.",
    State.SKIPPED: "The file is not something that detag sends to Runflow. Nothing was paid.",
    State.SUPERSEDED: "The photo is gone, or a newer version has replaced it.",
}

HEAD: Final = """\
# States of a job

<!-- Made by `make generate`: change the table of transitions in layers/detag/python/detag/domain/job.py. -->

A job is one uploaded version of one photo, stored as one item of the job table. Its state changes only through the
transitions below. Each is a pure function of the item as it was read, followed by one conditional write, which replaces
the item only while it still has the version that was read. If money moves, it moves in the same transaction. A worker
that loses such a race reads the item again and continues from there.
"""

RULES: Final = """\
- Every open job has a due time. Every minute `reconcile` handles whatever is due, whether or not there is a message.
- No job leaves a closed state by itself, except for a paid result that comes late: a failed or cancelled job whose
  reason is marked as repairable becomes `delivered` through its own run, and any such job through another paid run of
  its photo.
- A person may have any closed job reopened: to ask Runflow about its runs again, to send what was not charged, or to
  pay for a new run. Each request is carried out once, and passes the same checks, intake and limit as a first
  submission.
- An item keeps the body of its POST, which contains the photo's presigned URL, only until the run has an id, and never
  after the job is closed.
"""


def draw() -> str:
    """The page, as Markdown."""
    parts = (
        HEAD,
        "```mermaid\n" + "\n".join(_diagram()) + "\n```\n",
        RULES,
        "## States\n",
        markdown.table(("state", "means"), ((f"`{state}`", MEANS[state]) for state in State)),
        "## Transitions\n",
        markdown.table(("transition", "from", "to", "by", "when", "does"), map(_transition, TRANSITIONS.values())),
        "## Reasons\n",
        "A waiting job has a reason to wait. `intake`: such photos wait until the paused intake opens, oldest first.\n",
        markdown.table(
            ("waiting for", "intake", "means", "to do"), (_waits(reason) for reason in _reasons(waiting=True))
        ),
        "A closed job that was not delivered says why. `repair`: a late result is still delivered.\n",
        markdown.table(
            ("closed because", "repair", "means", "to do"), (_ended(reason) for reason in _reasons(waiting=False))
        ),
    )
    return "\n".join(parts)


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield "    direction LR"
    yield f"    [*] --> {State.WAITING}"
    arrows: dict[tuple[State, State], list[str]] = {}
    for entry in TRANSITIONS.values():
        for target in entry.targets or filter(None, (entry.target,)):
            for source in entry.sources:
                if target is not source:
                    arrows.setdefault((source, target), []).append(entry.name)
    for (source, target), names in arrows.items():
        yield f"    {source} --> {target}: {', '.join(names)}"
    for state in CLOSED_ORDER:
        yield f"    {state} --> [*]"


def _transition(entry: Transition) -> tuple[str, ...]:
    if entry.sources == OPEN_ORDER:
        sources = "any open"
    elif entry.sources == CLOSED_ORDER:
        sources = "any closed"
    else:
        sources = ", ".join(f"`{state}`" for state in entry.sources)
    does = inspect.cleandoc(getattr(jobs, entry.name).__doc__).replace("\n", " ")
    target = f"`{entry.target}`" if entry.target else "what it was before" if entry.targets else "the same"
    return (f"`{entry.name}`", sources, target, entry.by, entry.when, does)


def _reasons(*, waiting: bool) -> Iterator[Reason]:
    yield from (reason for reason in Reason if (reason.group in WAITING) is waiting)


WAITING: Final = (Group.WAITING, Group.INTAKE)


def _waits(reason: Reason) -> tuple[str, ...]:
    return (f"`{reason}`", "yes" if reason.group is Group.INTAKE else "", reason.means, reason.do)


def _ended(reason: Reason) -> tuple[str, ...]:
    return (f"`{reason}`", "yes" if reason.repairable else "", reason.means, reason.do)
