"""The template's queue policies, enforced: no plain http, and from outside of the account nothing but the rule's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from local.emulator.client import running
from tests.emulator import Aws
from tests.template.stack import read_stack

from .conftest import deploy

SENT_TO_BY_THE_RULE: Final = {"UploadQueue", "UploadRuleDeadLetterQueue"}
QUEUES: Final = (*sorted(SENT_TO_BY_THE_RULE), "UploadDeadLetterQueue", "ResultQueue", "ResultDeadLetterQueue")
KINDS: Final = ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::Events::Rule", "AWS::S3::Bucket")
ANOTHER_ACCOUNT: Final = "111111111111"


def deployed(aws: Aws) -> dict[str, str]:
    """Deploy the queues, their policies, the rule and its bucket as the template has them; URLs by logical id."""
    resources = {
        name: resource
        for name, resource in read_stack().deployed["Resources"].items()
        if resource["Type"] in KINDS and "ScheduleExpression" not in resource["Properties"]
    }
    assert {name for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"} == set(QUEUES)
    outputs: dict[str, Any] = {name: {"Value": {"Ref": name}} for name in QUEUES}
    outputs["RuleArn"] = {"Value": {"Fn::GetAtt": ["UploadRule", "Arn"]}}
    return deploy(aws, {"Resources": resources, "Outputs": outputs})


def served(sqs: Any, url: str) -> tuple[bool, bool]:
    """Whether a queue takes a message from this client, and whether it shows it any."""
    return not refused(sqs.send_message, QueueUrl=url, MessageBody="hello"), not refused(
        sqs.receive_message, QueueUrl=url
    )


def refused(call: Any, **arguments: str) -> bool:
    """Whether permission is what a call lacks."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return True
        raise
    return False


def test_plain_http_is_refused_by_every_queue_whoever_calls(tmp_path: Path) -> None:
    with running(tmp_path / "emulator", auth=True) as emulator:
        aws = Aws(emulator)
        names = deployed(aws)
        assert {name: served(aws.client("sqs"), names[name]) for name in QUEUES} == dict.fromkeys(
            QUEUES, (False, False)
        )


def test_only_the_account_and_the_rule_are_served(tmp_path: Path) -> None:
    """By TLS the account is served; of all others only the rule may send."""
    with running(tmp_path / "emulator", auth=True, tls=True) as emulator:
        aws = Aws(emulator)
        names, sqs = deployed(aws), aws.client("sqs")
        others = boto3.client(
            "sqs",
            aws_access_key_id=ANOTHER_ACCOUNT,
            aws_secret_access_key=emulator.env["AWS_SECRET_ACCESS_KEY"],
            region_name=emulator.env["AWS_REGION"],
            endpoint_url=emulator.endpoint_url,
            verify=emulator.env["AWS_CA_BUNDLE"],
        )
        assert {name: served(sqs, names[name]) for name in QUEUES} == dict.fromkeys(QUEUES, (True, True))
        assert {name: served(others, names[name]) for name in QUEUES} == dict.fromkeys(QUEUES, (False, False))
        for name in QUEUES:
            found = sqs.get_queue_attributes(QueueUrl=names[name], AttributeNames=["Policy"])["Attributes"]["Policy"]
            allowed = [statement for statement in json.loads(found)["Statement"] if statement["Effect"] == "Allow"]
            assert len(allowed) == (name in SENT_TO_BY_THE_RULE), name
            for statement in allowed:  # the emulator does not hold EventBridge to it
                assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": names["RuleArn"]}}
