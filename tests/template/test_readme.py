"""The README and the pages for whoever deploys and runs the stack say what the source says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from detag.domain.metrics import Metric
from tests.template.stack import ROOT, Stack

FOR_OPERATORS = ("README.md", "docs/deploying.md", "docs/operating.md", "docs/your-buckets.md", "docs/owner.md")
PAGES = sorted(str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))
LINES = 160
AWS_OWN = {"AdministratorAccess", "PowerUserAccess"}


@pytest.fixture(scope="module")
def pages(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text(encoding="utf-8") for name in FOR_OPERATORS}


@pytest.fixture(scope="module")
def readme(pages: dict[str, str]) -> str:
    return pages["README.md"]


def test_the_readme_is_short(readme: str) -> None:
    assert len(readme.splitlines()) <= LINES


def test_the_readmes_two_commands_stand_in_one_block(readme: str) -> None:
    """Whoever clones the repository, and the machine that judges a change, take them from there."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    first = [line.partition("#")[0].strip() for line in blocks[0].splitlines()]
    assert (first[0], first[-1]) == ("make demo", "make test")


def test_every_output_and_parameter_that_they_name_exists(pages: dict[str, str], stack: Stack) -> None:
    known = (
        set(Metric) | set(stack.source["Outputs"]) | set(stack.source["Parameters"]) | set(stack.source["Resources"])
    )
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)`", "\n".join(pages.values())))
    assert named - known == AWS_OWN
    commands = {output for output in stack.source["Outputs"] if output.endswith("Command")}
    assert [command for command in commands if not any(command in page for page in pages.values())] == []
    capitals = set(re.findall(r"\b([A-Z]+_(?:BUCKET|TABLE|URL))\b", "\n".join(pages.values())))
    outputs = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() for name in stack.source["Outputs"]}
    assert {name for name in capitals if name not in outputs and f"{name}_NAME" not in outputs} == set()


def test_every_make_target_that_they_name_exists(root: Path, pages: dict[str, str]) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(pages.values()), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "local", "package"} <= named <= targets


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_a_pages_own_links_lead_somewhere(root: Path, name: str) -> None:
    text = re.sub(
        r"^```.*?^```$|`[^`]*`", "", (root / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for link in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
        path, _, anchor = re.sub(r"\s", "", link).partition("#")
        target = (root / name).parent / path if path else root / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_it_leads_to_every_page_and_each_table_of_the_reference(root: Path, readme: str) -> None:
    linked = set(re.findall(r"\]\((?!https?:)([^)#\s]*)", readme))
    pages = {str(path.relative_to(root)) for pattern in ("*.md", "docs/*.md") for path in root.glob(pattern)}
    assert pages - {"README.md"} <= linked
    assert set(re.findall(r"\(docs/reference\.md#([a-z-]+)\)", readme)) == {
        "parameters", "names-of-outputs", "reasons", "metrics", "alarms",
    }  # fmt: skip


def test_the_secrets_are_stored_in_the_shapes_that_are_read(pages: dict[str, str], stack: Stack) -> None:
    deploying = pages["docs/deploying.md"]
    assert """{"api_key": "%s"}""" in deploying
    assert """{"secrets": ["%s"]}""" in deploying
    assert '{"api_key": "rf_live_..."}' in stack.properties("RunflowApiKey")["Description"]
    assert '{"secrets": ["whsec_..."]}' in stack.properties("CallbackSecrets")["Description"]


def test_the_readme_shows_the_eight_parameters_to_begin_with(readme: str, stack: Stack) -> None:
    """Eight, each with the default that is said."""
    table = readme.split("| parameter | what it does |")[1].split("\n\n", maxsplit=1)[0]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert len(names) == 8
    assert set(names) <= set(stack.source["Parameters"])
    for name, default in {"DailySpendLimitUsd": "10", "PhotoTypes": "JPEG,PNG,WebP"}.items():
        (row,) = (row for row in rows if f"`{name}`" in row)
        assert row.rstrip(" |").endswith(f": `{stack.source['Parameters'][name]['Default']}`") and default in row


def test_terraform_gives_parameters_that_there_are(pages: dict[str, str], stack: Stack) -> None:
    """And the right to make roles; a template with a transform also takes CAPABILITY_AUTO_EXPAND."""
    (recipe,) = re.findall(r"^```hcl\n(.*?)^```$", pages["docs/deploying.md"], re.MULTILINE | re.DOTALL)
    (given,) = re.findall(r"parameters = \{\n(.*?)\n  \}", recipe, re.DOTALL)
    assert set(re.findall(r"^ +(\w+) += ", given, re.MULTILINE)) <= set(stack.source["Parameters"])
    assert re.findall(r"CAPABILITY_\w+", recipe) == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    assert "Transform" in stack.source


def test_it_says_that_nobody_has_run_it_on_a_real_account(pages: dict[str, str]) -> None:
    """It says plainly that nobody has run it on a real account yet, and what the first to do so should look at."""
    for name in ("README.md", "docs/deploying.md"):
        assert "**This has not been run on a real AWS account yet.**" in pages[name]
    assert pages["docs/deploying.md"].count("- [ ] ") >= 8


def test_no_command_shows_a_key_to_other_users(root: Path, tmp_path: Path) -> None:
    """They can list the arguments of every process. What the shell does by itself, as `printf`, is no process."""
    page = (root / "docs/deploying.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    script = "\n".join(block for block in blocks if "RUNFLOW" in block or "runflow" in block)
    script = re.sub(r"^read -rs (\w+).*$", r"\1=of-\1", script, flags=re.MULTILINE)
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    for folder in (programs, calls):
        folder.mkdir()
    for name in ("curl", "aws", "sam"):
        (programs / name).write_text(
            f"""#!/bin/sh
place="{calls}/$$"
printf '%s\\n' "$@" > "$place.arguments"
cat > "$place.input"
"""
        )
        (programs / name).chmod(0o755)
    subprocess.run(
        ["/bin/sh", "-eu"],
        input=script,
        cwd=tmp_path,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        text=True,
        timeout=20,
        check=True,
    )
    called = sorted(calls.glob("*.arguments"))
    assert len(called) == script.count("https://api.runflow.io/") == 3
    for arguments in called:
        assert "of-RUNFLOW_API_KEY" not in arguments.read_text()
        told = arguments.with_suffix(".input").read_text()
        assert told == 'header = "Authorization: Bearer of-RUNFLOW_API_KEY"\n'
    assert (tmp_path / "api-key.json").read_text() == '{"api_key": "of-RUNFLOW_API_KEY"}'
