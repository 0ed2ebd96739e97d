"""Sixty photos of forty pictures, dropped again and again by the stock `aws` command: forty are paid for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from local.emulator.client import VENVS
from local.processes import wait_until
from local.stack import Stack
from tests.e2e.harness import Harness, number_of, photo

FIRST = 20_000
"""The number of the first picture: no other test draws these."""
EQUAL, ALL = 20, 60


class Folders:
    """A folder of photos, and what becomes of it on a stack."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.harness, self.stack, self.home = Harness(stack), stack, home
        self.folder = home / "photos"
        self.before = int(self.harness.billing()["runs"])

    def paid(self) -> int:
        """How many runs were billed since the beginning."""
        return int(self.harness.billing()["runs"]) - int(self.before)

    def copy(self, folder: Path, name: str) -> None:
        """Upload a folder."""
        command = [str(VENVS / "sam/bin/python"), "-m", "awscli", "s3", "cp", "--recursive", "--only-show-errors"]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home)} | self.stack.env
        target = f"s3://{self.stack.description['input_bucket']}/{name}/"
        subprocess.run([*command, str(folder), target], env=env, check=True, timeout=120)

    def states(self, name: str) -> list[str]:
        """The states of every upload under a name."""
        return sorted(job["state"] for job in self.harness.jobs() if job["key"].startswith(f"{name}/"))

    def closed(self, name: str, expected: list[str]) -> bool:
        """Whether all of them have ended so, at last. A photo that waits for an equal one goes on within a minute."""

        def look() -> bool:
            if self.states(name) != expected:
                self.harness.report()
            return self.states(name) == expected

        return wait_until(look, 120, pause=1.0)

    def shown(self, name: str) -> dict[str, int]:
        """The number in the pixels of each output under a name, by the name of its photo."""
        outputs = {key: data for key, data in self.harness.outputs().items() if key.startswith(f"{name}/")}
        return {key.removeprefix(f"{name}/").removesuffix(".webp"): number_of(data) for key, data in outputs.items()}

    def put(self, key: str, number: int) -> None:
        """Upload one photo."""
        bucket = self.stack.description["input_bucket"]
        self.harness.s3.put_object(Bucket=bucket, Key=key, Body=photo(number))


@pytest.fixture
def folders(stack: Stack, tmp_path: Path) -> Iterator[Folders]:
    made = Folders(stack, tmp_path)
    with closing(made.harness):
        made.harness.admin.post("behaviour", json={"pixels": "reencode"}).raise_for_status()
        yield made
        made.harness.admin.delete("behaviour")


@pytest.mark.timeout(600)
def test_a_folder_dropped_three_times_is_paid_for_once(folders: Folders) -> None:
    """Dropped, dropped again, renamed and dropped; then the outputs are put back among the originals."""
    pictures = ALL - EQUAL
    numbers = {f"{number}.jpg": FIRST + number for number in range(pictures)}
    numbers |= {f"again/{number}.jpg": FIRST + number for number in range(EQUAL)}
    assert len(numbers) == ALL
    for name, number in numbers.items():
        (folders.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folders.folder / name).write_bytes(photo(number))

    folders.copy(folders.folder, "same")
    assert folders.closed("same", ["delivered"] * ALL), folders.states("same")
    assert (folders.paid(), folders.shown("same")) == (pictures, numbers)
    folders.copy(folders.folder, "same")
    assert folders.closed("same", ["delivered"] * 2 * ALL), folders.states("same")
    renamed = folders.folder.rename(folders.home / "renamed photos")
    folders.copy(renamed, "renamed")
    assert folders.closed("renamed", ["delivered"] * ALL), folders.states("renamed")
    assert (folders.paid(), folders.shown("renamed")) == (pictures, numbers)

    back = folders.home / "cleaned"
    shutil.rmtree(back, ignore_errors=True)
    for key, data in folders.harness.outputs().items():
        if key.startswith(("same/", "renamed/")):
            (back / key).parent.mkdir(parents=True, exist_ok=True)
            (back / key).write_bytes(data)
    folders.copy(back, "back")
    assert folders.closed("back", ["skipped"] * 2 * ALL), folders.states("back")
    reasons = {job["reason"] for job in folders.harness.jobs() if job["key"].startswith("back/")}
    assert reasons == {"already_cleaned"}
    assert folders.paid() == pictures
    assert folders.harness.report()["spend_today"]["reused"] >= 2 * ALL + EQUAL
    assert folders.harness.dead_letters() == 0


@pytest.mark.timeout(300)
def test_twenty_racing_copies_of_a_new_picture_are_one_run(folders: Folders) -> None:
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda number: folders.put(f"race/{number}.jpg", FIRST + 100), range(20)))
    assert folders.closed("race", ["delivered"] * 20), folders.states("race")
    assert folders.paid() == 1
    assert set(folders.shown("race").values()) == {FIRST + 100}


@pytest.mark.timeout(300)
def test_a_picture_is_back_under_its_name_after_another(folders: Folders) -> None:
    """A, B and A again: two payments, and A's pixels."""
    for count, number in enumerate((FIRST + 200, FIRST + 201, FIRST + 200), 1):
        folders.put("back and forth/shoe.jpg", number)
        assert folders.closed("back and forth", ["delivered"] * count), folders.states("back and forth")
    assert folders.paid() == 2
    assert folders.shown("back and forth") == {"shoe.jpg": FIRST + 200}
