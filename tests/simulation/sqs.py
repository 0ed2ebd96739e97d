"""SQS and the event source mapping behind it, as a simulation needs them: at least once, in any order, and patient."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

MAX_RECEIVES: Final = 5
"""The template's `maxReceiveCount`."""


@dataclass(slots=True)
class Message:
    """One message, with the reasons for which it was returned."""

    number: int
    body: str
    visible_at: float
    receives: int = 0
    why: list[str] = field(default_factory=list)


class Sqs:
    """One queue, its dead-letter queue, and the function that it feeds."""

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        handle: Callable[[dict[str, Any]], dict[str, Any] | str],
        *,
        batch: int,
        visibility: float,
        may_lose: Callable[[dict[str, Any]], bool],
    ) -> None:
        self._simulation, self._handle = simulation, handle
        self.name, self._batch, self._visibility, self._may_lose = name, batch, visibility, may_lose
        self.window = 0.0
        """Seconds for which messages are gathered into a batch."""
        self.messages: dict[int, Message] = {}
        self.dead: list[Message] = []
        self.died: list[Message] = []
        """Every message that was ever a dead letter."""

    def put(self, message: dict[str, Any], *, safely: bool = False) -> None:
        """Keep a message: later, twice, out of order, or not at all where a fault fires."""
        profile = self._simulation.profile
        if not safely and self._may_lose(message) and profile.fires("message lost"):
            self._simulation.trace_line("message lost:", self.name, message)
            return
        self._simulation.checker.queued(message)
        copies = 1 if safely else self._simulation.copies
        while not safely and copies < 20 and profile.fires("message duplicated"):
            copies += 1
        for _ in range(copies):
            delay = self._simulation.random.random()
            if not safely and profile.fires("message delayed"):
                delay += self._simulation.random.uniform(60, 900)
            elif not safely and profile.fires("message reordered"):
                delay += self._simulation.random.uniform(1, 10)
            self._keep(json.dumps(message), delay)

    def redrive(self) -> int:
        """Move every dead letter back, as an operator does; returns how many."""
        dead, self.dead = self.dead, []
        for message in dead:
            self._keep(message.body, self._simulation.random.random())
        return len(dead)

    def _keep(self, body: str, delay: float) -> None:
        at = self._simulation.time + delay
        message = Message(next(self._simulation.numbers), body, at)
        self.messages[message.number] = message
        self._simulation.at(at + self.window, self._poll)

    def _poll(self) -> None:
        simulation, now = self._simulation, self._simulation.time
        ready = [message for message in self.messages.values() if message.visible_at <= now]
        if len(ready) > 1 and simulation.profile.active:
            simulation.random.shuffle(ready)
        batch: list[Message] = []
        for message in ready[: self._batch]:
            if message.receives == MAX_RECEIVES:
                del self.messages[message.number]
                self.dead.append(message)
                self.died.append(message)
                simulation.trace_line("dead letter:", self.name, message.why)
                continue
            message.receives += 1
            message.visible_at = now + self._visibility
            simulation.at(message.visible_at, self._poll)
            batch.append(message)
        if len(ready) > self._batch:
            simulation.at(now + 0.1, self._poll)
        if batch:
            self._feed(batch)

    def _feed(self, batch: list[Message]) -> None:
        records = [{"messageId": str(message.number), "body": message.body} for message in batch]
        answer = self._handle({"Records": records})
        failed = (
            None if isinstance(answer, str) else {int(one["itemIdentifier"]) for one in answer["batchItemFailures"]}
        )
        for message in batch:
            if failed is None:
                message.why.append(str(answer))
            elif message.number in failed:
                message.why.append(self._simulation.telemetry.reason_of(message.number))
            else:
                self.messages.pop(message.number, None)
