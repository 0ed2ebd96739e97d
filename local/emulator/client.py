"""Start the emulator from another environment, with the settings that clients need to reach it."""

import json
import os
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.folders import claim
from local.processes import Child

REPOSITORY = Path(__file__).resolve().parents[2]

# The environments that `make` sets up: emulator, sam, runtime, ...
VENVS = REPOSITORY / ".venv"


@dataclass(frozen=True)
class Emulator:
    """A running emulator. ``env`` is what a client needs: AWS_ENDPOINT_URL, keys, region, and the CA with TLS."""

    child: Child
    state: Path
    endpoint_url: str
    env: Mapping[str, str]

    def reset(self) -> None:
        """Forget everything: all resources of all services, and all function processes."""
        self._send("POST", "/_ministack/reset")

    def requests(self) -> dict[str, dict[str, int]]:
        """The requests so far: program (the first product of its User-Agent) -> service -> how many."""
        counts: dict[str, dict[str, int]] = json.loads(self._send("GET", "/_detag/requests"))
        return counts

    def _send(self, method: str, path: str) -> bytes:
        url = f"{self.endpoint_url}{path}"
        data = b"" if method == "POST" else None
        request = AWSRequest(method, url, data=data)
        keys = Credentials(self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(keys, "ministack", self.env["AWS_REGION"]).add_auth(request)
        context = ssl.create_default_context(cafile=self.env.get("SSL_CERT_FILE"))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        signed = urllib.request.Request(url, data, dict(request.headers), method=method)  # noqa: S310 - ours
        with urllib.request.build_opener(*handlers).open(signed, timeout=30) as response:
            answer: bytes = response.read()
        return answer


@contextmanager
def running(
    state: Path,
    *,
    port: int = 0,
    region: str = "us-east-1",
    processes: int = 0,
    function_env: Mapping[str, str] | None = None,
    auth: bool = False,
    tls: bool = False,
    as_released: bool = False,
    started: Callable[[Child], None] = lambda _: None,
) -> Iterator[Emulator]:
    """An emulator that keeps everything under ``state`` and is stopped at the end.

    The options are those of ``python -m local.emulator``; ``started`` is called with its process before it
    accepts requests. Raises RuntimeError if it does not start, or if ``state`` holds files of something else.
    """
    announcement = claim(state) / "emulator.json"
    announcement.unlink(missing_ok=True)
    options = ["--port", str(port), "--region", region, "--processes", str(processes)]
    options += [f"--function-env={name}={value}" for name, value in (function_env or {}).items()]
    options += [f"--{flag}" for flag, wanted in (("auth", auth), ("tls", tls), ("as-released", as_released)) if wanted]
    child = Child(
        "emulator",
        [
            *(str(VENVS / "emulator/bin/python"), "-m", "local.emulator", "--state", str(state)),
            *("--runtime-python", str(VENVS / "runtime/bin/python"), *options),
        ],
        log=state / "logs" / "emulator.log",
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd=REPOSITORY,
    )
    try:
        started(child)
        child.wait_until_ready(announcement.exists)
        announced = json.loads(announcement.read_text())
        env = {
            "AWS_ENDPOINT_URL": announced["endpoint_url"],
            "AWS_ACCESS_KEY_ID": announced["access_key"],
            "AWS_SECRET_ACCESS_KEY": announced["secret_key"],
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
        }
        if announced["ca_bundle"]:
            env["AWS_CA_BUNDLE"] = env["SSL_CERT_FILE"] = announced["ca_bundle"]
        yield Emulator(child, state, announced["endpoint_url"], env)
    finally:
        child.stop()
