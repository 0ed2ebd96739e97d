"""The two policies for people: what each allows, where, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from detag.adapters.job_items import OVERRIDE_PK
from tests.template.combinations import COMBINATIONS, INPUT_KEY, ONE_BUCKET, OUTPUT_KEY
from tests.template.stack import Stack

POLICIES = ("DropperPolicy", "OperatorPolicy")
INCOMING, CLEANED = ONE_BUCKET["InputPrefix"] + "*", ONE_BUCKET["OutputPrefix"] + "*"


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(stack: Stack, policy: str) -> list[dict[str, Any]]:
    """What a policy allows."""
    return [one for one in whole(stack, policy) if one["Effect"] == "Allow"]


def whole(stack: Stack, policy: str) -> list[dict[str, Any]]:
    """Its statements, also of what it denies."""
    found: list[dict[str, Any]] = stack.properties(policy)["PolicyDocument"]["Statement"]
    return found


def place(stack: Stack, resource: Any) -> str:
    """The name of what a statement is about: a logical id, or in a given bucket the key."""
    if isinstance(resource, str):
        return resource
    names = {name for name in stack.names(resource) if not name.startswith("AWS::")}
    if names:
        (name,) = names
        return name + ("/*" if str(resource.get("Fn::Sub")).endswith("/*") else "")
    return re.sub(r"\$\{AWS::(\w+)\}", r"\1", resource["Fn::Sub"]).rpartition(":")[2]


def allowed(stack: Stack, policy: str) -> dict[str, set[str]]:
    """By place: what may be done there."""
    found: dict[str, set[str]] = {}
    for statement in statements(stack, policy):
        for resource in as_list(statement["Resource"]):
            found.setdefault(place(stack, resource), set()).update(as_list(statement["Action"]))
    return found


def listed(stack: Stack, policy: str) -> dict[str, Any]:
    """By the statement's name: under which condition a bucket may be listed."""
    return {one["Sid"]: one.get("Condition") for one in statements(stack, policy) if one["Action"] == "s3:ListBucket"}


def test_whoever_drops_photos_may_do_that_and_look(stack: Stack) -> None:
    """It neither spends beyond the limit nor stops anything; nothing of S3 outside of the two folders."""
    find = ("DescribeStacks", "DescribeStackResource", "ListStackResources")
    see = {
        "ReconcileFunction": {"lambda:InvokeFunction"},
        "stack/StackName/*": {f"cloudformation:{name}" for name in find},
    }
    drop = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
    assert allowed(stack.given(**ONE_BUCKET), "DropperPolicy") == see | {
        f"shop/{INCOMING}": drop,
        f"shop/{CLEANED}": {"s3:GetObject"},
        "shop": {"s3:ListBucket"},
    }
    assert allowed(stack.given(), "DropperPolicy") == see | {
        "InputBucket/*": drop,
        "OutputBucket/*": {"s3:GetObject"},
        "InputBucket": {"s3:ListBucket"},
        "OutputBucket": {"s3:ListBucket"},
    }


def test_nobody_drops_claims_to_folders(stack: Stack) -> None:
    """Without a prefix the list of stacks is among the photos: whoever writes it decides which stack pays."""
    for values in COMBINATIONS.values():
        made = stack.given(**values)
        denied = [one for policy in POLICIES for one in whole(made, policy) if one["Effect"] != "Allow"]
        if "InputBucketName" in values:
            (statement,) = denied
            assert statement["Effect"] == "Deny" and "Condition" not in statement
            assert set(statement["Action"]) == {"s3:PutObject", "s3:DeleteObject"}
            assert place(made, statement["Resource"]) == "shop/.detag/*"
        else:
            assert denied == []


