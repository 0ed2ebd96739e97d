"""The machine, its interpreters, and running programs on them while measuring what they use."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.environment import ENVIRON

ROOT: Final = Path(__file__).resolve().parents[1]
RUNTIME: Final = ROOT / ".venv/runtime/bin/python"
VERSION: Final = "3.13"
"""The Python of the functions' runtime (template.yaml)."""
PROGRAMS: Final = Path(__file__).parent / "programs"
LAMBDA: Final = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "made up",
    # A role's credentials have a token of about this length: it is in every presigned URL, and so on every item.
    "AWS_SESSION_TOKEN": "x" * 800,
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "TZ": ":UTC",
}
SETTINGS: Final = ENVIRON | {
    "INPUT_BUCKET": "photos",
    "OUTPUT_BUCKET": "outputs",
    "DAILY_SPEND_LIMIT_USD": "none",
    "POWERTOOLS_METRICS_NAMESPACE": "detag/bench",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
"""What functions are deployed with: the template's defaults, but for a limit that would end a run."""


@dataclass(frozen=True)
class Used:
    """What a program used: milliseconds of CPU and of time."""

    cpu_ms: float
    wall_ms: float


def environment(function: str, port: int) -> dict[str, str]:
    """The environment of a function whose AWS and Runflow are stubs at a port."""
    url = f"https://127.0.0.1:{port}"
    account = f"{url}/111122223333"
    return {
        **LAMBDA,
        **SETTINGS,
        "AWS_ENDPOINT_URL": url,
        "RUNFLOW_API_URL": url,
        "UPLOAD_QUEUE_URL": f"{account}/uploads",
        "RESULT_QUEUE_URL": f"{account}/results",
        "POWERTOOLS_SERVICE_NAME": function,
    }


def run(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> Used:
    """Run a program on the runtime's interpreter, which writes no byte code: Lambda's folders are read-only.

    Raises RuntimeError where it fails.
    """
    command = [str(RUNTIME), "-I", "-B", str(PROGRAMS / program), *arguments]
    began = time.perf_counter()
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1)]
        pid = os.posix_spawn(command[0], command, dict(env), file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise RuntimeError(f"{program} {' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    return Used((usage.ru_utime + usage.ru_stime) * 1000, wall * 1000)


def run_json(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> Any:
    """The last line that a program on the runtime's interpreter prints, as JSON."""
    command = [str(RUNTIME), "-I", "-B", str(PROGRAMS / program), *arguments]
    done = subprocess.run(command, env=dict(env), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stdout[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def stubs(certificate: Path, runflow_ms: float = 0, *, keep: bool = False) -> Iterator[int]:
    """Stubs of AWS and Runflow inside the block; yields their port."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.stubs",
        "--certificate",
        str(certificate),
        "--runflow-ms",
        str(runflow_ms),
    ]
    command += ["--keep"] if keep else []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def runtime_version() -> str:
    """The version of Python that the functions would run on here, as 3.13."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(RUNTIME), "-I", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def described() -> dict[str, str]:
    """The machine and the versions, without its name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    script = (
        "import sys, json, ssl;print(json.dumps({'Python': sys.version.split()[0], 'OpenSSL': ssl.OPENSSL_VERSION}))"
    )
    found = json.loads(
        subprocess.run([str(RUNTIME), "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    )
    layer = (ROOT / "layers/dependencies/requirements.txt").read_text()
    pinned = dict(
        line.split()[0].split("==") for line in layer.splitlines() if "==" in line and not line.startswith(" ")
    )
    wanted = {name: pinned[name] for name in ("aws-lambda-powertools", "boto3", "httpx", "certifi")}
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {model}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "at work, ours included": f"{os.getloadavg()[2]:.1f} processes, mean of the last 15 minutes",
        **found,
        **wanted,
    }
