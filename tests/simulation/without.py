"""A plugin: `pytest -p tests.simulation.without --without GUARD` runs tests of detag without one of its guards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.mutants import MUTANTS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--without`."""
    parser.addoption("--without", required=True, choices=[mutant.guard for mutant in MUTANTS])


@pytest.fixture(autouse=True)
def without(request: pytest.FixtureRequest) -> Iterator[None]:
    """While the test runs, the guard is missing."""
    guard = request.config.getoption("--without")
    with next(mutant for mutant in MUTANTS if mutant.guard == guard).alive():
        yield
