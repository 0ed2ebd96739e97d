"""The emulator's process: a clean environment, a socket on loopback, patched MiniStack, and a clean shutdown."""

import asyncio
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from local.folders import claim
from local.loopback import Message, Receive, Scope, Send, programs_only

from .runtime.pool import Pool

HOST = "127.0.0.1"
STOP = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Options:
    """What can be chosen; ``port`` 0 is any free one, ``processes`` 0 the default for this machine."""

    state: Path
    runtime_python: Path
    port: int = 0
    region: str = "us-east-1"
    processes: int = 0
    function_env: Mapping[str, str] | None = None
    auth: bool = False
    tls: bool = False
    as_released: bool = False


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then exit: with 1 if it could not start, as when a patch does not fit."""
    work = claim(options.state) / "work"
    listener = socket.create_server((HOST, options.port))
    shutil.rmtree(work, ignore_errors=True)  # left by an emulator that was killed
    work.mkdir(parents=True)
    pool: Pool | None = None

    def end(status: int = 0) -> NoReturn:
        """Kill, clean up and exit at once: nobody waits for responses from an emulator that is stopping."""
        if pool:
            pool.kill()
        shutil.rmtree(work, ignore_errors=True)
        for record in (options.state / "emulator.json", *(options.state / "functions").glob("*.json")):
            record.unlink(missing_ok=True)
        os._exit(status)

    for signum in STOP:
        signal.signal(signum, lambda *_: end())
    try:
        _prepare_environment(options, listener.getsockname()[1], work)
        ministack = _import_ministack()
        if not options.as_released:
            pool = _patch(options, work)
        asyncio.run(_serve(ministack, options, listener, end))
    except Exception:  # noqa: BLE001 - printed here, as the process exits below
        traceback.print_exc()
    end(1)


def _prepare_environment(options: Options, port: int, work: Path) -> None:
    """Replace the caller's environment: MiniStack reads a hundred variables and passes its own to functions."""
    scheme = "https" if options.tls else "http"
    clean = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(work),
        "TMPDIR": str(work),
        "LANG": "C.UTF-8",
        "DETAG_EMULATOR_URL": f"{scheme}://{HOST}:{port}",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": options.region,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Keeps MiniStack away from a Docker daemon on this machine.
        "DOCKER_HOST": f"unix://{work}/no-docker.sock",
        # Of this run only. With ``auth`` they are the root user's, and a function gets those of its role.
        "AWS_ACCESS_KEY_ID": f"LOCAL{secrets.token_hex(8).upper()}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "LOG_LEVEL": "WARNING",
        **({"AUTH": "true"} if options.auth else {}),
        **({"USE_SSL": "1"} if options.tls else {}),
    }
    os.environ.clear()
    os.environ.update(clean)
    tempfile.tempdir = None


def _import_ministack() -> ModuleType:
    """Import MiniStack, which reads the environment at import: call this after _prepare_environment."""
    from ministack import app

    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)
    return app  # type: ignore[no-any-return]


def _patch(options: Options, work: Path) -> Pool:
    """Patch MiniStack and give it our Lambda runtime. Returns the pool of function processes."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    from . import credentials, decisions, patches
    from .patches.hooks import hook
    from .runtime.executor import Executor

    patches.apply_all()
    credentials.unguessable_sessions()
    if options.auth:
        decisions.record(options.state / "logs" / "decisions.jsonl")
    extra = {"AWS_ENDPOINT_URL": os.environ["DETAG_EMULATOR_URL"], **(options.function_env or {})}
    if options.tls:
        extra["AWS_CA_BUNDLE"] = extra["SSL_CERT_FILE"] = str(_ca_bundle())
    limit = options.processes or min(4, max(2, os.cpu_count() or 2))
    executor = Executor(options.runtime_python, extra, options.state, work, limit)

    hook(lambda_svc, "_execute_function_dispatch", "func config event request_id started")
    hook(lambda_svc, "invalidate_worker", "func_name qualifier account region")
    hook(lambda_runtime, "reset", "")
    allowed = hook(lambda_svc, "_sqs_esm_concurrency", "esm func_rec config queue")
    lambda_svc._execute_function_dispatch = executor.execute
    lambda_svc.invalidate_worker = lambda func_name, **_: executor.pool.retire(func_name)
    lambda_runtime.reset = executor.pool.kill
    # A batch that waits for a process would use up the visibility timeout of its messages.
    lambda_svc._sqs_esm_concurrency = lambda *arguments: min(limit, allowed(*arguments))
    return executor.pool


def _ca_bundle() -> Path:
    """The system's authorities and the certificate of this run, for clients that must trust both."""
    from ministack.core import tls

    certificate, _ = tls.resolve_tls_material()
    bundle = tls.ca_bundle_path(certificate)
    return Path(bundle or certificate)


async def _serve(ministack: ModuleType, options: Options, listener: socket.socket, end: Callable[[], NoReturn]) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from . import credentials, requests

    for signum in STOP:
        asyncio.get_running_loop().add_signal_handler(signum, end)
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    ready = {
        "endpoint_url": os.environ["DETAG_EMULATOR_URL"],
        "access_key": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "pid": os.getpid(),
        "ca_bundle": None,
    }
    guarded = programs_only(credentials.required(requests.counted(ministack.app)), port)
    if options.tls:
        from ministack.core import tls

        config.certfile, config.keyfile = tls.resolve_tls_material()
        ready["ca_bundle"] = str(_ca_bundle())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def announce(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                draft = options.state / "emulator.json.new"
                draft.touch(mode=0o600)
                draft.write_text(json.dumps(ready))
                draft.replace(options.state / "emulator.json")
                print(ready["endpoint_url"], flush=True)

        await guarded(scope, receive, announce if scope["type"] == "lifespan" else send)

    await serve(app, config, shutdown_trigger=asyncio.Event().wait)
