"""The commands that the pages and the outputs give an operator, run as they are written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from local.emulator.client import REPOSITORY
from local.stack import Stack
from tests.e2e.stacks import outputs, shell

PAGE = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")


def block(heading: str) -> str:
    """The shell commands under a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.fixture
def override(stack: Stack) -> Iterator[dict[str, object]]:
    """How to find the override, which is gone afterwards."""
    key = {"TableName": stack.description["job_table"], "Key": {"pk": {"S": "override"}}}
    yield key
    stack.client("dynamodb").delete_item(**key)


def test_an_override_leaves_the_other_as_it_is(stack: Stack, override: dict[str, object]) -> None:
    """Setting a limit must not end a pause."""
    definition, *commands = re.split(
        r"^(?=override ')", block("Pause, or raise the limit, immediately"), flags=re.MULTILINE
    )
    assert len(commands) == 4
    found = []
    for command in commands:
        shell(stack, (definition + command).replace("JOB_TABLE", stack.description["job_table"]))
        item = stack.client("dynamodb").get_item(**override)["Item"]
        found.append({name: value for name, value in item.items() if name != "pk"})
    paused, limit = {"paused": {"BOOL": True}}, {"limit_usd": {"S": "25"}}
    assert found == [paused, paused | limit, limit, {}]


def test_dead_letters_of_the_rule_are_moved_by_hand(stack: Stack) -> None:
    """They came from no queue, so SQS cannot move them back."""
    sqs = stack.client("sqs")
    source, target = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("by-hand-source", "by-hand-target"))
    try:
        for number in range(12):
            sqs.send_message(QueueUrl=source, MessageBody=f"photo {number}")
        script = block("Redrive").replace("WaitTimeSeconds=5", "WaitTimeSeconds=1")
        shell(stack, script.replace("UPLOAD_RULE_DEAD_LETTER_QUEUE_URL", source).replace("UPLOAD_QUEUE_URL", target))
        count = "ApproximateNumberOfMessages"
        left = [
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count]
            for url in (source, target)
        ]
        assert left == ["0", "12"]
    finally:
        for url in (source, target):
            sqs.delete_queue(QueueUrl=url)


def test_what_was_skipped_is_listed_with_its_reason(stack: Stack) -> None:
    stack.client("s3").put_object(Bucket=stack.description["input_bucket"], Key="my notes.txt", Body=b"no photo")
    command, listed = outputs(stack)["SkippedCommand"], ""
    until = time.monotonic() + 60
    while "my notes.txt\tnot_an_image\t" not in listed:
        assert time.monotonic() < until, listed
        time.sleep(1)
        listed = shell(stack, command)


@pytest.mark.parametrize("queue", ["upload", "result"])
def test_a_redrive_is_by_the_arn_of_its_queue(stack: Stack, queue: str) -> None:
    url = stack.description[f"{queue}_dead_letter_queue_url"]
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert outputs(stack)[f"Redrive{queue.title()}sCommand"].endswith(f"--source-arn {arn}")
