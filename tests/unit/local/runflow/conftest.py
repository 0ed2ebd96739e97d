"""The mock for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.local.runflow.harness import Harness, harness


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def runflow(anyio_backend: str) -> AsyncIterator[Harness]:
    """A mock with its defaults, except that it leaves pixels alone and hardly waits between callbacks."""
    async with harness() as made:
        yield made
