"""Each transition is made by a decision, and only by those that belong to it; each decision is drawn."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import detag
from detag.domain.decisions import Step
from detag.domain.job import TRANSITIONS
from docs.generate.decisions import SECTIONS

SERVICES = Path(detag.__file__).parent / "services"
AGREED = {
    "defer": {"interrupted"},
    "await_access": {"read again later"},
    "wait_for_intake": {"waits for intake"},
    "release": {"released"},
    "claim": {"sending"},
    "resend": {"sent again"},
    "abandon_claim": {"not sent now"},
    "back_off": {"waits for intake", "sent again later", "awaiting confirmation"},
    "await_confirmation": {"awaiting confirmation"},
    "keep_unconfirmed": {"unconfirmed"},
    "start_over": {"started over"},
    "accept": {"run created"},
    "adopt": {"run adopted"},
    "poll_later": {"asked again later", "delivered later", "goes on later"},
    "retry": {"tried again"},
    "skip": {"not sent"},
    "supersede": {"not sent", "not stored"},
    "fail": {"not sent", "refused", "not tried again", "given up"},
    "ask_again": {"asked again later", "not asked again", "goes on later"},
    "cancel": {"not tried again"},
    "deliver": {"delivered"},
    "extend_due": {"sent to submit", "sent to deliver"},
    "keep_pending": {"sent to deliver", "published later"},
    "published": {"published"},
    "take_over": {"another run taken over"},
    "bill_reserved": {"billed"},
    "deliver_other": {"delivered"},
    "wait_for_picture": {"waits for an equal photo"},
    "wake": {"woken"},
    "deliver_copy": {"delivered"},
}
"""What was agreed: who adds a transition, or a decision that makes one, says so here."""


def drawn() -> list[Step]:
    """Every step on the page of decisions that moves a job."""
    rows = (decided for _, _, rows in SECTIONS for _, _, decided in rows())
    return [decided for decided in rows if isinstance(decided, Step) and decided.move is not None]


def test_each_transition_has_decisions_of_its_own() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for step in drawn():
        assert step.move is not None
        found[step.move.name].add(step.decision)
    assert found == AGREED
    assert set(AGREED) == set(TRANSITIONS)


def test_only_bookkeeping_keeps_the_decision_before_it() -> None:
    """What closed a job stays on its item while that is published."""
    keeping = {step.move.name for step in drawn() if step.move is not None and step.keeps_decision}
    assert keeping == {"keep_pending", "published"}
    assert [step for step in drawn() if step.move and step.move.name in keeping and not step.keeps_decision] == []


def test_services_make_no_transition_and_save_no_job() -> None:
    """All of it is decided in the domain, and carried out in one place."""
    made, saved = [], []
    for path in SERVICES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and node.id in TRANSITIONS:
                made.append(f"{path.name}: {node.id}")
            elif isinstance(node, ast.Attribute) and ast.unparse(node) == "self._jobs.save":
                saved.append(path.name)
    assert made == []
    assert saved == ["steps.py"]
