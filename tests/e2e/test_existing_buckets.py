"""Stacks on buckets that are already there, side by side in one account; the emulator checks every permission."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from detag.domain.prefix_claim import STACKS_KEY
from local.processes import wait_until
from local.stack.stack import Options, running
from tests.e2e.harness import Harness, photo
from tests.e2e.people import person
from tests.e2e.stacks import deploy, outputs, secrets, shell

Call = Callable[[Any], Any]

PATIENCE: Final = 60.0
INCOMING: Final = "crème & more/incoming/"
SHOP: Final = {"InputBucketName": "shop", "OutputBucketName": "shop"}
STACKS: Final[Mapping[str, Mapping[str, str]]] = {
    "folder": {**SHOP, "InputPrefix": INCOMING, "OutputPrefix": "cleaned/", "OutputName": "replace"},
    "beside": {**SHOP, "InputPrefix": "other/", "OutputPrefix": "cleaned-other/"},
    "second": {**SHOP, "InputPrefix": "crème & more/", "OutputPrefix": "cleaned-too/"},
    "plain": {"InputBucketName": "plain", "OutputBucketName": "plain-outputs"},
}
"""Each stack's parameters, in the order of deploying: the second one comes too late for its folder."""
S3_MAY_SEND: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:*", "Resource": "*"}
        ],
    }
)

