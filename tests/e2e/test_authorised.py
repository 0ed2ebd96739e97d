"""The stack as deployed, with every permission checked: the functions run under the template's own roles and policies.

One play covers every road that a photo can take. Then what the functions called is compared with what the template
allows, both ways; all that came out of them is searched for what must not; and permissions are taken away.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import httpx
import pytest

from detag.adapters.job_items import newest_upload_pk
from detag.ports.events_fake import SCHEMAS, breaches, schema_of
from local.processes import wait_until
from local.stack.stack import Options, Stack, running
from tests.e2e.harness import Harness, photo
from tests.fuzz.requests import sign
from tests.template.stack import Stack as Template
from tests.template.stack import read_stack

FUNCTIONS: Final = ("Submit", "Callback", "Deliver", "Reconcile")
PATIENCE: Final = 40.0
MINUTE: Final = 60.0

IMPLICIT: Final = {
    "WriteItsLogs": "Lambda itself writes the log, with the function's role; the emulator writes it with none",
    "ReceiveUploads": "Lambda's event source mapping polls with the function's role; the emulator's polls with none",
    "ReceiveResults": "the same",
    "TellGoneFromForbidden": "S3 asks for it inside a GetObject of what is not there; the emulator answers 404 without",
    "TellMissingFromForbidden": "the same, inside a HeadObject",
}
"""Statements that no call of a handler shows to be used, and why they are needed all the same."""

pytestmark = [pytest.mark.timeout(420)]


@dataclass(frozen=True)
class Decision:
    """What was decided about one call of a function."""

    function: str
    action: str
    resource: str
    sid: str
    allowed: bool


@dataclass
class Play:
    """A stack with permissions checked, and what is done on it."""

    stack: Stack
    harness: Harness
    api_key: str
    callback_secret: str
    events_url: str
    ended: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """How each photo ended: state and reason by key."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    """The events that were taken from the queue."""

    def __post_init__(self) -> None:
        self.sqs, self.iam, self.cloudformation = map(self.stack.client, ("sqs", "iam", "cloudformation"))

    def close(self) -> None:
        """Let go of the connections."""
        for each in (self.harness, self.sqs, self.iam, self.cloudformation):
            each.close()

    def put(self, key: str, body: bytes | None = None, **metadata: str) -> str:
        """Drop a photo, or something else; returns its version."""
        answer = self.harness.s3.put_object(
            Bucket=self.stack.description["input_bucket"],
            Key=key,
            Body=photo(len(self.ended) + 1) if body is None else body,
            Metadata={name.replace("_", "-"): value for name, value in metadata.items()},
        )
        return str(answer["VersionId"])

    def job(self, key: str) -> dict[str, Any]:
        """The job of the newest upload under a key; empty if there is none yet."""
        found = [job for job in self.harness.jobs() if job["key"] == key]
        return max(found, key=lambda job: str(job["sequencer"]), default={})

    def until(self, key: str, state: str, reason: str | None = None) -> dict[str, Any]:
        """Wait until a photo is where it should be; returns its job."""

        def there() -> bool:
            job = self.job(key)
            return (job.get("state"), job.get("reason")) == (state, reason)

        assert wait_until(there, PATIENCE, pause=0.1), (key, state, reason, self.job(key))
        return self.job(key)

    def ends(self, key: str, state: str, reason: str | None = None) -> dict[str, Any]:
        """Wait until a photo's job is closed, as it should be."""
        job = self.until(key, state, reason)
        assert wait_until(lambda: "owed" not in self.job(key), PATIENCE, pause=0.1), "nothing is pending"
        self.ended[key] = state, reason
        return job

    def later(self, key: str, seconds: float, state: str, reason: str | None = None) -> dict[str, Any]:
        """Let time pass, as often as need be, until a photo ends as it should."""
        for _ in range(8):
            if (self.job(key).get("state"), self.job(key).get("reason")) == (state, reason):
                break
            self.harness.pass_time(seconds)
            wait_until(lambda: (self.job(key).get("state"), self.job(key).get("reason")) == (state, reason), 4, 0.1)
        return self.ends(key, state, reason)

    @contextmanager
    def override(self, **values: str) -> Iterator[None]:
        """An operator's word over the parameters, taken back at the end."""
        table, key = self.stack.description["job_table"], {"pk": {"S": "override"}}
        self.harness.table.put_item(TableName=table, Item=key | {name: {"S": text} for name, text in values.items()})
        yield
        self.harness.table.delete_item(TableName=table, Key=key)

    def reopened(self) -> None:
        """Go on until the intake is open again."""
        for _ in range(10):
            if self.harness.report()["intake"]["state"] == "open":
                return
            self.harness.pass_time(5 * MINUTE)
            time.sleep(0.5)
        raise AssertionError(self.harness.report())

    def decisions(self) -> list[Decision]:
        """What was decided so far about calls of the four functions, in their order."""
        found = []
        for line in (self.stack.folder / "logs" / "decisions.jsonl").read_text().splitlines():
            made = json.loads(line)
            role = re.search(r":assumed-role/[^/]*?-(\w+)FunctionRole-", made["principal"])
            if role:
                found.append(Decision(role[1], made["action"], made["resource"], made["sid"], made["allowed"]))
        return found

    def events(self) -> list[dict[str, Any]]:
        """What other programs hear of the photos that have ended; each is as its schema says."""
        while found := self.sqs.receive_message(QueueUrl=self.events_url, MaxNumberOfMessages=10).get("Messages"):
            heard = [json.loads(message["Body"]) for message in found]
            assert [wrong for one in heard for wrong in breaches(one["detail"], schema_of(one["detail-type"]))] == []
            self.heard += heard
            for message in found:
                self.sqs.delete_message(QueueUrl=self.events_url, ReceiptHandle=message["ReceiptHandle"])
        return self.heard


