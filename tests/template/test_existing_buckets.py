"""A stack on buckets that are somebody else's."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.template.stack import Stack

FUNCTIONS = ("SubmitFunction", "DeliverFunction", "ReconcileFunction")
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1a2b3c4d"
OTHER_KEY = "arn:aws:kms:eu-central-1:111122223333:key/5e6f7a8b"
ONE_BUCKET = {
    "InputBucketName": "shop",
    "InputPrefix": "crème & more/incoming/",
    "OutputBucketName": "shop",
    "OutputPrefix": "cleaned/",
}


def bucket(name: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{name}"}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def s3_statements(stack: Stack) -> list[dict[str, Any]]:
    """What the roles may do in S3."""
    return [
        statement
        for function in FUNCTIONS
        for statement in stack.statements(f"{function}Role")
        if as_list(statement["Action"])[0].startswith("s3:")
    ]


def test_a_given_bucket_is_left_as_it_is(stack: Stack) -> None:
    """Neither it nor anything of it is made: no notification, policy, versioning or lifecycle."""
    made = stack.given(**ONE_BUCKET)
    assert not {one["Type"] for one in made.deployed["Resources"].values()} & {
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
    }
    assert made.deployed["Outputs"]["InputBucketName"]["Value"] == "shop"
    assert made.deployed["Outputs"]["OutputBucketName"]["Value"] == "shop"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"InputBucketName": "shop", "InputPrefix": "in/"}, {"key": [{"prefix": "in/"}]}),
        ({"InputPrefix": "in/"}, {"key": [{"prefix": "in/"}]}),
        ({"InputBucketName": "shop"}, {"key": [{"anything-but": {"prefix": ".detag/"}}]}),
        ({}, None),
    ],
)
def test_the_prefix_is_the_filter_of_the_rule(stack: Stack, values: dict[str, str], expected: Any) -> None:
    """An upload elsewhere starts nothing, nor does what stacks write into a bucket that they share."""
    detail = stack.given(**values).properties("UploadRule")["EventPattern"]["detail"]
    assert detail.get("object") == expected
    assert detail["bucket"] == {"name": [values.get("InputBucketName", {"Ref": "InputBucket"})]}


def test_no_role_reaches_beyond_the_prefixes(stack: Stack) -> None:
    """Each object that a role may read or write, and each that it may list, is in one of the two folders, or the list
    of stacks.
    """
    folders = (ONE_BUCKET["InputPrefix"] + "*", ONE_BUCKET["OutputPrefix"] + "*", ".detag/stacks.json")
    statements = s3_statements(stack.given(**ONE_BUCKET))
    assert len(statements) > 10
    for statement in statements:
        resource = statement["Resource"]["Fn::Sub"].removeprefix("arn:${AWS::Partition}:s3:::shop")
        if resource:
            assert resource.removeprefix("/") in folders, statement
        else:
            assert statement["Condition"]["StringLike"]["s3:prefix"] in folders, statement


def test_the_input_folder_is_never_written(stack: Stack) -> None:
    for statement in s3_statements(stack.given(**ONE_BUCKET)):
        if ONE_BUCKET["InputPrefix"] in json.dumps(statement, ensure_ascii=False):
            assert not [action for action in as_list(statement["Action"]) if "Put" in action or "Delete" in action]


def kms_statements(stack: Stack, function: str) -> dict[str, tuple[set[str], set[str]]]:
    """By key: what a function may do with it, and for which objects."""
    return {
        statement["Resource"]: (
            set(as_list(statement["Action"])),
            {one["Fn::Sub"].partition(":::")[2] for one in statement["Condition"]["StringLike"][CONTEXT]},
        )
        for statement in stack.statements(f"{function}Role")
        if as_list(statement["Action"])[0].startswith("kms:")
    }


CONTEXT = "kms:EncryptionContext:aws:s3:arn"


def test_a_role_may_use_a_key_as_far_as_it_needs(stack: Stack) -> None:
    """To read photos, to read and write outputs and claims; for those objects alone, through S3 alone."""
    made = stack.given(**ONE_BUCKET, InputKmsKeyArn=KEY, OutputKmsKeyArn=OTHER_KEY)
    photos, outputs, claims = (
        {"shop", f"shop/{name}"} for name in (ONE_BUCKET["InputPrefix"] + "*", "cleaned/*", ".detag/stacks.json")
    )
    both = {"kms:Decrypt", "kms:GenerateDataKey"}
    assert kms_statements(made, "SubmitFunction") == {
        KEY: ({"kms:Decrypt"}, photos | claims),
        OTHER_KEY: (both, outputs),
    }
    assert kms_statements(made, "DeliverFunction") == {KEY: ({"kms:Decrypt"}, photos), OTHER_KEY: (both, outputs)}
    assert kms_statements(made, "ReconcileFunction") == {KEY: (both, claims)}
    for function in FUNCTIONS:
        for statement in made.statements(f"{function}Role"):
            if as_list(statement["Action"])[0].startswith("kms:"):
                through = {"kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.${AWS::URLSuffix}"}}
                assert statement["Condition"]["StringEquals"] == through


def test_the_statement_for_a_keys_policy_allows_what_roles_do(stack: Stack, root: Path) -> None:
    """All of it and no more, for each role that has such a right, whatever the stack's name is cut to; and what the
    people do who drop and fetch, by the name that docs/owner.md gives their user.
    """
    page = (root / "docs" / "your-buckets.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    statement = json.loads(block)
    made = stack.given(**ONE_BUCKET, InputKmsKeyArn=KEY, OutputKmsKeyArn=OTHER_KEY)
    asked = {function: kms_statements(made, function) for function in FUNCTIONS}
    actions = {action for keys in asked.values() for allowed, _ in keys.values() for action in allowed}
    assert set(statement["Action"]) == actions
    named, person = (one.rpartition("/")[2] for one in statement["Condition"]["ArnLike"]["aws:PrincipalArn"])
    roles = {f"{function}Role" for function, keys in asked.items() if keys}
    assert all(fnmatchcase(f"detag-{role}-1A2B3C4D5E6F", named) for role in roles)
    assert f"--user-name {person}" in (root / "docs" / "owner.md").read_text(encoding="utf-8")
    dropping = (one for one in made.statements("DropperPolicy") if as_list(one["Action"])[0].startswith("kms:"))
    assert actions >= {action for one in dropping for action in as_list(one["Action"])}
    assert statement["Condition"]["StringEquals"] == {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}


def test_no_role_may_use_a_key_for_claims_it_has_none_of(stack: Stack) -> None:
    """In a bucket of the stack's own nothing is claimed."""
    assert kms_statements(stack.given(InputKmsKeyArn=KEY), "ReconcileFunction") == {}


