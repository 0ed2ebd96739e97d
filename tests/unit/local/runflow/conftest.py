"""The mock for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.local.runflow.harness import World, world


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def runflow(anyio_backend: str) -> AsyncIterator[World]:
    """A mock with its defaults, except that it leaves pixels alone and hardly waits between callbacks."""
    async with world() as made:
        yield made
