"""The hooks before a commit are what `make check` runs; and the forms of secrets that one of them looks for."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = [hook for repo in CONFIG["repos"] for hook in repo["hooks"]]

# What takes long, or needs the template transformed: for `make check` alone.
NOT_BEFORE_A_COMMIT = (
    "bin/python",
    "make ",
    "mkdir",
    "PYTHONPATH=layers/detag/python .venv/test/bin/python -m docs.generate --check",
    ".venv/sam/bin/sam validate",
    ".venv/sam/bin/python tests/template/transform.py",
    ".venv/sam/bin/cfn-lint .build/",
    ".venv/policy/bin/python bin/policy.py",
    ".venv/sam/bin/python bin/deploy_policy.py",
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("credentials", ROOT / "bin" / "credentials.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


credentials: Any = load()


def test_the_hooks_are_the_quick_commands_of_make_check() -> None:
    command = ["make", "--no-print-directory", "--dry-run", "check"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert [hook["entry"] for hook in HOOKS] == [line for line in lines if not line.startswith(NOT_BEFORE_A_COMMIT)]


def test_nothing_is_fetched_for_them() -> None:
    assert [repo["repo"] for repo in CONFIG["repos"]] == ["local"]
    assert {hook["language"] for hook in HOOKS} == {"system"}


def test_each_looks_at_the_whole_tree_as_make_check_does() -> None:
    assert [hook["id"] for hook in HOOKS if hook["pass_filenames"]] == []


@pytest.mark.parametrize("text", ["rf_live_local", "rf_live_of_the_tests", "whsec_...", "whsec_test_0123456789abcdef"])
def test_a_made_up_secret_of_runflow_is_none(text: str) -> None:
    assert not any(form.search(text) for form in credentials.OURS.values())


@pytest.mark.parametrize("prefix", ["rf_live_", "rf_svc_", "whsec_"])
@pytest.mark.parametrize("value", ["0f" * 16, "aZ09+/" * 5 + "==", "aZ09-_" * 5])
def test_a_secret_of_runflow_is_known_by_its_form(prefix: str, value: str) -> None:
    assert credentials.OURS["RunflowSecret"].search(f'{{"key": "{prefix}{value}"}}')


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_known_by_its_first_line(kind: str) -> None:
    assert credentials.OURS["PrivateKeyHeader"].search(f"-----BEGIN {kind}PRIVATE KEY-----")


def test_staged_files_are_looked_at_and_deleted_ones_are_not(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("staged", "deleted", "untracked"):
        (tmp_path / name).touch()
    assert credentials.committed(tmp_path) == []
    git("init", "--quiet")
    git("add", "staged", "deleted")
    (tmp_path / "deleted").unlink()

    assert credentials.committed(tmp_path) == ["staged"]
