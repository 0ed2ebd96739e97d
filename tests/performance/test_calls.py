"""How often a photo's way calls each service. Such a number changes only on purpose: the costs are made of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from benchmarks.calls import IDLE_MINUTE, PER_PHOTO, PER_PROCESS
from tests import environment
from tests.handlers import context, handler
from tests.performance.account import ETAG, RUN_ID, Account

EVENTS = Path(__file__).resolve().parents[2] / "events"
ENVIRON = environment.ENVIRON | {
    "INPUT_BUCKET": "photos",
    "RUNFLOW_API_URL": "https://api.example.com",
    "DAILY_SPEND_LIMIT_USD": "none",
}


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    with made.in_place(), patch("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("93.184.216.34", 443))]):
        yield made


def upload(number: int) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(
        json.loads((EVENTS / "upload.json").read_text(encoding="utf-8"))["Records"][0]["body"]
    )
    event["time"] = datetime.now(UTC).isoformat()
    event["detail"]["bucket"]["name"] = "photos"
    event["detail"]["object"] |= {"key": f"{number}.jpg", "version-id": f"v{number}", "size": 40_000, "etag": ETAG}
    return event


def batch(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"messageId": str(n), "body": json.dumps(message)} for n, message in enumerate(messages)]}


def callback(job_id: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / "callback.json").read_text(encoding="utf-8"))
    body = json.loads(event["body"])
    body["metadata"]["job_id"] = job_id
    event["body"] = json.dumps(body)
    event["headers"]["runflow-signature"] = hmac.new(b"whsec_1", event["body"].encode(), hashlib.sha256).hexdigest()
    return event


def travel(account: Account, number: int, functions: dict[str, ModuleType]) -> dict[str, dict[str, int]]:
    """One photo from its upload to its output; the calls of each function."""
    calls = {}
    assert functions["submit"].lambda_handler(batch(upload(number)), context()) == {"batchItemFailures": []}
    calls["submit"] = account.counted()
    (job,) = (item for item in account.items.values() if item.get("key", {}).get("S") == f"{number}.jpg")
    assert job["state"]["S"] == "submitted"
    assert functions["callback"].lambda_handler(callback(job["job_id"]["S"]), context())["statusCode"] == 200
    calls["callback"] = account.counted()
    (message,) = account.sent
    account.sent.clear()
    assert message["run_id"] == RUN_ID
    assert functions["deliver"].lambda_handler(batch(message), context()) == {"batchItemFailures": []}
    calls["deliver"] = account.counted()
    assert account.items[job["pk"]["S"]]["state"]["S"] == "delivered"
    return calls


@pytest.fixture
def functions(account: Account) -> dict[str, ModuleType]:
    return {name: handler(name, ENVIRON) for name in ("submit", "callback", "deliver", "reconcile")}


def test_a_photo_calls_each_service_so_often_and_no_more(account: Account, functions: dict[str, ModuleType]) -> None:
    travel(account, 1, functions)  # the first reads the secrets
    assert travel(account, 2, functions) == PER_PHOTO


def test_only_the_secrets_are_read_once_for_each_process(account: Account, functions: dict[str, ModuleType]) -> None:
    assert functions["submit"].settings
    assert account.counted() == {}, "making the clients calls nobody"
    first = travel(account, 1, functions)
    extra = {name: dict(Counter(calls) - Counter(PER_PHOTO[name])) for name, calls in first.items()}
    assert extra == PER_PROCESS


def test_a_minute_without_photos_calls_the_job_table_so_often(
    account: Account, functions: dict[str, ModuleType]
) -> None:
    """The first minute of an hour scans the input bucket besides, and the first of all asks for the table's age and
    begins a batch.
    """
    functions["reconcile"].lambda_handler({"source": "aws.events"}, context(55))
    scan = dict(Counter(account.counted()) - Counter(IDLE_MINUTE))
    assert scan == {
        "dynamodb.GetItem": 1,
        "dynamodb.DescribeTable": 1,
        "s3.ListObjectVersions": 1,
        "dynamodb.PutItem": 2,
    }
    functions["reconcile"].lambda_handler({"source": "aws.events"}, context(55))
    assert account.counted() == IDLE_MINUTE


def test_ten_photos_of_a_batch_call_ten_times_as_often(account: Account, functions: dict[str, ModuleType]) -> None:
    functions["submit"].lambda_handler(batch(*(upload(number) for number in range(10))), context())
    tenfold = {name: 10 * times for name, times in PER_PHOTO["submit"].items()}
    assert account.counted() == tenfold | PER_PROCESS["submit"]
