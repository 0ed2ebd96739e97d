"""The program of a function process: load the handler, then answer one invocation after another.

It replaces AWS's own Python runtime (awslambdaric, which has no wheels for macOS) and so imports nothing but
the standard library. It is started as ``python -I -u bootstrap.py FD``. FD is a stream socket that carries one JSON
object a line. The process first sends ``{"ready": true}``, or ``{"error": {...}}`` and exits; then each

    {"request_id", "arn", "deadline_ms", "trace_id", "event"}

is answered by ``{"payload": "<JSON text>", "max_rss_kb": n}`` or ``{"error": {...}, "max_rss_kb": n}``. An error is in
the shape that Lambda reports: ``errorMessage``, ``errorType``, ``requestId``, ``stackTrace`` (a list of text).
What the function prints goes to stdout and stderr, which the emulator collects as its log.
"""

import importlib
import json
import logging
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

Handler = Callable[[Any, "Context"], Any]


class InitError(Exception):
    """The handler could not be loaded; ``error_type`` is the name Lambda gives to the reason."""

    def __init__(self, error_type: str, message: str, stack: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.stack = stack or []


class Identity:
    """The Cognito identity of a mobile caller: always empty here."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class Context:
    """The second argument of a handler, with the attributes that Lambda documents."""

    def __init__(self, request_id: str, arn: str, deadline_ms: int) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = Identity()
        self.client_context = None
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is killed, never below zero."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


class LogHandler(logging.Handler):
    """The handler that Lambda puts on the root logger, which makes ``logging`` work unconfigured."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write to the current stdout."""
        print(self.format(record))

    def format(self, record: logging.LogRecord) -> str:
        """Add the request ID, which is part of Lambda's format."""
        record.aws_request_id = self.request_id
        return super().format(record)


def find_modules() -> None:
    """Put the function, then the layers, at the front of sys.path: AWS's order."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = [os.environ["LAMBDA_TASK_ROOT"]]
    if layers := os.environ.get("DETAG_LOCAL_OPT"):
        found += [f"{layers}/python/lib/{version}/site-packages", f"{layers}/python"]
    sys.path[:0] = found


def load_handler(name: str) -> Handler:
    """The callable that ``_HANDLER`` names as ``module.function``.

    Raises InitError with the types that the AWS runtime uses.
    """
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        raise InitError("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise InitError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise InitError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [where]
        ) from error
    except Exception as error:
        raise InitError(type(error).__name__, str(error), stack_of(error.__traceback__)) from error
    handler = getattr(module, function_name, None)
    if handler is None:
        raise InitError("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'")
    return handler  # type: ignore[no-any-return]


def stack_of(tb: TracebackType | None) -> list[str]:
    """The frames of the function's own code, without the import system's and without this file's."""
    frames = [
        frame
        for frame in traceback.extract_tb(tb)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen importlib")
    ]
    return traceback.format_list([f for f in frames if not f.filename.endswith("importlib/__init__.py")])


def failure(error_type: str, message: str, request_id: str, stack: list[str]) -> dict[str, Any]:
    """An error as Lambda reports it, also written to the log as Lambda does."""
    print(
        f"[ERROR] {error_type}: {message}", *(["Traceback (most recent call last):", *stack] if stack else []), sep="\n"
    )
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": stack}


def answer(handler: Handler, call: dict[str, Any]) -> dict[str, Any]:
    """Run the handler once; whatever it raises becomes the error of this one invocation."""
    request_id = call["request_id"]
    try:
        result = handler(call["event"], Context(request_id, call["arn"], call["deadline_ms"]))
    except Exception as error:  # noqa: BLE001 - this is where a function's exceptions end
        stack = stack_of(error.__traceback__)
        return {"error": failure(type(error).__name__, str(error), request_id, stack)}
    try:
        return {"payload": json.dumps(result)}
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return {"error": failure("Runtime.MarshalError", message, request_id, [])}


def max_rss_kb() -> int:
    """Peak memory of this process in KiB (getrusage counts in bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main() -> None:
    """Serve invocations until the other end of the socket closes."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    calls = channel.makefile("r", encoding="utf-8", newline="\n")

    def say(message: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        channel.sendall(json.dumps(message).encode() + b"\n")

    log_handler = LogHandler()
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    log_handler.setFormatter(formatter)
    logging.getLogger().addHandler(log_handler)

    find_modules()
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except InitError as error:
        say({"error": failure(error.error_type, str(error), "", error.stack)})
        sys.exit(1)
    say({"ready": True})

    for line in calls:
        call = json.loads(line)
        log_handler.request_id = call["request_id"]
        os.environ["_X_AMZN_TRACE_ID"] = call["trace_id"]
        say({**answer(handler, call), "max_rss_kb": max_rss_kb()})


if __name__ == "__main__":
    main()
