"""What the test of faults does to a local stack, and what it looks at."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import cv2
import numpy as np

from local.stack.stack import Stack

OPEN = ("waiting", "submitting", "submitted")
SHIFTED = ("due_at", "not_before", "lease_until")


def photo(number: int) -> bytes:
    """A small JPEG that can be told from every other by its pixels: 16 blocks, each black or white."""
    image = np.zeros((64, 64, 3), np.uint8)
    for bit in range(16):
        if number >> bit & 1:
            row, column = divmod(bit, 4)
            image[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 255
    return cv2.imencode(".jpg", image)[1].tobytes()


def number_of(output: bytes) -> int:
    """The number of the photo that an output was made from, whatever became of its encoding."""
    image = cv2.imdecode(np.frombuffer(output, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None, "not an image"
    blocks = [image[bit // 4 * 16 + 8, bit % 4 * 16 + 8] > 127 for bit in range(16)]
    return sum(int(white) << bit for bit, white in enumerate(blocks))


@dataclass
class Harness:
    """A stack, and the photos dropped into it: number by key."""

    stack: Stack
    dropped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.s3, self.table, self.lambdas, self.sqs = map(self.stack.client, ("s3", "dynamodb", "lambda", "sqs"))
        self.admin = self.stack.runflow_admin()

    def close(self) -> None:
        """Leave no connection open."""
        for client in (self.s3, self.table, self.lambdas, self.sqs, self.admin):
            client.close()

    def drop(self, name: str, count: int) -> None:
        """Upload `count` new photos at once under `name`."""
        start = len(self.dropped)
        keys = {f"{name}/photo {start + n} é+%.jpg": start + n for n in range(count)}
        self.dropped |= keys
        bucket = self.stack.description["input_bucket"]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.s3.put_object(Bucket=bucket, Key=key, Body=photo(keys[key])), keys))

    def behave(self, **reading: Any) -> None:
        """The mock Runflow is as one reading of its pages says, and else as by default."""
        self.admin.delete("behaviour")
        behaves = self.admin.post("behaviour", json=reading)
        assert behaves.status_code == 200, behaves.text

    @contextmanager
    def faults(self, *rules: dict[str, Any]) -> Iterator[None]:
        """Faults of the mock Runflow, in force in the block and until each has fired. Fails if one never does."""
        posted = self.admin.post("faults", json={"rules": list(rules)})
        assert posted.status_code == 201, posted.text
        yield
        deadline = time.monotonic() + 60
        while not all((fired := self._fired()).values()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.admin.delete("faults")
        assert all(fired.values()), f"a fault never fired: {fired}"

    def _fired(self) -> dict[str, int]:
        """How often each fault in force has fired."""
        return {f"{rule['on']}/{rule['do']}": rule["fired"] for rule in self.admin.get("faults").json()}

    def kill(self, function: str, times: int, within: float = 30.0) -> None:
        """End so many busy processes of a function with SIGKILL, once the fault in force has met one. Fails where it
        never had so many.
        """
        killed: set[int] = set()
        deadline = time.monotonic() + within
        while not any(self._fired().values()):
            assert time.monotonic() < deadline, f"no process of {function} got as far as the fault"
            time.sleep(0.1)
        while len(killed) < times:
            assert time.monotonic() < deadline, f"only {len(killed)} processes of {function} were ever busy"
            for process in self.stack.function_processes():
                mine = process["state"] == "busy" and f"{function}Function" in process["function"]
                if mine and process["pid"] not in killed and len(killed) < times:
                    os.kill(process["pid"], signal.SIGKILL)
                    killed.add(process["pid"])
            time.sleep(0.2)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, as plain values."""
        pages = self.table.get_paginator("scan").paginate(TableName=self.stack.description["job_table"])
        return [_plain(item) for page in pages for item in page["Items"] if item["pk"]["S"].startswith("job#")]

    def wait(self, until: Callable[[list[dict[str, Any]]], bool], seconds: float) -> bool:
        """Look at the jobs until they are as wanted; False if they are not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if until(self.jobs()):
                return True
            time.sleep(0.5)
        return False

    def wait_until_idle(self, name: str, seconds: float = 20.0) -> None:
        """Wait until every photo dropped under `name` has a job and no function has been at work for two seconds."""
        mine = [key for key in self.dropped if key.startswith(f"{name}/")]
        quiet_since = time.monotonic()
        deadline = quiet_since + seconds
        while time.monotonic() < deadline:
            if self.busy():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 2:
                if sum(job["key"] in mine for job in self.jobs()) == len(mine):
                    return
                quiet_since = time.monotonic()
            time.sleep(0.2)

    def busy(self) -> bool:
        """Whether any function is at work."""
        return any(process["state"] == "busy" for process in self.stack.function_processes())

    def pass_time(self, seconds: float) -> None:
        """Let time pass for everything that is open, by moving its times back, while no worker holds a lease; then have
        reconcile look.
        """
        while self.busy():
            time.sleep(0.1)
        table = self.stack.description["job_table"]
        for job in self.jobs():
            if job["state"] in OPEN or "due_at" in job:
                names = [name for name in SHIFTED if name in job]
                self._shift(table, job["pk"], job["rev"], names, seconds)
        intake = self.table.get_item(TableName=table, Key={"pk": {"S": "gate"}}).get("Item", {})
        if "probe_at" in intake:
            self._shift(table, "gate", intake["rev"]["N"], ["probe_at"], seconds)
        self.report()

    def report(self) -> dict[str, Any]:
        """What reconcile says, after a round."""
        answer = self.lambdas.invoke(FunctionName=self.stack.description["functions"]["reconcile"], Payload=b"{}")
        report: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, report
        return report

    def _shift(self, table: str, pk: str, rev: str, names: list[str], seconds: float) -> None:
        with suppress(self.table.exceptions.ConditionalCheckFailedException):  # it has just been written by a function
            self.table.update_item(
                TableName=table,
                Key={"pk": {"S": pk}},
                UpdateExpression="ADD " + ", ".join(f"#{name} :back" for name in names),
                ConditionExpression="#rev = :rev",
                ExpressionAttributeNames={"#rev": "rev"} | {f"#{name}": name for name in names},
                ExpressionAttributeValues={":back": {"N": str(-seconds)}, ":rev": {"N": rev}},
            )

    def billing(self) -> dict[str, Any]:
        """What Runflow would have billed."""
        billing: dict[str, Any] = self.admin.get("billing").json()
        return billing

    def spent(self) -> Decimal:
        """Dollars spent or reserved on all days."""
        pages = self.table.get_paginator("scan").paginate(TableName=self.stack.description["job_table"])
        days = [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("day#")]
        return sum((Decimal(item["spent"]["N"]) for item in days), Decimal(0))

    def outputs(self) -> dict[str, bytes]:
        """Everything in the output bucket."""
        bucket = self.stack.description["output_bucket"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def dead_letters(self) -> int:
        """Messages in the three dead-letter queues."""
        urls = [url for name, url in self.stack.description.items() if name.endswith("dead_letter_queue_url")]
        asked = [
            self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]) for url in urls
        ]
        return sum(int(answer["Attributes"]["ApproximateNumberOfMessages"]) for answer in asked)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: next(iter(value.values())) for name, value in item.items()}
