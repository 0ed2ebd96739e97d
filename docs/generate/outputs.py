"""The names of outputs, by example."""

from __future__ import annotations

from typing import Final

from detag.domain.naming import output_key, output_keys, record_key
from docs.generate import markdown

JOB_ID: Final = "1f3a9c20d4b58e6677aa0b1c2d3e4f50"


def table() -> str:
    """What becomes of names."""
    rows = [
        ["`shoe.jpg`", "a JPEG", f"`{output_key('shoe.jpg', 'image/jpeg', 'image/jpeg')}`"],
        ["`shoe.jpg`", "a WebP", f"`{output_key('shoe.jpg', 'image/jpeg', 'image/webp')}`"],
        ["`shoe.png`", "a WebP", f"`{output_key('shoe.png', 'image/png', 'image/webp')}`"],
        ["`autumn/shoe.jpg`", "two WebPs", " and ".join(
            f"`{output_key('autumn/shoe.jpg', 'image/jpeg', 'image/webp', number)}`" for number in (1, 2)
        )],
        [
            "`shoe.jpg`, where `shoe.jpg.webp` is the output of another photo",
            "a WebP",
            f"`{output_keys('shoe.jpg', 'image/jpeg', 'image/webp', 1)[1]}`",
        ],
        ["`shoe.jpg`, failed or cancelled", "nothing", f"`{record_key('shoe.jpg', JOB_ID)}`"],
    ]  # fmt: skip
    return markdown.table(["photo", "Runflow gives", "appears in the output bucket as"], rows)
