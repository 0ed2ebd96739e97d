"""How detag and what a user would write instead got on: what is kept of it, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.report import table

PLACE: Final = Path(__file__).parent / "peers.json"
TITLE: Final = "## What a user would write instead"
COLUMNS: Final = {"detag": "detag", "script": "the script", "sample": "the sample"}
FAULTS: Final = {
    "answers lost": "create_run/drop",
    "answers 429": "create_run/status",
    "callbacks lost": "callback/lose",
    "callbacks doubled": "callback/duplicate",
}
"""What a contestant may meet, and the rule of the mock that makes it."""


@dataclass(frozen=True)
class Outcome:
    """How one contestant got on. Names are counted, but for what was paid for."""

    lost: int
    """Names without an output of their own photo at the end."""
    delivered: int
    """Distinct photos that have an output."""
    paid_runs: int
    usd: float
    paid_twice: int
    """Runs charged for a name beyond the number of times that it was uploaded."""
    paid_equal: int
    """The other runs that were charged for a photo that had been paid for: under another name, or uploaded again."""
    seconds: float
    """From upload to output, less the run's own time: the median."""
    seconds_95: float
    forwarded: float
    """Seconds that were counted but not waited for."""
    requests: Mapping[str, int]
    """To AWS, by service."""
    met: Mapping[str, int]
    """Faults that it met."""

    @property
    def usd_each(self) -> float:
        """Dollars for each distinct photo that was delivered."""
        return self.usd / self.delivered if self.delivered else float("inf")


@dataclass(frozen=True)
class Comparison:
    """All of them, side by side."""

    when: str
    run_seconds: float
    names: int
    distinct: int
    again: int
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is kept in peers.json."""
        return asdict(self)

    @staticmethod
    def of(kept: Mapping[str, Any]) -> Comparison:
        """What `as_json` made."""
        outcomes = {name: Outcome(**one) for name, one in kept["outcomes"].items()}
        return Comparison(**{**kept, "outcomes": outcomes})


def section(compared: Comparison) -> str:
    """The last part of results.md, as it follows from what was measured."""
    found = compared.outcomes
    rows: list[tuple[str, Callable[[Outcome], str]]] = [
        ("lost, of the names", lambda one: str(one.lost)),
        ("paid to Runflow", lambda one: f"${one.usd:.2f}"),
        ("**for each distinct photo delivered**", lambda one: f"**${one.usd_each:.3f}**"),
        ("an upload paid for twice", lambda one: str(one.paid_twice)),
        ("an equal photo, or the same upload again, paid for anew", lambda one: str(one.paid_equal)),
        (
            "from upload to output, less the run's own time: median, 95 of 100",
            lambda one: f"{one.seconds:.1f} s, {one.seconds_95:.1f} s",
        ),
        (
            "requests to AWS for each distinct photo delivered",
            lambda one: f"{sum(one.requests.values()) / max(1, one.delivered):.1f}",
        ),
        *((f"met: {fault}", lambda one, fault=fault: str(one.met.get(fault, 0))) for fault in FAULTS),
    ]
    price = min(one.usd / one.paid_runs for one in found.values() if one.paid_runs)
    return "\n\n".join(
        (
            TITLE,
            (
                f"Measured on {compared.when} (`python -m benchmarks --only-peers`, a part of `make bench`): {compared.names} names under which {compared.distinct} distinct "
                f"photos are uploaded at once, {compared.again} of them a second time, unchanged. Nobody can pay less than "
                f"${price:.2f} for a distinct photo. Each contestant has an emulator and a mock Runflow of its own, the same "
                f"faults at the same requests, a run that takes {compared.run_seconds:.0f} s, and loses one worker to SIGKILL at work."
            ),
            table(
                ("", *(COLUMNS[name] for name in found)), [(text, *map(shown, found.values())) for text, shown in rows]
            ),
            (
                "- **The script** (`benchmarks/peers/script.py`), written in an afternoon: ten threads, create and poll, five "
                "attempts at each request. It is started once the photos are there and again after it was killed, at once, and "
                "leaves alone what has an output: so it never sees the second uploads.\n"
                "- **The sample** (`benchmarks/peers/sample.py`), copied: S3 invokes a function that creates a run and polls; "
                "Runflow's callbacks invoke another that stores what they name, unverified. Lambda invokes the first again after "
                "an error, twice; the emulator waits 1 s and 2 s where AWS waits minutes. Ten processes, as a new account has.\n"
                "- **Neither sends an `Idempotency-Key`**, which Runflow documents for batches only (contract section 8). If "
                "single runs had it too, a key made from the name would have saved them the second payment after a lost answer.\n"
                "- **detag waits where the others send again**: five minutes for a callback that does not come, ten for a request "
                "without an answer. Its clock was moved on by "
                f"{found['detag'].forwarded:.0f} s in whole minutes, which are in its times.\n"
                "- Requests to AWS are those that the contestant's own code sends, not those by which Lambda polls its queues. On "
                "a machine with few cores, seconds say more about the emulator than about anybody's code."
            ),
        )
    )


def placed(page: str, compared: Comparison) -> str:
    """results.md with this section at its end, in place of an earlier one."""
    rest = page.partition(TITLE)[0].rstrip()
    return f"{rest}\n\n{section(compared)}\n".lstrip()


IN_A_SENTENCE: Final = {"script": "a script of an afternoon", "sample": "a copied sample of two functions"}


def sentence(compared: Comparison) -> str:
    """What the README says of it."""
    detag = compared.outcomes["detag"]
    others = [
        f"{text} ${one.usd_each:.2f}, {one.paid_twice} and {one.lost}"
        for name, text in IN_A_SENTENCE.items()
        for one in (compared.outcomes[name],)
    ]
    return (
        f"**Measured beside what you would write instead**, under the same faults: detag pays ${detag.usd_each:.2f} for each "
        f"distinct photo, {detag.paid_twice} uploads twice, and loses {detag.lost}; {'; '.join(others)} "
        "([results](benchmarks/results.md#what-a-user-would-write-instead))."
    )
