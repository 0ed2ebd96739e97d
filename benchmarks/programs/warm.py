"""Warm calls of a function: `warm.py FOLDERS EVENTS WARM_UP TIMES` prints the CPU ms and the ms of each, those of one
that only parses JSON, and how many bytes were logged for each call.

EVENTS is a file with a list of events, each used in its turn.
"""

import importlib
import io
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

sys.path[:0] = sys.argv[1].split(os.pathsep)
terminal, log = sys.stdout, io.StringIO()
sys.stdout = log  # before the logger is made
handler = importlib.import_module("handler")
with open(sys.argv[2], encoding="utf-8") as file:  # noqa: PTH123
    events = json.load(file)
context = SimpleNamespace(aws_request_id="0" * 36, get_remaining_time_in_millis=lambda: 30_000)


def open_to_the_stub() -> None:
    """Let `deliver` fetch from the stub, over TLS, at its port."""
    from urllib.parse import urlsplit

    from detag.adapters.outputs import Guard, SafeFetcher
    from detag.wiring import TLS

    class Loopback(Guard):
        def url(self, target: Any, user: str | None) -> None:
            assert target.port == urlsplit(os.environ["AWS_ENDPOINT_URL"]).port

        def address(self, host: str, port: int, address: str) -> None:
            assert address == "127.0.0.1"

    handler.deliver._fetcher = SafeFetcher(TLS, Loopback())


def bare(event: dict[str, str], _context: object) -> dict[str, int]:
    """What any callback has to do."""
    json.loads(event["body"])
    return {"statusCode": 200}


def measured(function: Any, first: int, times: int) -> dict[str, list[float]]:
    """CPU ms and ms of each call."""
    cpu, wall = [], []
    for number in range(first, first + times):
        event = events[number % len(events)]
        began, used = time.perf_counter(), time.process_time_ns()
        answer = function(event, context)
        cpu.append((time.process_time_ns() - used) / 1e6)
        wall.append((time.perf_counter() - began) * 1000)
        if answer.get("statusCode", 200) != 200 or answer.get("batchItemFailures"):
            sys.exit(f"answered {answer}")
    return {"cpu": cpu, "wall": wall}


warm_up, times = int(sys.argv[3]), int(sys.argv[4])
if hasattr(handler, "deliver"):
    open_to_the_stub()
measured(handler.lambda_handler, 0, warm_up)
logged = len(log.getvalue())
full = measured(handler.lambda_handler, warm_up, times)
logged = len(log.getvalue()) - logged
plain = measured(bare, 0, times) if "body" in events[0] else None
terminal.write(json.dumps(full | {"bare": plain, "logged": logged / times}))
terminal.flush()
os._exit(0)
