"""The commands that reopen a photo make the message that is meant, whatever is in a key or a name."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from detag.domain.reopening import read_reopen

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
TEMPLATE = (REPOSITORY / "template.yaml").read_text(encoding="utf-8")
KEYS = [
    "autumn/hat.jpg",
    """27" monitor.jpg""",
    "a\\b\\n.jpg",
    "été 日.jpg",
    "two  blanks.jpg",
    "it's.jpg",
    "a\tb\nc",
    "$HOME `x`",
]


def sent(folder: Path, script: str, **env: str) -> dict[str, Any]:
    """The message that a script sends by the command line of AWS."""
    aws = folder / "aws"
    aws.write_text("""#!/bin/sh\nwhile [ "$1" != --message-body ]; do shift; done\nprintf %s "$2"\n""")
    aws.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "USER"}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script], env=kept | {"PATH": path} | env, capture_output=True, text=True, check=True, timeout=30
    )
    message: dict[str, Any] = json.loads(done.stdout)
    return message


def page() -> str:
    """The definition of `reopen` on the page."""
    section = PAGE.split("\n## Reopen a photo\n", 1)[1]
    return str(re.findall(r"^```sh\n(.*?^}\n)", section, re.MULTILINE | re.DOTALL)[0])


@pytest.mark.parametrize("key", KEYS)
def test_the_page_names_any_key(tmp_path: Path, key: str) -> None:
    message = sent(tmp_path, f"{page()}reopen paid key {shlex.quote(key)}", USER="anna")
    asked = read_reopen(message, float(message["reopen"]["id"].removeprefix("paid-")) / 1e9)
    assert (asked.key, asked.request.how, asked.request.by) == (key, "paid", "anna")


@pytest.mark.parametrize(
    ("user", "by"), [("anna", "anna"), ("SHOP\\anna", "SHOPanna"), ("", "operator"), (None, "operator")]
)
def test_the_output_names_whoever_asks(tmp_path: Path, user: str | None, by: str) -> None:
    """Also where nobody has a name, as in a container, or it has a backslash, as in a Windows domain."""
    value = TEMPLATE.split("  ReopenCommand:\n", 1)[1].split("Value: !Sub >-\n", 1)[1].split("\n  Redrive", 1)[0]
    command = " ".join(line.strip() for line in value.splitlines())
    command = command.replace("${!", "${").replace("${UploadQueue}", "url").replace("${AWS::Region}", "region")
    command = command.replace("JOB_ID", "0123456789abcdef" * 2).replace("HOW", "ask")
    message = sent(tmp_path, command, **({} if user is None else {"USER": user}))
    asked = read_reopen(message, float(message["reopen"]["id"].removesuffix("-ask")))
    assert (asked.job_id, asked.request.how, asked.request.by) == ("0123456789abcdef" * 2, "ask", by)
