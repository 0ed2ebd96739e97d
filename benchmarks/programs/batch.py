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
with open(sys.argv[3], encoding="utf-8") as file:  # noqa: PTH123
    event = json.load(file)
context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 30_000)


class PerCall:
    """A client that is made anew for every call, by boto3's default session."""

    def __init__(self, service: str, config: Any, **_: Any) -> None:
        self._service, self._config = service, config
        self.meta = self._made().meta

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made(), name)

    def _made(self) -> Any:
        import boto3
        import certifi

        make: Any = boto3.client
        return make(self._service, config=self._config, verify=certifi.where())


def client_per_call() -> None:
    """Let what the handler is composed of have clients that do not last."""
    import ssl

    import certifi

    from detag import wiring
    from detag.adapters.runflow import RunflowRuns

    create = RunflowRuns.create

    def once(self: RunflowRuns, *arguments: Any) -> Any:
        tls = ssl.create_default_context(cafile=certifi.where())
        runs = RunflowRuns(os.environ["RUNFLOW_API_URL"], self._api_key, tls)
        try:
            return create(runs, *arguments)
        finally:
            runs.close()

    patched: Any = wiring
    patched.aws_client, patched.RunflowRuns.create = PerCall, once


if way == "client per call":
    client_per_call()
handler: Any = importlib.import_module("handler")
if way != "threads":
    handler.pool = SimpleNamespace(map=map)
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
