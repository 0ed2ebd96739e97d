"""The emulator, and functions and stacks made from a few lines of text."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from local.emulator.client import running
from local.processes import wait_until
from tests.emulator import Aws, aws, emulated_aws

__all__ = ["aws", "emulated_aws"]

ROLE = "arn:aws:iam::000000000000:role/anyone"


def zipped(files: Mapping[str, str]) -> bytes:
    """An archive of text files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@dataclass(frozen=True)
class Answer:
    """What a synchronous invocation brought: Lambda's FunctionError ('' if none), the payload, and how long it took."""

    error: str
    payload: Any
    seconds: float


class Function:
    """A function on the emulator."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.aws = aws
        self.name = name

    def __call__(self, event: Any = None) -> Answer:
        began = time.monotonic()
        response = self.aws.client("lambda").invoke(FunctionName=self.name, Payload=json.dumps(event))
        payload = json.loads(response["Payload"].read())
        return Answer(response.get("FunctionError", ""), payload, time.monotonic() - began)

    def processes(self) -> list[dict[str, Any]]:
        """Its living processes, as the emulator lists them."""
        folder = self.aws.emulator.state / "functions"
        found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
        return [process for process in found if process["function"] == self.name]

    def busy_process(self) -> int:
        """The number of the process that is at work, once there is one."""
        assert wait_until(lambda: any(p["state"] == "busy" for p in self.processes()), 10)
        return next(int(p["pid"]) for p in self.processes() if p["state"] == "busy")

    def log(self) -> list[str]:
        """All that CloudWatch Logs has of it; its log group is made when it first runs."""
        logs = self.aws.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.name}")
        try:
            return [event["message"] for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []


MakeFunction = Callable[..., Function]


@pytest.fixture
def make_function(aws: Aws) -> MakeFunction:
    """Makes a function of its source: ``make_function("def lambda_handler(event, context): ...", Timeout=1)``."""

    def make(source: str, name: str = "function", **settings: Any) -> Function:
        aws.client("lambda").create_function(
            FunctionName=name,
            **{
                "Runtime": "python3.13",
                "Role": ROLE,
                "Handler": "handler.lambda_handler",
                "Code": {"ZipFile": zipped({"handler.py": source})},
                "Timeout": 10,
                **settings,
            },
        )
        return Function(aws, name)

    return make


def deploy(aws: Aws, template: dict[str, Any], name: str = "stack") -> dict[str, str]:
    """Create or update a stack and return its outputs, by name."""
    cloudformation = aws.client("cloudformation")
    exists = any(stack["StackName"] == name for stack in cloudformation.describe_stacks()["Stacks"])
    change = cloudformation.update_stack if exists else cloudformation.create_stack
    change(StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])

    def described() -> dict[str, Any]:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return stack

    assert wait_until(lambda: not described()["StackStatus"].endswith("IN_PROGRESS"), 20)
    assert described()["StackStatus"] == ("UPDATE_COMPLETE" if exists else "CREATE_COMPLETE"), described()
    return {output["OutputKey"]: output["OutputValue"] for output in described().get("Outputs", [])}


@pytest.fixture(scope="session")
def _released_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running(tmp_path_factory.mktemp("as released"), as_released=True) as emulator:
        yield Aws(emulator)


@pytest.fixture
def released_aws(_released_aws: Aws) -> Aws:
    """An account at MiniStack without our patches, to see what each patch is for."""
    _released_aws.emulator.reset()
    return _released_aws
