"""Replaces MiniStack's Lambda worker with our processes: unpacks code, builds environments, keeps logs."""

import hashlib
import io
import json
import os
import secrets
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import request_scope
from ministack.services import cloudwatch_logs, lambda_svc

from .pool import Pool
from .process import FunctionProcess, FunctionSpec, Outcome

# Reserved variables: Lambda sets them, so a function may not.
RESERVED = {"AWS_REGION", "AWS_DEFAULT_REGION", "_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}


class Executor:
    """Runs the functions of the emulator.

    ``python`` is the interpreter of the function processes, ``extra`` the variables that each of them gets besides
    Lambda's own. Under ``state`` it keeps ``functions/<pid>.json`` for each living process and ``logs/<function>.log``;
    under ``work`` the unpacked code. A JSON file holds function, pid, ``identity`` (by which ``local.processes``
    recognises the process), state (starting, idle or busy), request_id and since (Unix time).
    """

    def __init__(self, python: Path, extra: Mapping[str, str], state: Path, work: Path, limit: int) -> None:
        self._python = python
        self._extra = dict(extra)
        self._work = work
        self._processes = state / "functions"
        self._logs = state / "logs"
        self._unpacking = threading.Lock()
        self._processes.mkdir(parents=True, exist_ok=True)
        for record in self._processes.glob("*.json"):  # what a killed emulator left behind; `state` may be anybody's
            record.unlink()
        self._logs.mkdir(parents=True, exist_ok=True)
        self.pool = Pool(self._make, limit)

    def execute(
        self, func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, _started: float
    ) -> dict[str, Any]:
        """One invocation; replaces lambda_svc._execute_function_dispatch, with its arguments and result."""
        spec = self._spec(func, config)
        trace_id = f"Root=1-{int(time.time()):x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        outcome, stream = self.pool.invoke(spec, event, request_id, trace_id, lambda: self._log_stream(config))
        lines = self._report(spec, request_id, config, outcome)
        self._log(spec, stream, lines)
        result = {"body": outcome.payload, "log": "\n".join(lines)}
        return {**result, "error": True, "function_error": "Unhandled"} if outcome.failed else result

    def _make(self, spec: FunctionSpec, log_stream: str) -> FunctionProcess:
        return FunctionProcess(spec, self._python, log_stream, self._watch)

    def _watch(self, process: FunctionProcess) -> None:
        path = self._processes / f"{process.pid}.json"
        if process.state == "dead":
            path.unlink(missing_ok=True)
            return
        record = {
            "function": process.spec.name,
            "pid": process.pid,
            "identity": process.identity,
            "state": process.state,
            "request_id": process.request_id,
            "since": process.since,
        }
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(record))
        draft.replace(path)

    def _spec(self, func: dict[str, Any], config: dict[str, Any]) -> FunctionSpec:
        task_root = self._unpack([func["code_zip"]])
        layers = [zipped for layer in config.get("Layers") or [] if (zipped := lambda_svc._resolve_layer_zip(layer))]
        opt = self._unpack(layers) if layers else None
        return FunctionSpec(
            name=config["FunctionName"],
            arn=config["FunctionArn"],
            handler=config["Handler"],
            timeout=float(config["Timeout"]),
            memory=int(config["MemorySize"]),
            task_root=task_root,
            opt=opt,
            log_group=_log_group(config),
            environment=self._environment(config, task_root, opt),
        )

    def _environment(self, config: dict[str, Any], task_root: Path, opt: Path | None) -> dict[str, str]:
        """The whole environment of a function process: the template's, Lambda's, and what points it at the emulator."""
        declared = (config.get("Environment") or {}).get("Variables") or {}
        region = config["FunctionArn"].split(":")[3]
        # A scratch folder for each function, as each environment has a /tmp of its own on AWS.
        scratch = self._work / "tmp" / config["FunctionName"]
        scratch.mkdir(parents=True, exist_ok=True)
        path = ["/usr/local/bin", "/usr/bin", "/bin"]
        return {
            **{name: str(value) for name, value in declared.items() if name not in RESERVED},
            **lambda_runtime.execution_credentials(config),
            **self._extra,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": _log_group(config),
            "LAMBDA_TASK_ROOT": str(task_root),
            "LAMBDA_RUNTIME_DIR": str(Path(__file__).parent),
            **({"DETAG_LOCAL_OPT": str(opt)} if opt else {}),
            "_HANDLER": config["Handler"],
            "PATH": os.pathsep.join([str(opt / "bin"), *path] if opt else path),
            "TMPDIR": str(scratch),
            "TZ": ":UTC",
        }

    def _unpack(self, zips: list[bytes]) -> Path:
        """A folder with the content of these archives, later ones over earlier ones, as AWS fills /opt with layers."""
        digest = hashlib.sha256()
        for zipped in zips:
            digest.update(hashlib.sha256(zipped).digest())
        folder = self._work / "code" / digest.hexdigest()[:24]
        with self._unpacking:
            if not folder.exists():
                draft = folder.with_suffix(".new")
                for zipped in zips:
                    zipfile.ZipFile(io.BytesIO(zipped)).extractall(draft)
                draft.replace(folder)
        return folder

    def _log_stream(self, config: dict[str, Any]) -> str:
        return f"{datetime.now(UTC):%Y/%m/%d}/[{config['Version']}]{uuid.uuid4().hex}"

    def _report(self, spec: FunctionSpec, request_id: str, config: dict[str, Any], outcome: Outcome) -> list[str]:
        """The function's lines between those that Lambda itself writes."""
        billed = int(outcome.duration_ms) + 1
        report = (
            f"REPORT RequestId: {request_id}\tDuration: {outcome.duration_ms:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {spec.memory} MB\tMax Memory Used: {outcome.max_memory_mb} MB"
        )
        if outcome.init_ms is not None:
            report += f"\tInit Duration: {outcome.init_ms:.2f} ms"
        start = f"START RequestId: {request_id} Version: {config['Version']}"
        return [start, *outcome.lines, f"END RequestId: {request_id}", report]

    def _log(self, spec: FunctionSpec, stream_name: str, lines: list[str]) -> None:
        with (self._logs / f"{spec.name}.log").open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        account, region = spec.arn.split(":")[4], spec.arn.split(":")[3]
        with request_scope(account, region):
            if spec.name not in lambda_svc._functions:
                return  # deleted, or all state reset, while it ran: its log group must not come back
            if spec.log_group not in cloudwatch_logs._log_groups:
                cloudwatch_logs._create_log_group({"logGroupName": spec.log_group})
            cloudwatch_logs._create_log_stream({"logGroupName": spec.log_group, "logStreamName": stream_name})
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line or " "} for line in lines]
            cloudwatch_logs._put_log_events(
                {"logGroupName": spec.log_group, "logStreamName": stream_name, "logEvents": events}
            )


def _log_group(config: dict[str, Any]) -> str:
    logging_config = config.get("LoggingConfig") or {}
    return str(logging_config.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}")
