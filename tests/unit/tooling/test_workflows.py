""".github: what runs there is pinned, may do little, and calls what exists. It can be run only at GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.tooling.test_requirements import committed

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# What a job may do beyond reading the code: whose, and what.
MORE = {
    ("release.yml", "publish"): {"contents": "write"},
    ("deploy.yml", "deploy"): {"contents": "read", "id-token": "write"},
}

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(path)["jobs"]
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path).values():
        yield from job.get("steps", [])


def test_they_are_the_three_that_are_checked_here() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "deploy.yml", "release.yml"]


@each_workflow
def test_every_action_is_pinned_by_a_whole_hash(path: Path) -> None:
    """Every action is pinned by a whole hash, with its version beside it."""
    used = re.findall(r"^ *(?:- )?uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)

    assert used
    for one in used:
        assert re.fullmatch(r"\./\.github/workflows/ci\.yml( #.*)?|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), (
            one
        )


def test_one_action_has_one_version() -> None:
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (\S+@.*)", path.read_text(encoding="utf-8"))}

    assert len({line.partition("@")[0] for line in used}) == len(used)


@each_workflow
def test_a_job_may_read_the_code_and_no_more_than_its_work_needs(path: Path) -> None:
    assert read(path)["permissions"] == {"contents": "read"}
    for name, job in jobs(path).items():
        assert job.get("permissions") == MORE.get((path.name, name)), name


@each_workflow
def test_no_secret_is_needed_and_no_token_is_left_in_the_clone(path: Path) -> None:
    assert "secrets" not in path.read_text(encoding="utf-8")
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@each_workflow
def test_nothing_is_put_into_a_script_but_by_the_environment(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@each_workflow
def test_every_job_has_a_timeout_and_a_concurrency_group(path: Path) -> None:
    """Every job ends, and no two of a kind get into each other's way."""
    assert read(path)["concurrency"]["group"]
    for name, job in jobs(path).items():
        assert ("uses" in job) or 0 < job["timeout-minutes"] <= 90, name


@each_workflow
def test_what_it_calls_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    scripts = "\n".join(step.get("run", "") for step in steps(path))
    files = {str(file.relative_to(ROOT)) for file in committed()}

    assert set(re.findall(r"\bmake ([a-z-]+)", scripts)) <= targets
    assert set(re.findall(r"(?<![\w./-])bin/[\w.]+", scripts)) <= files


def test_everything_is_tried_on_every_pinned_python_and_system() -> None:
    """Everything is tried on every Python and system that the requirements are pinned for."""
    lock = (ROOT / "bin" / "lock").read_text(encoding="utf-8")
    pinned = re.search(r"for version in ([\d. ]+);", lock)
    lowest, highest = re.findall(r"\((3, \d+)\)", (ROOT / "bin" / "python").read_text(encoding="utf-8"))
    job = jobs(ROOT / ".github" / "workflows" / "ci.yml")["all"]
    pythons = job["strategy"]["matrix"]["python"]

    assert pinned is not None
    assert pythons == pinned[1].split()
    assert (pythons[0], pythons[-1]) == (lowest.replace(", ", "."), highest.replace(", ", "."))
    assert {system.partition("-")[0] for system in job["strategy"]["matrix"]["system"]} == {"ubuntu", "macos"}
    assert job["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test", "make check", "make package"]


def test_releases_have_the_byte_code_of_their_runtime() -> None:
    """The functions are released with the byte code of their runtime."""
    runtime = re.search(r"^RUNTIME := (\S+)$", (ROOT / "sam.mk").read_text(encoding="utf-8"), re.MULTILINE)
    assert runtime is not None
    for name in ("release.yml", "deploy.yml"):
        versions = [
            step["with"]["python-version"]
            for step in steps(ROOT / ".github" / "workflows" / name)
            if step.get("uses", "").startswith("actions/setup-python@")
        ]
        assert versions == [runtime[1]], name


def test_the_actions_are_kept_current() -> None:
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))

    assert [update["package-ecosystem"] for update in config["updates"]] == ["github-actions"]
