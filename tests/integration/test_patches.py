"""Each patch to MiniStack: what AWS does, and what MiniStack does without the patch."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import Any

import httpx
import pytest

from local.emulator.client import REPOSITORY, VENVS
from local.processes import wait_until
from tests.emulator import Aws

from .conftest import deploy, zipped

ECHO = "def lambda_handler(event, context): return {'statusCode': 200, 'body': __import__('json').dumps(event)}"


def http_api(source: str = ECHO, path: str = "/callbacks") -> dict[str, Any]:
    """What SAM makes of a function with an HttpApi event: an API that is described wholly in Body."""
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    integration = {
        "httpMethod": "POST",
        "type": "aws_proxy",
        "uri": {"Fn::Sub": uri},
        "payloadFormatVersion": "2.0",
    }
    operation = {"x-amazon-apigateway-integration": integration, "responses": {}}
    return {
        "Resources": {
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "python3.13",
                    "Handler": "index.lambda_handler",
                    "Role": "arn:aws:iam::000000000000:role/anyone",
                    "Code": {"ZipFile": source},
                },
            },
            "Api": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {"Body": {"openapi": "3.0.1", "info": {}, "paths": {path: {"post": operation}}}},
            },
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": True},
            },
        },
        "Outputs": {"Endpoint": {"Value": {"Fn::GetAtt": "Api.ApiEndpoint"}}, "Id": {"Value": {"Ref": "Api"}}},
    }


def test_an_http_api_gets_the_routes_of_its_body(aws: Aws, released_aws: Aws) -> None:
    outputs = deploy(aws, http_api())
    routes = aws.client("apigatewayv2").get_routes(ApiId=outputs["Id"])["Items"]
    assert [route["RouteKey"] for route in routes] == ["POST /callbacks"]

    without = deploy(released_aws, http_api())
    assert released_aws.client("apigatewayv2").get_routes(ApiId=without["Id"])["Items"] == []


def test_the_endpoint_of_an_http_api_resolves(aws: Aws, released_aws: Aws) -> None:
    endpoint = deploy(aws, http_api())["Endpoint"]
    assert endpoint.startswith(f"{aws.emulator.endpoint_url}/")
    response = httpx.post(f"{endpoint}/callbacks", content=b"")
    assert response.json()["rawPath"] == "/callbacks"
    assert httpx.post(f"{endpoint}/elsewhere").status_code == 404
    assert httpx.get(f"{endpoint}/callbacks").status_code == 404

    without = deploy(released_aws, http_api())["Endpoint"]
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{without}/callbacks", content=b"")


def test_an_update_of_an_http_api_keeps_its_endpoint(aws: Aws) -> None:
    """An update of an HTTP API replaces its routes, and keeps its endpoint."""
    before = deploy(aws, http_api())
    after = deploy(aws, http_api(path="/elsewhere"))
    assert after == before
    assert httpx.post(f"{after['Endpoint']}/elsewhere").status_code == 200
    assert httpx.post(f"{after['Endpoint']}/callbacks").status_code == 404


SECRET = {
    "Resources": {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Description": "one"}}},
    "Outputs": {"Ref": {"Value": {"Ref": "Secret"}}},
}


def test_a_secret_refers_to_its_arn(aws: Aws, released_aws: Aws) -> None:
    assert deploy(aws, SECRET)["Ref"].startswith("arn:aws:secretsmanager:us-east-1:")
    assert not deploy(released_aws, SECRET)["Ref"].startswith("arn:")


def test_a_secret_has_no_value_until_one_is_put(aws: Aws, released_aws: Aws) -> None:
    """A secret has no value until one is put, and an update of the stack keeps it."""
    arn = deploy(aws, SECRET)["Ref"]
    vault = aws.client("secretsmanager")
    with pytest.raises(vault.exceptions.ResourceNotFoundException):
        vault.get_secret_value(SecretId=arn)
    vault.put_secret_value(SecretId=arn, SecretString="ours")
    changed = json.loads(json.dumps(SECRET).replace("one", "two"))
    assert deploy(aws, changed)["Ref"] == arn
    assert vault.get_secret_value(SecretId=arn)["SecretString"] == "ours"
    assert vault.describe_secret(SecretId=arn)["Description"] == "two"

    name = deploy(released_aws, SECRET)["Ref"]
    assert released_aws.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] == ""


def test_deleting_the_stack_deletes_the_secret(aws: Aws) -> None:
    arn = deploy(aws, SECRET)["Ref"]
    cloudformation, vault = aws.client("cloudformation"), aws.client("secretsmanager")
    cloudformation.delete_stack(StackName="stack")
    assert wait_until(lambda: vault.list_secrets()["SecretList"] == [], 10), arn


TABLE = {
    "Resources": {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            },
        }
    },
    "Outputs": {"Name": {"Value": {"Ref": "Table"}}},
}


def test_a_table_gets_its_time_to_live(aws: Aws, released_aws: Aws) -> None:
    def time_to_live(account: Aws) -> dict[str, str]:
        name = deploy(account, TABLE)["Name"]
        described: dict[str, str] = account.client("dynamodb").describe_time_to_live(TableName=name)[
            "TimeToLiveDescription"
        ]
        return described

    assert time_to_live(aws) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    assert time_to_live(released_aws)["TimeToLiveStatus"] == "DISABLED"


def test_a_role_gets_and_loses_its_permissions_boundary(aws: Aws, released_aws: Aws) -> None:
    """`test_emulator.py` shows what it then denies."""

    def boundary(account: Aws, **properties: Any) -> Any:
        document = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}}
        made = {"Type": "AWS::IAM::Role", "Properties": document | properties}
        name = deploy(account, {"Resources": {"Role": made}, "Outputs": {"Name": {"Value": {"Ref": "Role"}}}})["Name"]
        found = account.client("iam").get_role(RoleName=name)["Role"]
        return found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")

    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert boundary(aws, PermissionsBoundary=arn) == arn
    assert boundary(aws) is None
    assert boundary(released_aws, PermissionsBoundary=arn) is None


def function_template(**properties: Any) -> dict[str, Any]:
    template = http_api()
    template["Resources"] = {"Function": template["Resources"]["Function"]}
    template["Resources"]["Function"]["Properties"] |= properties
    template["Outputs"] = {"Name": {"Value": {"Ref": "Function"}}}
    return template


def test_a_function_gets_and_loses_its_reserved_concurrency(aws: Aws, released_aws: Aws) -> None:
    def reserved(account: Aws, **properties: Any) -> Any:
        name = deploy(account, function_template(**properties))["Name"]
        found = account.client("lambda").get_function_concurrency(FunctionName=name)
        return found.get("ReservedConcurrentExecutions")

    assert reserved(aws, ReservedConcurrentExecutions=3) == 3
    assert reserved(aws) is None
    assert reserved(released_aws, ReservedConcurrentExecutions=3) is None


def test_an_event_that_keeps_failing_is_dead_lettered(aws: Aws, released_aws: Aws) -> None:
    """An event that fails for good goes to the function's dead-letter queue."""

    def dead_letters(account: Aws) -> bool:
        account.client("sqs").create_queue(QueueName="dead")
        queue = account.client("sqs").get_queue_url(QueueName="dead")["QueueUrl"]
        dead = {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}
        code = {"ZipFile": "def lambda_handler(event, context): 1 / 0"}
        name = deploy(account, function_template(DeadLetterConfig=dead, Code=code))["Name"]
        account.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
        account.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 1}')

        def received() -> bool:
            messages = account.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
            return bool(messages)

        return wait_until(received, 3, pause=0.1)

    assert dead_letters(aws)
    assert not dead_letters(released_aws)


