"""A stack in an account that has rules of its own, or something that detag is to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.template.combinations import COMBINATIONS
from tests.template.stack import Stack

BOUNDARY = "arn:aws:iam::111122223333:policy/limits"
TABLE_ARN = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/kept"


def resources(stack: Stack, **values: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.given(**values).deployed["Resources"]
    return found


def test_every_role_has_the_boundary_and_the_path_asked_for(stack: Stack) -> None:
    """Whoever makes it, the template or SAM; and nothing else changes."""
    asked = {"PermissionsBoundary": BOUNDARY, "Path": "/shop/photos/"}
    expected = resources(stack)
    for name, resource in expected.items():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            resource["Properties"]["Path"] = asked["Path"]
        elif resource["Type"] == "AWS::IAM::Role":
            assert not asked.keys() & resource["Properties"].keys(), name
            resource["Properties"] |= asked
    assert resources(stack, PermissionsBoundaryArn=BOUNDARY, RolePath="/shop/photos/") == expected


def test_nothing_else_of_iam_is_made(stack: Stack) -> None:
    """A user or a group would need a path too, and a user a boundary. The policies are attached to nobody."""
    found = {name: one for name, one in stack.deployed["Resources"].items() if "::IAM::" in one["Type"]}
    policies = {name: one["Properties"] for name, one in found.items() if one["Type"] != "AWS::IAM::Role"}
    assert set(policies) == {"DropperPolicy", "OperatorPolicy"}
    assert all(set(policy) == {"Description", "Path", "PolicyDocument"} for policy in policies.values())


def with_table(value: Any) -> Any:
    """What is deployed, with a table of the name `kept` wherever the stack's own is named."""
    match value:
        case {"Ref": "JobTable"}:
            return "kept"
        case {"Fn::GetAtt": ["JobTable", "Arn"]}:
            return {"Fn::Sub": TABLE_ARN}
        case {"Fn::Sub": text}:
            return {"Fn::Sub": text.replace("${JobTable.Arn}", TABLE_ARN).replace("${JobTable}", "kept")}
        case dict():
            return {name: with_table(one) for name, one in value.items()}
        case list():
            return [with_table(one) for one in value]
    return value


def test_a_given_table_takes_the_place_of_a_new_one(stack: Stack) -> None:
    """In roles, settings and outputs; no table is made, and nothing else changes."""
    expected = with_table(stack.given().deployed)
    del expected["Resources"]["JobTable"]
    assert stack.given(JobTableName="kept").deployed == expected


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=list(COMBINATIONS))
def test_nothing_refers_to_what_is_not_made(stack: Stack, values: Mapping[str, str]) -> None:
    made = stack.given(**values)
    named = {name for name in made.names(made.deployed) if not name.startswith("AWS::")}
    assert named <= made.deployed["Resources"].keys()
    depended_on = [one.get("DependsOn", []) for one in made.deployed["Resources"].values()]
    assert {name for one in depended_on for name in ([one] if isinstance(one, str) else one)} <= made.deployed[
        "Resources"
    ].keys()


def test_there_are_twenty_combinations_and_none_is_refused(stack: Stack) -> None:
    """Between them they give every parameter of buckets and of the account another value than its default."""
    assert len(COMBINATIONS) == 20
    assert [name for name, values in COMBINATIONS.items() if stack.refused(**values)] == []
    groups = stack.source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    asked = {name for group in groups if group["Label"]["default"].startswith("Your") for name in group["Parameters"]}
    assert asked <= {name for values in COMBINATIONS.values() for name in values}
