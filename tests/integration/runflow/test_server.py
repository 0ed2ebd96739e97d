"""The mock Runflow as a program: on real sockets, started by itself, with its default waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

REPOSITORY = Path(__file__).parents[3]
RUNS = "/v1/models/runflow/tag-removal/runs"


class Outside(ThreadingHTTPServer):
    """A photo host and a receiver of callbacks. `answers` are statuses of callbacks, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.photo = b""
        self.answers: list[int] = []
        self.received: list[tuple[float, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self) -> None:
        self._answer(200, self.server.photo)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((time.monotonic(), body))
        self._answer(self.server.answers.pop(0) if self.server.answers else 200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def program(*options: str, cwd: Path = REPOSITORY) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The mock, started as a user would; and its URL, read from the line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.runflow", "--port", "0", *options],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Mock Runflow ready at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def runflow(*options: str) -> Iterator[httpx.Client]:
    with program(*options) as (_, url):
        headers = {"Authorization": "Bearer rf_live_local"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            yield client


def photo() -> bytes:
    from tests.unit.local.runflow.harness import png

    return png()


def create(client: httpx.Client, outside: Outside, **changes: Any) -> str:
    body = {"input": {"image_url": f"{outside.url}/a%20b.png"}, "callback_url": f"{outside.url}/callbacks"} | changes
    answer = client.post(RUNS, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        run = dict(client.get(f"/v1/runs/{run_id}").json())
        if run["completed_at"]:
            return run
        time.sleep(0.02)
    raise AssertionError(f"run {run_id} did not end")


def received(outside: Outside, count: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while len(outside.received) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(outside.received) == count


def test_a_run_goes_all_the_way(outside: Outside) -> None:
    outside.photo = photo()
    with runflow("--pixels", "copy") as client:
        run = ended(client, create(client, outside))
        received(outside, 1)

        envelope = json.loads(outside.received[0][1])
        assert (envelope["run_id"], envelope["event"]) == (run["id"], "run.completed")
        url = envelope["output"]["image_urls"][0]
        assert url.startswith(str(client.base_url))
        with httpx.Client(trust_env=False) as plain:
            assert plain.get(url).content == outside.photo
        assert client.get("/_admin/billing").json()["total"] == "0.14"


def test_callbacks_are_tried_three_times(outside: Outside) -> None:
    """Callbacks are tried exactly three times, one and two seconds apart."""
    outside.photo = photo()
    outside.answers = [500] * 9
    with runflow("--pixels", "copy") as client:
        run_id = create(client, outside)
        received(outside, 3)
        time.sleep(1)
        assert len(outside.received) == 3
        first, second, third = (moment for moment, _ in outside.received)
        assert 0.9 < second - first < 1.6
        assert 1.9 < third - second < 2.6
        (delivery,) = client.get(f"/v1/runs/{run_id}/callback").json()
        assert (delivery["status_code"], delivery["attempt_count"], delivery["max_attempts"]) == ("failed", 3, 3)


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_is_dropped_without_a_byte(outside: Outside, when: str, runs: int) -> None:
    with runflow("--pixels", "copy") as client:
        rule = {"on": "create_run", "do": "drop", "when": when, "times": 1}
        client.post("/_admin/faults", json=rule).raise_for_status()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            create(client, outside)
        assert client.get("/_admin/billing").json()["runs"] == runs
        create(client, outside)
        assert client.get("/_admin/faults").json()[0]["fired"] == 1


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """Without TCP_NODELAY every one of them takes 40 ms."""
    with runflow() as client:
        taken = []
        for _ in range(31):
            began = time.perf_counter()
            client.get("/v1/runs").raise_for_status()
            taken.append(time.perf_counter() - began)
    assert sorted(taken)[15] < 0.03


def test_a_photo_host_that_is_gone_fails_the_run(outside: Outside) -> None:
    with runflow() as client:
        run = ended(client, create(client, outside, input={"image_url": "http://127.0.0.1:9/x.png"}))
        assert (run["status_code"], run["failure_code"]) == ("failed", "INPUT_FETCH_FAILED")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_and_leaves_nothing(outside: Outside, tmp_path: Path, signum: signal.Signals) -> None:
    outside.photo = photo()
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "local.runflow", "--port", "0", "--pixels", "copy"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer rf_live_local"}, trust_env=False) as client:
        ended(client, create(client, outside))
        assert any(tmp_path.rglob("result_1.png"))
        process.send_signal(signum)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_said_in_one_line(outside: Outside) -> None:
    port = outside.server_address[1]
    command = [sys.executable, "-m", "local.runflow", "--port", str(port)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}:")
    assert done.stderr.count("\n") == 1


def test_help_names_every_option() -> None:
    command = [sys.executable, "-m", "local.runflow", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True)
    for option in (
        "--port",
        "--api-key",
        "--balance",
        "--price",
        "--workers",
        "--pixels",
        "--run-seconds",
        "--ca-file",
    ):
        assert option in done.stdout


def test_a_wrong_amount_is_refused() -> None:
    command = [sys.executable, "-m", "local.runflow", "--price", "-1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "not an amount" in done.stderr