def test_no_role_may_use_a_key_that_is_not_named(stack: Stack) -> None:
    for values in ({}, {"InputBucketName": "shop"}):
        assert not any(kms_statements(stack.given(**values), function) for function in FUNCTIONS)


@pytest.mark.parametrize(
    ("input_prefix", "output_prefix", "wrong"),
    [
        ("", "", 2),
        ("incoming/", "", 1),
        ("", "cleaned/", 1),
        ("incoming/", "incoming/", 1),
        ("incoming/", "cleaned/", 0),
    ],
)
def test_two_places_in_one_bucket_must_be_two(stack: Stack, input_prefix: str, output_prefix: str, wrong: int) -> None:
    """Refused before anything is made, in a sentence that names the parameter and what would be right."""
    values = {"InputPrefix": input_prefix, "OutputPrefix": output_prefix}
    said = stack.refused(**values, InputBucketName="shop", OutputBucketName="shop")
    assert len(said) == wrong
    assert all("OutputPrefix" in one and "such as" in one for one in said)
    assert stack.refused(**values) == []
    assert stack.refused(**values, InputBucketName="shop", OutputBucketName="other") == []


def test_a_stack_claims_a_folder_of_a_given_bucket_alone(stack: Stack) -> None:
    for values, expected in (
        ({}, ""),
        ({"InputBucketName": "shop"}, {"Fn::Sub": "${AWS::AccountId}/${AWS::Region}/${AWS::StackName}"}),
    ):
        for function in ("SubmitFunction", "ReconcileFunction"):
            variables = stack.given(**values).properties(function)["Environment"]["Variables"]
            assert variables["STACK"] == expected


def test_the_photo_is_dropped_into_the_prefix(stack: Stack) -> None:
    outputs = stack.given(**ONE_BUCKET).deployed["Outputs"]
    command = outputs["UploadCommand"]["Value"]["Fn::Sub"]
    assert "'s3://shop/crème & more/incoming/'" in command
    assert "EnableEventBridgeCommand" in outputs
    assert "EnableEventBridgeCommand" not in stack.given().deployed["Outputs"]
