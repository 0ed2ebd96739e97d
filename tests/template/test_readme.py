"""The README says what the source says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.template.stack import Stack


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_its_tables_are_as_the_source_has_them(root: Path) -> None:
    command = [sys.executable, str(root / "bin" / "readme.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_all_three_tables(readme: str, stack: Stack) -> None:
    for name in stack.source["Parameters"]:
        assert f"\n| `{name}` |" in readme
    for row in ("\n| `spend_limit` |", "\n| `cancelled_at_runflow` |", "`shoe.jpg.webp`"):
        assert row in readme


def test_a_table_that_is_behind_is_noticed(root: Path, readme: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("benchmarks", "layers", "template.yaml"):
        (tmp_path / name).symlink_to(root / name)
    copy = tmp_path / "bin" / "readme.py"
    copy.write_bytes((root / "bin" / "readme.py").read_bytes())
    (tmp_path / "README.md").write_text(readme.replace("| `10` |", "| `11` |"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(copy), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, "behind" in done.stdout) == (1, True)


def test_every_output_and_parameter_that_it_names_exists(readme: str, stack: Stack) -> None:
    known = set(stack.source["Outputs"]) | set(stack.source["Parameters"]) | set(stack.source["Resources"])
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)`", readme))
    assert named - known == {"AdministratorAccess", "PowerUserAccess"}, "AWS's own policies"
    commands = {output for output in stack.source["Outputs"] if output.endswith("Command")}
    assert [command for command in commands if command not in readme] == []


def test_every_make_target_that_it_names_exists(root: Path, readme: str) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "check", "local"} <= named <= targets


def test_every_path_that_it_names_exists(root: Path, readme: str) -> None:
    folders = re.search(r"\| folder \| what is there \|\n.*\n((?:\|.*\n)+)", readme)
    assert folders is not None
    paths = [path for row in folders[1].splitlines() for path in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(paths) >= 10
    assert [path for path in paths if not (root / path).exists()] == []


def test_its_own_links_lead_somewhere(readme: str) -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", readme, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", readme)) <= headings


def test_the_secrets_are_stored_in_the_shapes_that_are_read(readme: str, stack: Stack) -> None:
    assert """{"api_key": "%s"}""" in readme
    assert """{"secrets": ["%s"]}""" in readme
    assert '{"api_key": "rf_live_..."}' in stack.properties("RunflowApiKey")["Description"]
    assert '{"secrets": ["whsec_..."]}' in stack.properties("CallbackSecrets")["Description"]


def test_it_says_that_nobody_has_run_it_on_a_real_account(readme: str) -> None:
    """It says plainly that nobody has run it on a real account yet."""
    assert "**This has not been run on a real AWS account yet.**" in readme
    assert readme.count("- [ ] ") >= 8
