"""The requirements: what is promised of them, and that nothing committed says where packages come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LAYER = ROOT / "layers" / "dependencies" / "requirements.txt"
LOCKED = [LAYER, *sorted(path.with_suffix(".txt") for path in (ROOT / "requirements").glob("*.in"))]

# Assembled here, so that this file does not name them either.
REGISTRIES = ["py" + "pi.org", "python" + "hosted.org", "registry.npm" + "js.org", "deb." + "debian.org"]
SDK = {"boto3", "botocore", "s3transfer"}
CARD = {"aws-lambda-powertools", "boto3", "httpx"}


def requirements(path: Path) -> list[str]:
    """The requirements of a file, each in one line with its hashes."""
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pins(path: Path) -> dict[str, set[str]]:
    """The versions of each package. More than one where Python versions or platforms differ."""
    found: dict[str, set[str]] = {}
    for line in requirements(path):
        name, version = re.match(r"([a-z0-9-]+)==(\S+)", line).groups()  # type: ignore[union-attr]
        found.setdefault(name, set()).add(version)
    return found


def committed() -> list[Path]:
    """The files that git keeps; in an unpacked archive, where there is no git, all but what tests and tools made."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    made = {line.strip("/") for line in lines if line and not line.startswith("#")}
    return [path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: str(path.relative_to(ROOT)))
class TestLocked:
    def test_every_requirement_is_one_version_with_its_hashes(self, path: Path) -> None:
        lines = requirements(path)

        assert lines
        for line in lines:
            assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line

    def test_no_option_says_where_or_how_to_fetch(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")

        assert "://" not in text
        assert not re.search(r"^\s*-", re.sub(r"^ +--hash=.*$", "", text, flags=re.MULTILINE), re.MULTILINE)

    def test_everything_asked_for_is_in_it(self, path: Path) -> None:
        asked = re.findall(r"^[a-z0-9][a-z0-9-]*", path.with_suffix(".in").read_text(encoding="utf-8"), re.MULTILINE)

        assert asked
        assert set(asked) <= set(pins(path))


def test_tests_run_with_the_versions_of_the_tested_code() -> None:
    """The tests run with the versions that the tested code runs with."""
    tests = pins(ROOT / "requirements" / "test.txt")

    for other in (LAYER, ROOT / "requirements" / "run.txt"):
        for name, versions in pins(other).items():
            assert tests[name] == versions, f"{name} of {other.name}"


@pytest.mark.parametrize("name", ["run", "runtime", "test"])
def test_the_layers_packages_have_one_version_wherever_they_run(name: str) -> None:
    layer, other = pins(LAYER), pins(ROOT / "requirements" / f"{name}.txt")

    assert layer.keys() >= CARD
    shared = layer.keys() & other.keys()
    assert shared >= (SDK if name == "runtime" else SDK | {"httpx"})
    assert {package: other[package] for package in shared} == {package: layer[package] for package in shared}


def test_emulator_and_sam_cli_transform_the_template_alike() -> None:
    name = "aws-sam-translator"

    assert pins(ROOT / "requirements" / "emulator.txt")[name] == pins(ROOT / "requirements" / "sam.txt")[name]


def test_no_committed_file_names_a_package_registry() -> None:
    files = committed()
    assert ROOT / "Makefile" in files

    named = [path for path in files if any(host.encode() in path.read_bytes() for host in REGISTRIES)]
    assert named == []
