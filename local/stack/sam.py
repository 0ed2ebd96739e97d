"""The stock SAM CLI, pointed at the emulator and kept away from the user's own AWS configuration."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.emulator.client import REPOSITORY, VENVS

TEMPLATE = REPOSITORY / "template.yaml"


class Sam:
    """Runs ``sam``. Its build and its settings stay under ``folder``, its output under ``logs``."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs
        self.build_folder = folder / "build"

    def start_build(self, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """``sam build`` of the repository's template, in the background: see ``finish``."""
        arguments = ["build", "--template-file", str(TEMPLATE), "--build-dir", str(self.build_folder)]
        return self._start("sam-build", arguments, env)

    def deploy(self, stack_name: str, parameters: Mapping[str, str], env: Mapping[str, str]) -> None:
        """``sam deploy`` of what was built, new or as an update. Raises RuntimeError if it fails."""
        arguments = [
            *("deploy", "--template-file", str(self.build_folder / "template.yaml"), "--stack-name", stack_name),
            *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
            *("--no-fail-on-empty-changeset", "--region", env["AWS_DEFAULT_REGION"]),
        ]
        if parameters:
            arguments += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
        self.finish("sam-deploy", self._start("sam-deploy", arguments, env))

    def finish(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a command. Raises RuntimeError with the end of its log if it failed."""
        try:
            status = process.wait()
        except BaseException:
            process.kill()
            raise
        if status:
            log = self._log(name)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            raise RuntimeError(f"{name.replace('-', ' ')} failed; {log} ends:\n{tail}")

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The caller's environment without its AWS settings, then ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
        path = os.pathsep.join([str(VENVS / "runtime/bin"), os.environ.get("PATH", os.defpath)])
        return {
            **kept,
            "PATH": path,  # where the makefile builds find the runtime's python3.13, if it is one
            "PYTHON": sys.executable,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "__SAM_CLI_APP_DIR": str(self._folder / "sam"),
            "AWS_CONFIG_FILE": str(self._folder / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._folder / "no-credentials"),
            **env,
        }

    def _start(self, name: str, arguments: list[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        self._logs.mkdir(parents=True, exist_ok=True)
        with self._log(name).open("wb") as output:
            return subprocess.Popen(
                [str(VENVS / "sam/bin/python"), "-m", "samcli", *arguments],
                cwd=REPOSITORY,
                env=self.environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"
