"""The names of outputs, by example."""

from __future__ import annotations

from detag.domain.naming import FAILED_RECORDS, SKIPPED_RECORDS, Naming
from docs.generate import markdown


def table() -> str:
    """What becomes of names."""
    names, replacing = Naming(), Naming(replaces=True)
    rows = [
        ["`shoe.jpg`", "a JPEG", f"`{names.output_keys('shoe.jpg', 'image/jpeg')[0]}`"],
        ["`shoe.jpg`", "a WebP", f"`{names.output_keys('shoe.jpg', 'image/webp')[0]}`"],
        ["`shoe.png`", "a WebP", f"`{names.output_keys('shoe.png', 'image/webp')[0]}`"],
        ["`autumn/shoe.jpg`", "two WebPs", " and ".join(
            f"`{names.output_keys('autumn/shoe.jpg', 'image/webp', number)[0]}`" for number in (1, 2)
        )],
        [
            "`shoe.jpg`, where `shoe.jpg.webp` is the output of another photo",
            "a WebP",
            f"`{names.output_keys('shoe.jpg', 'image/webp')[1]}`",
        ],
        [
            "`shoe.jpg`, where OutputName is replace",
            "a WebP",
            f"`{replacing.output_keys('shoe.jpg', 'image/webp')[0]}`",
        ],
        ["`shoe.jpg`, failed or cancelled", "nothing", f"`{names.record_keys(FAILED_RECORDS, 'shoe.jpg')[0]}`"],
        ["`shoe.jpg`, skipped", "nothing", f"`{names.record_keys(SKIPPED_RECORDS, 'shoe.jpg')[0]}`"],
    ]  # fmt: skip
    return markdown.table(["photo", "Runflow gives", "appears in the output bucket as"], rows)