@pytest.mark.parametrize(("values", "outputs"), [(ONE_BUCKET, f"shop/{CLEANED}"), ({}, "OutputBucket/*")])
def test_whoever_runs_the_stack_may_do_that_and_no_more(stack: Stack, values: dict[str, str], outputs: str) -> None:
    """No job, photo or secret is read, no message is put anywhere else, and nothing is deleted but dead letters."""
    look = {"sqs:GetQueueAttributes", "sqs:GetQueueUrl"}
    take = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks"}
    tags = ("GetObjectTagging", "GetObjectVersionTagging", "PutObjectTagging", "PutObjectVersionTagging")
    assert allowed(stack.given(**values), "OperatorPolicy") == {
        "JobTable": {"dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
        "UploadQueue": look | {"sqs:SendMessage"},
        "ResultQueue": look | {"sqs:SendMessage"},
        "UploadDeadLetterQueue": look | take,
        "ResultDeadLetterQueue": look | take,
        "UploadRuleDeadLetterQueue": look | take,
        outputs: {f"s3:{name}" for name in tags},
        "RunflowApiKey": {"secretsmanager:PutSecretValue"},
        "CallbackSecrets": {"secretsmanager:PutSecretValue"},
    }


def test_of_the_table_an_operator_has_the_override_alone(stack: Stack) -> None:
    """`ForAllValues` is true where no key is named at all: `Null` refuses that."""
    for values in COMBINATIONS.values():
        (statement,) = (
            one for one in statements(stack.given(**values), "OperatorPolicy") if "dynamodb:GetItem" in one["Action"]
        )
        assert statement["Condition"] == {
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": OVERRIDE_PK},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }


def test_a_bucket_is_listed_as_far_as_its_folder(stack: Stack) -> None:
    def within(prefix: str) -> dict[str, Any]:
        return {"StringLike": {"s3:prefix": prefix}}

    assert listed(stack.given(**ONE_BUCKET), "DropperPolicy") == {
        "ListInputs": within(INCOMING),
        "ListOutputs": within(CLEANED),
    }
    assert listed(stack.given(OutputPrefix="cleaned/"), "DropperPolicy") == {
        "ListInputs": None,
        "ListOutputs": within("cleaned/*"),
    }
    assert listed(stack.given(**ONE_BUCKET), "OperatorPolicy") == {}


@pytest.mark.parametrize("values", [INPUT_KEY, OUTPUT_KEY, INPUT_KEY | OUTPUT_KEY, {}])
def test_a_key_is_used_through_s3_alone(stack: Stack, values: dict[str, str]) -> None:
    """To write photos, and to read outputs, in their folders; an operator needs neither."""
    made = stack.given(**ONE_BUCKET, **values)
    found = {
        statement["Resource"]: (set(as_list(statement["Action"])), statement["Condition"])
        for statement in statements(made, "DropperPolicy")
        if as_list(statement["Action"])[0].startswith("kms:")
    }

    def within(folder: str) -> dict[str, Any]:
        bucket = "arn:${AWS::Partition}:s3:::shop"
        places = [{"Fn::Sub": bucket}, {"Fn::Sub": f"{bucket}/{folder}"}]
        return {
            "StringEquals": {"kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.${AWS::URLSuffix}"}},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": places},
        }

    expected = {}
    if "InputKmsKeyArn" in values:
        expected[values["InputKmsKeyArn"]] = ({"kms:Decrypt", "kms:GenerateDataKey"}, within(INCOMING))
    if "OutputKmsKeyArn" in values:
        expected[values["OutputKmsKeyArn"]] = ({"kms:Decrypt"}, within(CLEANED))
    assert found == expected
    assert not values.values() & allowed(made, "OperatorPolicy").keys()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_persons_statement_is_named_and_exact(stack: Stack, policy: str) -> None:
    """No action is a wildcard, and no two statements have one name."""
    for values in COMBINATIONS.values():
        found = whole(stack.given(**values), policy)
        assert len({statement["Sid"] for statement in found}) == len(found)
        for statement in found:
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            assert "*" not in as_list(statement["Resource"]) and "NotResource" not in statement