def test_an_http_api_calls_its_function_as_documented(aws: Aws) -> None:
    endpoint = deploy(aws, http_api())["Endpoint"]
    event = httpx.post(
        f"{endpoint}/callbacks?a=1&a=2&b=%20x",
        content=b'{"caf\xc3\xa9": 1}',
        headers={"content-type": "application/json", "cookie": "x=1; y=2", "X-Thing": "Some"},
    ).json()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "POST /callbacks", "/callbacks")
    assert event["rawQueryString"] == "a=1&a=2&b=%20x"
    assert event["queryStringParameters"] == {"a": "1,2", "b": " x"}
    assert event["cookies"] == ["x=1", "y=2"]
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-thing"] == "Some"
    assert event["headers"]["x-forwarded-proto"] == "https"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"café": 1}', False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["stage"] == "$default"
    assert "pathParameters" not in event


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/vnd.api+json", None])
def test_a_body_that_is_not_known_to_be_text_arrives_in_base64(aws: Aws, content_type: str | None) -> None:
    endpoint = deploy(aws, http_api())["Endpoint"]
    headers = {"content-type": content_type} if content_type else {}
    event = httpx.post(f"{endpoint}/callbacks", content=b"\xff\x00{}", headers=headers).json()
    assert (event["body"], event["isBase64Encoded"]) == ("/wB7fQ==", True)


