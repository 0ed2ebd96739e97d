"""The simulation in which nothing fails unless a test says so."""

from __future__ import annotations

import pytest

from tests.simulation.simulation import Simulation


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(1, faults=False)
