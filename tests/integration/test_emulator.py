"""The emulator keeps to itself: loopback, its own folder, its own environment, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from local.emulator.client import Emulator, running
from local.processes import identity, is_alive, wait_until
from tests.emulator import Aws
from tests.template.stack import read_stack

from .conftest import Function, deploy, zipped

SLEEPER = {"handler.py": "import time\ndef lambda_handler(event, context): time.sleep(event)"}


def create(aws: Aws, files: dict[str, str], role: str = "arn:aws:iam::000000000000:role/anyone") -> Function:
    aws.client("lambda").create_function(
        FunctionName="function",
        Runtime="python3.13",
        Role=role,
        Handler="handler.lambda_handler",
        Code={"ZipFile": zipped(files)},
        Timeout=60,
    )
    return Function(aws, "function")


def listening(pid: int) -> list[str]:
    """The addresses at which a process listens, by the system's own account."""
    if shutil.which("lsof"):
        command = ["lsof", "-nP", "-a", "-p", str(pid), "-iTCP", "-sTCP:LISTEN", "-Fn"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return [line[1:] for line in lines if line.startswith("n")]
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                text = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address
                found.append(f"{text}:{int(port, 16)}")
    return found


def test_it_listens_on_loopback_only(emulated_aws: Aws) -> None:
    emulator = emulated_aws.emulator
    assert listening(emulator.child.pid) == [emulator.endpoint_url.removeprefix("http://")]
    assert emulator.endpoint_url.startswith("http://127.0.0.1:")


def test_it_takes_the_port_that_is_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match="in use"), running(tmp_path / "refused", port=port):
            pass
    with running(tmp_path / "given", port=port) as emulator:
        assert emulator.endpoint_url == f"http://127.0.0.1:{port}"


def test_when_it_stops_nothing_is_left_but_its_logs(tmp_path: Path) -> None:
    with running(tmp_path / "an emulator") as emulator:
        function = create(Aws(emulator), SLEEPER)
        with ThreadPoolExecutor(2) as pool:
            busy = pool.submit(function, 50)
            function.busy_process()
            function(0)
            processes = function.processes()
            assert {process["state"] for process in processes} == {"busy", "idle"}
            emulator.child.stop()
            with pytest.raises(botocore.exceptions.BotoCoreError):
                busy.result()
    assert not any(is_alive(process["pid"], process["identity"]) for process in processes)
    left = {str(path.relative_to(emulator.state)) for path in emulator.state.rglob("*") if path.is_file()}
    assert left == {".detag-local", "logs/emulator.log", "logs/function.log"}


def test_functions_do_not_outlive_an_emulator_that_is_killed(tmp_path: Path) -> None:
    """Function processes do not outlive an emulator that is killed."""
    with running(tmp_path) as emulator:
        function = create(Aws(emulator), SLEEPER)
        function(0)
        (process,) = function.processes()
        os.kill(emulator.child.pid, signal.SIGKILL)
        assert wait_until(lambda: not is_alive(process["pid"], process["identity"]), 10)
    with running(tmp_path) as emulator:
        assert not list((tmp_path / "functions").iterdir()), "a new one in its folder does not list them"


def test_the_callers_environment_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("S3_PERSIST", "1")
    monkeypatch.setenv("S3_DATA_DIR", str(tmp_path / "elsewhere"))
    with running(tmp_path / "state") as emulator:
        aws = Aws(emulator)
        aws.client("s3").create_bucket(Bucket="photos")
        aws.client("s3").put_object(Bucket="photos", Key="a", Body=b"a")
        source = {"handler.py": "import os\ndef lambda_handler(event, context): return sorted(os.environ)"}
        assert not {"AUTH", "S3_PERSIST", "S3_DATA_DIR"} & set(create(aws, source)().payload)
    assert not (tmp_path / "elsewhere").exists()


