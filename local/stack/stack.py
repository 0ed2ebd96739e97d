"""Start the local stack in a folder, describe it, and stop it."""

import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx

from local import folders, processes
from local.emulator import client
from local.emulator.client import REPOSITORY
from local.processes import Child

from . import isolation
from .sam import Sam

HOST = "127.0.0.1"
REGION = "us-east-1"

# The names in stack.json, and the template outputs they come from.
OUTPUTS = {
    "input_bucket": "InputBucketName",
    "output_bucket": "OutputBucketName",
    "callback_url": "CallbackUrl",
    "job_table": "JobTableName",
    "upload_queue_url": "UploadQueueUrl",
    "result_queue_url": "ResultQueueUrl",
    "upload_dead_letter_queue_url": "UploadDeadLetterQueueUrl",
    "result_dead_letter_queue_url": "ResultDeadLetterQueueUrl",
    "rule_dead_letter_queue_url": "UploadRuleDeadLetterQueueUrl",
    "runflow_api_key_arn": "RunflowApiKeyArn",
    "callback_secrets_arn": "CallbackSecretsArn",
}
FUNCTIONS = {
    "submit": "SubmitFunctionName",
    "callback": "CallbackFunctionName",
    "deliver": "DeliverFunctionName",
    "reconcile": "ReconcileFunctionName",
}

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """The options of a local stack. Port 0 stands for a free one; ``parameters`` go to the template.

    ``processes`` is the most that one function may have (0: by cores). ``auth`` checks signatures and enforces the
    template's roles and policies; it implies ``tls``, as the policies refuse plain http. ``runflow`` are further
    arguments for the mock Runflow.
    """

    folder: Path = REPOSITORY / ".local"
    port: int = 0
    runflow_port: int = 0
    processes: int = 0
    auth: bool = False
    tls: bool = False
    stack_name: str = "detag"
    parameters: Mapping[str, str] = field(default_factory=dict)
    runflow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """A stack that is up. ``description`` is what ``stack.json`` holds."""

    folder: Path
    description: Mapping[str, Any]
    children: tuple[Child, ...] = ()

    @property
    def env(self) -> dict[str, str]:
        """The variables that any AWS client needs to reach it."""
        return dict(self.description["env"])

    def client(self, service: str) -> Any:
        """A boto3 client of one of its services."""
        env = self.env
        verify = env.get("AWS_CA_BUNDLE", True)
        return self._session.client(service, endpoint_url=env["AWS_ENDPOINT_URL"], verify=verify)  # type: ignore[call-overload]

    @cached_property
    def _session(self) -> boto3.Session:
        """One for all clients: it reads the descriptions of the services once."""
        env = self.env
        return boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"])

    def runflow_admin(self) -> httpx.Client:
        """A client of the mock Runflow's admin routes, by their paths below /_admin/."""
        headers = {"Authorization": f"Bearer {self.description['runflow_api_key']}"}
        url = f"{self.description['runflow_admin_url']}/"
        return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def function_processes(self) -> list[dict[str, Any]]:
        """The living function processes: function, pid, state (starting, idle, busy), request_id, since."""
        return function_processes(self.folder)


def described(folder: Path) -> Stack:
    """The stack that another process keeps up in ``folder``. Raises FileNotFoundError if there is none."""
    return Stack(folder, json.loads((folder / "stack.json").read_text()))


def function_processes(folder: Path) -> list[dict[str, Any]]:
    """The function processes recorded in a stack's folder."""
    found = []
    for path in sorted((folder / "functions").glob("*.json")):
        try:
            found.append(json.loads(path.read_text()))
        except OSError:  # it ended meanwhile
            continue
    return found