def test_a_request_without_a_body_has_none(aws: Aws) -> None:
    event = httpx.post(f"{deploy(aws, http_api())['Endpoint']}/callbacks").json()
    assert "body" not in event
    assert event["isBase64Encoded"] is False


ANSWERS = """
def lambda_handler(event, context):
    return {
        "/callbacks?full": {"statusCode": 201, "headers": {"X-A": "b"}, "cookies": ["a=1", "b=2"], "body": "text"},
        "/callbacks?base64": {"statusCode": 200, "isBase64Encoded": True, "body": "/wA="},
        "/callbacks?no-status": {"ok": True},
        "/callbacks?bare": "hello",
        "/callbacks?wrong-status": {"statusCode": "two hundred", "body": "x"},
        "/callbacks?wrong-body": {"statusCode": 200, "body": {"not": "text"}},
    }[event["rawPath"] + "?" + event["rawQueryString"].rstrip("=")]
"""


@pytest.mark.parametrize(
    ("query", "status", "content", "content_type"),
    [
        ("full", 201, b"text", "text/plain; charset=utf-8"),
        ("base64", 200, b"\xff\x00", "text/plain; charset=utf-8"),
        ("no-status", 200, b'{"ok": true}', "application/json"),
        ("bare", 200, b"hello", "application/json"),
        ("wrong-status", 500, b'{"message":"Internal Server Error"}', "application/json"),
        ("wrong-body", 500, b'{"message":"Internal Server Error"}', "application/json"),
        ("raises", 500, b'{"message":"Internal Server Error"}', "application/json"),
    ],
)
def test_an_http_api_answers_with_what_the_function_returned(
    aws: Aws, query: str, status: int, content: bytes, content_type: str
) -> None:
    response = httpx.post(f"{deploy(aws, http_api(ANSWERS))['Endpoint']}/callbacks?{query}")
    assert (response.status_code, response.content, response.headers["content-type"]) == (status, content, content_type)
    if query == "full":
        assert response.headers["x-a"] == "b"
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_the_text_of_an_exception_never_reaches_the_caller(aws: Aws, released_aws: Aws) -> None:
    failing = http_api("def lambda_handler(event, context): raise ValueError('the secret is s3cret')")
    assert "s3cret" not in httpx.post(f"{deploy(aws, failing)['Endpoint']}/callbacks").text

    identifier = deploy(released_aws, failing)["Id"]
    add_route(released_aws, identifier)
    response = httpx.post(f"{released_aws.emulator.endpoint_url}/_aws/execute-api/{identifier}/callbacks")
    assert response.status_code == 502
    assert "s3cret" in response.text


def add_route(account: Aws, api: str) -> None:
    """By hand, what MiniStack does not make of the Body."""
    gateway = account.client("apigatewayv2")
    function = account.client("lambda").list_functions()["Functions"][0]["FunctionArn"]
    integration = gateway.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function)
    gateway.create_route(ApiId=api, RouteKey="POST /callbacks", Target=f"integrations/{integration['IntegrationId']}")


@pytest.mark.parametrize("megabytes", [7, 11])
def test_a_request_too_large_for_lambda_or_the_api_is_refused(aws: Aws, megabytes: int) -> None:
    endpoint = deploy(aws, http_api("def lambda_handler(event, context): return 'taken'"))["Endpoint"]
    headers = {"content-type": "text/plain"}
    response = httpx.post(f"{endpoint}/callbacks", content=b"x" * megabytes * 1_000_000, headers=headers, timeout=30)
    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})
    assert httpx.post(f"{endpoint}/callbacks", content=b"x" * 5_000_000, headers=headers, timeout=30).text == "taken"


def test_a_throttled_function_is_service_unavailable(aws: Aws) -> None:
    template = http_api()
    template["Resources"]["Function"]["Properties"]["ReservedConcurrentExecutions"] = 0
    response = httpx.post(f"{deploy(aws, template)['Endpoint']}/callbacks")
    assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})


