"""One more stack in the account of a local stack, the outputs of each, and what a person runs in a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from local.emulator.client import REPOSITORY, VENVS
from local.stack.sam import Sam
from local.stack.stack import FUNCTIONS, OUTPUTS, Stack

SECRETS: Final = ("runflow_api_key_arn", "callback_secrets_arn")


def outputs(stack: Stack) -> dict[str, str]:
    """The outputs of a stack."""
    with closing(stack.client("cloudformation")) as cloudformation:
        (described,) = cloudformation.describe_stacks(StackName=stack.description["stack_name"])["Stacks"]
    return {output["OutputKey"]: str(output["OutputValue"]) for output in described["Outputs"]}


def secrets(stack: Stack) -> dict[str, str]:
    """The values of a stack's secrets."""
    with closing(stack.client("secretsmanager")) as vault:
        return {name: vault.get_secret_value(SecretId=stack.description[name])["SecretString"] for name in SECRETS}


def deploy(first: Stack, name: str, parameters: Mapping[str, str], values: Mapping[str, str]) -> Stack:
    """A stack in the account of the first one, with these secrets."""
    runflow = {"RunflowApiUrl": first.description["runflow_url"]}
    Sam(first.folder, first.folder / "logs").deploy(name, {**runflow, **parameters}, first.env)
    made = Stack(first.folder, {**first.description, "stack_name": name}, first.children)
    found = outputs(made)
    names = {key: found[output] for key, output in OUTPUTS.items()}
    functions = {key: found[output] for key, output in FUNCTIONS.items()}
    with closing(first.client("secretsmanager")) as vault:
        for key, value in values.items():
            vault.put_secret_value(SecretId=names[key], SecretString=value)
    return Stack(first.folder, {**made.description, **names, "functions": functions}, first.children)


def shell(stack: Stack, script: str) -> str:
    """What a script prints whose `aws`, `sam` and `python` are the stack's."""
    path = os.pathsep.join([str(stack.folder / "bin"), str(VENVS / "run/bin"), os.environ["PATH"]])
    env = {**os.environ, **stack.env, "PATH": path}
    command = ["sh", "-euc", script]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
