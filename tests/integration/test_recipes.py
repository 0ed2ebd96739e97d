"""Each recipe of docs/recipes.md, deployed to the emulator as it is written there, does what it says."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from detag.adapters.eventbridge import EventBridgeEvents
from detag.domain.reasons import Reason
from local.emulator.client import running
from local.processes import wait_until
from tests.emulator import Aws

ROOT = Path(__file__).resolve().parents[2]
EVENT: dict[str, Any] = json.loads((ROOT / "events/photo-delivered.json").read_text(encoding="utf-8"))
DELIVERED: dict[str, Any] = EVENT["detail"]
WHY = {"reason": "run_failed", "means": Reason.RUN_FAILED.means, "what_to_do": Reason.RUN_FAILED.do}
FAILED = DELIVERED | {"state": "failed", "outputs": [], **WHY}
PATIENCE = 30.0


def recipe(title: str) -> str:
    """The template under a heading of the page."""
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    (section,) = [text for text in re.split(r"^## ", page, flags=re.MULTILINE) if text.startswith(f"{title}\n")]
    (template,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return str(template)


def deploy(aws: Aws, title: str, **parameters: str) -> dict[str, str]:
    """The outputs of a stack that is made of a recipe."""
    cloudformation = aws.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    cloudformation.create_stack(
        StackName="recipe", TemplateBody=recipe(title), Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )

    def stack() -> dict[str, Any]:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName="recipe")["Stacks"][0]
        return found

    assert wait_until(lambda: stack()["StackStatus"] == "CREATE_COMPLETE", PATIENCE, pause=0.1), stack()
    return {output["OutputKey"]: output["OutputValue"] for output in stack().get("Outputs", [])}


def received(aws: Aws, url: str) -> list[str]:
    answer = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture
def events(aws: Aws) -> EventBridgeEvents:
    return EventBridgeEvents(lambda: aws.client("events"), "default")


def test_a_mail_on_every_failure(aws: Aws, events: EventBridgeEvents) -> None:
    """A queue that subscribes to the same topic sees what the mail says."""
    topic = deploy(aws, "A mail on every failure", Email="shop@example.com")["TopicArn"]
    url = aws.client("sqs").create_queue(QueueName="reads-along")["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns = aws.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    assert "shop@example.com" in {one["Endpoint"] for one in sns.list_subscriptions()["Subscriptions"]}
    events.publish("Photo Delivered", DELIVERED)
    events.publish("Photo Failed", FAILED)
    (text,) = received(aws, url)
    assert f"shoes/shoe.jpg failed. {FAILED['means']} What to do: {FAILED['what_to_do']} Job" in text


def test_a_queue_hears_of_deliveries_and_batches(aws: Aws, events: EventBridgeEvents) -> None:
    url = deploy(aws, "A queue")["QueueUrl"]
    events.publish("Photo Failed", FAILED)
    events.publish("Photo Delivered", DELIVERED)
    (text,) = received(aws, url)
    assert json.loads(text)["detail"] == DELIVERED


def test_another_function_is_called_with_each_whole_delivery(aws: Aws, events: EventBridgeEvents) -> None:
    """The function tells what it was called with by a message to a queue."""
    url = aws.client("sqs").create_queue(QueueName="called")["QueueUrl"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", FUNCTION)
    function = aws.client("lambda").create_function(
        FunctionName="theirs",
        Runtime="python3.13",
        Handler="handler.handle",
        Role="arn:aws:iam::000000000000:role/theirs",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"QUEUE": url}},
    )
    deploy(aws, "Another function", FunctionArn=function["FunctionArn"])
    events.publish("Photo Delivered", DELIVERED | {"partial": True})
    events.publish("Photo Delivered", DELIVERED)
    heard: list[str] = []

    def is_called() -> bool:
        heard.extend(received(aws, url))
        return bool(heard)

    assert wait_until(is_called, PATIENCE, pause=0.2)
    assert [json.loads(text)["detail"]["partial"] for text in heard] == [False]


def test_only_what_was_approved_can_be_read(tmp_path: Path) -> None:
    """Under IAM, as the policy's user: an output is read once it is tagged, and no more once it is replaced."""
    with running(tmp_path, auth=True) as emulator:
        aws = Aws(emulator)
        s3, iam = aws.client("s3"), aws.client("iam")
        s3.create_bucket(Bucket="outputs")
        s3.put_bucket_versioning(Bucket="outputs", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="outputs", Key="shoe.jpg", Body=b"first")
        policy = deploy(aws, "Publish only what was approved", OutputBucket="outputs")["PolicyArn"]
        iam.create_user(UserName="shop")
        iam.attach_user_policy(UserName="shop", PolicyArn=policy)
        key = iam.create_access_key(UserName="shop")["AccessKey"]
        shop = boto3.client(
            "s3",
            endpoint_url=emulator.endpoint_url,
            region_name=emulator.env["AWS_REGION"],
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

        def is_read() -> bool:
            try:
                return bool(shop.get_object(Bucket="outputs", Key="shoe.jpg")["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] != "AccessDenied":
                    raise
                return False

        seen = [is_read()]
        tags = {"TagSet": [{"Key": "detag-review", "Value": "approved"}]}
        s3.put_object_tagging(Bucket="outputs", Key="shoe.jpg", Tagging=tags)
        seen.append(is_read())
        s3.put_object(Bucket="outputs", Key="shoe.jpg", Body=b"second")
        assert [*seen, is_read()] == [False, True, False]


FUNCTION = """
import json, os
import boto3

def handle(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
"""
