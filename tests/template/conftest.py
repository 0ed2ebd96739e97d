"""The template, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.stack import ROOT, Stack, read_stack


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The template, both ways."""
    return read_stack()
