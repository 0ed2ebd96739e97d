"""A stack is deleted while a run is in progress, and a new one goes on with the job table that it left.

The new one is deployed as a company would ask for it, with a permissions boundary and a path on every role, and the
emulator checks every permission.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from detag.ports.runs_fake import PRICE
from local.processes import wait_until
from local.stack.stack import FUNCTIONS, Options, Stack, running
from tests.e2e.harness import Harness, photo
from tests.e2e.stacks import deploy, secrets

NAME: Final = "detag"
ROLE_PATH: Final = "/shop/photos/"
PATIENCE: Final = 40.0
MINUTE: Final = 60.0

pytestmark = [pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Redeployed:
    """The second stack, and what the first one left."""

    harness: Harness
    left: dict[str, Any]
    """The description of the first stack."""
    boundary: str
    """The ARN of the policy that is every role's boundary."""

    def client(self, service: str) -> Any:
        """A client of the account that both are in."""
        return self.harness.stack.client(service)

    def denied(self) -> list[dict[str, Any]]:
        """The calls of functions that were refused so far."""
        path = self.harness.stack.folder / "logs" / "decisions.jsonl"
        made = [json.loads(line) for line in path.read_text().splitlines()]
        return [one for one in made if not one["allowed"]]


def drop(harness: Harness, key: str, number: int) -> None:
    harness.s3.put_object(Bucket=harness.stack.description["input_bucket"], Key=key, Body=photo(number))


def state(jobs: list[dict[str, Any]], key: str) -> str | None:
    return next((job["state"] for job in jobs if job["key"] == key), None)


LEFT: Final = "_skipped/waiting.jpg.txt"
"""The record of the photo that was left in the old bucket."""


def becomes(harness: Harness, key: str, wanted: str) -> bool:
    return harness.wait(lambda jobs: state(jobs, key) == wanted, PATIENCE)


def delete(stack: Stack) -> None:
    """As `sam delete` does."""
    with closing(stack.client("cloudformation")) as cloudformation:
        cloudformation.delete_stack(StackName=NAME)

        def gone() -> bool:
            found = cloudformation.list_stacks()["StackSummaries"]
            return {one["StackStatus"] for one in found if one["StackName"] == NAME} <= {"DELETE_COMPLETE"}

        assert wait_until(gone, PATIENCE)


def policy(stack: Stack, name: str, *statements: dict[str, Any]) -> str:
    """A managed policy; its ARN."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    with closing(stack.client("iam")) as iam:
        return str(iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]["Arn"])


ANYTHING: Final = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def redeployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redeployed]:
    """Both deploys. The first stack delivered one photo and sent one; one waits because its run failed."""
    folder: Path = tmp_path_factory.mktemp("redeploy") / "local stack"
    options = Options(folder=folder, auth=True, runflow=("--pixels", "copy", "--output-type", "same"))
    with running(options) as first, closing(Harness(first)) as before:
        drop(before, "delivered.jpg", 1)
        assert becomes(before, "delivered.jpg", "delivered")
        with before.faults({"on": "run", "do": "fail", "times": 1}):
            drop(before, "waiting.jpg", 5)
            assert becomes(before, "waiting.jpg", "waiting")
        with before.faults({"on": "callback", "do": "lose", "times": 1}):
            drop(before, "sent.jpg", 2)
            assert becomes(before, "sent.jpg", "submitted")
            assert wait_until(lambda: before.billing()["open"] == 0, PATIENCE)
        boundary = policy(first, "limits", ANYTHING, {"Effect": "Deny", "Action": "iam:*", "Resource": "*"})
        parameters = {
            "JobTableName": first.description["job_table"],
            "PermissionsBoundaryArn": boundary,
            "RolePath": ROLE_PATH,
            "MaxConcurrency": "2",
        }
        values = secrets(first)
        delete(first)
        second = deploy(first, NAME, parameters, values)
        with closing(Harness(second)) as harness:
            yield Redeployed(harness, dict(first.description), boundary)


def test_the_table_that_was_left_is_used_and_none_is_made(redeployed: Redeployed) -> None:
    kept = redeployed.left["job_table"]
    assert redeployed.harness.table.list_tables()["TableNames"] == [kept]
    assert redeployed.harness.stack.description["job_table"] == kept
    buckets = {bucket["Name"] for bucket in redeployed.harness.s3.list_buckets()["Buckets"]}
    assert {redeployed.left["input_bucket"], redeployed.left["output_bucket"]} <= buckets


def test_a_new_stack_goes_on_where_the_deleted_one_stopped(redeployed: Redeployed) -> None:
    """The run that the deleted stack paid for is delivered, a new photo too, and nothing is paid for twice."""
    harness = redeployed.harness
    assert state(harness.jobs(), "delivered.jpg") == "delivered"
    assert state(harness.jobs(), "sent.jpg") == "submitted"
    drop(harness, "new.jpg", 3)
    assert becomes(harness, "new.jpg", "delivered")
    harness.pass_time(10 * MINUTE)
    assert becomes(harness, "sent.jpg", "delivered")
    assert set(harness.outputs()) - {LEFT} == {"new.jpg", "sent.jpg"}
    assert harness.billing()["paid_runs"] == 3
    assert harness.spent() == 3 * PRICE
    assert harness.report()["spend_today"]["usd"] == str(3 * PRICE), "the day's budget goes on as well"
    assert harness.dead_letters() == 0
    assert redeployed.denied() == [], "nothing is asked of the old bucket"


def test_a_photo_left_in_the_old_bucket_is_skipped_unpaid(redeployed: Redeployed) -> None:
    """The new stack may not read it. It ends with a record, as docs/operating.md says, and without a charge."""
    harness, spent = redeployed.harness, redeployed.harness.spent()
    harness.pass_time(30 * MINUTE)
    assert becomes(harness, "waiting.jpg", "skipped")
    (job,) = (job for job in harness.jobs() if job["key"] == "waiting.jpg")
    assert job["reason"] == "elsewhere"
    assert wait_until(lambda: LEFT in harness.outputs(), PATIENCE, pause=0.5)
    assert harness.spent() == spent


def test_every_role_is_made_within_the_companys_rules(redeployed: Redeployed) -> None:
    with closing(redeployed.client("iam")) as iam:
        names = [role["RoleName"] for role in iam.list_roles(PathPrefix=ROLE_PATH)["Roles"]]
        roles = [iam.get_role(RoleName=name)["Role"] for name in names]
    assert len(roles) == len(FUNCTIONS)
    assert {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in roles} == {redeployed.boundary}


def test_the_boundary_counts(redeployed: Redeployed) -> None:
    """What it leaves out is denied, whatever the role allows; nothing is lost."""
    harness, before = redeployed.harness, len(redeployed.denied())
    narrow = policy(harness.stack, "narrow", ANYTHING, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"})
    with closing(redeployed.client("iam")) as iam:
        (name,) = (
            role["RoleName"]
            for role in iam.list_roles(PathPrefix=ROLE_PATH)["Roles"]
            if "SubmitFunction" in role["RoleName"]
        )
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=narrow)
        drop(harness, "narrow.jpg", 4)

        def denied() -> set[str]:
            return {one["action"] for one in redeployed.denied()[before:]}

        assert wait_until(lambda: denied() == {"s3:GetObject"}, PATIENCE, pause=0.1), denied()
        assert becomes(harness, "narrow.jpg", "waiting")
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=redeployed.boundary)
    harness.pass_time(30 * MINUTE)
    assert becomes(harness, "narrow.jpg", "delivered")
