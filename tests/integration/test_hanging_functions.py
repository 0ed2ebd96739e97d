"""Whole functions against services that accept a connection and never answer: each invocation ends in its time, what
was learned is written down, and the rest of its work is done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from boto3.session import Session

from detag.adapters import aws as adapter
from detag.adapters.aws import KEEP, KEEP_OTHERS
from detag.adapters.clock import SystemClock
from detag.adapters.dynamodb import DynamoJobStore
from detag.adapters.telemetry import InvocationFailed
from detag.domain.job import Job, State, Upload, new
from detag.domain.reasons import Reason
from detag.services import missed_uploads, reconcile
from tests.emulator import Aws
from tests.environment import ENVIRON
from tests.handlers import AWS, context, handler
from tests.server import Server, serving
from tests.template.stack import read_stack

WORDS = b"just words, no photo"
SILENCE = Event()
"""Never set: what waits for it ends with the process."""
LEFT = 2.0
"""Seconds that the calls of an invocation have in these tests, beyond what is kept for others."""


def script(path: str) -> Iterator[bytes]:
    """Only of `notes.jpg` it says what S3 would; all other requests are never answered."""
    if "notes.jpg" not in path:
        SILENCE.wait()
    head = f"Content-Length: {len(WORDS)}\r\nContent-Range: bytes 0-{len(WORDS) - 1}/{len(WORDS)}\r\n"
    yield f'HTTP/1.1 206 Partial Content\r\n{head}ETag: "e"\r\nx-amz-version-id: v\r\n\r\n'.encode() + WORDS


@dataclass(frozen=True)
class Account:
    """An emulated account in which some services do not answer."""

    aws: Aws
    store: DynamoJobStore
    environ: Mapping[str, str]
    server: Server
    patch: pytest.MonkeyPatch

    def function(self, name: str, *silent: str) -> ModuleType:
        """A function, for which these services are the server's. Its environment stays: it makes a client later."""
        urls = {f"AWS_ENDPOINT_URL_{service}": f"http://127.0.0.1:{self.server.port}" for service in silent}
        for variable, value in {**AWS, **ENVIRON, **self.environ, **urls}.items():
            self.patch.setenv(variable, value)
        return handler(name, {**ENVIRON, **self.environ, **urls})

    def saved(self, key: str, **changes: Any) -> Job:
        """The job of a new item."""
        job = new(Upload("in", key, "v", "00aa", "e", 10, time.time()), time.time())
        after = replace(job, version=1, **changes)
        self.store.save(job, after)
        return after

    def job(self, key: str) -> Job | None:
        return self.store.get(Upload("in", key, "v", "00aa", "e", 10, time.time()).job_id)

    def resumed(self) -> list[str]:
        """The ids of the jobs that were sent to `submit`."""
        queue = self.environ["UPLOAD_QUEUE_URL"]
        found = self.aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["job_id"] for message in found]


