"""detag and what a user would write instead, each in an AWS account on the emulator with a mock Runflow beside it."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import certifi
from botocore.config import Config

from benchmarks import cost
from benchmarks.machine import ROOT
from local.emulator.client import Emulator
from local.emulator.client import running as emulator_running
from local.processes import Child, wait_until
from local.stack.stack import Options, Stack
from local.stack.stack import running as stack_running
from tests.e2e.harness import OPEN, Harness

PEERS: Final = Path(__file__).parent / "peers"
PROGRAM: Final = "benchmark"
"""How our own requests to AWS are told from those that are measured."""
RUN_SECONDS: Final = 3.0
"""How long a run takes at the mock Runflow."""
RUNFLOW: Final = (
    *("--pixels", "reencode", "--output-type", "same", "--workers", "8"),
    *("--balance", "100000", "--run-seconds", f"{RUN_SECONDS:g}"),
)
API_KEY: Final = "rf_live_of_the_benchmarks"
CONCURRENCY: Final = {"detag": cost.CONCURRENCY, "sample": 10}
"""Processes of each function: of detag as its template says, of the sample all that a new account has."""
STARTS: Final = 3
"""How often the script is started: once more after it was killed, and once more for the photos that failed."""
BUSY_SECONDS: Final = 0.6
"""A function that is busy for so long has got to its request to Runflow."""
QUIET_SECONDS: Final = RUN_SECONDS + 3
PATIENCE_SECONDS: Final = 300.0
"""Longer than a message that a killed worker had received stays invisible (180 s)."""


class Account(Stack):
    """An account: what is in its description is what a stack's has. Our own clients say who they are."""

    def client(self, service: str) -> Any:
        """A boto3 client whose requests count as ours."""
        env = self.env
        session = boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"])
        config = Config(user_agent=f"{PROGRAM}/1", max_pool_connections=16)
        return session.client(service, endpoint_url=env["AWS_ENDPOINT_URL"], config=config)  # type: ignore[call-overload]

    def requests(self) -> Counter[str]:
        """Requests to AWS by service: neither ours, nor Runflow's own through presigned URLs."""
        endpoint = self.description["endpoint_url"]
        counts = Emulator(self.children[0], self.folder, endpoint, self.env).requests()
        return sum((Counter(count) for name, count in counts.items() if name.startswith("Boto")), Counter())

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """What an admin route of the mock Runflow answers."""
        with self.runflow_admin() as runflow:
            answer = runflow.request(method, path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def creates(self) -> int:
        """Requests to create a run so far."""
        return int(self.admin("GET", "billing?runs=false")["creates"])

    def kill(self, function: str) -> None:
        """End one process that is at work for a function. Raises RuntimeError where none ever was."""

        def busy() -> list[int]:
            return [
                one["pid"]
                for one in self.function_processes()
                if function in one["function"] and one["state"] == "busy" and time.time() - one["since"] > BUSY_SECONDS
            ]

        if not wait_until(lambda: any(_killed(pid) for pid in busy()), 60):
            raise RuntimeError(f"no process of {function} was ever busy for {BUSY_SECONDS} s")


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Uploads:
    """What is uploaded: first all, at once, then some of them again. A worker is killed after `kill_after` requests."""

    first: Callable[[], None]
    again: Callable[[], None]
    count: int
    kill_after: int | None

    def all(self) -> None:
        """All of them, one time after the other."""
        self.first()
        self.again()


@dataclass(frozen=True)
class Forwarded:
    """The times at which a contestant's clock was moved on, and by how many seconds."""

    moves: list[tuple[float, float]] = field(default_factory=list)

    def before(self, moment: float) -> float:
        """Seconds by which it had been moved on by then."""
        return sum(seconds for at, seconds in self.moves if at <= moment)


@dataclass(frozen=True)
class Contestant:
    """One of those who are compared. `run` uploads, and returns once there is nothing left that it would do."""

    name: str
    account: Callable[[Path], Any]
    run: Callable[[Account, Uploads], Forwarded]


@contextmanager
def bare_account(folder: Path) -> Iterator[Account]:
    """An account with two buckets and nothing else."""
    with emulator_running(folder, processes=CONCURRENCY["sample"]) as emulator:
        log = folder / "logs" / "runflow.log"
        env = {"PATH": os.environ["PATH"], "MOCK_RUNFLOW_API_KEYS": API_KEY, "PYTHONUNBUFFERED": "1"}
        child = Child("mock Runflow", [sys.executable, "-m", "local.runflow", "--port=0", *RUNFLOW], log, env, ROOT)
        try:
            child.wait_until_ready(lambda: "ready at" in log.read_text(), 30)
            found = re.search(r"ready at (\S+)", log.read_text())
            assert found
            description = {
                "endpoint_url": emulator.endpoint_url,
                "env": dict(emulator.env),
                "input_bucket": "photos",
                "output_bucket": "outputs",
                "runflow_url": found[1],
                "runflow_admin_url": f"{found[1]}/_admin",
                "runflow_api_key": API_KEY,
            }
            account = Account(folder, description, (emulator.child,))
            s3 = account.client("s3")
            for bucket in ("photos", "outputs"):
                s3.create_bucket(Bucket=bucket)
                s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            yield account
        finally:
            child.stop()


@contextmanager
def detag_account(folder: Path) -> Iterator[Account]:
    """An account with detag in it, as its template deploys it."""
    with stack_running(Options(folder=folder, processes=CONCURRENCY["detag"], runflow=RUNFLOW)) as stack:
        yield Account(stack.folder, stack.description, stack.children)


# The script


def run_script(account: Account, uploads: Uploads) -> Forwarded:
    """Start it once the photos are there, and again after it was killed, or had failures."""
    buckets = (account.description["input_bucket"], account.description["output_bucket"])
    command = [sys.executable, str(PEERS / "script.py"), *buckets]
    env = {"PATH": os.environ["PATH"], **_runflow(account), **account.env}
    uploads.first()
    with (account.folder / "logs" / "script.log").open("ab") as log, ThreadPoolExecutor(1) as pool:
        again = pool.submit(uploads.again)
        for start in range(STARTS):
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
            try:
                if start == 0 and uploads.kill_after is not None:
                    _wait_for_creates(account, uploads.kill_after)
                    process.kill()
                if process.wait() == 0:
                    break
            finally:
                process.kill()
        again.result()
    return Forwarded()


def _runflow(account: Account) -> dict[str, str]:
    return {"RUNFLOW_API_URL": account.description["runflow_url"], "RUNFLOW_API_KEY": API_KEY}


def _wait_for_creates(account: Account, count: int) -> None:
    if not wait_until(lambda: account.creates() >= count, 120, pause=0.05):
        raise RuntimeError(f"Runflow was not asked for {count} runs")


# The sample


def run_sample(account: Account, uploads: Uploads) -> Forwarded:
    """Deploy it, upload, and wait until neither of its functions has anything to do."""
    _deploy_sample(account)
    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(uploads.all)
        _kill(account, "on_upload", uploads)
        uploading.result()
    since, last = time.monotonic(), -1
    while time.monotonic() - since < QUIET_SECONDS:
        creates = account.creates()
        if creates != last or any(one["state"] != "idle" for one in account.function_processes()):
            since, last = time.monotonic(), creates
        time.sleep(0.3)
    return Forwarded()


def _kill(account: Account, function: str, uploads: Uploads) -> None:
    if uploads.kill_after is not None:
        _wait_for_creates(account, uploads.kill_after)
        account.kill(function)


def _deploy_sample(account: Account) -> None:
    """What a template of two functions, a bucket's notification and an HTTP API makes."""
    functions, api, s3 = (account.client(name) for name in ("lambda", "apigatewayv2", "s3"))
    made = api.create_api(Name="sample", ProtocolType="HTTP")
    url = f"{account.description['endpoint_url']}/_aws/execute-api/{made['ApiId']}/callbacks"
    environment = {
        **_runflow(account),
        "CALLBACK_URL": url,
        "OUTPUT_BUCKET": account.description["output_bucket"],
    }
    package = _packaged(PEERS / "sample.py")
    arns = {
        handler: functions.create_function(
            FunctionName=handler,
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/sample",
            Handler=f"sample.{handler}",
            Code={"ZipFile": package},
            Timeout=60,
            Environment={"Variables": environment},
        )["FunctionArn"]
        for handler in ("on_upload", "on_callback")
    }
    integration = api.create_integration(
        ApiId=made["ApiId"],
        IntegrationType="AWS_PROXY",
        IntegrationUri=arns["on_callback"],
        PayloadFormatVersion="2.0",
    )
    api.create_route(
        ApiId=made["ApiId"], RouteKey="POST /callbacks", Target=f"integrations/{integration['IntegrationId']}"
    )
    api.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
    for handler, service in (("on_upload", "s3"), ("on_callback", "apigateway")):
        functions.add_permission(
            FunctionName=handler,
            StatementId=service,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
        )
    notification = {"LambdaFunctionArn": arns["on_upload"], "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=account.description["input_bucket"],
        NotificationConfiguration={"LambdaFunctionConfigurations": [notification]},
    )


def _packaged(module: Path) -> bytes:
    """A function's archive: the module, and httpx with what it needs, as the runtime has only boto3."""
    buffer = io.BytesIO()
    site = Path(certifi.__file__).parents[1]
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(module, module.name)
        for name in ("anyio", "certifi", "h11", "httpcore", "httpx", "idna"):
            for path in (site / name).rglob("*"):
                if path.is_file() and path.suffix != ".pyc":
                    archive.write(path, str(path.relative_to(site)))
        archive.write(site / "typing_extensions.py", "typing_extensions.py")
    return buffer.getvalue()


# detag


def run_detag(account: Account, uploads: Uploads) -> Forwarded:
    """Upload, and wait until every job is closed. Where all that is left waits for a time to come, that time is moved
    on, in whole minutes as `reconcile` looks once a minute, and counted as if it had passed.
    """
    forwarded = Forwarded()
    with closing(Harness(account)) as harness:
        with ThreadPoolExecutor(1) as pool:
            uploading = pool.submit(uploads.all)
            _kill(account, "SubmitFunction", uploads)
            uploading.result()
        since, last = time.monotonic(), ""
        while time.monotonic() - since < PATIENCE_SECONDS:
            jobs = harness.jobs()
            waiting = [job for job in jobs if job["state"] in OPEN or ("due_at" in job and "ask_at" not in job)]
            seen = json.dumps(jobs, sort_keys=True)
            if seen != last or harness.busy():
                since, last = time.monotonic(), seen
            elif time.monotonic() - since > QUIET_SECONDS:
                if waiting:
                    seconds = _until_the_next(waiting)
                    forwarded.moves.append((time.time(), seconds))
                    harness.pass_time(seconds)
                elif len(jobs) >= uploads.count or not _in_flight(account):
                    break
            time.sleep(0.5)
    return forwarded


def _until_the_next(jobs: Sequence[Mapping[str, Any]]) -> float:
    """Seconds until the first of these is due, in whole minutes; one minute where one has no time of its own."""
    if any("due_at" not in job for job in jobs):
        return 60.0
    return 60.0 * max(1, math.ceil((min(float(job["due_at"]) for job in jobs) - time.time()) / 60))


def _in_flight(account: Account) -> bool:
    """Whether the upload queue has messages, those that a killed worker had received included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue = account.description["upload_queue_url"]
    found = account.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return any(int(value) for value in found["Attributes"].values())


DETAG: Final = Contestant("detag", detag_account, run_detag)
SCRIPT: Final = Contestant("script", bare_account, run_script)
SAMPLE: Final = Contestant("sample", bare_account, run_sample)
ALL: Final = (DETAG, SCRIPT, SAMPLE)
