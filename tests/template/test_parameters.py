"""Parameters, outputs and samconfig.toml: what an operator sees of the stack."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.template.stack import Stack

ALWAYS = ["Type", "Description", "Default", "ConstraintDescription"]
OUTPUTS = {
    "UploadCommand", "EnableEventBridgeCommand",
    "SetRunflowApiKeyCommand", "SetCallbackSecretsCommand", "StatusCommand", "SkippedCommand",
    "RedriveUploadsCommand", "RedriveResultsCommand", "ReopenCommand", "CallbackUrl",
    "InputBucketName", "OutputBucketName", "JobTableName", "UploadQueueUrl", "UploadDeadLetterQueueUrl",
    "ResultQueueUrl", "ResultDeadLetterQueueUrl", "UploadRuleDeadLetterQueueUrl", "RunflowApiKeyArn",
    "CallbackSecretsArn", "SubmitFunctionName", "CallbackFunctionName", "DeliverFunctionName",
    "ReconcileFunctionName", "DropperPolicyArn", "OperatorPolicyArn",
}  # fmt: skip


def parameters(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.source["Parameters"]
    return found


def accepts(parameter: dict[str, Any], value: str) -> bool:
    """Whether CloudFormation would take a value."""
    if "AllowedValues" in parameter:
        return value in [str(one) for one in parameter["AllowedValues"]]
    if "AllowedPattern" in parameter:
        fits = len(value) <= parameter.get("MaxLength", len(value))
        return fits and re.fullmatch(parameter["AllowedPattern"], value) is not None
    return value.isdigit() and parameter["MinValue"] <= int(value) <= parameter["MaxValue"]


def test_every_parameter_is_described_and_bounded(stack: Stack) -> None:
    for name, parameter in parameters(stack).items():
        assert list(parameter)[:3] == ALWAYS[:3], name
        assert set(ALWAYS) <= set(parameter), name
        bounds = {"AllowedValues", "AllowedPattern"} if parameter["Type"] == "String" else {"AllowedValues", "MinValue"}
        assert bounds & set(parameter), f"{name} takes anything"
        assert ("MinValue" in parameter) == ("MaxValue" in parameter), name


def test_a_beginner_is_not_lost_among_the_parameters(stack: Stack) -> None:
    assert len(parameters(stack)) <= 32


def test_every_default_is_allowed(stack: Stack) -> None:
    for name, parameter in parameters(stack).items():
        assert accepts(parameter, str(parameter["Default"])), name


def test_every_parameter_is_used(stack: Stack) -> None:
    used = stack.names(stack.deployed["Resources"]) | stack.names(stack.source["Conditions"])
    assert set(parameters(stack)) <= used


def test_the_console_shows_every_parameter_once(stack: Stack) -> None:
    """The console shows every parameter once, in the order of the template."""
    groups = stack.source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(parameters(stack))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "DailySpendLimitUsd",
            ["none", "0", "10", "0.42", "2500.50"],
            ["", "None", "-1", "10.123", "1e3", "$10", "10 "],
        ),
        ("PricePerImageUsd", ["0.14", "1", "0.0001"], ["", "0", "0.0", "0.00000", "-0.14", "free"]),
        ("AspectRatio", ["", "1:1", "16:9", "21:9"], ["0:1", "1:0", "1", "1:", "100:1", "4x3", "4:3 "]),
        ("PhotoTypes", ["JPEG", "JPEG,HEIC", "TIFF,AVIF,WebP"], ["", "jpeg", "JPEG,", "JPEG, PNG", "GIF"]),
        (
            "IgnoredNames",
            ["", "@eaDir", ".*,~$*,*.tmp", "*.old/", "a/,*.b/,c"],
            [",", "a,,b", "a,", "a/b", "/", "/a", "a//", "a,/"],
        ),
        ("MaxImageMegabytes", ["1", "50", "500"], ["0", "501"]),
        ("MaxImageMegapixels", ["1", "250", "1000"], ["0", "1001"]),
        ("UrlLifetimeMinutes", ["5", "720"], ["4", "721"]),
        ("ConfirmationMinutes", ["1", "120"], ["0", "121"]),
        ("MaxAttempts", ["1", "10"], ["0", "11"]),
        ("RunTimeoutHours", ["1", "168"], ["0", "169"]),
        (
            "RunflowApiUrl",
            ["https://api.runflow.io", "https://runflow.example.com:8443", "http://127.0.0.1:8080"],
            [
                "",
                "http://api.runflow.io",
                "http://127.0.0.1",
                "http://127.0.0.1.example.com:80",
                "https://u:p@h",  # pragma: allowlist secret
                "https://h/v1",
            ],
        ),
        ("AlarmEmail", ["", "ops@example.com"], ["ops", "ops@example", "a b@example.com"]),
        ("Architecture", ["arm64", "x86_64"], ["", "arm"]),
        (
            "PermissionsBoundaryArn",
            [
                "",
                "arn:aws:iam::111122223333:policy/limits",
                "arn:aws-cn:iam::111122223333:policy/teams/photos/limits@2",
                "arn:aws:iam::aws:policy/PowerUserAccess",
            ],
            [
                "limits",
                "arn:aws:iam::111122223333:role/limits",
                "arn:aws:iam::1111:policy/limits",
                "arn:aws:iam::111122223333:policy/",
                "arn:aws:iam::111122223333:policy/" + 2048 * "a",
            ],
        ),
        (
            "RolePath",
            ["", "/shop/", "/shop/photos/", "/a_+=,.@-9/"],
            ["/", "shop", "/shop", "shop/", "//", "/shop//photos/", "/sh op/", "/*/", "/" + 511 * "a" + "/"],
        ),
        (
            "JobTableName",
            ["", "abc", "detag-JobTable-1A2B3C4D5E6F", "a_b.c-d"],
            ["ab", "a b c", "arn:aws:dynamodb:eu-west-1:111122223333:table/detag", 256 * "a"],
        ),
        ("MaxConcurrency", ["2", "4", "1000"], ["0", "1", "1001"]),  # what SQS takes
        ("Paused", ["true", "false"], ["", "True", "yes"]),
        ("LogRetentionDays", ["1", "30", "365"], ["0", "2", "31"]),
    ],
)
def test_a_parameter_takes_the_good_and_refuses_the_bad(
    stack: Stack, name: str, good: list[str], bad: list[str]
) -> None:
    parameter = parameters(stack)[name]
    assert [value for value in good if not accepts(parameter, value)] == []
    assert [value for value in bad if accepts(parameter, value)] == []


def test_money_is_limited_by_default(stack: Stack) -> None:
    assert parameters(stack)["DailySpendLimitUsd"]["Default"] == "10"


def test_runflow_is_the_real_one_by_default(stack: Stack) -> None:
    assert parameters(stack)["RunflowApiUrl"]["Default"] == "https://api.runflow.io"


def test_the_outputs_are_those_that_tools_and_readme_rely_on(stack: Stack) -> None:
    """The outputs are those that the tools and the README rely on."""
    outputs = stack.source["Outputs"]
    assert set(outputs) == OUTPUTS
    assert all(output["Description"] for output in outputs.values())
    assert not any("Export" in output for output in outputs.values()), "an export is a name that two stacks would share"


@pytest.mark.parametrize(
    ("output", "starts", "about"),
    [
        ("UploadCommand", "aws s3 cp photo.jpg s3://${InputBucket}/", "InputBucket"),
        ("SetRunflowApiKeyCommand", "aws secretsmanager put-secret-value", "RunflowApiKey"),
        ("SetCallbackSecretsCommand", "aws secretsmanager put-secret-value", "CallbackSecrets"),
        ("SkippedCommand", "aws dynamodb scan --table-name ${JobTable}", "JobTable"),
        ("ReopenCommand", "aws sqs send-message --queue-url ${UploadQueue}", "UploadQueue"),
        ("RedriveUploadsCommand", "aws sqs start-message-move-task", "UploadDeadLetterQueue"),
        ("RedriveResultsCommand", "aws sqs start-message-move-task", "ResultDeadLetterQueue"),
        ("StatusCommand", "sam remote invoke ReconcileFunction --stack-name ${AWS::StackName}", "AWS::StackName"),
    ],
)
def test_a_command_can_be_pasted(stack: Stack, output: str, starts: str, about: str) -> None:
    command = stack.given().deployed["Outputs"][output]["Value"]["Fn::Sub"]
    assert command.startswith(starts)
    assert "\n" not in command
    assert "--region ${AWS::Region}" in command
    assert about in stack.names({"Fn::Sub": command})


def test_a_secret_is_never_pasted_on_the_command_line(stack: Stack) -> None:
    """A secret is pasted from a file, never on the command line."""
    for output in ("SetRunflowApiKeyCommand", "SetCallbackSecretsCommand"):
        assert "--secret-string file://" in stack.source["Outputs"][output]["Value"]["Fn::Sub"]


def test_plain_sam_deploy_needs_no_answer(root: Path, stack: Stack) -> None:
    """Plain `sam deploy` needs no answer, and makes no named role."""
    config = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))
    assert config["version"] == 0.1
    deploy = config["default"]["deploy"]["parameters"]
    assert deploy["stack_name"] == "detag"
    assert deploy["resolve_s3"] is True
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert deploy["confirm_changeset"] is False
    assert deploy["fail_on_empty_changeset"] is False
    assert "parameter_overrides" not in deploy, "the template's defaults are the defaults"
    assert not {"region", "profile", "s3_bucket"} & set(deploy), "these are the operator's own"


def test_no_command_answers_for_another_stack(root: Path) -> None:
    """A name for all commands (`default.global`) would stay when `sam deploy --guided` is told another."""
    config = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))["default"]
    assert [command for command, sections in config.items() if "stack_name" in sections["parameters"]] == ["deploy"]


def test_only_what_was_built_is_deployed(root: Path) -> None:
    """SAM deploys the source where nothing was built, and says that it succeeded: every function then fails to import.

    As `template`, not as `template_file`: `sam deploy --guided` would save its answers beside that file.
    """
    config = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))["default"]
    assert config["deploy"]["parameters"]["template"] == ".aws-sam/build/template.yaml"
    assert "template_file" not in config["deploy"]["parameters"]


def test_a_dead_letter_queue_is_redriven_by_its_arn(stack: Stack) -> None:
    """SQS moves messages back to the queue that they came from. The rule's dead letters came from no queue."""
    for output, queue in (("RedriveUploads", "UploadDeadLetterQueue"), ("RedriveResults", "ResultDeadLetterQueue")):
        assert f"--source-arn ${{{queue}.Arn}}" in stack.source["Outputs"][f"{output}Command"]["Value"]["Fn::Sub"]
        redrives = [one.get("RedrivePolicy", {}) for one in stack.of_type("AWS::SQS::Queue").values()]
        assert {"Fn::GetAtt": [queue, "Arn"]} in [policy.get("deadLetterTargetArn") for policy in redrives]
