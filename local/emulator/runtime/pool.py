"""How many processes a function has: one more for each invocation that finds none idle, up to a limit."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .process import FunctionProcess, FunctionSpec, Outcome


@dataclass
class _Environments:
    """The processes of one function: idle (most recently used last), busy, and the number that are starting."""

    name: str
    idle: list[FunctionProcess] = field(default_factory=list)
    busy: set[FunctionProcess] = field(default_factory=set)
    starting: int = 0

    @property
    def total(self) -> int:
        return len(self.idle) + len(self.busy) + self.starting


class Pool:
    """Runs invocations on processes made with ``make(spec, log_stream)``. Safe for threads.

    AWS would keep adding processes; on a small machine an invocation beyond ``limit`` waits for an idle one instead.
    """

    def __init__(self, make: Callable[[FunctionSpec, str], FunctionProcess], limit: int) -> None:
        self.limit = limit
        self._make = make
        self._functions: dict[str, _Environments] = {}
        self._changed = threading.Condition()

    def invoke(
        self, spec: FunctionSpec, event: Any, request_id: str, trace_id: str, log_stream: Callable[[], str]
    ) -> tuple[Outcome, str]:
        """Run one invocation, waiting for a process if necessary. Returns its outcome and its process's log stream."""
        process, failure = self._lease(spec, log_stream)
        try:
            return failure or process.invoke(event, request_id, trace_id), process.log_stream
        finally:
            self._return(process)

    def retire(self, name: str) -> None:
        """Kill the idle processes of a function; busy ones end after their invocation."""
        with self._changed:
            gone = [arn for arn, environments in self._functions.items() if environments.name == name]
            retired = [process for arn in gone for process in self._functions.pop(arn).idle]
            self._changed.notify_all()
        for process in retired:
            process.kill()

    def kill(self) -> None:
        """Kill every process. Invocations under way fail, and their threads clean up after them."""
        with self._changed:
            functions, self._functions = self._functions, {}
            for environments in functions.values():
                for process in environments.busy:
                    process.interrupt()
            self._changed.notify_all()
        for environments in functions.values():
            for process in environments.idle:
                process.kill()

    def _lease(self, spec: FunctionSpec, log_stream: Callable[[], str]) -> tuple[FunctionProcess, Outcome | None]:
        stale: list[FunctionProcess] = []
        found: FunctionProcess | None = None
        with self._changed:
            while True:
                environments = self._functions.setdefault(spec.arn, _Environments(spec.name))
                while environments.idle and found is None:
                    candidate = environments.idle.pop()
                    if candidate.alive and candidate.spec == spec:
                        found = candidate
                    else:
                        stale.append(candidate)
                if found:
                    environments.busy.add(found)
                    break
                if environments.total < self.limit:
                    environments.starting += 1
                    break
                self._changed.wait()
        for process in stale:
            process.kill()
        if found:
            return found, None
        try:
            process = self._make(spec, log_stream())
        finally:
            with self._changed:
                environments.starting -= 1
                self._changed.notify()
        with self._changed:
            environments.busy.add(process)
        return process, process.start()

    def _return(self, process: FunctionProcess) -> None:
        with self._changed:
            environments = self._functions.get(process.spec.arn)
            known = environments is not None and process in environments.busy
            if environments is not None and known:
                environments.busy.discard(process)
                if process.alive:
                    environments.idle.append(process)
            self._changed.notify()
        if not known:
            process.kill()
