"""A new upload is easy to follow: it is decided in few large steps, each asked for once, and then carried out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from detag.domain.decisions import count_failures
from detag.domain.images import HEAD_BYTES
from detag.domain.intake import Override
from detag.domain.job import State
from detag.domain.outcomes import NotSent
from detag.ports.runs_fake import tiny_image
from tests.unit.services.harness import Harness

MOST_STAYS, MOST_RETURNS = 26, 16
DECIDING = ("domain/decisions.py", "domain/intake.py", "domain/search.py")
PAGE = (Path(__file__).parents[3] / "docs/architecture.md").read_text(encoding="utf-8")
WALK = PAGE.partition("### An upload becomes a run")[2].partition("###")[0]
SMALL = tiny_image("image/jpeg", b"a shoe")
LARGE = SMALL[:-2] + b"\xff\xda\0\x02" + b"\x55" * (3 * HEAD_BYTES) + b"\xff\xd9"
"""With a scan, so that its last bytes have to be read as well."""


def stays(act: Callable[[], object]) -> list[str]:
    """The services, and the files of decisions, that are entered while something is done: every call counts, also that
    of a property. Calls into one file, one after the other, are one stay there.
    """
    entered: list[str] = []

    def enter(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename.rpartition("/python/detag/")[2]
        counts = file.startswith("services/") or file in DECIDING
        if event == "call" and counts and entered[-1:] != [file]:
            entered.append(file)

    sys.setprofile(enter)
    try:
        act()
    finally:
        sys.setprofile(None)
    return entered


def walk_of(harness: Harness, message: Mapping[str, Any]) -> list[str]:
    """The stays of an upload on its way to Runflow."""
    walk = stays(lambda: harness.send(message))
    assert (harness.job.state, len(harness.runs.runs)) == (State.SUBMITTED, 1)
    return walk


@pytest.mark.parametrize("photo", [SMALL, LARGE], ids=["read at once", "read from both ends"])
def test_a_new_upload_is_passed_around_little(photo: bytes) -> None:
    """Even the first of a day, whose budget has to be opened."""
    harness = Harness()
    walk = walk_of(harness, harness.upload(data=photo))
    assert ("photos.read_tail" in harness.calls) is (photo is LARGE)
    assert 10 < len(walk) <= MOST_STAYS
    assert len(walk) - len(set(walk)) <= MOST_RETURNS


def test_the_walk_passes_through_the_files_on_the_page() -> None:
    """The files between the event and the POST's answer are those that the page lists, and in its order."""
    harness = Harness()
    passed = [file for file in dict.fromkeys(walk_of(harness, harness.upload())) if file.startswith("services/")]
    named = re.findall(r"`(services/\w+\.py)`", WALK)
    assert passed == [file for file in dict.fromkeys(named) if file in passed]
    if_met_before, if_sent_before = {"reuse", "storing"}, {"confirmation", "existing_runs"}
    assert set(named) - set(passed) == {f"services/{name}.py" for name in if_met_before | if_sent_before}


def test_the_page_has_the_limits() -> None:
    told = re.search(r"at\s+most (\d+) times.*?at\s+most (\d+) times", WALK, re.DOTALL)
    assert told is not None and told.groups() == (str(MOST_STAYS), str(MOST_RETURNS))


def test_back_and_forth_is_counted() -> None:
    """From one file to another and back is two stays more; what stays in a file is none."""
    budget, override = Harness().reconcile._budget, Override()

    def alternate() -> None:
        for _ in range(3):
            budget.limit(override)
            budget.price_of(2)
            count_failures(0, NotSent(""))

    assert stays(alternate) == ["services/budget.py", "domain/decisions.py"] * 3
