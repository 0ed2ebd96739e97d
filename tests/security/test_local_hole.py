"""The one place at which outputs may be fetched from this machine: there on the local stack, and nowhere else."""

from __future__ import annotations

import pytest

from detag.adapters.outputs import Target, target_of
from detag.ports.outputs import Unsafe
from tests.handlers import handler
from tests.security.harness import ENVIRON

HOLE = {"DETAG_LOCAL_OUTPUTS": "127.0.0.1:8099"}
OUTPUT_URL = "http://127.0.0.1:8099/outputs/1.webp"


def judged(url: str, environ: dict[str, str]) -> Target:
    """What the deliver function, started with these variables, takes a URL for. Raises `Unsafe`."""
    return target_of(url, handler("deliver", ENVIRON | environ).deliver._fetcher._guard)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://localhost:4566"])
def test_it_is_open_where_aws_itself_is_on_this_machine(endpoint: str) -> None:
    assert judged(OUTPUT_URL, HOLE | {"AWS_ENDPOINT_URL": endpoint}).port == 8099


@pytest.mark.parametrize(
    "environ",
    [
        HOLE,
        HOLE | {"AWS_ENDPOINT_URL": ""},
        HOLE | {"AWS_ENDPOINT_URL": "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com"},
        HOLE | {"AWS_ENDPOINT_URL": "http://169.254.169.254"},
        HOLE | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4566"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "DETAG_LOCAL_OUTPUTS": "10.0.0.1:8099"},
    ],
)
def test_it_is_shut_everywhere_else(environ: dict[str, str]) -> None:
    with pytest.raises(Unsafe):
        judged(OUTPUT_URL, environ)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8098/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1:8099/x",
        "http://localhost:8099/x",
        "http://127.0.0.2:8099/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:4566/photos/secret.jpg",
    ],
)
def test_it_is_one_host_and_one_port(url: str) -> None:
    with pytest.raises(Unsafe):
        judged(url, HOLE | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
