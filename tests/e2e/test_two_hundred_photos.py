"""Two hundred photos at once, by the stock `aws` command: each comes out under its name, with its own pixels, once."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from contextlib import ExitStack, closing
from decimal import Decimal
from itertools import cycle
from pathlib import Path

import pytest

from local.emulator.client import VENVS
from local.processes import wait_until
from local.stack import Stack
from tests.e2e.harness import Harness, number_of, photo

COUNT = 200
FIRST = 10_000
"""The number of the first photo: no other test draws these."""
ODD = (
    "shoe {}.jpg",
    "shoe {}.png",
    "deep/er/and deeper/{}.jpg",
    " lead and trail {} .jpg ",
    "100% + {} & more=#?.jpg",
    "a%2Fb%20{}.jpg",
    "crème brûlée {} 🍮.jpg",
    "line\nbreak {}.jpg",
    'quote\'s "{}" <b>.jpg',
    "商品-{}",
)


@pytest.mark.timeout(240)
def test_two_hundred_photos_dropped_at_once(stack: Stack, tmp_path: Path) -> None:
    """Two hundred photos dropped at once come out as themselves, and are billed once each."""
    folder = tmp_path / "my photos"
    # Numbers in pairs: x.jpg is beside x.png.
    numbers = {name.format(number // 2): FIRST + number for number, name in zip(range(COUNT), cycle(ODD), strict=False)}
    assert len(numbers) == COUNT
    for name, number in numbers.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo(number))

    with ExitStack() as after:
        harness = after.enter_context(closing(Harness(stack)))
        harness.admin.post("behaviour", json={"pixels": "reencode"}).raise_for_status()
        after.callback(lambda: harness.admin.delete("behaviour"))
        before = harness.billing()
        command = [str(VENVS / "sam/bin/python"), "-m", "awscli", "s3", "cp", "--recursive", "--only-show-errors"]
        target = f"s3://{stack.description['input_bucket']}/two hundred/"
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | stack.env
        subprocess.run([*command, folder, target], env=env, check=True, timeout=120)

        keys = {f"two hundred/{name}": number for name, number in numbers.items()}
        assert wait_until(
            lambda: Counter(job["state"] for job in harness.jobs() if job["key"] in keys) == {"delivered": COUNT},
            120,
            pause=0.5,
        ), Counter(job["state"] for job in harness.jobs() if job["key"] in keys)

        outputs = {key: data for key, data in harness.outputs().items() if key.startswith("two hundred/")}
        assert {key.removesuffix(".webp"): number_of(data) for key, data in outputs.items()} == keys
        billed = harness.billing()
        assert billed["runs"] - before["runs"] == COUNT
        assert Decimal(billed["total"]) - Decimal(before["total"]) == COUNT * Decimal("0.14")
        assert harness.dead_letters() == 0
