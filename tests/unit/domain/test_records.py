"""What a record says first."""

from __future__ import annotations

import re

import pytest

from detag.domain.job import Job, State, Upload
from detag.domain.reasons import Group, Reason
from detag.domain.records import text_of

STATES = {Group.FAILED: State.FAILED, Group.CANCELLED: State.CANCELLED, Group.SKIPPED: State.SKIPPED}
UPLOAD = Upload("in", "shoe.jpg", "v1", "01", "e1", 1_000, 1_795_453_200.0)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.group in STATES])
def test_the_first_line_of_a_record_is_one_sentence(reason: Reason) -> None:
    text = text_of(Job(upload=UPLOAD, state=STATES[reason.group], reason=reason))
    happened, _, rest = text.partition("\n\n")
    assert re.findall(r"\.(?= [A-Z]|$)", happened.splitlines()[0]) == ["."]
    assert " ".join(happened.splitlines()) == reason.means
    assert rest.startswith(f"What to do: {reason.do}\n\n")


def test_a_record_needs_no_engineer_to_be_read() -> None:
    """No first line speaks of what a shop owner never saw: a stack, a prefix, a parameter."""
    for reason in (reason for reason in Reason if reason.group in STATES):
        text = text_of(Job(upload=UPLOAD, state=STATES[reason.group], reason=reason))
        first = text.splitlines()[0]
        assert not re.search(r"(?i:\bstack|prefix|bucket|parameter)|[a-z][A-Z]", first), first


def test_upload_it_again_is_said_only_where_it_can_help() -> None:
    said = {reason for reason in Reason if re.search(r"(?i)\bupload (it|the original) again\b", reason.do)}
    assert said == {
        Reason.EMPTY,
        Reason.TRUNCATED,
        Reason.END_NOT_SEEN,
        Reason.DELETED,
        Reason.UNUSABLE_NAME,
        Reason.INVALID_ASPECT_RATIO,
    }
