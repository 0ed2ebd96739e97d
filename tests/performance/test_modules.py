"""What each function imports: the largest part of its cold start, as a set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.handlers import AWS
from tests.performance.test_calls import ENVIRON

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "certifi",
    "dateutil",  # botocore's
    "detag",
    "handler",
    "jmespath",  # botocore's and Powertools'
    "s3transfer",  # boto3's
    "six",  # dateutil's
    "typing_extensions",  # Powertools'
    "urllib3",
}
MORE = {
    "submit": {"filetype", "h11", "httpcore", "httpx", "idna"},
    "callback": set(),
    "deliver": {"filetype", "h11", "httpcore", "httpx", "idna"},
    "reconcile": {"filetype", "h11", "httpcore", "httpx", "idna"},
}
MOST = {"submit": 541, "callback": 421, "deliver": 536, "reconcile": 536}
"""Modules, the standard library's included: a bound that another Python keeps, and another dependency does not."""
FORBIDDEN = (
    "asyncio",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes",
    "aws_lambda_powertools.utilities.idempotency",
    "aws_lambda_powertools.utilities.parameters",
    "aws_lambda_powertools.utilities.parser",
    "aws_lambda_powertools.utilities.validation",
    "aws_xray_sdk",  # what makes Powertools' Tracer slow; the empty shell of it comes with the package
    "cv2",
    "numpy",
    "PIL",
    "pydantic",
)
PROGRAM = """
import sys, json
before = set(sys.modules)  # a distribution's own, such as Debian's sitecustomize
for name in ("anyio", "brotli", "click", "h2", "socksio", "trio", "zstandard"):
    sys.modules[name] = None  # httpx and httpcore take them where they are: the layer has none of them
sys.path[:0] = sys.argv[1:]
import handler
print(json.dumps(sorted(name for name, module in sys.modules.items() if module and name not in before)))
"""
CLIENTS = {
    "submit": ["dynamodb", "s3", "secretsmanager"],  # it seldom publishes, and makes the client for that then
    "callback": ["secretsmanager", "sqs"],
    "deliver": ["dynamodb", "events", "s3", "secretsmanager"],
    "reconcile": ["dynamodb", "events", "s3", "secretsmanager", "sqs"],
}
MADE = """
import sys, json
from boto3.session import Session
made, real = [], Session.client
Session.client = lambda self, service, **options: made.append(service) or real(self, service, **options)
sys.path[:0] = sys.argv[1:]
import handler
print(json.dumps(sorted(made)))
"""


def imported(function: str) -> set[str]:
    return set(program(PROGRAM, function))


def program(text: str, function: str) -> list[str]:
    paths = [str(ROOT / "functions" / function), str(ROOT / "layers/detag/python")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", text, *paths],
        env={**AWS, **ENVIRON},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("function", MORE)
def test_a_function_imports_what_it_needs_and_nothing_else(function: str) -> None:
    modules = imported(function)
    packages = {name.partition(".")[0] for name in modules}
    foreign = packages - set(sys.stdlib_module_names) - {"__main__", "_distutils_hack"}
    assert {name for name in foreign if not name.startswith("_")} == ALLOWED | MORE[function]
    assert [name for name in FORBIDDEN if name in modules] == []
    assert len(modules) <= MOST[function]


def test_an_import_that_is_not_needed_would_be_noticed() -> None:
    assert {"botocore", "detag"} <= {name.partition(".")[0] for name in imported("callback")}


@pytest.mark.parametrize("function", CLIENTS)
def test_a_function_makes_the_clients_that_it_always_needs(function: str) -> None:
    """Each costs some 2 % of a cold start."""
    assert program(MADE, function) == CLIENTS[function]
