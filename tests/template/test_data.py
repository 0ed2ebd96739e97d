"""Photos, jobs and secrets: private, encrypted, and never deleted with the stack."""

from __future__ import annotations

import re
from typing import Any

import pytest

from detag.adapters.job_items import (
    DERIVED_ATTRIBUTES,
    DUE_INDEX,
    EXPIRES_AT,
    JOB_ATTRIBUTES,
    OUTCOMES_INDEX,
)
from tests.template.stack import Stack

BUCKETS = ("InputBucket", "OutputBucket")
KEPT = ("InputBucket", "OutputBucket", "JobTable")
PHYSICAL_NAMES = {
    "AlarmName", "BucketName", "DBInstanceIdentifier", "FunctionName", "GroupName", "LogGroupName", "ManagedPolicyName",
    "Name", "QueueName", "RoleName", "TableName", "TopicName",
}  # fmt: skip


def test_the_buckets_are_the_two_that_are_checked_here(stack: Stack) -> None:
    assert set(stack.of_type("AWS::S3::Bucket")) == set(BUCKETS)


@pytest.mark.parametrize("name", KEPT)
def test_what_was_paid_for_outlives_the_stack(stack: Stack, name: str) -> None:
    resource = stack.deployed["Resources"][name]
    assert resource["DeletionPolicy"] in ("Retain", "RetainExceptOnCreate")
    assert resource["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_keeps_versions_and_expires_the_old_ones(stack: Stack, name: str) -> None:
    bucket = stack.properties(name)
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if "NoncurrentVersionExpiration" in rule
    ]
    assert [rule["AbortIncompleteMultipartUpload"] for rule in rules if "AbortIncompleteMultipartUpload" in rule]
    forbidden = {"ExpirationInDays", "ExpirationDate", "Transitions"}
    assert not any(forbidden & set(rule) for rule in rules), "a current photo must never expire"


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_private_and_encrypted(stack: Stack, name: str) -> None:
    bucket = stack.properties(name)
    block = bucket["PublicAccessBlockConfiguration"]
    assert set(block) == {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    assert all(value is True for value in block.values())
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")


def test_every_queue_is_encrypted(stack: Stack) -> None:
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name


def test_the_topics_key_lets_alarms_publish(stack: Stack) -> None:
    """The topic is encrypted with a key that lets alarms publish."""
    assert stack.one_name(stack.properties("AlarmTopic")["KmsMasterKeyId"]) == "AlarmKey"
    key = stack.properties("AlarmKey")
    by_alarms = [
        statement
        for statement in key["KeyPolicy"]["Statement"]
        if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    (statement,) = by_alarms
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def tls_only(statement: dict[str, Any]) -> bool:
    found = (statement["Effect"], statement["Principal"], statement.get("Condition"))
    return found == ("Deny", "*", {"Bool": {"aws:SecureTransport": "false"}})


def policies_of(stack: Stack, kind: str, field: str) -> dict[str, str]:
    """The logical id of the one policy that each resource has."""
    found: dict[str, str] = {}
    for name, policy in stack.of_type(kind).items():
        for owner in stack.names(policy[field]):
            assert owner not in found, f"{owner} has two policies, and AWS keeps one"
            found[owner] = name
    return found


@pytest.mark.parametrize(
    ("policy", "field", "kind", "actions"),
    [
        ("AWS::S3::BucketPolicy", "Bucket", "AWS::S3::Bucket", "s3:*"),
        ("AWS::SQS::QueuePolicy", "Queues", "AWS::SQS::Queue", "sqs:*"),
        ("AWS::SNS::TopicPolicy", "Topics", "AWS::SNS::Topic", "sns:Publish"),
    ],
)
def test_nothing_is_reached_without_tls(stack: Stack, policy: str, field: str, kind: str, actions: str) -> None:
    policies = policies_of(stack, policy, field)
    assert set(policies) == set(stack.of_type(kind))
    for owner, name in policies.items():
        (denied,) = [statement for statement in stack.statements(name) if tls_only(statement)]
        assert denied["Action"] == actions
        if kind != "AWS::SQS::Queue":  # see below
            assert stack.names(denied["Resource"]) == {owner}


def test_a_queues_policy_speaks_of_whatever_it_is_attached_to(stack: Stack) -> None:
    """SQS refuses a statement that names several queues, and one that names a single queue would bind no other."""
    for name in stack.of_type("AWS::SQS::QueuePolicy"):
        assert [statement["Resource"] for statement in stack.statements(name)] == ["*"] * len(stack.statements(name))


@pytest.mark.parametrize("name", BUCKETS)
def test_a_buckets_tls_rule_covers_the_bucket_and_its_objects(stack: Stack, name: str) -> None:
    (denied,) = [statement for statement in stack.statements(f"{name}Policy") if tls_only(statement)]
    bucket = {"Fn::GetAtt": [name, "Arn"]}
    assert denied["Resource"] == [bucket, {"Fn::Join": ["", [bucket, "/*"]]}]


def test_the_table_is_as_the_job_store_expects_it(stack: Stack) -> None:
    table = stack.properties("JobTable")
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES_AT.name, "Enabled": True}
    types = {attribute.name: attribute.type.symbol for attribute in (*DERIVED_ATTRIBUTES, *JOB_ATTRIBUTES)}
    defined = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    assert defined == {name: types[name] for name in defined}


def test_the_indexes_are_those_that_the_job_store_reads(stack: Stack) -> None:
    found = stack.properties("JobTable")["GlobalSecondaryIndexes"]
    assert found == [
        {
            "IndexName": index.name,
            "KeySchema": [
                {"AttributeName": index.partition, "KeyType": "HASH"},
                {"AttributeName": index.sort, "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.projected)}
            if index.projected
            else {"ProjectionType": "KEYS_ONLY"},
        }
        for index in (DUE_INDEX, OUTCOMES_INDEX)
    ]


def test_no_key_is_charged_for_by_request_or_rotation(stack: Stack) -> None:
    """DynamoDB encrypts with a key of its own: SSEEnabled would choose one that is charged for. Each of the first two
    rotations of a key adds its price once more.
    """
    assert "SSESpecification" not in stack.properties("JobTable")
    assert not stack.properties("AlarmKey").get("EnableKeyRotation")


def test_the_table_can_be_restored(stack: Stack) -> None:
    table = stack.properties("JobTable")
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_a_deploy_never_overwrites_a_secret(stack: Stack) -> None:
    secrets = stack.of_type("AWS::SecretsManager::Secret")
    assert set(secrets) == {"RunflowApiKey", "CallbackSecrets"}
    for name, secret in secrets.items():
        assert set(secret) <= {"Description"}, name


def test_no_secret_is_in_a_parameter_or_a_variable(stack: Stack) -> None:
    for name in stack.source["Parameters"].keys() - {"InputKmsKeyArn", "OutputKmsKeyArn"}:  # an ARN is no secret
        assert not re.search(r"key|secret|token|password", name, re.IGNORECASE), f"{name} belongs in Secrets Manager"
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        for variable, value in function["Environment"]["Variables"].items():
            assert "resolve:secretsmanager" not in str(value), f"{name}.{variable}"
            if re.search(r"KEY|SECRET", variable):
                assert variable.endswith("_ARN") and stack.one_name(value) in ("RunflowApiKey", "CallbackSecrets")
    assert not re.search(r"(rf_live_|whsec_)[A-Za-z0-9]", stack.text)


def test_a_physical_name_holds_the_stacks(stack: Stack) -> None:
    """Nothing else has a physical name, so that two stacks fit in one account."""
    references = ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig")
    named = {
        name: [properties[field] for field in PHYSICAL_NAMES & set(properties)]
        for name, resource in stack.deployed["Resources"].items()
        if resource["Type"] not in references  # their FunctionName says whose they are
        and PHYSICAL_NAMES & set(properties := resource.get("Properties", {}))
    }
    assert named == {"HttpApiLogs": [{"Fn::Sub": "/aws/vendedlogs/${AWS::StackName}/callbacks"}]}


def test_what_api_gateway_writes_takes_no_place_in_a_policy(stack: Stack) -> None:
    """The policy of a region's log groups has 5,120 characters; AWS leaves groups under /aws/vendedlogs/ out of it."""
    api = stack.properties("HttpApiApiGatewayDefaultStage")
    group = stack.one_name(api["AccessLogSettings"]["DestinationArn"])
    assert stack.properties(group)["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/")


def test_log_groups_are_the_functions_own_and_end(stack: Stack) -> None:
    groups = stack.of_type("AWS::Logs::LogGroup")
    functions = stack.of_type("AWS::Lambda::Function")
    written = {name: stack.one_name(function["LoggingConfig"]["LogGroup"]) for name, function in functions.items()}
    assert written == {name: f"{name}Logs" for name in functions}
    assert set(groups) == {*written.values(), "HttpApiLogs"}
    for name, group in groups.items():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name
