"""Throws requests at the callback function and judges every answer.

    python -m tests.fuzz.callbacks --requests 50000 --seed 1        (make fuzz N=50000 SEED=1)
    python -m tests.fuzz.callbacks --seed 1 --only 1234             one request of that run again, in full

The handler is the real one, with the queue, the secret and the clock in memory. Secrets are rotated on the way, and the
queue fails now and then. Ends with the line `n requests, m broken`, and with code 1 where m is not 0.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import click

from detag import app
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.queue_fake import FakeQueue
from detag.ports.secrets_fake import FakeCallbackSecrets
from detag.ports.telemetry_fake import FakeTelemetry
from tests.fuzz.requests import ANY, MAYBE, ROTATION, Case, accepted, case, cases
from tests.handlers import context, handler

ANSWER: Final = {"headers": {"content-type": "text/plain"}, "body": "detag\n"}
REREAD_SECONDS: Final = 30.0
STORED_BEFORE: Final = 60.0
"""How long before it signs a new secret is stored: docs/deploying.md's and SECURITY.md's minute."""
QUEUE_FAILS: Final = 0.02
ENVIRON: Final = {
    "RESULT_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/111122223333/results",
    "CALLBACK_SECRETS_ARN": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:callback",
}


class Bench:
    """The callback function, with everything around it in memory."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = Random(f"bench {seed}")
        self.clock = FakeClock()
        self.reads: list[float] = []
        self._queue_fails = False
        self._source = FakeCallbackSecrets(*accepted(0), effect=self._reading)
        self.queue = FakeQueue("results", self._sending)
        self.telemetry = FakeTelemetry()
        module: Any = handler("callback", ENVIRON)
        module.callback = app.callback(
            secrets=self._source, results=self.queue, clock=self.clock, telemetry=self.telemetry
        )
        self._handle = module.lambda_handler
        self._context = context(10.0)

    @contextmanager
    def _reading(self, _name: str) -> Iterator[None]:
        self.reads.append(self.clock.now())
        yield

    @contextmanager
    def _sending(self, _name: str) -> Iterator[None]:
        if self._queue_fails:
            raise Transient("SendMessageBatch: ServiceUnavailable")
        yield

    def at(self, number: int) -> None:
        """Be where a run is before request `number`: rotate, let time pass, break the queue."""
        if number % ROTATION == 0:
            self._source.secrets = accepted(number // ROTATION)
            self.clock.advance(STORED_BEFORE)
        self.clock.advance(self._rng.choice([0.0, 0.0, 0.01, 0.2, 1.0, 5.0]) if number % 50 else 40.0)
        self._queue_fails = Random(f"queue {self._seed}/{number}").random() < QUEUE_FAILS

    def put(self, request: Case) -> tuple[int | None, list[str]]:
        """Send one request; returns the status, and what is wrong with the answer and with what was done."""
        before, reads = len(self.queue.sent), len(self.reads)
        self.telemetry.lines.clear()
        status, wrong = None, []
        try:
            answer = self._handle(request.event, self._context)
        except BaseException as error:  # noqa: BLE001 - whatever it is, Lambda would answer 500
            wrong.append(f"raised {type(error).__name__}: {error}")
        else:
            status = answer.pop("statusCode", None)
            if answer != ANSWER:
                wrong.append(f"the answer is {answer}")
        sent = self.queue.sent[before:]
        wrong += self._judged(request, status, sent)
        new = self.reads[reads:]
        if new and not request.shaped:
            wrong.append("the secrets were read for a signature that is none")
        if len(new) > 1 or (reads and new and new[0] - self.reads[reads - 1] < REREAD_SECONDS):
            wrong.append(f"the secrets were read at {self.reads[reads - 1 :]}")
        logged = repr(self.telemetry.lines)
        wrong += [f"a line holds {word}" for word in ("https:", "Amz", str(request.event["headers"])) if word in logged]
        return status, wrong

    def _judged(self, request: Case, status: int | None, sent: list[dict[str, Any]]) -> Iterable[str]:
        wanted = request.message
        if self._queue_fails and wanted is not None:
            if sent or status not in ((200, 503) if wanted is MAYBE else (503,)):
                yield f"answered {status} though the queue failed, {len(sent)} enqueued"
            return
        if status != request.status:
            yield f"answered {status}, not {request.status}"
        if len(sent) > 1:
            yield f"enqueued {len(sent)} times"
        elif wanted is None and sent:
            yield f"enqueued {sent[0]}"
        elif wanted is not None and wanted is not MAYBE and not (sent and _is(sent[0], wanted)):
            yield f"enqueued {sent}, not {wanted}"


def _is(message: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if not isinstance(message.get("sent_at"), float):
        return False
    message = {name: value for name, value in message.items() if name != "sent_at"}
    if wanted["links"] is not ANY:
        return message == wanted
    urls = message["links"]
    few = len(urls) <= 16 and all(isinstance(url, str) and url.startswith("http") for url in urls)
    return few and message | {"links": ANY, "left_out": 0} == wanted


@dataclass
class Report:
    """What came of a run."""

    requests: int = 0
    broken: list[tuple[Case, list[str]]] = field(default_factory=list)
    statuses: Counter[int | None] = field(default_factory=Counter)
    evidence: dict[str, Counter[int | None]] = field(default_factory=dict)
    bodies: dict[str, Counter[int | None]] = field(default_factory=dict)
    signed_over_bad: int = 0
    enqueued: int = 0
    reads: int = 0
    clock: float = 0.0

    def add(self, request: Case, status: int | None, wrong: list[str]) -> None:
        """Count one request."""
        self.requests += 1
        self.statuses[status] += 1
        self.evidence.setdefault(request.evidence, Counter())[status] += 1
        self.bodies.setdefault(request.kind, Counter())[status] += 1
        self.signed_over_bad += request.good and request.bad_body
        if wrong:
            self.broken.append((request, wrong))

    def lines(self) -> Iterator[str]:
        """For a person to read."""
        statuses = sorted(self.statuses, key=str)
        for title, table in (("evidence", self.evidence), ("body", self.bodies), ("", {"all": self.statuses})):
            yield f"{title:<32}" + "".join(f"{status!s:>8}" for status in statuses) if title else ""
            for name, counts in sorted(table.items()):
                yield f"  {name:<30}" + "".join(f"{counts[status] or '':>8}" for status in statuses)
        yield ""
        share = self.signed_over_bad / max(1, self.requests)
        yield f"validly signed over a bad body: {self.signed_over_bad} ({share:.0%}); enqueued: {self.enqueued}"
        yield f"the secret was read {self.reads} times in {self.clock:.0f} s of the fake clock"
        for request, wrong in self.broken[:20]:
            yield f"request {request.number} ({request.evidence}; {request.kind}): {'; '.join(wrong)[:500]}"


def run(seed: int, count: int) -> Report:
    """A whole run."""
    bench, report = Bench(seed), Report()
    began = bench.clock.now()
    for request in cases(seed, count):
        bench.at(request.number)
        status, wrong = bench.put(request)
        report.add(request, status, wrong)
        report.enqueued += len(bench.queue.sent)
        bench.queue.sent.clear()
    report.reads, report.clock = len(bench.reads), bench.clock.now() - began
    return report


def again(seed: int, number: int) -> int:
    """One request of a run, with the state of the run before it; the number of things wrong."""
    bench = Bench(seed)
    for earlier in range(number - number % ROTATION, number):
        bench.at(earlier)
        bench.put(case(seed, earlier))
    bench.at(number)
    request = case(seed, number)
    status, wrong = bench.put(request)
    print(f"{request.evidence}; {request.kind}\n{request.event!r:.2000}\nanswered {status}", *wrong, sep="\n")
    return len(wrong)


@click.command()
@click.option("--requests", default=50_000, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other requests; the same seed, the same.")
@click.option("--only", type=click.IntRange(0), help="Only this request of the run, in full.")
def main(requests: int, seed: int, only: int | None) -> None:
    """Throw requests at the callback function and judge every answer."""
    if only is not None:
        sys.exit(bool(again(seed, only)))
    began = time.monotonic()
    report = run(seed, requests)
    for line in report.lines():
        print(line)
    print(f"seed {seed}, {time.monotonic() - began:.0f} s")
    print(f"{report.requests} requests, {len(report.broken)} broken")
    sys.exit(bool(report.broken))


if __name__ == "__main__":
    main()
