"""Keeps the local stack, and the commands that it prints, on this machine, whatever the user's environment says.

A profile, an endpoint for one service, a proxy, an old `aws` that knows no AWS_ENDPOINT_URL: each would send a photo
elsewhere, or fail.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from local.emulator.client import VENVS

LOOPBACK = "127.0.0.1,localhost"
OWN = ("AWS_", "SAM_")

# Nothing listens there: what would leave this machine ends at once. Port 9 is that of the discard service.
NOWHERE = "http://127.0.0.1:9"

# The commands are those of `.venv/sam`, whose versions are known, as modules: the `aws` script that pip writes does not
# start from a path with a space. -I keeps out the current folder, PYTHONPATH and what the user has installed.
MODULES = {"aws": "awscli", "sam": "samcli"}


def isolate() -> None:
    """Take the user's settings for AWS and SAM out of this process and those that it starts. Proxies stay, as packages
    may have to come through them, but not for loopback.
    """
    for name in [name for name in os.environ if name.startswith(OWN)]:
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name in ("NO_PROXY", "no_proxy"):
        kept = os.environ.get(name, "")
        os.environ[name] = f"{kept},{LOOPBACK}" if kept else LOOPBACK


def environment_script(env: Mapping[str, str], commands: Path) -> str:
    """What a shell reads to become a client of the stack: the user's own settings out, `env` in, and `aws` and `sam`
    those of the folder `commands`.
    """
    found = "|".join(f"{prefix}[A-Za-z0-9_]*" for prefix in OWN)
    lines = [
        f"for name in $(env | sed -n -E 's/^({found})=.*/\\1/p'); do unset \"$name\"; done",
        f'export NO_PROXY="${{NO_PROXY:+$NO_PROXY,}}{LOOPBACK}" no_proxy="${{no_proxy:+$no_proxy,}}{LOOPBACK}"',
        *(f"export {name}={shlex.quote(value)}" for name, value in env.items()),
        *(f'{name}() {{ {shlex.quote(str(commands / name))} "$@"; }}' for name in MODULES),
    ]
    return "\n".join(lines) + "\n"


def command_script(name: str, environment: Path, endpoint_url: str) -> str:
    """The program `aws` or `sam` that knows the stack and nothing else: where it looks for AWS, for a newer version of
    itself or for a server of telemetry, it finds nobody. `environment` is the file of `environment_script`.
    """
    proxies = [each for name in ("http_proxy", "https_proxy", "all_proxy") for each in (name, name.upper())]
    endpoint = f" --endpoint-url {shlex.quote(endpoint_url)}" if name == "aws" else ""
    lines = [
        "#!/bin/sh",
        f". {shlex.quote(str(environment))}",
        f"export NO_PROXY={LOOPBACK} no_proxy={LOOPBACK} SAM_CLI_TELEMETRY=0",
        f"export __SAM_CLI_APP_DIR={shlex.quote(str(environment.with_name('sam')))}",
        f"export {' '.join(f'{each}={NOWHERE}' for each in proxies)}",
        f'exec {shlex.quote(str(VENVS / "sam/bin/python"))} -I -m {MODULES[name]}{endpoint} "$@"',
    ]
    return "\n".join(lines) + "\n"
