"""Each function may do what it does, to what it does it to, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detag.adapters.job_items import OVERRIDE_PK
from tests.template.stack import Stack

FUNCTIONS = ("SubmitFunction", "CallbackFunction", "DeliverFunction", "ReconcileFunction")


@pytest.fixture(scope="module")
def stack(stack: Stack) -> Stack:
    """As deployed with all defaults."""
    return stack.given()


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(stack: Stack, function: str) -> Iterator[tuple[str, Any]]:
    """Every action that a function may call, with every resource it may call it on."""
    for statement in (one for one in stack.statements(f"{function}Role") if one["Effect"] == "Allow"):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource


def allowed(stack: Stack, function: str) -> dict[str, set[str]]:
    """The logical ids that each action is allowed on; a fixed ARN counts by its text."""
    found: dict[str, set[str]] = {}
    for action, resource in grants(stack, function):
        names = {name for name in stack.names(resource) if not name.startswith("AWS::")}
        found.setdefault(action, set()).update(names or {str(resource)})
    return found


def test_each_function_has_a_role_of_its_own(stack: Stack) -> None:
    functions = stack.of_type("AWS::Lambda::Function")
    assert set(functions) == set(FUNCTIONS)
    assert {name: stack.one_name(function["Role"]) for name, function in functions.items()} == {
        name: f"{name}Role" for name in FUNCTIONS
    }
    assert set(stack.of_type("AWS::IAM::Role")) == {f"{name}Role" for name in FUNCTIONS}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_is_for_lambda_and_has_no_managed_policy(stack: Stack, function: str) -> None:
    role = stack.properties(f"{function}Role")
    assert "ManagedPolicyArns" not in role, "a managed policy reaches every queue or log group of the account"
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert trust["Action"] == "sts:AssumeRole"


def test_it_is_documented_what_a_boundary_must_allow(stack: Stack, root: Path) -> None:
    page = (root / "docs/deploying.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z0-9]+:[A-Z][A-Za-z]+)`", page))
    assert listed == {action for name in FUNCTIONS for action, _ in grants(stack, name)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_statement_has_a_purpose_that_no_other_has(stack: Stack, function: str) -> None:
    sids = [statement["Sid"] for statement in stack.statements(f"{function}Role")]
    assert len(sids) == len(set(sids))
    for statement in stack.statements(f"{function}Role"):
        assert (statement["Effect"] == "Deny") == (statement["Sid"] == "LeaveTheOverride")
        services = {action.split(":")[0] for action in as_list(statement["Action"])}
        assert len(services) == 1, statement["Sid"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_action_and_no_resource_is_a_wildcard(stack: Stack, function: str) -> None:
    for action, resource in grants(stack, function):
        assert "*" not in action
        assert resource != "*"
        if isinstance(resource, str):
            assert "*" not in resource, "a fixed ARN with a wildcard"
        if "Fn::Sub" in resource and "*" in resource["Fn::Sub"]:
            records = ("/_failed/*", "/_skipped/*")
            assert action.startswith("s3:") and resource["Fn::Sub"].endswith((".Arn}/*", *records))


def test_submit_reads_photos_and_copies_outputs(stack: Stack) -> None:
    """Submit reads photos and spends; in the output bucket it copies what was delivered, and never writes photos."""
    may = allowed(stack, "SubmitFunction")
    both, output = {"InputBucket", "OutputBucket"}, {"OutputBucket"}
    assert {action: names for action, names in may.items() if action.startswith("s3:")} == {
        "s3:GetObject": both,
        "s3:GetObjectVersion": both,
        "s3:ListBucket": both,
        "s3:PutObject": output,
        "s3:DeleteObject": output,
        "s3:GetObjectTagging": output,
        "s3:GetObjectVersionTagging": output,
    }
    assert may["secretsmanager:GetSecretValue"] == {"RunflowApiKey"}
    assert "sqs:SendMessage" not in may


def test_the_public_function_cannot_read_the_api_key(stack: Stack) -> None:
    """The public function cannot read the key that spends money."""
    assert allowed(stack, "CallbackFunction") == {
        "logs:CreateLogStream": {"CallbackFunctionLogs"},
        "logs:PutLogEvents": {"CallbackFunctionLogs"},
        "secretsmanager:GetSecretValue": {"CallbackSecrets"},
        "sqs:SendMessage": {"ResultQueue"},
    }


def test_only_callback_reads_the_callback_secrets(stack: Stack) -> None:
    readers = {
        function: allowed(stack, function)["secretsmanager:GetSecretValue"]
        for function in FUNCTIONS
        if "secretsmanager:GetSecretValue" in allowed(stack, function)
    }
    assert readers == {
        "SubmitFunction": {"RunflowApiKey"},
        "CallbackFunction": {"CallbackSecrets"},
        "DeliverFunction": {"RunflowApiKey"},
        "ReconcileFunction": {"RunflowApiKey"},
    }


def test_deliver_writes_outputs_and_no_photos(stack: Stack) -> None:
    """Of a photo it reads a byte, where its bucket keeps no versions, to see whether it is still there."""
    may = allowed(stack, "DeliverFunction")
    assert {action: names for action, names in may.items() if action.startswith("s3:")} == {
        "s3:PutObject": {"OutputBucket"},
        "s3:GetObject": {"InputBucket", "OutputBucket"},
        "s3:DeleteObject": {"OutputBucket"},
        "s3:ListBucket": {"OutputBucket"},
    }


def test_reconcile_lists_the_input_bucket_and_reads_nothing(stack: Stack) -> None:
    may = allowed(stack, "ReconcileFunction")
    assert [(action, may[action]) for action in may if action.startswith("s3:")] == [
        ("s3:ListBucketVersions", {"InputBucket"})
    ]
    assert may["sqs:SendMessage"] == {"UploadQueue", "ResultQueue"}


def test_the_roles_allow_what_the_job_store_calls(stack: Stack) -> None:
    """A job is read and written by the actions that the job store calls: a transaction is allowed by the actions of its
    items.
    """
    called = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
    for function in FUNCTIONS:
        may = {
            action for action, resource in grants(stack, function) if resource == {"Fn::GetAtt": ["JobTable", "Arn"]}
        }
        expected = called if "JOB_TABLE" in environment(stack, function) else set()
        assert may == expected | ({"dynamodb:DescribeTable"} if function == "ReconcileFunction" else set()), function


def test_no_function_may_write_the_override(stack: Stack) -> None:
    """Whoever may write jobs is denied the item by which an operator pauses and sets limits, whatever else allows it.
    `tests/integration/test_emulator.py` shows what that denies.
    """
    writes = {"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
    for function in FUNCTIONS:
        denied = [one for one in stack.statements(f"{function}Role") if one["Effect"] == "Deny"]
        assert len(denied) == ("JOB_TABLE" in environment(stack, function))
        for statement in denied:
            assert set(statement["Action"]) == writes
            assert statement["Resource"] == {"Fn::GetAtt": ["JobTable", "Arn"]}
            assert statement["Condition"] == {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": OVERRIDE_PK}}


def test_only_reconcile_queries_the_table(stack: Stack) -> None:
    """Only reconcile searches the table, and only by its indexes."""
    searching = {"dynamodb:Query", "dynamodb:Scan"}
    for function in FUNCTIONS:
        found = [resource for action, resource in grants(stack, function) if action in searching]
        if function == "ReconcileFunction":
            indexes = stack.properties("JobTable")["GlobalSecondaryIndexes"]
            assert found == [{"Fn::Sub": f"${{JobTable.Arn}}/index/{index['IndexName']}"} for index in indexes]
        else:
            assert not found


def test_nobody_deletes_photos_jobs_or_secrets(stack: Stack) -> None:
    """Only who stores outputs deletes: an output's current version, which its bucket keeps."""
    outputs = {"Fn::Sub": "${OutputBucket.Arn}/*"}
    for function in FUNCTIONS:
        for action, resource in grants(stack, function):
            stores = function in ("SubmitFunction", "DeliverFunction")
            replaced = stores and (action, resource) == ("s3:DeleteObject", outputs)
            assert "Delete" not in action or action == "sqs:DeleteMessage" or replaced, f"{function}: {action}"
    assert stack.properties("OutputBucket")["VersioningConfiguration"] == {"Status": "Enabled"}