PARTIAL = """
import json
def lambda_handler(event, context):
    print("received", sorted(record["body"] for record in event["Records"]))
    answer = json.loads(ANSWER)
    if answer == "second":
        second = [record["messageId"] for record in event["Records"] if record["body"] == "2"]
        answer = {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in second]}
    return answer
"""


def left_after(account: Aws, answer: Any) -> list[str]:
    """Send two messages to a function that gives this answer; the bodies of those that come back."""
    source = PARTIAL.replace("ANSWER", repr(json.dumps(answer)))
    account.client("lambda").create_function(
        FunctionName="function",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/anyone",
        Handler="handler.lambda_handler",
        Code={"ZipFile": zipped({"handler.py": source})},
    )
    sqs = account.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    redrive = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1}
    # Longer than a busy machine takes to start the function: a message that comes back meanwhile is a dead letter.
    attributes = {"VisibilityTimeout": "5", "RedrivePolicy": json.dumps(redrive)}
    queue = sqs.create_queue(QueueName="queue", Attributes=attributes)["QueueUrl"]
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": body, "MessageBody": body} for body in "12"])
    account.client("lambda").create_event_source_mapping(
        FunctionName="function",
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:queue",
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    found: list[str] = []

    def emptied() -> bool:
        messages = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages", [])
        found.extend(message["Body"] for message in messages)
        counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(counts[name] == "0" for name in waiting)

    assert wait_until(emptied, 30, pause=0.1)
    emptied()
    return sorted(found)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [(None, []), ("second", ["2"]), ({"batchItemFailures": [{"itemIdentifier": "no such message"}]}, ["1", "2"])],
)
def test_the_messages_that_the_function_names_come_back(aws: Aws, answer: Any, failed: list[str]) -> None:
    """The messages that the function names come back, or all if what it names makes no sense."""
    assert left_after(aws, answer) == failed


def test_a_batchs_response_is_read_as_lambda_reads_it() -> None:
    """What a function says of a batch is read as Lambda reads it."""
    answers: list[tuple[Any, list[str]]] = [
        (None, []),
        ({}, []),
        ({"batchItemFailures": []}, []),
        ({"batchItemFailures": None}, []),
        ({"batchItemFailures": [{"itemIdentifier": "2"}]}, ["2"]),
        ({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "3"}]}, ["1", "2"]),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, ["1", "2"]),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, ["1", "2"]),
        ({"batchItemFailures": [{"itemidentifier": "2"}]}, ["1", "2"]),
        ({"batchItemFailures": [{"itemIdentifier": {}}]}, ["1", "2"]),
        ({"batchItemFailures": ["2"]}, ["1", "2"]),
        ({"batchItemFailures": "2"}, ["1", "2"]),
        ([], ["1", "2"]),
        ("2", ["1", "2"]),
    ]
    said = run_in_emulator_environment(
        "import json; from local.emulator.patches.queues import failures\n"
        f"print(json.dumps([sorted(failures(answer, {{'1', '2'}})) for answer, _ in {answers!r}]))"
    )
    assert json.loads(said) == [failed for _, failed in answers]


def test_ministack_itself_loses_a_batch_with_a_wrong_identifier(released_aws: Aws) -> None:
    assert left_after(released_aws, {"batchItemFailures": [{"itemIdentifier": "no such message"}]}) == []


def test_a_queue_is_read_with_a_concurrency_from_a_parameter(aws: Aws, released_aws: Aws) -> None:
    """Which CloudFormation gives as text."""

    def read(account: Aws, seconds: float) -> bool:
        template = function_template(Code={"ZipFile": "def lambda_handler(event, context): return {}"})
        template["Parameters"] = {"Most": {"Type": "Number", "Default": 4}}
        template["Resources"] |= {
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "ScalingConfig": {"MaximumConcurrency": {"Ref": "Most"}},
                },
            },
        }
        template["Outputs"] = {"Queue": {"Value": {"Ref": "Queue"}}}
        sqs, queue = account.client("sqs"), deploy(account, template)["Queue"]
        sqs.send_message(QueueUrl=queue, MessageBody="1")
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")

        def emptied() -> bool:
            found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
            return all(found[name] == "0" for name in counts)

        return wait_until(emptied, seconds, pause=0.1)

    assert read(aws, 15)
    assert not read(released_aws, 5)


