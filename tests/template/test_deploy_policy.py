"""The rights to deploy: made from the template by `make generate`, and compared with it by `make check`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.template.stack import ROOT, Stack

POLICY: dict[str, Any] = json.loads((ROOT / "docs/deploy-policy.json").read_text(encoding="utf-8"))
STATEMENTS: list[dict[str, Any]] = POLICY["Statement"]
OF_SAM = ("Stacks", "Templates", "Packages")
SERVICES = {"ApiGatewayV2": "apigateway", "Logs": "logs", "CloudWatch": "cloudwatch"}


def of_services() -> list[dict[str, Any]]:
    return [one for one in STATEMENTS if one["Sid"] not in OF_SAM]


def test_there_is_a_statement_for_each_service_of_the_template(stack: Stack) -> None:
    named = {resource["Type"].split("::")[1] for resource in stack.deployed["Resources"].values()}
    services = {SERVICES.get(name, name.lower()) for name in named}
    assert {one["Sid"].lower() for one in of_services()} == services | {"everywhere"}


@pytest.mark.parametrize("statement", of_services(), ids=lambda one: str(one["Sid"]))
def test_a_right_is_one_action_on_what_bears_the_stacks_name(statement: dict[str, Any]) -> None:
    """Except for what gets no name of the stack: keys, APIs, event sources, the layers and the secrets."""
    assert not [action for action in statement["Action"] if "*" in action]
    if statement["Sid"] in ("Everywhere", "Kms"):
        assert statement["Resource"] == ["*"]
        return
    nameless = (":/apis*", ":/tags/*", ":event-source-mapping:*", "Layer*", ":RunflowApiKey-*", ":CallbackSecrets-*")
    assert [one for one in statement["Resource"] if "detag-" not in one and "/detag/" not in one] == [
        one for one in statement["Resource"] if one.endswith(nameless)
    ]


def test_whoever_deploys_reads_no_secret_and_no_photo() -> None:
    actions = {action for one in of_services() for action in one["Action"]}
    assert not actions & {"secretsmanager:GetSecretValue", "s3:GetObject", "dynamodb:GetItem", "kms:Decrypt"}


def test_it_fits_into_a_role() -> None:
    """IAM allows 10,240 characters for the policies of a role, blanks not counted."""
    assert len(json.dumps(POLICY, separators=(",", ":"))) < 10_240