def test_events_are_sent_in_our_own_name_only(stack: Stack) -> None:
    senders = set()
    for function in FUNCTIONS:
        for statement in stack.statements(f"{function}Role"):
            if "events:PutEvents" in as_list(statement["Action"]):
                senders.add(function)
                assert statement["Condition"] == {
                    "ForAllValues:StringEquals": {"events:source": "detag"},
                    "Null": {"events:source": "false"},  # tests/integration/test_emulator.py shows what for
                }
                assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/default")
    assert senders == {name for name in FUNCTIONS if "EVENT_BUS" in environment(stack, name)}
    assert all(environment(stack, name)["EVENT_BUS"] == "default" for name in senders)


def environment(stack: Stack, function: str) -> dict[str, Any]:
    variables: dict[str, Any] = stack.properties(function)["Environment"]["Variables"]
    return variables


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_use_just_what_its_variables_name(stack: Stack, function: str) -> None:
    named = {name for name in stack.names(environment(stack, function)) if name in stack.deployed["Resources"]}
    used = set().union(*allowed(stack, function).values()) & set(stack.deployed["Resources"])
    used -= {f"{function}Logs"}
    used -= {
        queue for queue, mapping in stack.consumers().items() if stack.one_name(mapping["FunctionName"]) == function
    }
    if function == "DeliverFunction":
        named.add("InputBucket")  # which bucket a photo is in stands on its job
    assert used == named - {"HttpApi"}


def test_triggers_may_invoke_their_own_function_alone(stack: Stack) -> None:
    """API Gateway and the schedule may invoke their function alone."""
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    assert {(stack.one_name(one["FunctionName"]), one["Principal"]) for one in permissions} == {
        ("CallbackFunction", "apigateway.amazonaws.com"),
        ("ReconcileFunction", "events.amazonaws.com"),
    }
    assert all("SourceArn" in one for one in permissions)
