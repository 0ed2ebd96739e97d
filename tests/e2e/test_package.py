"""The archive of a release deploys as it is: with the SAM CLI, without this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.emulator.client import REPOSITORY, VENVS
from local.stack import Stack


def test_sam_deploys_what_was_unpacked(stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "detag.zip"
    pack = [sys.executable, str(REPOSITORY / "bin" / "package.py"), str(stack.folder / "build"), str(archive)]
    subprocess.run(pack, check=True, capture_output=True)
    shutil.unpack_archive(archive, tmp_path)
    folder = tmp_path / "detag"

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    env = {**kept, **stack.env, "SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(tmp_path / "sam")}
    parameters = f"RunflowApiUrl={stack.description['runflow_url']}"
    deploy = [str(VENVS / "sam/bin/python"), "-m", "samcli", "deploy", "--stack-name", "unpacked"]
    done = subprocess.run(
        [*deploy, "--parameter-overrides", parameters],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    cloudformation = stack.client("cloudformation")
    try:
        resource = cloudformation.describe_stack_resource(StackName="unpacked", LogicalResourceId="ReconcileFunction")
        function = resource["StackResourceDetail"]["PhysicalResourceId"]
        assert function not in stack.description["functions"].values()
        answer = stack.client("lambda").invoke(FunctionName=function, Payload=b"{}")
        report = json.loads(answer["Payload"].read())
        assert ("FunctionError" in answer, report["spend_today"]["usd"]) == (False, "0")
    finally:
        cloudformation.delete_stack(StackName="unpacked")
        cloudformation.get_waiter("stack_delete_complete").wait(StackName="unpacked", WaiterConfig={"Delay": 1})