def listen(stack: Stack) -> str:
    """A queue that gets the events of the source detag; its URL."""
    with closing(stack.client("sqs")) as sqs, closing(stack.client("events")) as events:
        url = str(sqs.create_queue(QueueName="heard")["QueueUrl"])
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="heard", EventPattern=json.dumps({"source": ["detag"]}))
        events.put_targets(Rule="heard", Targets=[{"Id": "heard", "Arn": arn}])
        allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    return url


def secret(stack: Stack, name: str) -> Any:
    """The value of one of the two secrets."""
    with closing(stack.client("secretsmanager")) as vault:
        return json.loads(vault.get_secret_value(SecretId=stack.description[name])["SecretString"])


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """The play, over: every photo has ended."""
    folder = tmp_path_factory.mktemp("authorised") / "local stack"
    options = Options(
        folder=folder,
        auth=True,
        parameters={"ConfirmationMinutes": "1", "CallbackReservedConcurrency": "7"},
        runflow=("--pixels", "copy", "--output-type", "same"),
    )
    with running(options) as stack:
        api_key = secret(stack, "runflow_api_key_arn")["api_key"]
        (callback_secret,) = secret(stack, "callback_secrets_arn")["secrets"]
        with closing(Play(stack, Harness(stack), api_key, callback_secret, listen(stack))) as play:
            perform(play)
            yield play


