"""AWS for tests: one emulator for the whole run, emptied before each test that asks for it.

Import the fixtures into a ``conftest.py``: ``from tests.emulator import aws, emulated_aws``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.emulator.client import Emulator, running


class Aws:
    """Clients of an emulator, made once each."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._clients: dict[str, Any] = {}
        env = emulator.env
        self.session = boto3.Session(
            env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"]
        )

    def client(self, service: str) -> Any:
        """The boto3 client of a service. It does not retry: a test should see what happened."""
        if service not in self._clients:
            self._clients[service] = self.session.client(  # type: ignore[call-overload]
                service,
                endpoint_url=self.emulator.endpoint_url,
                verify=self.emulator.env.get("AWS_CA_BUNDLE", True),
                config=Config(max_pool_connections=32, read_timeout=60, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]


@pytest.fixture(scope="session")
def emulated_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An emulator of this run's own, in a folder whose name has a space. A function may have eight processes."""
    with running(tmp_path_factory.mktemp("the emulator"), processes=8) as emulator:
        yield Aws(emulator)


@pytest.fixture
def aws(emulated_aws: Aws) -> Aws:
    """An AWS account with nothing in it."""
    emulated_aws.emulator.reset()
    return emulated_aws
