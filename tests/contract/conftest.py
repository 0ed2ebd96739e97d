"""Each port's contract is shown by its fake and by its adapter: what the adapters need for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.emulator import aws, emulated_aws
from tests.mock_runflow import runflow, running_runflow

__all__ = ["aws", "emulated_aws", "runflow", "running_runflow"]

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML in which CloudFormation's short forms are only their arguments: what is read here has none."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, node: node.value)


@pytest.fixture(scope="session")
def job_table() -> dict[str, Any]:
    """How the template defines the job table: what CreateTable needs of it."""
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=_Loader)
    properties = template["Resources"]["JobTable"]["Properties"]
    parts = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {part: properties[part] for part in parts}


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"detag-{uuid4().hex[:12]}"
