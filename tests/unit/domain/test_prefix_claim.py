"""Which stack may clean the photos of a folder."""

from __future__ import annotations

import json

import pytest

from detag.domain.prefix_claim import Claim, claims_text, own, read_claims, renewed, rival, why_not_yet
from detag.domain.waits import CLAIM_IN_FORCE, CLAIM_TRUSTED, CLOCK_SKEW, SUBMIT_TIMEOUT

NOW = 1_795_431_600.0
DAY = 86_400.0
CLAIM = '{"stacks": [{"stack": "a", "prefix": "", "renewed_at": %s}]}'
A, B = "111122223333/eu-central-1/a", "111122223333/eu-central-1/b"


def test_claims_are_read_as_they_were_written() -> None:
    claims = (Claim(A, "größe/a b/", NOW, NOW - DAY, NOW - 9 * DAY), Claim(B, "", NOW - 1.5, NOW - 1.5))
    assert read_claims(claims_text(claims), now=NOW) == claims


def test_a_claim_of_an_older_version_is_as_old_as_it_says() -> None:
    text = json.dumps({"stacks": [{"stack": A, "prefix": "", "renewed_at": NOW - 60.0}]})
    assert read_claims(text, now=NOW) == (Claim(A, "", NOW - 60.0, NOW - 60.0),)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"stacks": 1}', '{"stacks": [{}]}', '{"stacks": [1]}', "null", "\x00", "[" * 100_000]
    + [CLAIM % time for time in ("9" * 400, "9" * 5_000, "1e999", "Infinity", "-Infinity", "NaN", "null", '"x"')]
    + ['{"stacks": [{"stack": 1, "prefix": "", "renewed_at": 1}]}', CLAIM % '1, "prefix": ["a"]']
    + [CLAIM % '1, "prefix": "\\ud800"', CLAIM % '1, "claimed_at": Infinity', CLAIM % '1, "since": NaN'],
    ids=lambda text: text[:70],
)
def test_what_is_no_list_of_stacks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_claims(text, now=NOW)


@pytest.mark.parametrize("name", ["renewed_at", "claimed_at", "since"])
def test_no_claim_is_from_the_future(name: str) -> None:
    """It would be believed for longer than one that is made now; clocks may differ a little."""
    latest = NOW + CLOCK_SKEW + (CLAIM_IN_FORCE.seconds if name == "since" else 0.0)
    for time, known in ((latest, True), (latest + 1.0, False)):
        text = json.dumps({"stacks": [{"stack": A, "prefix": "", "renewed_at": NOW, name: time}]})
        if known:
            assert len(read_claims(text, now=NOW)) == 1
        else:
            with pytest.raises(ValueError, match="future"):
                read_claims(text, now=NOW)


@pytest.mark.parametrize("other", ["", "photos/", "photos/a/"])
def test_folders_that_overlap_have_one_stack(other: str) -> None:
    claims = renewed((), A, "photos/", now=NOW)
    assert own(claims, A, "photos/", now=NOW) is not None
    found = rival(claims, B, other, now=NOW)
    assert found is not None
    assert (found.stack, found.prefix) == (A, "photos/")


@pytest.mark.parametrize("other", ["photo/", "photos b/", "b/photos/"])
def test_folders_side_by_side_have_a_stack_each(other: str) -> None:
    claims = renewed(renewed((), A, "photos/", now=NOW), B, other, now=NOW)
    assert own(claims, A, "photos/", now=NOW) is not None
    assert own(claims, B, other, now=NOW) is not None


def test_a_claim_lapses_after_two_days() -> None:
    claims = renewed((), A, "photos/", now=NOW)
    assert rival(claims, B, "photos/", now=NOW + 2 * DAY - 1.0) is not None
    assert rival(claims, B, "photos/", now=NOW + 2 * DAY) is None
    assert own(claims, A, "photos/", now=NOW + 2 * DAY) is None
    after = renewed(claims, B, "photos/", now=NOW + 2 * DAY)
    assert after == (Claim(B, "photos/", NOW + 2 * DAY, NOW + 2 * DAY, since=NOW + DAY),)


def test_a_renewal_leaves_what_else_a_claim_says() -> None:
    first = renewed((Claim(A, "photos/", NOW - 3 * DAY, NOW - 9 * DAY),), B, "photos/", now=NOW)
    assert renewed(first, B, "photos/", now=NOW + DAY) == (Claim(B, "photos/", NOW + DAY, NOW, since=NOW - 2 * DAY),)


def test_a_lapsed_claim_is_made_anew() -> None:
    """It waits as a new one does, and still leaves the photos of the stack before it."""
    claims = (Claim(B, "photos/", NOW - 3 * DAY, NOW - 9 * DAY, since=NOW - 8 * DAY),)
    assert renewed(claims, B, "photos/", now=NOW) == (Claim(B, "photos/", NOW, NOW, since=NOW - 8 * DAY),)


def test_photos_are_left_to_whoever_may_have_paid() -> None:
    """The last one that had the folder, whatever became of its claim; side by side, nobody had it."""
    lapsed = (Claim(A, "photos/a/", NOW - 3 * DAY, 0.0), Claim("c", "", NOW - 4 * DAY, 0.0))
    for claims, was_taken, since in (
        (lapsed, False, NOW - 2 * DAY),
        ((), True, NOW + CLAIM_IN_FORCE.seconds),
        ((), False, 0.0),
        ((Claim(A, "other/", NOW - 3 * DAY, 0.0),), False, 0.0),
    ):
        assert renewed(claims, B, "photos/", now=NOW, was_taken=was_taken)[-1].since == since


def test_a_claim_pays_once_no_other_is_trusted() -> None:
    """From then on, until it is due for long, whatever the clocks say."""
    assert CLAIM_IN_FORCE.seconds >= CLAIM_TRUSTED.seconds + SUBMIT_TIMEOUT + CLOCK_SKEW
    claim = Claim(A, "", NOW, NOW)
    assert why_not_yet(None, now=NOW) is not None
    assert why_not_yet(claim, now=NOW + CLAIM_IN_FORCE.seconds - 1.0) is not None
    assert why_not_yet(claim, now=NOW + CLAIM_IN_FORCE.seconds) is None
    assert why_not_yet(claim, now=NOW + DAY - SUBMIT_TIMEOUT - CLOCK_SKEW - 1.0) is None
    assert why_not_yet(claim, now=NOW + DAY - SUBMIT_TIMEOUT - CLOCK_SKEW) is not None


def test_a_stack_has_one_claim() -> None:
    """A stack that moves to another folder leaves the first; under its old name it has what it had."""
    claims = renewed(renewed((), A, "photos/", now=NOW), A, "other/", now=NOW)
    assert own(claims, A, "photos/", now=NOW) is None
    assert own(claims, A, "other/", now=NOW) == Claim(A, "other/", NOW, NOW)


def test_two_claims_to_one_folder_are_nobodys() -> None:
    """However they came there: each stack would pay for every photo."""
    claims = (Claim(A, "photos/", NOW, 0.0), Claim(B, "photos/", NOW, 0.0))
    assert own(claims, A, "photos/", now=NOW) is None
    assert own(claims, B, "photos/", now=NOW) is None
