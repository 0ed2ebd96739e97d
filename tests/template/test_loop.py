"""No output can start a run: a loop would pay $0.14 a turn."""

from __future__ import annotations

from typing import Any

from tests.template.stack import Stack

FUNCTIONS = ("SubmitFunction", "CallbackFunction", "DeliverFunction", "ReconcileFunction")


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_rule_listens_to_the_input_bucket_alone(stack: Stack) -> None:
    assert stack.given().properties("UploadRule")["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": "InputBucket"}]}},
    }


def test_no_other_rule_has_a_pattern(stack: Stack) -> None:
    assert [name for name, rule in stack.of_type("AWS::Events::Rule").items() if "EventPattern" in rule] == [
        "UploadRule"
    ]


def test_the_output_bucket_announces_nothing(stack: Stack) -> None:
    assert "NotificationConfiguration" not in stack.properties("OutputBucket")
    assert "ReplicationConfiguration" not in stack.properties("OutputBucket")


def test_the_input_bucket_tells_eventbridge_only(stack: Stack) -> None:
    assert stack.properties("InputBucket")["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }


def test_no_function_can_write_into_the_input_bucket(stack: Stack) -> None:
    stack = stack.given()
    for function in FUNCTIONS:
        for statement in stack.statements(f"{function}Role"):
            if "InputBucket" in stack.names(statement["Resource"]):
                for action in as_list(statement["Action"]):
                    reads = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions")
                    assert action in reads, f"{function}: {action}"


def test_only_reconcile_sends_to_the_upload_queue(stack: Stack) -> None:
    senders = {
        function
        for function in FUNCTIONS
        for statement in stack.given().statements(f"{function}Role")
        if "sqs:SendMessage" in as_list(statement["Action"]) and "UploadQueue" in stack.names(statement["Resource"])
    }
    assert senders == {"ReconcileFunction"}


def test_photos_and_outputs_are_two_buckets(stack: Stack) -> None:
    variables = stack.given().properties("SubmitFunction")["Environment"]["Variables"]
    assert (variables["INPUT_BUCKET"], variables["OUTPUT_BUCKET"]) == ({"Ref": "InputBucket"}, {"Ref": "OutputBucket"})