def test_an_identity_is_of_one_process_only() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        known = identity(child.pid)
        assert known
        assert known != identity(os.getpid())
        assert is_alive(child.pid, known)
        assert not is_alive(child.pid, "another")
    finally:
        child.kill()
        child.wait()
    assert identity(child.pid) is None
    assert not is_alive(child.pid, known)


# What follows needs an emulator that checks signatures and roles, over TLS.


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("guarded"), auth=True, tls=True) as emulator:
        yield emulator


@pytest.fixture
def guarded_aws(guarded: Emulator) -> Aws:
    guarded.reset()
    return Aws(guarded)


def test_only_its_own_clients_trust_the_emulator(guarded: Emulator) -> None:
    """TLS is served with a certificate that only its own clients trust."""
    assert guarded.endpoint_url.startswith("https://127.0.0.1:")
    assert listening(guarded.child.pid) == [guarded.endpoint_url.removeprefix("https://")]
    guarded.reset()
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(f"{guarded.endpoint_url}/_ministack/ready", context=ssl.create_default_context())
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value)


def role(*statements: dict[str, Any]) -> dict[str, Any]:
    """A stack with a bucket, a queue, and a role that may do this and no more."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "Policies": [
                        {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}
                    ],
                },
            },
        },
        "Outputs": {
            "Bucket": {"Value": {"Ref": "Bucket"}},
            "Queue": {"Value": {"Ref": "Queue"}},
            "Role": {"Value": {"Fn::GetAtt": "Role.Arn"}},
        },
    }


def allow(action: str, resource: str) -> dict[str, Any]:
    target: Any = {"Fn::GetAtt": f"{resource}.Arn"}
    if resource == "Bucket":
        target = {"Fn::Sub": "${Bucket.Arn}/*"}
    return {"Effect": "Allow", "Action": action, "Resource": target}


TRIES = """
import boto3
from botocore.exceptions import ClientError

def lambda_handler(event, context):
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": event["Bucket"], "Key": "a"}, ExpiresIn=60)
    tries = {
        "get": lambda: s3.get_object(Bucket=event["Bucket"], Key="a"),
        "put": lambda: s3.put_object(Bucket=event["Bucket"], Key="b", Body=b"b"),
        "send": lambda: sqs.send_message(QueueUrl=event["Queue"], MessageBody="x"),
        "send batch": lambda: sqs.send_message_batch(
            QueueUrl=event["Queue"], Entries=[{"Id": "1", "MessageBody": "x"}]
        ),
    }
    said = {"url": url}
    for name, attempt in tries.items():
        try:
            attempt()
            said[name] = "allowed"
        except ClientError as error:
            said[name] = error.response["Error"]["Code"]
    return said
