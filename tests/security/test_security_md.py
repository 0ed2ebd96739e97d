"""SECURITY.md points to what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detag.services import callback
from tests.template.stack import Stack, read_stack

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOYING = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stack() -> Stack:
    return read_stack()


def test_every_test_it_points_to_is_there() -> None:
    paths = set(re.findall(r"`(tests/[^`]+)`", TEXT))
    assert len(paths) > 12
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_target_of_make_that_it_names_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)", TEXT)) <= set(targets)


def test_every_parameter_output_and_secret_it_names_is_there(stack: Stack) -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", TEXT)) - {"PreviousSecretMatched"}
    there = {*stack.source["Parameters"], *stack.source["Outputs"], *stack.source["Resources"]}
    assert named <= there, named - there
    assert {"RunflowApiKey", "CallbackSecrets", "SetRunflowApiKeyCommand", "SetCallbackSecretsCommand"} <= named


def test_both_secrets_say_how_they_are_rotated() -> None:
    """Both secrets say how they are rotated, and the times are those of the code."""
    assert re.findall(r"^## Rotating the (.*)$", TEXT, re.MULTILINE) == ["Runflow API key", "callback secret"]
    assert (callback.CACHE_SECONDS, callback.REREAD_SECONDS, callback.RETRY_SECONDS) == (300, 30, 5)
    for words in (
        "every 30 s",
        "every 5 s while reads fail",
        "up to five minutes",
        "Wait a minute",
        "at most every 30 s",
    ):
        assert words in TEXT


def test_the_pages_lead_to_it() -> None:
    assert "SECURITY.md" in README
    assert "SECURITY.md" in DEPLOYING
    assert re.search(r"^## 5\. Create a callback secret", DEPLOYING, re.MULTILINE), "SECURITY.md names the step"
    assert TEXT.count("step 5](docs/deploying.md#5-create-a-callback-secret-store-it-promote-it)") == 2