@pytest.fixture
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    table = read_stack().properties("JobTable")
    definition = {name: table[name] for name in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")}
    aws.client("dynamodb").create_table(TableName="jobs", BillingMode="PAY_PER_REQUEST", **definition)
    queues = {name: aws.client("sqs").create_queue(QueueName=name)["QueueUrl"] for name in ("uploads", "results")}
    environ = {
        **aws.emulator.env,
        "AWS_ENDPOINT_URL": aws.emulator.endpoint_url,
        "UPLOAD_QUEUE_URL": queues["uploads"],
        "RESULT_QUEUE_URL": queues["results"],
    }
    monkeypatch.setattr(adapter, "session", Session())  # the process's own may hold credentials of an earlier test
    with serving(script) as server:
        store = DynamoJobStore(aws.client("dynamodb"), "jobs", SystemClock())
        yield Account(aws, store, environ, server, monkeypatch)


def batch(*keys: str) -> dict[str, Any]:
    """Events of uploads, as the upload queue gives them to `submit`; each message has its photo's key for an id."""
    records = []
    for key in keys:
        thing = {"key": key, "size": 10, "etag": "e", "version-id": "v", "sequencer": "00aa"}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {"time": moment, "detail": {"bucket": {"name": "in"}, "object": thing}}
        records.append({"messageId": key, "body": json.dumps(event)})
    return {"Records": records}


def answered(function: ModuleType, event: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer of an invocation that has so many seconds, and takes fewer."""
    began = time.monotonic()
    answer: dict[str, Any] = function.lambda_handler(event, context(seconds))
    assert time.monotonic() - began < seconds, "Lambda would have killed it"
    return answer


def test_a_silent_s3_leaves_an_item_and_no_dead_letter(account: Account) -> None:
    """Ten photos at once, nine of them behind an S3 that is silent: none comes back to the queue, and all have items
    that come due again; the tenth has ended.
    """
    names = [f"silent {number}.jpg" for number in range(9)]
    submit = account.function("submit", "S3")
    assert answered(submit, batch(*names, "notes.jpg"), KEEP_OTHERS + LEFT) == {"batchItemFailures": []}
    for name in names:
        job = account.job(name)
        assert job is not None
        assert (job.state, job.due_at is not None) == (State.WAITING, True)
    ended = account.job("notes.jpg")
    assert ended is not None
    assert (ended.state, ended.reason) == (State.SKIPPED, Reason.NOT_AN_IMAGE)


def test_a_silent_table_returns_each_message(account: Account) -> None:
    """Nothing can be written down: the queue keeps the messages, and no process is killed with them."""
    submit = account.function("submit", "DYNAMODB")
    account.server.asked.clear()
    answer = answered(submit, batch("silent 1.jpg", "silent 2.jpg"), KEEP["dynamodb"] + LEFT)
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["silent 1.jpg", "silent 2.jpg"]


def test_a_silent_secret_is_written_down_by_deliver(account: Account) -> None:
    job = account.saved("shoe.jpg", state=State.SUBMITTED, run_id="run_1", submission_no=1, due_at=time.time())
    deliver = account.function("deliver", "SECRETS_MANAGER")
    message = {"job_id": job.job_id, "run_id": "run_1"}
    event = {"Records": [{"messageId": "1", "body": json.dumps(message)}]}
    assert answered(deliver, event, KEEP_OTHERS + LEFT) == {"batchItemFailures": []}
    after = account.job("shoe.jpg")
    assert after is not None
    assert (after.state, after.version, bool(after.troubles)) == (State.SUBMITTED, 2, True)


def test_reconcile_goes_on_beside_silent_services(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither S3 nor Secrets Manager answers: what waits is resumed, and the sweep ends well."""
    monkeypatch.setattr(reconcile, "SPARE_SECONDS", 0.1)  # of an invocation that has 55 s
    monkeypatch.setattr(missed_uploads, "NEEDED_SECONDS", 0.1)
    now = time.time()
    account.saved("runs.jpg", state=State.SUBMITTED, run_id="run_1", submission_no=1, due_at=now - 2)
    waits = account.saved("waits.jpg", state=State.WAITING, reason=Reason.RATE_LIMITED, due_at=now - 1)
    sweep = account.function("reconcile", "S3", "SECRETS_MANAGER")
    done = answered(sweep, {"source": "aws.events"}, KEEP_OTHERS + LEFT)["done"]
    assert (done["resumed"], done["recovered"]) == (1, 0)
    assert account.resumed() == [waits.job_id]


def test_reconcile_ends_in_time_without_a_table(account: Account) -> None:
    """The invocation fails before Lambda would kill it; the next minute tries again."""
    sweep = account.function("reconcile", "DYNAMODB")
    began = time.monotonic()
    with pytest.raises(InvocationFailed, match="Transient"):
        sweep.lambda_handler({"source": "aws.events"}, context(KEEP["dynamodb"] + LEFT))
    assert time.monotonic() - began < KEEP["dynamodb"] + LEFT
