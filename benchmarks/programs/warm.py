"""Warm calls of a function: `warm.py FOLDERS EVENTS WARM_UP TIMES` prints the CPU ms and the ms of each, and how many
bytes were logged for each call. With `beside` after these, for a callback's events: the same of one that only parses
JSON, and, in turn with the function's own, of one that only sends the body to the queue.

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


def sending() -> Any:
    """The least that a callback has to ask of AWS: its body, put into the queue, by a client that is there already."""
    import boto3

    client = boto3.client("sqs")

    def send(event: dict[str, str], _context: object) -> dict[str, int]:
        client.send_message(QueueUrl=os.environ["RESULT_QUEUE_URL"], MessageBody=event["body"])
        return {"statusCode": 200}

    return send


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


def in_turn(*functions: Any) -> list[dict[str, list[float]]]:
    """CPU ms and ms of each call of several functions, fifty of one and fifty of the next."""
    found: list[dict[str, list[float]]] = [{"cpu": [], "wall": []} for _ in functions]
    for number in range(warm_up, warm_up + times, 50):
        for function, one in zip(functions, found, strict=True):
            for kind, values in measured(function, number, 50).items():
                one[kind] += values
    return found


warm_up, times = int(sys.argv[3]), int(sys.argv[4])
if hasattr(handler, "deliver"):
    open_to_the_stub()
measured(handler.lambda_handler, 0, warm_up)
logged = len(log.getvalue())
if sys.argv[5:] == ["beside"]:
    send = sending()
    measured(send, 0, warm_up)
    full, sent = in_turn(handler.lambda_handler, send)
    others = {"bare": measured(bare, 0, times), "send": sent}
else:
    full, others = measured(handler.lambda_handler, warm_up, times), {}
logged = len(log.getvalue()) - logged
terminal.write(json.dumps(full | others | {"logged": logged / times}))
terminal.flush()
os._exit(0)
