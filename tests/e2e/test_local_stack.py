"""What `make local` promises: a description, lines to copy, loopback only, and a clean end however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.emulator.client import REPOSITORY
from local.processes import is_alive, wait_until
from local.stack import Stack, described

from .conftest import Launched, launch, run

DESCRIBED = {
    *("endpoint_url", "region", "input_bucket", "output_bucket", "callback_url", "job_table", "functions", "env"),
    *("upload_queue_url", "result_queue_url", "runflow_url", "runflow_admin_url"),
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


def test_the_lines_it_prints_can_be_copied(launched: Launched, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("not a photo, which is all the same to S3")
    lines = [line.strip() for line in launched.said.splitlines()]
    start = next(n for n, line in enumerate(lines) if line.startswith(". "))
    commands = lines[start : start + 4]
    assert [next(iter(set(command.split()) & {"s3", "remote"}), "") for command in commands] == [
        "",
        "s3",
        "s3",
        "remote",
    ]
    script = "\n".join(["set -eu", *commands]).replace(" photo.jpg ", f" '{tmp_path}/photo.jpg' ")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(
        ["sh", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "spend_today" in done.stdout
    launched.stack.client("s3").head_object(Bucket=launched.stack.description["input_bucket"], Key="photo.jpg")


def test_status_says_that_it_is_up(stack: Stack) -> None:
    assert run("status", "--folder", str(stack.folder)).returncode == 0


def test_a_second_one_in_the_same_folder_is_refused(stack: Stack) -> None:
    refused = run("up", "--folder", str(stack.folder))
    assert refused.returncode == 1
    assert "already up" in refused.stdout
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
    assert "No local stack was up" in run("down", "--folder", str(folder)).stdout


def test_it_says_which_part_did_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    launcher = launch(folder, "--runflow-option", "--no-such-option")
    assert wait_until(lambda: not launcher.alive, 120)
    said = launcher.log.read_text()
    assert "mock Runflow did not start" in said
    assert "No such option" in said
    assert not (folder / "pids.json").exists()