@contextmanager
def running(options: Options | None = None, report: Report = lambda _: None) -> Iterator[Stack]:
    """A stack that runs inside the ``with`` block. ``report`` is called with each step.

    Raises RuntimeError when another one is up in the folder, when the folder holds other files, or when a part
    of it does not start.
    """
    options = options or Options()
    folder = folders.claim(options.folder.resolve())
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    if is_up(folder):
        there = f"python -m local.stack down --folder {shlex.quote(str(folder))}"
        down = "make local-down" if folder == Options().folder else there
        raise RuntimeError(f"a local stack is already up in {folder}: `{down}` stops it")
    take_down(folder)
    sam = Sam(folder, folder / "logs")
    runflow_port = options.runflow_port or _free_port()
    runflow_url = f"http://{HOST}:{runflow_port}"
    with ExitStack() as stack:
        stack.callback((folder / "stack.json").unlink, missing_ok=True)
        _record(folder, "launcher", os.getpid(), processes.identity(os.getpid()))
        stack.callback((folder / "pids.json").unlink, missing_ok=True)

        def record(child: Child) -> None:
            _record(folder, child.name, child.pid, child.identity)

        report("Starting the AWS emulator and building the functions")
        emulator = stack.enter_context(
            client.running(
                folder,
                port=options.port,
                region=REGION,
                processes=options.processes,
                # The only address from which the functions may fetch outputs over plain http.
                function_env={"DETAG_LOCAL_OUTPUTS": f"{HOST}:{runflow_port}"},
                auth=options.auth,
                tls=options.tls or options.auth,
                started=record,
            )
        )
        env = {**emulator.env, **_client_settings(folder)}
        api_key = f"rf_live_{secrets.token_hex(16)}"
        runflow = _start_runflow(options, folder, runflow_port, api_key, emulator.env.get("SSL_CERT_FILE"))
        stack.callback(runflow.stop)
        record(runflow)
        sam.build(env)
        runflow.wait_until_ready(lambda: _answers(f"{runflow_url}/v1/health"))

        report("Deploying template.yaml to it")
        # Nothing costs money here, so nothing is limited unless asked for.
        parameters = {"RunflowApiUrl": runflow_url, "DailySpendLimitUsd": "none", **options.parameters}
        sam.deploy(options.stack_name, parameters, env)
        description = {
            "endpoint_url": emulator.endpoint_url,
            "region": REGION,
            "stack_name": options.stack_name,
            "runflow_url": runflow_url,
            "runflow_admin_url": f"{runflow_url}/_admin",
            "runflow_api_key": api_key,
            "env": env,
        }
        up = Stack(folder, description, (emulator.child, runflow))
        outputs = _outputs(up, options.stack_name)
        description |= {name: outputs[output] for name, output in OUTPUTS.items()}
        description["functions"] = {name: outputs[output] for name, output in FUNCTIONS.items()}

        report("Creating a callback secret and storing both secrets")
        callback_secret = _make_callback_secret(runflow_url, api_key)
        vault = up.client("secretsmanager")
        vault.put_secret_value(
            SecretId=description["runflow_api_key_arn"], SecretString=json.dumps({"api_key": api_key})
        )
        vault.put_secret_value(
            SecretId=description["callback_secrets_arn"], SecretString=json.dumps({"secrets": [callback_secret]})
        )
        stack.callback(_remove_commands, folder)
        _write_commands(folder, env)
        _write(folder / "stack.json", json.dumps(description, indent=2) + "\n")
        yield up


def is_up(folder: Path) -> bool:
    """Whether the process that brought up a stack in this folder is still there."""
    launcher = _recorded(folder).get("launcher")
    return launcher is not None and processes.is_alive(launcher["pid"], launcher["identity"])


def take_down(folder: Path) -> bool:
    """Stop whatever the folder's records say is running. Returns whether there was anything.

    First the launcher, which stops the others in good order; then those that it left behind, if it was killed.
    """
    if not folders.is_claimed(folder):
        return False
    ended = False
    for record in _recorded(folder).values():
        ended |= processes.end(record["pid"], record["identity"], patience=20.0)
    for record in function_processes(folder):
        ended |= processes.end(record["pid"], record["identity"], patience=0.0)
        (folder / "functions" / f"{record['pid']}.json").unlink(missing_ok=True)
    for name in ("pids.json", "stack.json"):
        (folder / name).unlink(missing_ok=True)
    _remove_commands(folder)
    return ended


def _start_runflow(options: Options, folder: Path, port: int, api_key: str, ca_file: str | None) -> Child:
    """The mock Runflow. It reads photos by presigned URL and posts callbacks: it needs the CA, but no keys of AWS."""
    command = [sys.executable, "-m", "local.runflow", "--port", str(port), *options.runflow]
    if ca_file:
        command += ["--ca-file", ca_file]
    return Child(
        "mock Runflow",
        command,
        log=folder / "logs" / "runflow.log",
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "MOCK_RUNFLOW_API_KEYS": api_key,
        },
        cwd=REPOSITORY,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _make_callback_secret(runflow_url: str, api_key: str) -> str:
    """Create and promote a callback secret by Runflow's own API, as docs/deploying.md does for the real one."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=runflow_url, headers=headers, trust_env=False) as runflow:
        made = runflow.post("/v1/callback-secrets", json={"label": "detag"}).raise_for_status().json()
        runflow.patch(f"/v1/callback-secrets/{made['id']}", json={"is_current": True}).raise_for_status()
    return str(made["plain_secret"])


def _client_settings(folder: Path) -> dict[str, str]:
    """Settings for the ``aws`` command, in a file of our own so that the user's profiles are ignored."""
    config = folder / "aws-config"
    # Version 1 of the command would otherwise fetch any argument that looks like a URL, a queue's among them.
    _write(config, "[default]\ncli_follow_urlparam = false\n")
    return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials")}


def _write_commands(folder: Path, env: Mapping[str, str]) -> None:
    """Write ``env``, for a shell, and the programs ``bin/aws`` and ``bin/sam``."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    _write(folder / "env", isolation.environment_script(env, commands))
    for name in isolation.MODULES:
        _write(commands / name, isolation.command_script(name, folder / "env", env["AWS_ENDPOINT_URL"]))
        (commands / name).chmod(0o700)


def _remove_commands(folder: Path) -> None:
    for name in ("env", *(f"bin/{command}" for command in isolation.MODULES)):
        (folder / name).unlink(missing_ok=True)


def _outputs(stack: Stack, stack_name: str) -> dict[str, str]:
    described = stack.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """The processes recorded in the folder: name -> pid and identity."""
    try:
        records: dict[str, dict[str, Any]] = json.loads((folder / "pids.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return records


def _record(folder: Path, name: str, pid: int, identity: str | None) -> None:
    records = _recorded(folder) | {name: {"pid": pid, "identity": identity}}
    _write(folder / "pids.json", json.dumps(records, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees the old text or the new, never a part."""
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
