"""One function process, controlled from outside: start it, send it invocations, kill it when it times out."""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.processes import identity

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")

# AWS allows 10 s for the code outside the handler. Here two cores may be starting ten processes at once,
# and a slow start on such a machine is not an error of the function.
INIT_TIMEOUT = 60.0

# Lambda's limit on the response of a synchronous invocation.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class FunctionSpec:
    """Everything that determines a process of a function. Equal specs may share processes.

    ``timeout`` is in seconds, ``memory`` in MB. ``task_root`` and ``opt`` are folders with the unpacked function and
    layers. ``environment`` is complete: the process gets these variables and no others.
    """

    name: str
    arn: str
    handler: str
    timeout: float
    memory: int
    task_root: Path
    opt: Path | None
    log_group: str
    environment: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Outcome:
    """How one invocation ended.

    ``payload`` is the handler's answer, or the error in Lambda's shape when ``failed``. ``lines`` is what was printed
    meanwhile. Durations are in milliseconds; ``init_ms`` is None unless this was the first use of the process.
    """

    payload: Any
    failed: bool
    lines: list[str]
    duration_ms: float
    init_ms: float | None
    max_memory_mb: int


class _Gone(Exception):
    """The process has closed its end of the socket."""


class FunctionProcess:
    """A process that runs one invocation at a time. Not safe for threads: its pool lends it to one at a time.

    ``watch(process)`` is called whenever ``state`` changes, so that others can see what each process is doing.
    """

    def __init__(
        self, spec: FunctionSpec, python: Path, log_stream: str, watch: Callable[["FunctionProcess"], None]
    ) -> None:
        self.spec = spec
        self.log_stream = log_stream
        self.state = "starting"
        self.request_id = ""
        self.since = time.time()
        self._watch = watch
        self._buffer = b""
        self._partial_line = b""
        self._lines: list[str] = []
        self._init_ms: float | None = None

        self._channel, theirs = socket.socketpair()
        output, their_output = os.pipe()
        # -X utf8: AWS's runtime has a UTF-8 locale whatever this machine's is. -I: nothing from the host leaks in.
        self._process = subprocess.Popen(
            [str(python), "-I", "-u", "-X", "utf8", str(BOOTSTRAP), str(theirs.fileno())],
            env={**spec.environment, "AWS_LAMBDA_LOG_STREAM_NAME": log_stream},
            cwd=spec.task_root,
            stdin=subprocess.DEVNULL,
            stdout=their_output,
            stderr=their_output,
            pass_fds=[theirs.fileno()],
            # A session of its own: Ctrl-C at the terminal must reach it through us, and its children die with it.
            start_new_session=True,
        )
        self.identity = identity(self.pid)
        theirs.close()
        os.close(their_output)
        os.set_blocking(output, False)
        self._output = output
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(output, selectors.EVENT_READ)
        self._set_state("starting")

    @property
    def pid(self) -> int:
        """Its process ID, which is also its process group ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended or was killed."""
        return self.state != "dead" and self._process.poll() is None

    def start(self) -> Outcome | None:
        """Wait until the handler is loaded. Returns the failure if it could not be, and the process is killed."""
        began = time.monotonic()
        try:
            message = self._receive(began + INIT_TIMEOUT)
        except TimeoutError:
            return self._fail(began, "Sandbox.Timedout", f"Init timed out after {INIT_TIMEOUT:.2f} seconds")
        except _Gone:
            return self._fail(began, "Runtime.ExitError", self._exit_reason())
        if "error" in message:
            self.kill()
            return self._outcome(began, message["error"], failed=True)
        self._init_ms = (time.monotonic() - began) * 1000
        self._set_state("idle")
        return None

    def invoke(self, event: Any, request_id: str, trace_id: str) -> Outcome:
        """Run the handler on one event; errors, exits and time-outs are outcomes, never exceptions."""
        began = time.monotonic()
        deadline = began + self.spec.timeout
        call = {
            "request_id": request_id,
            "arn": self.spec.arn,
            "deadline_ms": int((time.time() + self.spec.timeout) * 1000),
            "trace_id": trace_id,
            "event": event,
        }
        self._set_state("busy", request_id)
        try:
            self._channel.settimeout(self.spec.timeout)
            self._channel.sendall(json.dumps(call).encode() + b"\n")
            message = self._receive(deadline)
        except TimeoutError:
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S.000Z ", time.gmtime())
            timed_out = f"Task timed out after {self.spec.timeout:.2f} seconds"
            return self._fail(began, "Sandbox.Timedout", timed_out, request_id, f"{prefix}{request_id} {timed_out}")
        except (_Gone, OSError):
            return self._fail(began, "Runtime.ExitError", self._exit_reason(), request_id)
        memory_mb = message["max_rss_kb"] // 1024
        if "error" in message:
            outcome = self._outcome(began, message["error"], failed=True, memory_mb=memory_mb)
        elif len(message["payload"]) > MAX_PAYLOAD_BYTES:
            too_large = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            }
            outcome = self._outcome(began, too_large, failed=True, memory_mb=memory_mb)
        else:
            outcome = self._outcome(began, json.loads(message["payload"]), failed=False, memory_mb=memory_mb)
        self._set_state("idle")
        return outcome

    def interrupt(self) -> None:
        """Kill the process and its children from any thread; the invocation under way, if any, fails."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and release its resources. Safe to repeat."""
        if self.state == "dead":
            return
        self.interrupt()
        self._process.wait()
        self._drain()
        self._selector.close()
        self._channel.close()
        os.close(self._output)
        self._set_state("dead")

    def _set_state(self, state: str, request_id: str = "") -> None:
        self.state, self.request_id, self.since = state, request_id, time.time()
        self._watch(self)

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message of the process, collecting what it prints meanwhile.

        Raises TimeoutError at ``deadline`` (of time.monotonic), _Gone if the process ends first.
        """
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            ready = self._selector.select(remaining) if remaining > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is not self._channel:
                    self._drain()
                    continue
                received = self._channel.recv(1 << 16)
                if not received:
                    raise _Gone
                self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _drain(self) -> None:
        """Read what has been printed so far. The process flushes before it answers, so nothing is missed."""
        while True:
            try:
                chunk = os.read(self._output, 1 << 16)
            except BlockingIOError:
                return
            if not chunk:
                if self._output in self._selector.get_map():
                    self._selector.unregister(self._output)
                return
            *whole, self._partial_line = (self._partial_line + chunk).split(b"\n")
            self._lines += [line.decode(errors="replace") for line in whole]

    def _exit_reason(self) -> str:
        """How the process ended, in Lambda's wording."""
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:  # it closed the socket, but lives on
            self.interrupt()
            status = self._process.wait()
        if status < 0:
            return f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
        return (
            f"Runtime exited with error: exit status {status}"
            if status
            else "Runtime exited without providing a reason"
        )

    def _fail(self, began: float, error_type: str, message: str, request_id: str = "", line: str = "") -> Outcome:
        self.kill()
        prefix = f"RequestId: {request_id} Error: " if request_id else ""
        self._lines.append(line or prefix + message)
        return self._outcome(began, {"errorType": error_type, "errorMessage": prefix + message}, failed=True)

    def _outcome(self, began: float, payload: Any, *, failed: bool, memory_mb: int = 0) -> Outcome:
        duration_ms = (time.monotonic() - began) * 1000
        if self.state != "dead":
            self._drain()
        lines, self._lines = self._lines, []
        if self._partial_line:
            lines.append(self._partial_line.decode(errors="replace"))
            self._partial_line = b""
        init_ms, self._init_ms = self._init_ms, None
        return Outcome(payload, failed, lines, duration_ms, init_ms, memory_mb)
