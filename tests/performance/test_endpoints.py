"""Our cut of botocore's endpoints.json says of our services what the whole says, for known and unknown regions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.regions import EndpointResolver

from detag.adapters.aws import DATA, SERVICES

WHOLE = json.loads((Path(botocore.__file__).parent / "data/endpoints.json").read_text(encoding="utf-8"))
OURS = json.loads((DATA / "endpoints.json").read_text(encoding="utf-8"))
REGIONS = sorted({region for partition in WHOLE["partitions"] for region in partition["regions"]})


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_same_endpoint_in_every_region(service: str) -> None:
    whole, ours = EndpointResolver(WHOLE), EndpointResolver(OURS)
    assert len(REGIONS) > 30
    for region in [*REGIONS, "eu-central-99", "us-gov-north-7", "nowhere"]:
        assert _endpoint(ours, service, region) == _endpoint(whole, service, region), region


def _endpoint(resolver: Any, service: str, region: str) -> Any:
    return resolver.construct_endpoint(service, region)
