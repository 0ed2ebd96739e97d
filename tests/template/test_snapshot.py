"""A deploy with all defaults makes what it made before, and an upgrade replaces nothing that something is kept in."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from tests.template.resolve import resolved
from tests.template.snapshot import PLACE, RENEW, taken
from tests.template.stack import Stack

STATEFUL = {
    "AWS::S3::Bucket": {"InputBucket", "OutputBucket"},
    "AWS::DynamoDB::Table": {"JobTable"},
    "AWS::SecretsManager::Secret": {"RunflowApiKey", "CallbackSecrets"},
    "AWS::SQS::Queue": {
        "UploadQueue", "UploadDeadLetterQueue", "UploadRuleDeadLetterQueue", "ResultQueue", "ResultDeadLetterQueue",
    },
    "AWS::ApiGatewayV2::Api": {"HttpApi"},
    "AWS::SNS::Topic": {"AlarmTopic"},
}  # fmt: skip
"""What is lost where CloudFormation replaces a resource: photos, jobs, secrets, messages; the URL that runs in progress
were given; the subscription that somebody confirmed.
"""


def test_a_default_deploy_is_as_committed(stack: Stack) -> None:
    committed, now = PLACE.read_text(encoding="utf-8"), taken(stack)
    changes = list(difflib.unified_diff(committed.splitlines(), now.splitlines(), "snapshot", "template", lineterm=""))
    assert not changes, "\n".join([*changes, f"If this is meant, renew the snapshot and commit it: {RENEW}"])


def test_the_command_that_renews_it_is_documented(root: Path) -> None:
    assert RENEW in (root / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_what_keeps_something_keeps_its_logical_id(stack: Stack) -> None:
    """Under another one CloudFormation makes a new and empty resource. No renewal of the snapshot changes this list."""
    assert {kind: set(stack.of_type(kind)) for kind in STATEFUL} == STATEFUL


def test_the_snapshot_has_no_parameter_and_no_choice_left(stack: Stack) -> None:
    text = PLACE.read_text(encoding="utf-8")
    assert "Fn::If" not in text
    assert "AWS::NoValue" not in text
    assert stack.names(resolved(stack.deployed)) & set(stack.deployed["Parameters"]) == set()


# How it is resolved

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Name": {"Default": ""}, "Many": {"Default": 0}, "Other": {"Default": "x"}},
    "Conditions": {
        "Named": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]},
        "None": {"Fn::Equals": [{"Ref": "Many"}, 0]},
        "Both": {"Fn::And": [{"Condition": "Named"}, {"Condition": "None"}]},
        "Either": {"Fn::Or": [{"Condition": "Named"}, {"Condition": "None"}]},
    },
    "Outputs": {},
}


def choice(condition: str, then: Any, otherwise: Any) -> dict[str, Any]:
    return {"Fn::If": [condition, then, otherwise]}


NO_VALUE = {"Ref": "AWS::NoValue"}
TABLE = choice("Named", {"Ref": "Name"}, {"Ref": "Table"})


@pytest.mark.parametrize(
    ("written", "values", "made"),
    [
        ({"Ref": "Other"}, {}, "x"),
        ({"Ref": "Other"}, {"Other": "y"}, "y"),
        ({"Ref": "Queue"}, {}, {"Ref": "Queue"}),
        ({"a": choice("Named", 1, 2)}, {}, {"a": 2}),
        ({"a": choice("Named", 1, 2)}, {"Name": "n"}, {"a": 1}),
        (choice("None", 1, 2), {"Many": "3"}, 2),
        (choice("Both", 1, 2), {}, 2),
        (choice("Both", 1, 2), {"Name": "n"}, 1),
        (choice("Either", 1, 2), {"Many": "3"}, 2),
        ({"a": choice("Named", 1, NO_VALUE), "b": 2}, {}, {"b": 2}),
        ([choice("Named", 1, NO_VALUE), 2], {}, [2]),
        ({"Fn::Sub": "${Other}-${Queue.Arn}-${!kept}"}, {}, {"Fn::Sub": "x-${Queue.Arn}-${!kept}"}),
        ({"Fn::Sub": "${Other}/"}, {}, "x/"),
        ({"Fn::Sub": "${Queue.Arn}"}, {}, {"Fn::GetAtt": ["Queue", "Arn"]}),
        ({"Fn::Sub": ["${T}/*", {"T": TABLE}]}, {}, {"Fn::Sub": "${Table}/*"}),
        ({"Fn::Sub": ["${T}/*", {"T": TABLE}]}, {"Name": "n"}, "n/*"),
        ({"Fn::Sub": ["${T}", {"T": {"Fn::GetAtt": ["Table", "Arn"]}}]}, {}, {"Fn::GetAtt": ["Table", "Arn"]}),
        ({"Condition": {"Bool": {"a": "false"}}}, {}, {"Condition": {"Bool": {"a": "false"}}}),
    ],
)  # fmt: skip
def test_a_value_is_what_cloudformation_makes_of_it(written: Any, values: dict[str, str], made: Any) -> None:
    template = TEMPLATE | {"Resources": {"R": {"Type": "T", "Properties": {"P": written}}}}
    assert resolved(template, **values)["Resources"]["R"]["Properties"] == {"P": made}


def test_a_resource_whose_condition_is_false_is_not_made() -> None:
    resources = {"R": {"Type": "T", "Condition": "Named", "Metadata": {"why": 1}}}
    assert resolved(TEMPLATE | {"Resources": resources})["Resources"] == {}
    assert resolved(TEMPLATE | {"Resources": resources}, Name="n")["Resources"] == {"R": {"Type": "T"}}


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(KeyError, match="Nmae"):
        resolved(TEMPLATE | {"Resources": {}}, Nmae="n")