def perform(play: Play) -> None:
    """Every road once."""
    harness, names = play.harness, play.stack.description

    play.put("delivered.jpg")
    play.ends("delivered.jpg", "delivered")

    play.put("notes.txt", b"not a photo")
    play.ends("notes.txt", "skipped", "not_an_image")

    play.put("ratio.jpg", aspect_ratio="banana")  # closed by submit: a record and an event
    play.ends("ratio.jpg", "failed", "invalid_aspect_ratio")

    with harness.faults({"on": "run", "do": "fail", "code": "INPUT_VALIDATION_FAILED", "times": 1}):
        play.put("failed.jpg")  # closed by deliver
        play.ends("failed.jpg", "failed", "run_failed")
    play.put("failed.jpg", b"a list of prices")  # submit removes the record that it replaces by one of the other kind
    play.ends("failed.jpg", "skipped", "not_an_image")
    play.ended["failed.jpg before"] = "failed", "run_failed"

    with harness.faults({"on": "run", "do": "cancel", "times": 1}):
        play.put("cancelled.jpg")
        play.ends("cancelled.jpg", "cancelled", "cancelled_at_runflow")

    harness.s3.put_object(Bucket=names["output_bucket"], Key="clash.jpg", Body=b"somebody else's")
    play.put("clash.jpg")
    assert play.ends("clash.jpg", "delivered")["outputs"] != [{"S": "clash.jpg"}]

    replace_an_older_output(play, "replaced.jpg")
    reuse_results(play)

    with harness.faults({"on": "run", "do": "fail", "times": 1}):
        play.put("retry.jpg")
        play.until("retry.jpg", "waiting", "retry")
    play.later("retry.jpg", 20 * MINUTE, "delivered")

    with harness.faults({"on": "account", "do": "no_credit", "times": 1}):  # intake pauses, and reopens
        play.put("out of credit.jpg")
        play.until("out of credit.jpg", "waiting", "out_of_credit")
    play.later("out of credit.jpg", 5 * MINUTE, "delivered")
    play.reopened()

    with play.override(limit_usd="0.14"):  # another limit, in the middle of the day
        play.put("limit.jpg")
        play.until("limit.jpg", "waiting", "spend_limit")
    play.later("limit.jpg", 0, "delivered")
    play.reopened()

    with play.override(paused="true"):
        version = play.put("deleted.jpg")
        play.until("deleted.jpg", "waiting", "paused")
        harness.s3.delete_object(Bucket=names["input_bucket"], Key="deleted.jpg", VersionId=version)
    play.later("deleted.jpg", 0, "superseded", "deleted")
    play.reopened()

    with harness.faults({"on": "create_run", "do": "drop", "times": 1}):  # nobody knows whether a run was made
        play.put("unconfirmed.jpg")
        play.until("unconfirmed.jpg", "waiting", "unconfirmed")
    play.later("unconfirmed.jpg", 3 * MINUTE, "delivered")
    assert play.job("unconfirmed.jpg")["doubtful"], "it was sent again"

    with harness.faults({"on": "create_run", "do": "delay", "seconds": 8.0, "when": "after", "times": 1}):
        play.put("early.jpg")  # its callback is there before the run's id is saved
        play.ends("early.jpg", "delivered")
    assert logged(play, "deliver", "run adopted", play.job("early.jpg")["run_id"])

    with harness.faults({"on": "callback", "do": "lose", "times": 1}):
        play.put("lost.jpg")
        play.until("lost.jpg", "submitted")
        assert wait_until(lambda: harness.billing()["open"] == 0, PATIENCE)
    play.later("lost.jpg", 10 * MINUTE, "delivered")

    leave_an_event_pending(play, "delivered.jpg")
    assert wait_until(lambda: "due_at" not in play.job("delivered.jpg"), PATIENCE, pause=0.1), "it was published"

    set_an_unreadable_item_aside(play)
    finish_the_batch(play)

    report = harness.report()
    assert report["spend_today"]["usd"] == str(harness.spent())
    assert report["closed_today"]["delivered"] == sum(state == "delivered" for state, _ in play.ended.values())


def reuse_results(play: Play) -> None:
    """Equal photos: one in place of an older output, two without versions, and an output that is fed back."""
    s3, names = play.harness.s3, play.stack.description
    play.put("equal.jpg", photo(60_000))
    play.ends("equal.jpg", "delivered")
    replace_an_older_output(play, "copied.jpg", photo(60_000))
    assert play.job("copied.jpg")["reused_from"] == "equal.jpg"

    for status in ("Suspended", "Enabled"):
        for bucket in (names["input_bucket"], names["output_bucket"]):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        if status == "Suspended":
            for key in ("unversioned.jpg", "copied unversioned.jpg"):
                s3.put_object(Bucket=names["input_bucket"], Key=key, Body=photo(60_001))
                play.ends(key, "delivered")
    assert play.job("copied unversioned.jpg")["reused_from"] == "unversioned.jpg"

    play.harness.admin.post("behaviour", json={"pixels": "reencode"}).raise_for_status()
    play.put("encoded.jpg", photo(60_002))
    play.ends("encoded.jpg", "delivered")
    play.harness.admin.delete("behaviour").raise_for_status()
    play.put("back.jpg", s3.get_object(Bucket=names["output_bucket"], Key="encoded.jpg")["Body"].read())
    play.ends("back.jpg", "skipped", "already_cleaned")


