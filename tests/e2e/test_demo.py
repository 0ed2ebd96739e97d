"""`make demo`, as its recipe runs it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from local.emulator.client import REPOSITORY
from local.samples import SAMPLES
from local.stack.stack import is_up

COMMAND = [sys.executable, "-m", "local.demo"]

pytestmark = pytest.mark.timeout(240)


def folder_in(said: str) -> Path:
    """Where a demo says that its stack is: each that runs has a folder of its own."""
    (logs,) = re.findall(r"^Logs: (.+)/logs$", said, re.MULTILINE)
    return REPOSITORY / str(logs)


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
    assert len(re.findall(r"│ delivered ", done.stdout)) == delivered
    assert f"{delivered} x $0.14 = ${delivered * 0.14:.2f}" in done.stdout
    assert "mock Runflow on this machine" in done.stdout
    assert "nothing left this machine" in done.stdout
    assert (
        f"All {len(SAMPLES)} files ended as expected: {delivered} delivered, {len(SAMPLES) - delivered} skipped"
        in done.stdout
    )
    assert not is_up(folder_in(done.stdout))


def test_own_photos_are_delivered_skipped_or_told(tmp_path: Path) -> None:
    mine = tmp_path / "my photos"
    mine.mkdir()
    Image.new("RGB", (320, 200), (40, 90, 160)).save(mine / "plain #1.jpg")
    (mine / "notes.txt").write_text("no photo")
    (mine / "empty.png").touch()
    long = "n" * 250 + ".jpg"
    Image.new("RGB", (200, 200), (90, 40, 160)).save(mine / long)
    whole = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(whole, "PNG")
    damaged = bytearray(whole.getvalue())
    damaged[len(damaged) // 2 :: 97] = bytes(len(damaged[len(damaged) // 2 :: 97]))
    damaged[-12:] = whole.getvalue()[-12:]  # it ends as it should
    (mine / "damaged.png").write_bytes(damaged)

    done = demo(tmp_path / "out", str(mine))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert re.search(r"plain #1\.jpg +│ delivered", done.stdout)
    assert len(re.findall(r"│ skipped", done.stdout)) == 2
    assert (tmp_path / "out" / "1" / "plain #1.jpg.cleaned.webp").is_file()
    assert len(list((tmp_path / "out" / "1").glob("nnn*~*.cleaned.webp"))) == 1
    assert "damaged.png could not be cleaned: " in done.stdout
    assert "All 5 files ended as expected: 2 delivered, 1 failed, 2 skipped" in done.stdout


def test_two_demos_at_once_do_not_meet(tmp_path: Path) -> None:
    mine = tmp_path / "shoe.jpg"
    Image.new("RGB", (320, 200), (40, 90, 160)).save(mine)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: demo(tmp_path / "out", str(mine)), range(2)))

    assert [done.returncode for done in both] == [0, 0], "\n".join(done.stdout + done.stderr for done in both)
    assert len({folder_in(done.stdout) for done in both}) == 2
    for done in both:
        (results,) = re.findall(r"^Photos and outputs: (.+)$", done.stdout, re.MULTILINE)
        assert (Path(results) / "shoe.jpg.cleaned.webp").is_file()
        assert "The only file ended as expected: 1 delivered" in done.stdout


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
    said = ""
    for line in process.stdout:
        said += line
        if "is up" in line:
            break
    folder = folder_in(said)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)

    assert process.returncode == 130, rest
    assert "nothing is left running" in rest
    assert not is_up(folder)
    alive = subprocess.run(["ps", "-axo", "command"], capture_output=True, text=True, check=True).stdout
    assert f"{folder}/" not in alive


def test_a_wrong_folder_is_said_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    done = demo(tmp_path / "out", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stdout.strip().endswith("nowhere")
    assert time.monotonic() - began < 20
