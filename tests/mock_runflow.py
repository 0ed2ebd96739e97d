"""The mock Runflow for tests: one process for the whole run, as new before each test, and a place to put photos.

Import the fixtures into a ``conftest.py``: ``from tests.mock_runflow import runflow, running_runflow``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from local.processes import Child, wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
API_KEY = "rf_live_of_the_tests"


class Runflow:
    """A running mock, through its admin routes, and a server of photos at any path."""

    def __init__(self, url: str, photos: ThreadingHTTPServer) -> None:
        self.url = url
        self.photos: dict[str, bytes] = photos.photos  # type: ignore[attr-defined]
        self.photos_url = f"http://127.0.0.1:{photos.server_port}"
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False, timeout=30
        )

    def reset(self) -> None:
        """Forget runs, faults, behaviour and photos."""
        self.photos.clear()
        self._done("POST", "/_admin/reset")
        self.balance("1000.00")

    def fault(self, on: str, do: str, times: int | None = 1, **options: Any) -> None:
        """Put a fault in force, once unless said otherwise."""
        self._done("POST", "/_admin/faults", {"on": on, "do": do, "times": times, **options})

    def behave(self, **behaviour: Any) -> None:
        """Choose another reading of the contract."""
        self._done("POST", "/_admin/behaviour", behaviour)

    def balance(self, usd: str) -> None:
        """Set what is left to spend."""
        self._done("POST", "/_admin/balance", {"balance": usd})

    def key_of_another(self, key: str, org_id: str) -> None:
        """Add a key of another organisation."""
        self._done("POST", "/_admin/keys", {"key": key, "org_id": org_id})

    def billing(self) -> dict[str, Any]:
        """What would have been billed."""
        billing: dict[str, Any] = self._done("GET", "/_admin/billing").json()
        return billing

    def callbacks(self, run_id: str) -> list[str]:
        """The bodies of a run's callbacks, oldest first."""
        deliveries: list[dict[str, Any]] = self._done("GET", f"/v1/runs/{run_id}/callback").json()
        return [delivery["payload_bytes"] for delivery in sorted(deliveries, key=lambda one: one["created_at"])]

    def wait_until_ended(self) -> None:
        """Return once no run is open. Raises AssertionError after 20 s."""
        assert wait_until(lambda: self.billing()["open"] == 0, 20)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _done(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self._client.request(method, path, json=body).raise_for_status()


class _Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        photo = self.server.photos.get(self.path)  # type: ignore[attr-defined]
        self.send_response(403 if photo is None else 200)
        self.send_header("Content-Length", str(len(photo or b"")))
        self.end_headers()
        self.wfile.write(photo or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def running_runflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runflow]:
    """A mock of this test run's own, which returns every photo unchanged."""
    log = tmp_path_factory.mktemp("mock Runflow") / "log"
    command = [sys.executable, "-m", "local.runflow", "--port=0", f"--api-key={API_KEY}", "--pixels=copy"]
    child = Child(
        "mock Runflow", [*command, "--output-type=same"], log, {**os.environ, "PYTHONUNBUFFERED": "1"}, REPOSITORY
    )
    photos = ThreadingHTTPServer(("127.0.0.1", 0), _Photos)
    photos.daemon_threads = True
    photos.photos = {}  # type: ignore[attr-defined]
    Thread(target=photos.serve_forever, daemon=True).start()
    try:
        child.wait_until_ready(lambda: "ready at" in log.read_text(), 30)
        found = re.search(r"ready at (\S+)", log.read_text())
        assert found
        runflow = Runflow(found[1], photos)
        yield runflow
        runflow.close()
    finally:
        photos.shutdown()
        photos.server_close()
        child.stop()


@pytest.fixture
def runflow(running_runflow: Runflow) -> Runflow:
    """A Runflow that has done nothing yet."""
    running_runflow.reset()
    return running_runflow
