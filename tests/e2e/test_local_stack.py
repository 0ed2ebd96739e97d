"""What `make local` promises: a description, lines to copy, loopback only, and a clean end however it ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local.emulator.client import REPOSITORY
from local.processes import is_alive, wait_until
from local.stack import Stack, described

from .conftest import Launched, launch, run, when_up

DESCRIBED = {
    *("endpoint_url", "region", "input_bucket", "output_bucket", "callback_url", "job_table", "functions", "env"),
    *("upload_queue_url", "result_queue_url", "runflow_url", "runflow_admin_url", "runflow_api_key"),
    *("upload_dead_letter_queue_url", "result_dead_letter_queue_url", "rule_dead_letter_queue_url"),
}


def test_stack_json_describes_it(stack: Stack) -> None:
    names = stack.description
    assert set(names) >= DESCRIBED
    stack.client("s3").head_bucket(Bucket=names["input_bucket"])
    stack.client("s3").head_bucket(Bucket=names["output_bucket"])
    stack.client("dynamodb").describe_table(TableName=names["job_table"])
    for name in DESCRIBED:
        if name.endswith("queue_url"):
            stack.client("sqs").get_queue_attributes(QueueUrl=names[name], AttributeNames=["QueueArn"])
    assert set(names["functions"]) == {"submit", "callback", "deliver", "reconcile"}
    for function in names["functions"].values():
        stack.client("lambda").get_function(FunctionName=function)
    assert (stack.folder / "stack.json").stat().st_mode & 0o077 == 0, "it is for its owner's eyes"


def test_no_key_is_among_the_arguments_of_a_process(stack: Stack) -> None:
    """Every user of the machine can list the processes with their arguments."""
    vault = stack.client("secretsmanager")
    stored = [
        vault.get_secret_value(SecretId=stack.description[name])["SecretString"]
        for name in ("runflow_api_key_arn", "callback_secrets_arn")
    ]
    keys = [json.loads(stored[0])["api_key"], *json.loads(stored[1])["secrets"]]
    keys += [stack.env["AWS_ACCESS_KEY_ID"], stack.env["AWS_SECRET_ACCESS_KEY"]]
    assert all(len(key) > 20 for key in keys)
    listed = subprocess.run(["ps", "-Awwo", "args"], capture_output=True, text=True, check=True).stdout
    assert "local.runflow" in listed
    assert "local.emulator" in listed
    assert [key for key in keys if key in listed] == []
    assert {path.name for path in stack.folder.iterdir() if path.is_file() and path.stat().st_mode & 0o044} <= {
        ".detag-local",
        "aws-config",
    }, "what holds a key is for its owner's eyes"


def test_the_functions_have_the_templates_environment(stack: Stack) -> None:
    """The functions have what the template gives them, and the one address of local outputs."""
    lambdas, names = stack.client("lambda"), stack.description
    configured = lambdas.get_function(FunctionName=names["functions"]["deliver"])["Configuration"]["Environment"]
    assert not {"AWS_ENDPOINT_URL", "DETAG_LOCAL_OUTPUTS"} & set(configured["Variables"])
    lambdas.invoke(FunctionName=names["functions"]["reconcile"])
    process = next(p for p in stack.function_processes() if p["function"] == names["functions"]["reconcile"])
    environ = Path(f"/proc/{process['pid']}/environ")
    if environ.exists():
        given = dict(pair.split("=", 1) for pair in environ.read_bytes().decode().split("\0") if pair)
    else:
        listed = subprocess.run(["ps", "-Eww", "-p", str(process["pid"])], capture_output=True, text=True, check=True)
        given = dict(word.split("=", 1) for word in listed.stdout.split() if "=" in word)
    assert given["DETAG_LOCAL_OUTPUTS"] == names["runflow_url"].removeprefix("http://")
    assert given["AWS_ENDPOINT_URL"] == names["endpoint_url"]


def printed(said: str) -> list[str]:
    """The commands among what `up` prints: those that are set in."""
    return [line.strip() for line in said.splitlines() if line.startswith("  ")]


def run_printed(launched: Launched, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the printed commands as they are, but for the name of the photo, with these variables set."""
    commands = printed(launched.said)
    assert len(commands) == 3
    photo = folder / "photo.jpg"
    photo.write_text("not a photo, which is all the same to S3")
    s3, bucket = launched.stack.client("s3"), launched.stack.description["input_bucket"]
    s3.delete_object(Bucket=bucket, Key="photo.jpg")
    script = "\n".join(["set -eu", *commands]).replace(" photo.jpg ", f" '{photo}' ")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    done = subprocess.run(
        ["sh", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    s3.head_object(Bucket=bucket, Key="photo.jpg")
    return done


def test_the_lines_it_prints_can_be_copied(launched: Launched, tmp_path: Path) -> None:
    commands = printed(launched.said)
    words = ("s3 cp ", "s3 ls ", "remote invoke ")
    assert [word in command for word, command in zip(words, commands, strict=True)] == [True] * 3
    uploaded = run_printed(launched, tmp_path, {})
    assert "spend_today" in uploaded.stdout


class Trap:
    """Where nothing may come: a port that counts connections, and programs that do."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self._called = folder / "called"
        for name in ("aws", "sam"):
            (self.programs / name).write_text(f"#!/bin/sh\necho {name} >> '{self._called}'\nexit 3\n")
            (self.programs / name).chmod(0o755)

    def caught(self) -> list[str]:
        """What fell into it."""
        found = self._called.read_text().split() if self._called.exists() else []
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    found.append(connection.recv(200, socket.MSG_DONTWAIT).decode(errors="replace"))
        return found

    def close(self) -> None:
        """Let go of the port."""
        self._listener.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    (tmp_path / "trap").mkdir()
    made = Trap(tmp_path / "trap")
    yield made
    made.close()


def hostile(trap: Trap, home: Path) -> dict[str, dict[str, str]]:
    """What people have in their environment. Each leads elsewhere, or nowhere."""
    config = home / "config"
    config.write_text(
        f"[default]\nendpoint_url = {trap.url}\nuse_fips_endpoint = true\ns3 =\n  addressing_style = virtual\n"
        "[profile shop]\nregion = eu-west-1\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = default\n"
    )
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "config").write_text(config.read_text())
    return {
        "a profile": {"AWS_PROFILE": "shop", "AWS_DEFAULT_PROFILE": "shop"},
        "a profile that does not exist": {"AWS_PROFILE": "nobody"},
        "a configuration": {"AWS_CONFIG_FILE": str(config)},
        "endpoints": {
            "AWS_ENDPOINT_URL": trap.url,
            **{f"AWS_ENDPOINT_URL_{name}": trap.url for name in ("S3", "LAMBDA", "CLOUDFORMATION", "STS")},
        },
        "endpoints are ignored": {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        "other kinds of endpoint": {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "a session": {"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "a token"},
        "a proxy": {
            **{f"{name}_proxy": trap.url for name in ("http", "https", "all")},
            **{f"{name}_PROXY": trap.url for name in ("HTTP", "HTTPS", "ALL")},
        },
        "a proxy for all": {"http_proxy": trap.url, "HTTPS_PROXY": trap.url, "no_proxy": "example.com", "NO_PROXY": ""},
        "settings of sam": {"SAM_CLI_TELEMETRY": "1", "SAM_CLI_TELEMETRY_ENDPOINT_URL": trap.url},
        "modules": {"PYTHONPATH": str(home / "modules")},
        "an old aws and sam": {"PATH": f"{trap.programs}{os.pathsep}{os.environ['PATH']}"},
    }


def merged(variables: Iterable[dict[str, str]]) -> dict[str, str]:
    """All of them at once."""
    return {name: value for each in variables for name, value in each.items()}


@pytest.mark.sized
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["each", "all at once"])
def test_no_printed_command_leaves_this_machine(
    launched: Launched, trap: Trap, tmp_path: Path, full_size: bool, name: str
) -> None:
    """Whatever is set: Debian's `aws` 2.9.19 knows no AWS_ENDPOINT_URL, and would send the photo to AWS. At its small
    size, three are set at a time.
    """
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "awscli.py").write_text("raise SystemExit(4)")
    variables = list(hostile(trap, tmp_path).values())
    groups = 1 if name == "all at once" else len(variables) if full_size else len(variables) // 3
    for first in range(groups):
        run_printed(launched, tmp_path, merged(variables[first::groups]))
        assert trap.caught() == []


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_that_reads_the_environment_stays_too(
    launched: Launched, trap: Trap, tmp_path: Path, shell: str
) -> None:
    together = merged(hostile(trap, tmp_path).values())
    together.pop("PYTHONPATH")  # it is Python's own, and means whatever the user wants
    (line,) = (line for line in launched.said.splitlines() if line.startswith("For a shell"))
    reads = line.removeprefix("For a shell").strip()
    bucket = launched.stack.description["input_bucket"]
    program = "import boto3; print([each['Name'] for each in boto3.client('s3').list_buckets()['Buckets']])"
    script = f'set -eu\n{reads}\naws s3 ls\n"{sys.executable}" -c "{program}"\nenv'
    env = {"HOME": str(tmp_path), **together}
    done = subprocess.run(
        [shell, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(bucket) == 2
    kept = {line.partition("=")[0] for line in done.stdout.splitlines() if line.startswith(("AWS_", "SAM_"))}
    assert kept == set(launched.stack.env)
    assert trap.caught() == []


@pytest.mark.usefixtures("stack")  # its layers are built: building asks the package index, which a dead proxy hides
def test_the_stack_itself_comes_up_whatever_is_set(trap: Trap, tmp_path: Path) -> None:
    together = merged(hostile(trap, tmp_path).values())
    together.pop("PYTHONPATH")  # it is Python's own, and means whatever the user wants
    folder = tmp_path / "local stack"
    launcher = launch(folder, env={**together, "HOME": str(tmp_path)})
    try:
        run_printed(when_up(folder, launcher), tmp_path, together)
    finally:
        launcher.stop(patience=30)
    assert trap.caught() == []


def test_status_says_that_it_is_up(stack: Stack) -> None:
    assert run("status", "--folder", str(stack.folder)).returncode == 0


def test_a_second_one_in_the_same_folder_is_refused(stack: Stack) -> None:
    refused = run("up", "--folder", str(stack.folder))
    assert refused.returncode == 1
    said = " ".join(refused.stdout.split())
    down = f"python -m local.stack down --folder {shlex.quote(str(stack.folder))}"
    assert f"already up in {stack.folder}: `{down}` stops it" in said
    assert described(stack.folder) == stack, "the first is left as it was"
    stack.client("s3").head_bucket(Bucket=stack.description["input_bucket"])


def recorded(folder: Path) -> dict[str, Any]:
    records: dict[str, Any] = json.loads((folder / "pids.json").read_text())
    return records


@pytest.mark.parametrize("how", ["interrupted", "told to go down", "killed"])
def test_nothing_is_left_when_it_is(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "local stack"
    launcher = launch(folder)
    try:
        launcher.wait_until_ready((folder / "stack.json").exists, 120)
        stack = described(folder)
        stack.client("lambda").invoke(FunctionName=stack.description["functions"]["reconcile"])
        everything = [*recorded(folder).values(), *stack.function_processes()]
        assert len(everything) == 4, "launcher, emulator, mock Runflow, one function"
        if how == "interrupted":
            os.kill(launcher.pid, signal.SIGINT)
        elif how == "killed":
            os.kill(launcher.pid, signal.SIGKILL)
            assert wait_until(lambda: not launcher.alive, 10)
            assert run("status", "--folder", str(folder)).returncode == 1
            assert any(is_alive(each["pid"], each["identity"]) for each in everything), "what `down` is for"
        if how != "interrupted":
            assert "is down" in run("down", "--folder", str(folder)).stdout
        assert wait_until(lambda: not any(is_alive(each["pid"], each["identity"]) for each in everything), 20)
    finally:
        launcher.stop(patience=30)
    left = {path.name for path in folder.iterdir()}
    assert not left & {"stack.json", "pids.json", "env", "emulator.json", "work"}
    assert not list((folder / "bin").iterdir())
    assert "No local stack was up" in run("down", "--folder", str(folder)).stdout


def test_it_says_which_part_did_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    launcher = launch(folder, "--runflow-option", "--no-such-option")
    assert wait_until(lambda: not launcher.alive, 120)
    said = launcher.log.read_text()
    assert "mock Runflow did not start" in said
    assert "No such option" in said
    assert not (folder / "pids.json").exists()