def replace_an_older_output(play: Play, key: str, body: bytes | None = None) -> None:
    """A photo of which an older version was delivered as another type, and so under another name."""
    s3, names, older = play.harness.s3, play.stack.description, key + ".webp"
    source = {"detag-source-key": f"{names['input_bucket']}/{key}", "detag-sequencer": "0"}
    s3.put_object(Bucket=names["output_bucket"], Key=older, Body=b"older", Metadata=source)
    known = {"pk": {"S": newest_upload_pk(names["input_bucket"], key)}, "delivered_to": {"L": [{"S": older}]}}
    play.harness.table.put_item(TableName=names["job_table"], Item=known)
    play.put(key, body)
    assert "leftovers" not in play.ends(key, "delivered")
    found = s3.list_objects_v2(Bucket=names["output_bucket"], Prefix=key)["Contents"]
    assert [entry["Key"] for entry in found] == [key]


def set_an_unreadable_item_aside(play: Play) -> None:
    """An item that newer code wrote, due now, is looked at tomorrow; then somebody takes it away."""
    table, name = play.harness.table, play.stack.description["job_table"]
    key = {"pk": {"S": "job#" + "0" * 32}}
    now = time.time()
    written = {"key": {"S": "newer.jpg"}, "lane": {"S": "due#0"}, "due_at": {"N": str(int(now))}, "state": {"S": "new"}}
    table.put_item(TableName=name, Item=key | written)
    play.harness.report()
    assert float(table.get_item(TableName=name, Key=key)["Item"]["due_at"]["N"]) > now + 3_600
    table.delete_item(TableName=name, Key=key)


def leave_an_event_pending(play: Play, key: str) -> None:
    """Make a closed job have its event pending, as where EventBridge could not be reached when it was closed."""
    job = play.job(key)
    play.harness.table.update_item(
        TableName=play.stack.description["job_table"],
        Key={"pk": {"S": job["pk"]}},
        UpdateExpression="SET owed = :pending, due_at = :now, lane = :lane ADD rev :one REMOVE expires_at",
        ExpressionAttributeValues={
            ":pending": {"L": [{"S": "event"}]},
            ":now": {"N": str(int(time.time()) - 1)},
            ":lane": {"S": "due#0"},
            ":one": {"N": "1"},
        },
    )
    play.harness.report()


def finish_the_batch(play: Play) -> None:
    """All that has ended did so more than a quarter of an hour ago: the batch is over, and reconcile says so."""
    table, name = play.harness.table, play.stack.description["job_table"]
    for pk in ("batch", *(job["pk"] for job in play.harness.jobs())):
        key = {"pk": {"S": pk}}
        item = table.get_item(TableName=name, Key=key)["Item"]
        table.update_item(
            TableName=name,
            Key=key,
            UpdateExpression="ADD "
            + ", ".join(f"{each} :back" for each in {"counted_to", "active_at", "closed_at"} & item.keys()),
            ExpressionAttributeValues={":back": {"N": "-1000"}},
        )
    play.harness.report()
    assert logged(play, "reconcile", "batch finished")


def log_of(play: Play, function: str) -> str:
    """All that a function's processes have printed."""
    return (play.stack.folder / "logs" / f"{play.stack.description['functions'][function]}.log").read_text()


def logged(play: Play, function: str, *words: str) -> bool:
    """Whether a function has printed a line that holds all these words."""
    return any(all(word in line for word in words) for line in log_of(play, function).splitlines())


