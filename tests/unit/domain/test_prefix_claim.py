"""Which stack may clean the photos of a folder."""

from __future__ import annotations

import pytest

from detag.domain.prefix_claim import Claim, claims_text, own, read_claims, renewed, rival

NOW = 1_795_431_600.0
DAY = 86_400.0
A, B = "111122223333/eu-central-1/a", "111122223333/eu-central-1/b"


def test_claims_are_read_as_they_were_written() -> None:
    claims = (Claim(A, "größe/a b/", NOW), Claim(B, "", NOW - 1.5))
    assert read_claims(claims_text(claims)) == claims


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"stacks": 1}', '{"stacks": [{}]}', '{"stacks": [1]}', "null", "\x00"]
)
def test_what_is_no_list_of_stacks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_claims(text)


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
    assert renewed(claims, B, "photos/", now=NOW + 2 * DAY) == (Claim(B, "photos/", NOW + 2 * DAY),)


def test_a_stack_has_one_claim() -> None:
    """A stack that moves to another folder leaves the first; under its old name it has what it had."""
    claims = renewed(renewed((), A, "photos/", now=NOW), A, "other/", now=NOW)
    assert own(claims, A, "photos/", now=NOW) is None
    assert own(claims, A, "other/", now=NOW) == Claim(A, "other/", NOW)


def test_two_claims_to_one_folder_are_nobodys() -> None:
    """However they came there: each stack would pay for every photo."""
    claims = (Claim(A, "photos/", NOW), Claim(B, "photos/", NOW))
    assert own(claims, A, "photos/", now=NOW) is None
    assert own(claims, B, "photos/", now=NOW) is None
