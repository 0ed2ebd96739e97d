"""Closed photos are reopened by the commands that the page and the output give, run as they are written."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from local.stack import Stack
from tests.e2e.harness import Harness, photo
from tests.e2e.stacks import outputs, shell
from tests.e2e.test_operating import block


@pytest.fixture
def harness(stack: Stack) -> Iterator[Harness]:
    with closing(Harness(stack)) as harness:
        yield harness


def ended(harness: Harness, key: str, state: str, requests: int = 0) -> dict[str, Any]:
    """The job of a photo, once it is closed like this."""
    found: list[dict[str, Any]] = []

    def is_so(jobs: list[dict[str, Any]]) -> bool:
        found[:] = [job for job in jobs if job["key"] == key and job["state"] == state]
        return bool(found) and len(found[0].get("requests", ())) == requests

    assert harness.wait(is_so, 60), found
    return found[0]


def reopen(harness: Harness, how: str, **named: str) -> None:
    """Run the command of the page that is for this way, for another job or key."""
    stack = harness.stack
    definition, *commands = re.split(r"^(?=reopen (?:ask|unpaid|paid))", block("Reopen a photo"), flags=re.MULTILINE)
    (command,) = [one for one in commands if one.startswith(f"reopen {how} ")]
    for name, value in named.items():
        command = command.replace(f"'{name}'", shlex.quote(value)).replace(name, value)
    shell(stack, definition.replace("UPLOAD_QUEUE_URL", stack.description["upload_queue_url"]) + command)


def upload(harness: Harness, key: str) -> None:
    bucket = harness.stack.description["input_bucket"]
    harness.s3.put_object(Bucket=bucket, Key=key, Body=photo(len(key)))


def test_unpaid_tries_again_what_was_refused(harness: Harness) -> None:
    billed = harness.billing()["runs"]
    with harness.faults({"on": "create_run", "do": "status", "status": 422, "times": 1}):
        upload(harness, "unpaid.jpg")
        job = ended(harness, "unpaid.jpg", "failed")
    reopen(harness, "unpaid", JOB_ID=job["job_id"])
    ended(harness, "unpaid.jpg", "delivered", requests=1)
    assert harness.billing()["runs"] == billed + 1


def test_ask_puts_a_deleted_output_back(harness: Harness) -> None:
    upload(harness, "ask.jpg")
    job = ended(harness, "ask.jpg", "delivered")
    (key,) = [one["S"] for one in job["outputs"]]
    billed, before = harness.billing()["runs"], harness.outputs()[key]
    harness.s3.delete_object(Bucket=harness.stack.description["output_bucket"], Key=key)
    reopen(harness, "ask", JOB_ID=job["job_id"])
    until = time.monotonic() + 60
    while key not in harness.outputs():
        assert time.monotonic() < until
        harness.pass_time(120)
        time.sleep(1)
    ended(harness, "ask.jpg", "delivered", requests=1)
    assert (harness.outputs()[key], harness.billing()["runs"]) == (before, billed)


def test_paid_makes_a_new_run(harness: Harness) -> None:
    """By its key, whatever is in it, and by the output's command with its job id."""
    key = """27" monitor 'été'\\n.jpg"""
    upload(harness, key)
    job = ended(harness, key, "delivered")
    billed = harness.billing()["runs"]
    reopen(harness, "paid", KEY=key)
    ended(harness, key, "delivered", requests=1)
    command = outputs(harness.stack)["ReopenCommand"].replace("JOB_ID", job["job_id"]).replace("HOW", "paid")
    shell(harness.stack, f"USER='SHOP\\anna'\n{command}")
    again = ended(harness, key, "delivered", requests=2)
    assert harness.billing()["runs"] == billed + 2
    assert again["earlier_runs"][0]["S"] == job["run_id"]
    assert again["requests"][1]["L"][2]["S"] == "SHOPanna"
