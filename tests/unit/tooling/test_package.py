"""bin/package.py: the archive of a release."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def pack(build: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(ROOT / "bin" / "package.py"), str(build), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What `sam build` might have made."""
    folder = tmp_path / "a build"
    (folder / "SubmitFunction").mkdir(parents=True)
    (folder / "template.yaml").write_text("Resources: {}\n", encoding="utf-8")
    (folder / "SubmitFunction" / "handler.py").write_text("pass\n", encoding="utf-8")
    return folder


def test_it_is_one_folder_that_sam_deploy_works_in(built: Path, tmp_path: Path) -> None:
    done = pack(built, tmp_path / "made" / "detag.zip")

    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "made" / "detag.zip") as archive:
        assert archive.namelist() == [
            "detag/.aws-sam/build/SubmitFunction/handler.py",
            "detag/.aws-sam/build/template.yaml",
            "detag/LICENSE",
            "detag/samconfig.toml",
        ]
        assert archive.read("detag/.aws-sam/build/SubmitFunction/handler.py") == b"pass\n"
        settings = tomllib.loads(archive.read("detag/samconfig.toml").decode())
        assert f"detag/{settings['default']['deploy']['parameters']['template']}" in archive.namelist()


def test_the_same_files_make_the_same_archive(built: Path, tmp_path: Path) -> None:
    pack(built, tmp_path / "one.zip")
    for path in built.rglob("*"):
        os.utime(path, (1_800_000_000, 1_800_000_000))
        path.chmod(0o700)
    pack(built, tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_without_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    done = pack(tmp_path, tmp_path / "detag.zip")

    assert (done.returncode, "run sam build first" in done.stdout) == (1, True)
    assert not (tmp_path / "detag.zip").exists()