pytestmark = [pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Account:
    """One account with all the stacks."""

    stacks: dict[str, Harness]
    folder: Path

    def denied(self) -> list[dict[str, Any]]:
        """The calls of functions that were refused so far."""
        path = self.folder / "logs" / "decisions.jsonl"
        made = [json.loads(line) for line in path.read_text().splitlines()]
        return [one for one in made if not one["allowed"] and ":user/" not in one["principal"]]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder: Path = tmp_path_factory.mktemp("existing") / "local stack"
    options = Options(folder=folder, auth=True)
    with running(options) as first:
        with closing(first.client("s3")) as s3, closing(first.client("sqs")) as sqs:
            url = sqs.create_queue(QueueName="the-shops-own", Attributes={"Policy": S3_MAY_SEND})["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            for bucket in ("shop", "plain", "plain-outputs"):
                s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket="shop", VersioningConfiguration={"Status": "Enabled"})
            own = {"Id": "own", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}
            s3.put_bucket_notification_configuration(
                Bucket="shop", NotificationConfiguration={"QueueConfigurations": [own]}
            )
        stacks, values = {}, secrets(first)
        for name, parameters in STACKS.items():
            made = deploy(first, name, {key: f'"{value}"' for key, value in parameters.items()}, values)
            shell(made, outputs(made)["EnableEventBridgeCommand"])
            stacks[name] = Harness(made)
            stacks[name].report()  # reconcile's first minute
        claimed_long_ago(stacks["folder"].s3, "shop", "plain")
        yield Account(stacks, folder)
        for harness in stacks.values():
            harness.close()


def claimed_long_ago(s3: Any, *buckets: str) -> None:
    """Every claim is as if it had been made an hour ago, so that it is in force at once."""
    for bucket in buckets:
        where = {"Bucket": bucket, "Key": STACKS_KEY}
        found = json.loads(s3.get_object(**where)["Body"].read())
        for claim in found["stacks"]:
            claim["claimed_at"] -= 3_600.0
        s3.put_object(**where, Body=json.dumps(found).encode())


def drop(harness: Harness, key: str, number: int) -> None:
    harness.s3.put_object(Bucket=harness.stack.description["input_bucket"], Key=key, Body=photo(number))


def states(harness: Harness) -> dict[str, str]:
    return states_of(harness.jobs())


def states_of(jobs: list[dict[str, Any]]) -> dict[str, str]:
    return {job["key"]: job["state"] for job in jobs}


def becomes(harness: Harness, key: str, wanted: str) -> bool:
    return harness.wait(lambda jobs: states_of(jobs).get(key) == wanted, PATIENCE)


def keys(harness: Harness, bucket: str, prefix: str = "") -> set[str]:
    return {one["Key"] for one in harness.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}


def test_eventbridge_is_added_to_what_the_bucket_notifies(account: Account) -> None:
    """The command is run once for each stack, and what the shop had configured stays."""
    s3 = account.stacks["folder"].s3
    found = s3.get_bucket_notification_configuration(Bucket="shop")
    assert [one["QueueArn"].rpartition(":")[2] for one in found["QueueConfigurations"]] == ["the-shops-own"]
    assert "EventBridgeConfiguration" in found
    assert s3.get_bucket_versioning(Bucket="shop")["Status"] == "Enabled"
    assert "Status" not in s3.get_bucket_versioning(Bucket="plain")


def test_a_photo_goes_from_folder_to_folder(account: Account) -> None:
    """In one bucket with versions, with spaces and accents in the prefix; a name is replaced as the shop asked for."""
    harness = account.stacks["folder"]
    paid = harness.billing()["paid_runs"]
    drop(harness, f"{INCOMING}red shoes/größe 43.jpg", 1)
    drop(harness, f"{INCOMING}red shoes/größe 43.jpeg", 2)
    assert becomes(harness, f"{INCOMING}red shoes/größe 43.jpg", "delivered")
    assert becomes(harness, f"{INCOMING}red shoes/größe 43.jpeg", "delivered")
    found = keys(harness, "shop", "cleaned/")
    assert "cleaned/red shoes/größe 43.webp" in found
    assert found - {"cleaned/red shoes/größe 43.webp"} <= {
        "cleaned/red shoes/größe 43.jpg.webp",
        "cleaned/red shoes/größe 43.jpeg.webp",
    }
    assert len(found) == 2
    assert harness.billing()["paid_runs"] == paid + 2


def test_an_upload_elsewhere_starts_nothing(account: Account) -> None:
    harness = account.stacks["folder"]
    drop(harness, "incoming/a.jpg", 3)
    drop(harness, "elsewhere/a.jpg", 4)
    drop(harness, f"{INCOMING}last.jpg", 5)
    assert becomes(harness, f"{INCOMING}last.jpg", "delivered")
    for one in account.stacks.values():
        assert not {"incoming/a.jpg", "elsewhere/a.jpg", ".detag/stacks.json"} & states(one).keys()


def test_two_stacks_clean_two_folders_of_one_bucket(account: Account) -> None:
    harness = account.stacks["beside"]
    drop(harness, "other/a.jpg", 6)
    assert becomes(harness, "other/a.jpg", "delivered")
    assert keys(harness, "shop", "cleaned-other/") == {"cleaned-other/a.jpg.webp"}
    assert "other/a.jpg" not in states(account.stacks["folder"])


def test_the_second_stack_on_a_folder_pays_nothing(account: Account) -> None:
    """It says whose the folder is, and its photo waits; the first stack's is delivered."""
    first, second = account.stacks["folder"], account.stacks["second"]
    paid, key = first.billing()["paid_runs"], f"{INCOMING}both.jpg"
    drop(first, key, 7)
    assert becomes(first, key, "delivered")
    assert becomes(second, key, "waiting")
    report = second.report()
    assert report["intake"]["why"] == "prefix_taken"
    assert report["folder"]["by"].endswith("/folder")
    assert report["folder"]["prefix"] == INCOMING
    assert second.billing()["paid_runs"] == paid + 1
    assert second.spent() == 0


def test_a_bucket_without_versions_will_do(account: Account) -> None:
    """On both sides; a photo that is replaced is cleaned anew."""
    harness = account.stacks["plain"]
    drop(harness, "a.jpg", 8)
    assert becomes(harness, "a.jpg", "delivered")
    assert keys(harness, "plain-outputs") == {"a.jpg.webp"}
    first = harness.s3.get_object(Bucket="plain-outputs", Key="a.jpg.webp")["ETag"]
    drop(harness, "a.jpg", 9)
    assert wait_until(
        lambda: harness.s3.get_object(Bucket="plain-outputs", Key="a.jpg.webp")["ETag"] != first, PATIENCE, pause=0.5
    )
    assert [job["state"] for job in harness.jobs()] == ["delivered", "delivered"]


def calls(harness: Harness) -> dict[str, tuple[str, Call]]:
    """What somebody may want to do on the stack `folder`, by a sentence: the service and the call."""
    names, table = harness.stack.description, harness.stack.description["job_table"]
    override = {"TableName": table, "Key": {"pk": {"S": "override"}}}
    paused: Any = {"UpdateExpression": "SET paused = :p", "ExpressionAttributeValues": {":p": {"BOOL": False}}}
    tags = {"TagSet": [{"Key": "detag-review", "Value": "approved"}]}
    output = {"Bucket": "shop", "Key": "cleaned/red shoes/größe 43.webp"}
    upload, dead = names["upload_queue_url"], names["upload_dead_letter_queue_url"]
    return {
        "drop a photo": ("s3", lambda s3: s3.put_object(Bucket="shop", Key=f"{INCOMING}mine.txt", Body=b"")),
        "fetch an output": ("s3", lambda s3: s3.get_object(**output)),
        "list outputs": ("s3", lambda s3: s3.list_objects_v2(Bucket="shop", Prefix="cleaned/")),
        "see the status": (
            "lambda",
            lambda one: one.invoke(FunctionName=names["functions"]["reconcile"], Payload=b"{}"),
        ),
        "find the stack": ("cloudformation", lambda one: one.describe_stacks(StackName="folder")),
        "pause": ("dynamodb", lambda one: one.update_item(**override, **paused)),
        "end the override": ("dynamodb", lambda one: one.delete_item(**override)),
        "reopen": ("sqs", lambda sqs: sqs.send_message(QueueUrl=upload, MessageBody='{"reopen": {}}')),
        "take a dead letter": ("sqs", lambda sqs: sqs.receive_message(QueueUrl=dead)),
        "judge an output": ("s3", lambda s3: s3.put_object_tagging(**output, Tagging=tags)),
        "store a secret": (
            "secretsmanager",
            lambda one: one.put_secret_value(SecretId=names["callback_secrets_arn"], SecretString='{"secrets": ["x"]}'),
        ),
        # Nobody's, by these two policies
        "drop elsewhere": ("s3", lambda s3: s3.put_object(Bucket="shop", Key="elsewhere/mine.txt", Body=b"")),
        "drop claims": ("s3", lambda s3: s3.put_object(Bucket="shop", Key=STACKS_KEY, Body=b"{}")),
        "drop an output": ("s3", lambda s3: s3.put_object(Bucket="shop", Key="cleaned/mine.txt", Body=b"")),
        "delete an output": ("s3", lambda s3: s3.delete_object(**output)),
        "read the list of stacks": ("s3", lambda s3: s3.get_object(Bucket="shop", Key=".detag/stacks.json")),
        "list the whole bucket": ("s3", lambda s3: s3.list_objects_v2(Bucket="shop")),
        "read a job": ("dynamodb", lambda one: one.get_item(TableName=table, Key={"pk": {"S": "job#1"}})),
        "read all jobs": ("dynamodb", lambda one: one.scan(TableName=table)),
        "change a job": ("dynamodb", lambda one: one.delete_item(TableName=table, Key={"pk": {"S": "job#1"}})),
        "read a secret": (
            "secretsmanager",
            lambda one: one.get_secret_value(SecretId=names["runflow_api_key_arn"]),
        ),
        "call another function": (
            "lambda",
            lambda one: one.invoke(FunctionName=names["functions"]["submit"], Payload=b"{}"),
        ),
        "delete the stack": ("cloudformation", lambda one: one.delete_stack(StackName="folder")),
        "purge the queue": ("sqs", lambda sqs: sqs.purge_queue(QueueUrl=upload)),
    }


DROPPERS: Final = {"drop a photo", "fetch an output", "list outputs", "see the status", "find the stack"}
OPERATORS: Final = {"pause", "end the override", "reopen", "take a dead letter", "judge an output", "store a secret"}


@pytest.mark.parametrize(
    ("policies", "allowed"),
    [
        (["DropperPolicyArn"], DROPPERS),
        (["OperatorPolicyArn"], OPERATORS),
        (["DropperPolicyArn", "OperatorPolicyArn"], DROPPERS | OPERATORS),
    ],
)
def test_people_may_do_what_their_policy_says(account: Account, policies: list[str], allowed: set[str]) -> None:
    """That and nothing else, each call as a user who has the policy."""
    harness = account.stacks["folder"]
    arns = outputs(harness.stack)
    with person(harness.stack, "somebody", *(arns[name] for name in policies)) as somebody:
        done = {what for what, (service, call) in calls(harness).items() if somebody.may(service, call)}
    assert done == allowed


def test_nothing_was_refused_and_no_message_was_given_up(account: Account) -> None:
    """The rights follow the prefixes: what a role called it was allowed to."""
    assert account.denied() == []
    assert [harness.dead_letters() for harness in account.stacks.values()] == [0, 0, 0, 0]
