"""The stock SAM CLI, pointed at the emulator and kept away from the user's own AWS configuration."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local.emulator.client import REPOSITORY, VENVS

TEMPLATE = REPOSITORY / "template.yaml"

# Builds are kept between runs, for all stacks of this repository: the second is faster and needs no package registry,
# and where no source has changed there is none.
BUILDS = REPOSITORY / ".build" / "sam"
SAM_PYTHON = VENVS / "sam/bin/python"

# A deploy reads the template seven times: as JSON that costs nothing, as YAML half of its time.
AS_JSON = """
import json, pathlib, sys
from samcli.yamlhelper import yaml_parse
template = pathlib.Path(sys.argv[1])
template.write_text(json.dumps(yaml_parse(template.read_text())))
"""


class Sam:
    """Runs ``sam``. The build and settings of one stack are kept under ``folder``, its output under ``logs``."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs
        self._built = folder / "build"

    def build(self, env: Mapping[str, str]) -> None:
        """``sam build`` of the repository's template, unless it is built. Raises RuntimeError if it fails."""
        builds = BUILDS / _inputs()
        builds.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("build", "--template-file", str(TEMPLATE), "--build-dir", str(builds / "build")),
            *("--cached", "--cache-dir", str(builds / "cache"), "--parallel"),
        ]
        with (builds / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            built_from, sources = builds / "build" / "sources", _sources()  # SAM begins with an empty folder
            if not built_from.exists() or built_from.read_text() != sources:
                self._run("build", arguments, env)
                as_json(builds / "build/template.yaml")
                built_from.write_text(sources)
            shutil.rmtree(self._built, ignore_errors=True)
            shutil.copytree(builds / "build", self._built)

    def deploy(self, stack_name: str, parameters: Mapping[str, str], env: Mapping[str, str]) -> None:
        """``sam deploy`` of what was built, new or as an update. Raises RuntimeError if it fails."""
        arguments = [
            *("deploy", "--template-file", str(self._built / "template.yaml"), "--stack-name", stack_name),
            *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset"),
            *("--no-fail-on-empty-changeset", "--region", env["AWS_DEFAULT_REGION"]),
        ]
        if parameters:
            arguments += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
        self._run("deploy", arguments, env)

    def _run(self, name: str, arguments: list[str], env: Mapping[str, str]) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        _put_off_version_check(self._folder / "sam")
        log = self._logs / f"sam-{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [SAM_PYTHON, "-m", "samcli", *arguments],
                cwd=REPOSITORY,
                env=self._environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
        if status:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            raise RuntimeError(f"sam {name} failed; {log} ends:\n{tail}")

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The caller's environment without its AWS settings, then ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
        path = os.pathsep.join([str(VENVS / "runtime/bin"), os.environ.get("PATH", os.defpath)])
        return {
            **kept,
            "PATH": path,  # the makefile builds use the runtime's python3.13, if it is one
            "PYTHON": sys.executable,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "__SAM_CLI_APP_DIR": str(self._folder / "sam"),
            **env,
        }


def as_json(template: Path) -> None:
    """Rewrite a template in YAML. Raises CalledProcessError where SAM cannot read it."""
    subprocess.run([SAM_PYTHON, "-c", AS_JSON, template], check=True)


def _put_off_version_check(settings: Path) -> None:
    """Tell SAM that it has just asked PyPI for a newer version of itself, which it does each week unless it has."""
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time(), "telemetryEnabled": False}))


def _inputs() -> str:
    """A digest of what a build depends on besides its sources."""
    digest = hashlib.sha256()
    for source in (REPOSITORY / "sam.mk", VENVS / "runtime/pyvenv.cfg"):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> str:
    """A digest of the template and of all files of the functions and the layers, with their names."""
    digest = hashlib.sha256()
    folders = [REPOSITORY / "functions", REPOSITORY / "layers"]
    for source in (TEMPLATE, *sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())):
        if source.parent.name != "__pycache__":
            digest.update(f"{source.relative_to(REPOSITORY)} {source.stat().st_size}\n".encode() + source.read_bytes())
    return digest.hexdigest()