"""


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ((), set()),
        ((allow("s3:GetObject", "Bucket"),), {"get"}),
        ((allow("s3:PutObject", "Bucket"),), {"put"}),
        ((allow("sqs:SendMessage", "Queue"),), {"send", "send batch"}),
    ],
)
def test_a_function_may_do_what_its_role_allows_and_no_more(
    guarded_aws: Aws, statements: tuple[dict[str, Any], ...], allowed: set[str]
) -> None:
    names = deploy(guarded_aws, role(*statements))
    guarded_aws.client("s3").put_object(Bucket=names["Bucket"], Key="a", Body=b"a")
    function = create(guarded_aws, {"handler.py": TRIES}, names["Role"])
    said = function(names).payload
    url = said.pop("url")
    assert {name for name, answer in said.items() if answer == "allowed"} == allowed
    assert set(said.values()) <= {"allowed", "AccessDenied", "AccessDeniedException"}
    assert read(guarded_aws, url) == (200 if "get" in allowed else 403), "a presigned URL allows what its signer may"


@pytest.mark.parametrize(
    ("boundary", "allowed"),
    [
        ([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}], {"get", "put"}),
        ([{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}], {"send", "send batch"}),
        (
            [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"},
            ],
            {"get", "send", "send batch"},
        ),
    ],
)
def test_a_boundary_limits_what_a_role_allows(
    guarded_aws: Aws, boundary: list[dict[str, Any]], allowed: set[str]
) -> None:
    """A boundary allows nothing by itself, and what it leaves out the role cannot allow; a path changes nothing."""
    document = json.dumps({"Version": "2012-10-17", "Statement": boundary})
    policy = guarded_aws.client("iam").create_policy(PolicyName="limits", PolicyDocument=document)["Policy"]["Arn"]
    template = role(allow("s3:GetObject", "Bucket"), allow("s3:PutObject", "Bucket"), allow("sqs:SendMessage", "Queue"))
    template["Resources"]["Role"]["Properties"] |= {"PermissionsBoundary": policy, "Path": "/shop/photos/"}
    names = deploy(guarded_aws, template)
    assert ":role/shop/photos/" in names["Role"]
    guarded_aws.client("s3").put_object(Bucket=names["Bucket"], Key="a", Body=b"a")
    said = create(guarded_aws, {"handler.py": TRIES}, names["Role"])(names).payload
    assert {name for name, answer in said.items() if answer == "allowed"} == allowed
    assert read(guarded_aws, said["url"]) == (200 if "get" in allowed else 403)


def test_a_boundary_that_does_not_exist_fails_the_stack(guarded_aws: Aws) -> None:
    template = role()
    template["Resources"]["Role"]["Properties"]["PermissionsBoundary"] = "arn:aws:iam::000000000000:policy/none"
    with pytest.raises(AssertionError, match="ROLLBACK"):
        deploy(guarded_aws, template)


def read(aws: Aws, url: str) -> int:
    context = ssl.create_default_context(cafile=aws.emulator.env["SSL_CERT_FILE"])
    try:
        with urllib.request.urlopen(url, context=context) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_wrong_signature_is_refused(guarded_aws: Aws) -> None:
    names = deploy(guarded_aws, role(allow("s3:GetObject", "Bucket")))
    source = "import os\ndef lambda_handler(event, context): return dict(os.environ)"
    env = create(guarded_aws, {"handler.py": source}, names["Role"])().payload
    keys = {"AWS_ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"], "AWS_SESSION_TOKEN": env["AWS_SESSION_TOKEN"]}
    guarded_aws.client("s3").put_object(Bucket=names["Bucket"], Key="a", Body=b"a")
    for secret, code in ((env["AWS_SECRET_ACCESS_KEY"], ""), ("wrong", "SignatureDoesNotMatch")):
        s3 = guarded_aws.session.client(
            "s3",
            endpoint_url=guarded_aws.emulator.endpoint_url,
            verify=guarded_aws.emulator.env["AWS_CA_BUNDLE"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret,
            aws_session_token=keys["AWS_SESSION_TOKEN"],
        )
        try:
            s3.get_object(Bucket=names["Bucket"], Key="a")
            said = ""
        except botocore.exceptions.ClientError as error:
            said = error.response["Error"]["Code"]
        assert said == code


def test_a_bucket_policy_is_enforced(guarded_aws: Aws) -> None:
    names = deploy(guarded_aws, role(allow("s3:GetObject", "Bucket")))
    s3 = guarded_aws.client("s3")
    s3.put_object(Bucket=names["Bucket"], Key="a", Body=b"a")
    function = create(guarded_aws, {"handler.py": TRIES}, names["Role"])
    assert function(names).payload["get"] == "allowed"
    arn = f"arn:aws:s3:::{names['Bucket']}/*"
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": arn}
    s3.put_bucket_policy(Bucket=names["Bucket"], Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert function(names).payload["get"] == "AccessDenied"


ANNOUNCES = """
import boto3
from botocore.exceptions import ClientError

