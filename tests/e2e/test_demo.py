"""`make demo`, as its recipe runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from local.emulator.client import REPOSITORY
from local.samples import SAMPLES
from local.stack.stack import is_up

COMMAND = [sys.executable, "-m", "local.demo"]
FOLDER = REPOSITORY / ".build" / "demo"

# One demo at a time: it has one folder.
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("demo")]


def demo(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--output", str(output), *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_samples_end_as_they_should(tmp_path: Path) -> None:
    done = demo(tmp_path / "out put")

    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out put" / "1"
    for sample in SAMPLES:
        if sample.ends == "delivered":
            original = folder / sample.path
            same = original.suffix == ".webp"
            name = f"{original.stem}.cleaned.webp" if same else f"{original.name}.cleaned.webp"
            with Image.open(original) as before, Image.open(original.with_name(name)) as after:
                assert (after.format, after.size) == ("WEBP", before.size)
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert sheet.width > 1000
    delivered = sum(sample.ends == "delivered" for sample in SAMPLES)
    assert len(re.findall(r"\bdelivered\b", done.stdout)) == delivered
    assert f"{delivered} x $0.14 = ${delivered * 0.14:.2f}" in done.stdout
    assert "mock Runflow on this machine" in done.stdout
    assert "nothing left this machine" in done.stdout
    assert not is_up(FOLDER)


def test_own_photos_may_be_delivered_or_skipped_but_not_fail(tmp_path: Path) -> None:
    mine = tmp_path / "my photos"
    mine.mkdir()
    Image.new("RGB", (320, 200), (40, 90, 160)).save(mine / "plain #1.jpg")
    (mine / "notes.txt").write_text("no photo")
    (mine / "empty.png").touch()

    done = demo(tmp_path / "out", str(mine))

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"plain #1\.jpg +│ delivered", done.stdout)
    assert len(re.findall(r"│ skipped", done.stdout)) == 2
    assert (tmp_path / "out" / "1" / "plain #1.jpg.cleaned.webp").is_file()


def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    in_the_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # where a shell has its commands ignore SIGINT
    process = subprocess.Popen(
        [*in_the_background, *COMMAND, "--output", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "is up" in line:
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)

    assert process.returncode == 130, rest
    assert "nothing is left running" in rest
    assert not is_up(FOLDER)
    alive = subprocess.run(["ps", "-axo", "command"], capture_output=True, text=True, check=True).stdout
    assert str(FOLDER) not in alive


def test_a_wrong_folder_is_said_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    done = demo(tmp_path / "out", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stdout.strip().endswith("nowhere")
    assert time.monotonic() - began < 20
