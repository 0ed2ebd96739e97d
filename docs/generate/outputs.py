"""The names of outputs, by example."""

from __future__ import annotations

from detag.domain.naming import FAILED_RECORDS, SKIPPED_RECORDS, output_key, output_keys, record_keys
from docs.generate import markdown


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
        ["`shoe.jpg`, failed or cancelled", "nothing", f"`{record_keys(FAILED_RECORDS, 'shoe.jpg')[0]}`"],
        ["`shoe.jpg`, skipped", "nothing", f"`{record_keys(SKIPPED_RECORDS, 'shoe.jpg')[0]}`"],
    ]  # fmt: skip
    return markdown.table(["photo", "Runflow gives", "appears in the output bucket as"], rows)
