"""Each transition is made by a decision, and only by those that belong to it; each decision is drawn."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path
from types import FrameType

import detag
from detag.domain import decisions, intake, missed_uploads, search
from detag.domain.decisions import Step
from detag.domain.job import TRANSITIONS
from docs.generate.decisions import SECTIONS, draw

NOT_DRAWN = {"probe", "inconclusive", "drain"}
"""Moves of the intake that are carried out as they are: nothing is decided by them."""
SERVICES = Path(detag.__file__).parent / "services"
AGREED = {
    "defer": {"interrupted"},
    "read_again": {"read again later"},
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
    "ask_for_callback": {"callback asked for again"},
    "deliver_other": {"delivered"},
    "reopen": {"reopened"},
    "take_up": {"reopened"},
    "ask_later": {"asked again later"},
    "go_ahead": {"started over", "unconfirmed"},
    "close_again": {"closed as before"},
    "bill_earlier": {"billed"},
    "wait_for_picture": {"waits for an equal photo"},
    "wake": {"woken"},
    "deliver_copy": {"delivered"},
    "note_run": {"run noted"},
    "match_run": {"run matched"},
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


def test_each_decision_is_drawn() -> None:
    """Each public function of these modules is called by the page."""
    called: set[str] = set()
    modules = (decisions, intake, missed_uploads, search)

    def remember(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename in {module.__file__ for module in modules}:
            called.add(frame.f_code.co_name)

    sys.setprofile(remember)
    try:
        draw()
    finally:
        sys.setprofile(None)
    for module in modules:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
        assert public - called - NOT_DRAWN == set()


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
