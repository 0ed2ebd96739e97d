"""The README says what the source says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detag.domain.metrics import Metric
from tests.template.stack import Stack


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_every_output_and_parameter_that_it_names_exists(readme: str, stack: Stack) -> None:
    known = (
        set(Metric) | set(stack.source["Outputs"]) | set(stack.source["Parameters"]) | set(stack.source["Resources"])
    )
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


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "docs/reference.md"])
def test_its_own_links_lead_somewhere(root: Path, name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", (root / name).read_text(encoding="utf-8"))
    for path, anchor in links:
        target = (root / name).parent / path if path else root / name
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (path, anchor)


def test_it_leads_to_each_table_of_the_reference(readme: str) -> None:
    assert set(re.findall(r"\(docs/reference\.md#([a-z-]+)\)", readme)) == {
        "parameters", "names-of-outputs", "reasons", "metrics", "alarms",
    }  # fmt: skip


def test_the_secrets_are_stored_in_the_shapes_that_are_read(readme: str, stack: Stack) -> None:
    assert """{"api_key": "%s"}""" in readme
    assert """{"secrets": ["%s"]}""" in readme
    assert '{"api_key": "rf_live_..."}' in stack.properties("RunflowApiKey")["Description"]
    assert '{"secrets": ["whsec_..."]}' in stack.properties("CallbackSecrets")["Description"]


def test_it_says_that_nobody_has_run_it_on_a_real_account(readme: str) -> None:
    """It says plainly that nobody has run it on a real account yet."""
    assert "**This has not been run on a real AWS account yet.**" in readme
    assert readme.count("- [ ] ") >= 8
