"""What holds for every test: nothing of the developer's AWS account comes in, and nothing goes out."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent

# Talk to servers that the tests start. All other tests have no sockets at all (--disable-socket in pyproject.toml).
ON_LOOPBACK = ("contract", "integration", "e2e", "performance")
LOOPBACK = ["127.0.0.1", "::1"]

# Begun before all others where files are shared out among processes: the simulations, whose own processes are content
# with what the others leave of the machine; what waits most of its time, longest of all for a killed function's
# messages; and the mutants.
FIRST = (
    "simulation/test_simulations.py",
    "e2e/test_faults.py",
    "e2e/",
    "simulation/test_mutants.py",
    "integration/",
    "simulation/",
)

# A busy machine is no failure.
hypothesis.settings.register_profile("detag", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("detag")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make sized` gives this."""
    parser.addoption("--full-size", action="store_true", help="Run the tests marked `sized` with all of their photos.")


@pytest.fixture
def full_size(request: pytest.FixtureRequest) -> bool:
    """Whether a test that is marked `sized` has all of its photos; otherwise fewer, or of its other cases."""
    return bool(request.config.getoption("--full-size"))


def pytest_configure() -> None:
    """Forget credentials, region, profiles and settings, and proxies for what is on this machine."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "DETAG_", "POWERTOOLS_"))]:
        del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest. Allow loopback, and only that, to the tests that need it."""
    items.sort(key=_turn)
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in ON_LOOPBACK:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


def _turn(item: pytest.Item) -> int:
    name = item.path.relative_to(TESTS).as_posix()
    return next((turn for turn, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))