def test_the_event_of_an_upload_names_its_version(aws: Aws, released_aws: Aws) -> None:
    def named_and_true(account: Aws) -> tuple[str | None, str]:
        s3, sqs = account.client("s3"), account.client("sqs")
        s3.create_bucket(Bucket="photos")
        s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_notification_configuration(
            Bucket="photos", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        queue = sqs.create_queue(QueueName="queue")["QueueUrl"]
        account.client("events").put_rule(Name="rule", EventPattern='{"source": ["aws.s3"]}')
        target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:queue"}
        account.client("events").put_targets(Rule="rule", Targets=[target])
        version: str = s3.put_object(Bucket="photos", Key="ü +%.jpg", Body=b"x")["VersionId"]
        message = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]
        event = json.loads(message["Body"])["detail"]["object"]
        assert event["key"] == "ü +%.jpg"
        assert int(event["sequencer"], 16) > 0
        return event.get("version-id"), version

    named, true = named_and_true(aws)
    assert named == true
    assert named_and_true(released_aws)[0] is None


def test_a_copy_is_refused_where_something_else_is(aws: Aws, released_aws: Aws) -> None:
    def overwrites(account: Aws) -> bool:
        s3 = account.client("s3")
        s3.create_bucket(Bucket="photos")
        for key in ("a", "b"):
            s3.put_object(Bucket="photos", Key=key, Body=key.encode())
        with suppress(s3.exceptions.ClientError):
            s3.copy_object(Bucket="photos", Key="b", CopySource={"Bucket": "photos", "Key": "a"}, IfNoneMatch="*")
        return bool(s3.get_object(Bucket="photos", Key="b")["Body"].read() == b"a")

    assert not overwrites(aws)
    assert overwrites(released_aws)


def test_a_version_is_sent_as_its_url_says(aws: Aws, released_aws: Aws) -> None:
    def sent_as(account: Aws) -> str:
        s3 = account.client("s3")
        s3.create_bucket(Bucket="photos")
        s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
        stored = s3.put_object(Bucket="photos", Key="a", Body=b"x", ContentType="text/plain")
        asked = {"VersionId": stored["VersionId"], "ResponseContentType": "image/png"}
        return str(s3.get_object(Bucket="photos", Key="a", **asked)["ContentType"])

    assert sent_as(aws) == "image/png"
    assert sent_as(released_aws) == "text/plain"


def run_in_emulator_environment(source: str) -> str:
    """What a few lines print that run where MiniStack is installed."""
    done = subprocess.run(
        [str(VENVS / "emulator/bin/python"), "-c", source],
        cwd=REPOSITORY,
        env={"DETAG_EMULATOR_URL": "http://127.0.0.1:1", "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() or done.stderr


APPLY = """
from local.emulator import patches
from local.emulator.patches.hooks import PatchError
{change}
try:
    patches.apply_all()
except PatchError as error:
    print("PatchError:", error)
else:
    print("patched")
"""


def test_the_patches_fit_the_pinned_ministack() -> None:
    assert run_in_emulator_environment(APPLY.format(change="")) == "patched"


DROP = "del h['AWS::SecretsManager::Secret']"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("patches.VERSION = '1.0.0'", "made for MiniStack 1.0.0"),
        ("patches.apply_all()", "the patch can be removed"),
        ("from ministack.services import apigateway as m; del m._invoke_lambda_proxy", "has no _invoke_lambda_proxy"),
        ("from ministack.services import apigateway as m; m._create_route = print", "_create_route now takes"),
        ("from ministack.services import dynamodb as m; del m._update_ttl", "has no _update_ttl"),
        ("from ministack.services import sqs as m; del m._delete_messages_for_esm", "has no _delete_messages_for_esm"),
        ("from ministack.services import lambda_svc as m; del m._run_sqs_batch", "has no _run_sqs_batch"),
        (
            "from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS as h; " + DROP,
            "no longer makes",
        ),
    ],
)
def test_a_patch_that_does_not_fit_stops_the_emulator(change: str, complaint: str) -> None:
    said = run_in_emulator_environment(APPLY.format(change=change))
    assert said.startswith("PatchError:")
    assert complaint in said


def test_every_patch_notices_that_it_is_no_longer_needed() -> None:
    source = """
from local.emulator import patches
from local.emulator.patches.hooks import PatchError
for patch in patches.ALL:
    patch()
    try:
        patch()
    except PatchError as error:
        assert "the patch can be removed" in str(error), error
    else:
        print(patch.__name__, "does not notice")
print("asked all" if patches.ALL else "asked none")
"""
    assert run_in_emulator_environment(source) == "asked all"