def test_only_the_callback_function_has_reserved_concurrency(play: Play) -> None:
    """The callback function has what was reserved for it, and no other has any."""
    reserved = {
        name: play.harness.lambdas.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
        for name, function in play.stack.description["functions"].items()
    }
    assert reserved == {"submit": None, "callback": 7, "deliver": None, "reconcile": None}


# What was called, and what may be called


@dataclass(frozen=True)
class Grant:
    """One action on one resource that a role allows. `resource` is an ARN, with wildcards."""

    function: str
    sid: str
    action: str
    resource: str


def physical_names(play: Play) -> dict[str, str]:
    """What the deployed resources are called, by their logical ids."""
    resources = play.cloudformation.describe_stack_resources(StackName="detag")["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def grants(template: Template, play: Play) -> set[Grant]:
    """All that the template's roles allow, with the names of the deployed resources in them."""
    physical = physical_names(play)
    return {
        Grant(function, statement["Sid"], action, _arn(template, physical, resource))
        for function in FUNCTIONS
        for statement in template.statements(f"{function}FunctionRole")
        if statement["Effect"] == "Allow"
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }


def _arn(template: Template, physical: dict[str, str], value: Any) -> str:
    """An intrinsic function of the template, worked out."""
    if "Fn::GetAtt" in value:
        return _arn(template, physical, {"Fn::Sub": f"${{{'.'.join(value['Fn::GetAtt'])}}}"})
    if "Ref" in value:
        return physical[value["Ref"]]
    account = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000"}

    def worked_out(match: re.Match[str]) -> str:
        name = match[1]
        if name in account:
            return account[name]
        logical, attribute = name.split(".")
        assert attribute == "Arn"
        service, path = {
            "AWS::S3::Bucket": ("s3::", ""),
            "AWS::SQS::Queue": ("sqs:us-east-1:000000000000", ""),
            "AWS::DynamoDB::Table": ("dynamodb:us-east-1:000000000000", "table/"),
            "AWS::Logs::LogGroup": ("logs:us-east-1:000000000000", "log-group:"),
        }[template.deployed["Resources"][logical]["Type"]]
        return f"arn:aws:{service}:{path}{physical[logical].rpartition('/')[2]}"

    return re.sub(r"\$\{([^}]+)\}", worked_out, value["Fn::Sub"])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def used(grant: Grant, calls: list[Decision]) -> bool:
    """Whether any call was allowed by this grant."""
    return any(
        (call.function, call.sid, call.action) == (grant.function, grant.sid, grant.action)
        and fnmatchcase(call.resource, grant.resource)
        for call in calls
    )


def test_every_road_was_taken(play: Play) -> None:
    states = {state for state, _ in play.ended.values()}
    assert states == {"delivered", "failed", "cancelled", "skipped", "superseded"}
    assert play.harness.dead_letters() == 0
    assert {call.function for call in play.decisions()} == set(FUNCTIONS)


def test_each_event_is_as_its_schema_says(play: Play) -> None:
    """Each of the six kinds, as EventBridge brings it."""
    heard = [(event["detail-type"], event["detail"]) for event in play.events()]
    assert {kind for kind, _ in heard} == {path.stem.replace("-", " ").title() for path in SCHEMAS.iterdir()}
    assert [(kind, wrong) for kind, detail in heard for wrong in breaches(detail, schema_of(kind))] == []


def test_nothing_that_the_functions_call_is_denied(play: Play) -> None:
    assert [call for call in play.decisions() if not call.allowed] == []


def test_nothing_that_the_template_allows_is_never_called(play: Play) -> None:
    calls, allowed = play.decisions(), grants(read_stack().given(), play)
    unused = {grant for grant in allowed if not used(grant, calls)}
    assert {grant for grant in unused if grant.sid not in IMPLICIT} == set()
    assert {grant.sid for grant in unused} == set(IMPLICIT), "each explanation explains something"
    assert {call.sid for call in calls} == {grant.sid for grant in allowed} - set(IMPLICIT)


def test_nothing_that_leaves_the_functions_holds_a_secret(play: Play) -> None:
    """Nothing that leaves the functions holds a key, a signature, a URL or a body."""
    names = play.stack.description
    deliveries = [one for run in play.harness.billing()["per_run"] for one in callbacks(play, run["id"])]
    assert len(deliveries) > 8
    marks = {
        "the API key": play.api_key,
        "a callback secret": play.callback_secret,
        "a presigned URL": "X-Amz-Signature",
        "an output URL": f"{names['runflow_url']}/outputs/",
        "a request's body": '"image_url"',
        "a callback's body": '"duration_ms"',
        **{
            f"a signature ({one['id']})": sign(play.callback_secret, one["payload_bytes"].encode())
            for one in deliveries
        },
    }
    sizes = {}
    for where, text in output(play):
        sizes[where] = len(text)
        plain = text.replace('\\"', '"')
        assert [what for what, mark in marks.items() if mark in plain] == [], where
    assert all(sizes.values()), sizes
    assert sizes.keys() >= {f"log of {function.lower()}" for function in FUNCTIONS} | {"table", "events"}
    assert any("_failed/" in where for where in sizes)


def callbacks(play: Play, run_id: str) -> list[dict[str, Any]]:
    """What Runflow says of a run's callbacks."""
    headers = {"Authorization": f"Bearer {play.api_key}"}
    url = f"{play.stack.description['runflow_url']}/v1/runs/{run_id}/callback"
    found: list[dict[str, Any]] = httpx.get(url, headers=headers, trust_env=False).json()
    return found


def output(play: Play) -> Iterator[tuple[str, str]]:
    """All that the functions have said and written, but for the photos themselves: where, and the text."""
    for function in FUNCTIONS:
        yield f"log of {function.lower()}", log_of(play, function.lower())
    yield "table", json.dumps(play.harness.jobs())
    yield "events", json.dumps(play.events())
    s3, bucket = play.harness.s3, play.stack.description["output_bucket"]
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        found = s3.get_object(Bucket=bucket, Key=entry["Key"])
        yield f"metadata of {entry['Key']}", json.dumps(found["Metadata"]) + found["ContentType"]
        if entry["Key"].startswith(("_failed/", "_skipped/")):
            yield entry["Key"], found["Body"].read().decode()


# Permissions, taken away


@contextmanager
def without(play: Play, function: str, sid: str) -> Iterator[None]:
    """A function's role lacks one of its statements in the block."""
    iam, name, role = play.iam, function.lower(), physical_names(play)[f"{function}FunctionRole"]
    whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    left = [statement for statement in whole["Statement"] if statement["Sid"] != sid]
    assert len(left) == len(whole["Statement"]) - 1

    def put(document: dict[str, Any]) -> None:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    put(whole | {"Statement": left})
    try:
        yield
    finally:
        put(whole)


@pytest.mark.parametrize(
    ("function", "sid", "actions"),
    [
        ("Deliver", "WriteOutputs", {"s3:GetObject", "s3:PutObject"}),
        ("Callback", "SendResults", {"sqs:SendMessage"}),
        ("Submit", "ReadPhotos", {"s3:GetObject"}),
    ],
)
def test_what_a_role_does_not_allow_is_denied(play: Play, function: str, sid: str, actions: set[str]) -> None:
    """What a role does not allow is denied, and nothing is lost. A HEAD that is denied is no last word where a listing
    shows that nothing is there.
    """
    key, before = f"without {sid}.jpg", len(play.decisions())
    with without(play, function, sid):
        play.put(key)

        def denied() -> set[tuple[str, str]]:
            return {(one.function, one.action) for one in play.decisions()[before:] if not one.allowed}

        expected = {(function, action) for action in actions}
        assert wait_until(lambda: denied() == expected, PATIENCE, pause=0.1), denied()
        assert wait_until(lambda: not play.harness.busy(), PATIENCE, pause=0.1)
        assert play.job(key).get("state") != "delivered"
    play.later(key, 10 * MINUTE, "delivered")
