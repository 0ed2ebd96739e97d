"""SQS and the event source mapping behind it, as a simulation needs them: at least once, in any order, and patient."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_RECEIVES: Final = 5
"""The template's `maxReceiveCount`."""


@dataclass(slots=True)
class Message:
    """One message, with the reasons for which it came back."""

    number: int
    body: str
    visible_at: float
    receives: int = 0
    why: list[str] = field(default_factory=list)


class Sqs:
    """One queue, its dead-letter queue, and the function that it feeds."""

    def __init__(
        self,
        world: World,
        name: str,
        handle: Callable[[dict[str, Any]], dict[str, Any] | str],
        *,
        batch: int,
        visibility: float,
        may_lose: Callable[[dict[str, Any]], bool],
    ) -> None:
        self._world, self._handle = world, handle
        self.name, self._batch, self._visibility, self._may_lose = name, batch, visibility, may_lose
        self.window = 0.0
        """Seconds for which messages are gathered into a batch."""
        self.messages: dict[int, Message] = {}
        self.dead: list[Message] = []
        self.died: list[Message] = []
        """Every message that ever was a dead letter."""

    def put(self, message: dict[str, Any], *, safely: bool = False) -> None:
        """Keep a message: later, twice, out of order, or not at all where the storm says so."""
        storm = self._world.storm
        if not safely and self._may_lose(message) and storm.strikes("message lost"):
            self._world.tell("lost a message of", self.name, message)
            return
        self._world.audit.queued(message)
        copies = 1 if safely else self._world.copies
        while not safely and copies < 20 and storm.strikes("message duplicated"):
            copies += 1
        for _ in range(copies):
            delay = self._world.random.random()
            if not safely and storm.strikes("message delayed"):
                delay += self._world.random.uniform(60, 900)
            elif not safely and storm.strikes("message reordered"):
                delay += self._world.random.uniform(1, 10)
            self._keep(json.dumps(message), delay)

    def redrive(self) -> int:
        """Move every dead letter back, as an operator does; returns how many."""
        dead, self.dead = self.dead, []
        for message in dead:
            self._keep(message.body, self._world.random.random())
        return len(dead)

    def _keep(self, body: str, delay: float) -> None:
        at = self._world.time + delay
        message = Message(next(self._world.numbers), body, at)
        self.messages[message.number] = message
        self._world.at(at + self.window, self._poll)

    def _poll(self) -> None:
        world, now = self._world, self._world.time
        ready = [message for message in self.messages.values() if message.visible_at <= now]
        if len(ready) > 1 and not world.storm.over:
            world.random.shuffle(ready)
        batch: list[Message] = []
        for message in ready[: self._batch]:
            if message.receives == MAX_RECEIVES:
                del self.messages[message.number]
                self.dead.append(message)
                self.died.append(message)
                world.tell("dead letter of", self.name, message.why)
                continue
            message.receives += 1
            message.visible_at = now + self._visibility
            world.at(message.visible_at, self._poll)
            batch.append(message)
        if len(ready) > self._batch:
            world.at(now + 0.1, self._poll)
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
                message.why.append(self._world.telemetry.reason_of(message.number))
            else:
                self.messages.pop(message.number, None)
