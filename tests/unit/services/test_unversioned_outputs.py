"""An output bucket that keeps no versions: what was replaced is gone, and what is there is reused."""

from __future__ import annotations

import pytest

from detag.ports.runs_fake import tiny_image
from tests.unit.services.harness import Harness

A, B = tiny_image("image/jpeg", b"A"), tiny_image("image/jpeg", b"B")


@pytest.mark.parametrize(
    ("uploads", "paid"),
    [
        ((("shoe.jpg", A), ("shoe.jpg", A)), 1),
        ((("shoe.jpg", A), ("boot.jpg", A)), 1),
        ((("shoe.jpg", A), ("shoe.jpg", B), ("shoe.jpg", A)), 3),
        ((("shoe.jpg", A), ("boot.jpg", A), ("shoe.jpg", B), ("shoe.jpg", A)), 2),
    ],
    ids=["again", "another name", "A, B, A", "A, B, A and another name"],
)
def test_what_is_still_there_is_paid_for_once(uploads: tuple[tuple[str, bytes], ...], paid: int) -> None:
    harness = Harness()
    harness.photos.keeps_versions = False
    for key, data in uploads:
        harness.clean(key, data)
    assert len(harness.runs.runs) == paid
