"""A batch of uploads submitted in one of several ways: `batch.py FOLDERS WAY EVENT TIMES` prints ms and CPU ms of each.

threads          as packaged: ten threads, clients made once
shared           one photo after the other, clients made once
client per call  one photo after the other, a client for every call, as in many samples
"""

import importlib
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

sys.path[:0] = sys.argv[1].split(os.pathsep)
way, times = sys.argv[2], int(sys.argv[4])
handler: Any = importlib.import_module("handler")
with open(sys.argv[3], encoding="utf-8") as file:  # noqa: PTH123
    event = json.load(file)
context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 30_000)


class PerCall:
    """A client that is made anew for every call, by boto3's default session; the names are those of the real one."""

    def __init__(self, service: str, config: Any, meta: Any) -> None:
        self._service, self._config, self.meta = service, config, meta

    def __getattr__(self, name: str) -> Any:
        import boto3
        import certifi

        make: Any = boto3.client
        return getattr(make(self._service, config=self._config, verify=certifi.where()), name)


def client_per_call() -> None:
    """Take the clients of the handler's own objects away, and give them ones that do not last."""
    import ssl

    import certifi

    from detag.adapters.aws import aws_config
    from detag.adapters.runflow import RunflowRuns
    from detag.adapters.s3 import s3_config

    jobs, photos, runs = handler.submit._jobs, handler.submit._submission._photos, handler.submit._submission._runs
    secrets, events = runs._api_key._client, handler.submit._steps._outbox._events
    jobs._client = PerCall("dynamodb", aws_config(), jobs._client.meta)
    photos._client = PerCall("s3", s3_config(os.environ["AWS_ENDPOINT_URL"]), photos._client.meta)
    runs._api_key._client = PerCall("secretsmanager", aws_config(), secrets.meta)
    events._client = PerCall("events", aws_config(), events._client.meta)

    def create(*arguments: Any) -> Any:
        tls = ssl.create_default_context(cafile=certifi.where())
        once = RunflowRuns(os.environ["RUNFLOW_API_URL"], runs._api_key, tls)
        try:
            return once.create(*arguments)
        finally:
            once.close()

    runs.create = create


if way != "threads":
    handler.pool = SimpleNamespace(map=map)
if way == "client per call":
    client_per_call()
wall, cpu = [], []
for number in range(times + 1):
    began, used = time.perf_counter(), time.process_time()
    answer = handler.lambda_handler(event, context)
    if number:  # the first makes the connections
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    if answer["batchItemFailures"]:
        sys.exit("not all were submitted")
sys.stdout.write("\n" + json.dumps({"wall": wall, "cpu": cpu}))
sys.stdout.flush()
os._exit(0)