def lambda_handler(event, context):
    try:
        boto3.client("events").put_events(Entries=[{"Detail": "{}", "DetailType": "x", **entry} for entry in event])
        return "allowed"
    except ClientError as error:
        return error.response["Error"]["Code"]
"""


@pytest.mark.parametrize(
    ("sources", "allowed"),
    [
        ([{"Source": "detag"}], True),
        ([{"Source": "detag"}, {"Source": "detag"}], True),
        ([{"Source": "aws.s3"}], False),
        ([{"Source": "detag"}, {"Source": "aws.s3"}], False),
        ([{}], False),
    ],
)
def test_events_are_announced_in_our_own_name_only(
    guarded_aws: Aws, sources: list[dict[str, str]], allowed: bool
) -> None:
    """The template's own condition; of the call without a source its first half alone would be true."""
    (condition,) = (
        statement["Condition"]
        for statement in read_stack().given().statements("SubmitFunctionRole")
        if statement["Sid"] == "AnnounceOutcomes"
    )
    statement = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    for condition_in_force, answer in ((condition, allowed), ({**condition, "Null": {}}, allowed or sources == [{}])):
        guarded_aws.emulator.reset()
        names = deploy(guarded_aws, role(statement | {"Condition": condition_in_force}))
        function = create(guarded_aws, {"handler.py": ANNOUNCES}, names["Role"])
        assert function(sources).payload == ("allowed" if answer else "AccessDeniedException")


WRITES = """
import boto3
from botocore.exceptions import ClientError

def lambda_handler(event, context):
    client, table = boto3.client("dynamodb"), event["table"]
    def put(pk):
        return {"TableName": table, "Item": {"pk": {"S": pk}}}
    def update(pk):
        names = {"#paused": "paused"}
        return {
            "TableName": table,
            "Key": {"pk": {"S": pk}},
            "UpdateExpression": "REMOVE #paused",
            "ExpressionAttributeNames": names,
        }
    def one(pk):
        return {"TableName": table, "Key": {"pk": {"S": pk}}}
    calls = {
        "read": lambda: client.get_item(**one("override")),
        "put": lambda: client.put_item(**put("override")),
        "update": lambda: client.update_item(**update("override")),
        "delete": lambda: client.delete_item(**one("override")),
        "batch": lambda: client.batch_write_item(RequestItems={table: [
            {"PutRequest": {"Item": {"pk": {"S": "job#1"}}}}, {"PutRequest": {"Item": {"pk": {"S": "override"}}}},
        ]}),
        "transaction": lambda: client.transact_write_items(
            TransactItems=[{"Put": put("job#1")}, {"Update": update("override")}]
        ),
        "other put": lambda: client.put_item(**put("job#1")),
        "other update": lambda: client.update_item(**update("day#1")),
        "other transaction": lambda: client.transact_write_items(
            TransactItems=[{"Put": put("job#1")}, {"Update": update("day#1")}]
        ),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
            said[name] = "allowed"
        except ClientError as error:
            said[name] = error.response["Error"]["Code"]
    return said
"""


@pytest.mark.parametrize("function", ["Submit", "Deliver", "Reconcile"])
def test_no_function_writes_what_an_operator_wrote(guarded_aws: Aws, function: str) -> None:
    """The template's own statements, and beside them one that allows everything: the override can be read only."""
    guarded_aws.client("dynamodb").create_table(
        TableName="jobs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/jobs"
    statements = read_stack().given().statements(f"{function}FunctionRole")
    (deny,) = (statement | {"Resource": arn} for statement in statements if statement["Effect"] == "Deny")
    everything = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": arn}
    names = deploy(guarded_aws, role(everything, deny))
    said = create(guarded_aws, {"handler.py": WRITES}, names["Role"])({"table": "jobs"}).payload
    denied = {"put", "update", "delete", "batch", "transaction"}
    assert {name for name, answer in said.items() if answer == "AccessDeniedException"} == denied
    assert {answer for name, answer in said.items() if name not in denied} == {"allowed"}
