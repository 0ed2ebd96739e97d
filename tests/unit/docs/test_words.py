"""Words that were given up for the field's own: none comes back, but for names that are stored and cannot change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from tests.unit.tooling.test_text import texts

TABLES: Final = {
    "layers/detag/python/detag/adapters/job_items.py": "the tables of stored names",
    "docs/data-model.md": "drawn from these tables",
    "docs/glossary.md": "its last column: what is stored under an earlier name",
}
STORED: Final = TABLES | {"tests/unit/adapters/test_job_items.py": "items as they are stored"}


FROM: Final = r"(?<![^\W_])"
TO: Final = r"(?![^\W_])"
"""Where a word begins and ends that is one of a name's words too."""


@dataclass(frozen=True)
class Word:
    """A retired word as a pattern, whatever its case; an example; what is said instead; where it stays, and why."""

    pattern: str
    example: str
    instead: str
    stays: dict[str, str] = field(default_factory=dict)

    @property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)


WORDS: Final = (
    Word(r"\bpurses?\b", "self._purse = Purse(); the purse", "budget"),
    Word(rf"{FROM}rooms?{TO}", "leaves_room_for two", "budget; what is left of it"),
    Word(
        rf"{FROM}cap(s|ped)?{TO}",
        "behind_a_cap",
        "limit",
        {
            "docs/generate/decisions.py": "of a back-off: there it is the field's word",
            "docs/runflow-contract.md": "the same",
            "layers/detag/python/detag/domain/backoff.py": "the same",
            "layers/detag/python/detag/domain/waits.py": "the same",
            "tests/unit/domain/test_intake.py": "the same",
            "tests/unit/domain/test_waits.py": "the same",
            "local/samples/products.py": "of a bottle",
        },
    ),
    Word(
        r"\bslots?\b(?!=True)",
        "two slots",
        "reservation, usd",
        {
            "layers/detag/python/detag/adapters/job_items.py": "what earlier items have in place of dollars",
            "tests/contract/test_jobs.py": "an item as it was stored",
            "tests/unit/adapters/test_job_items.py": "the same",
        },
    ),
    Word(r"\bledgers?\b", "the ledger", "day budget"),
    Word(r"\bdebts?\b|_debts?\b", "settle_debt", "pending"),
    Word(
        r"\bow(e|es|ed|ing)\b",
        "what is owed",
        "pending",
        TABLES
        | {
            "tests/e2e/test_authorised.py": "writes an item as it is stored",
            "tests/e2e/test_faults.py": "reads one",
        },
    ),
    Word(
        rf"{FROM}gates?(?!_HELD){TO}",
        "self._gate, the gate",
        "intake",
        STORED
        | {
            "docs/operating.md": "the item by its key",
            "tests/e2e/harness.py": "reads the item by its key",
            "tests/unit/adapters/test_job_requests.py": "a request for the item by its key",
            "tests/unit/local/demo/test_journey.py": "the item by its key",
        },
    ),
    Word(
        rf"{FROM}(?<!gate_)held(?!_until){TO}|\bhold_|\bhold\(|\bon hold\b|\bholds? (everything|photos)\b",
        "photos are held; hold(gate)",
        "paused, waits for the intake",
        {
            "CHANGELOG.md": "says what it was called",
            "docs/data-model.md": "the key of the index, which is stored",
            "docs/generate/data_model.py": "the same",
            "docs/glossary.md": "the same",
            "layers/detag/python/detag/adapters/dynamodb.py": "the same",
            "layers/detag/python/detag/domain/job.py": "the same",
            "tests/unit/adapters/test_dynamodb_errors.py": "the same",
            "tests/unit/adapters/test_job_items.py": "the same",
            "tests/unit/adapters/test_job_requests.py": "the same",
            "tests/unit/domain/test_job.py": "the same",
        },
    ),
    Word(
        r"\bsettl(e|es|ed|ing)\b|\bsettl(e|ing)_",
        "settling",
        "unconfirmed",
        {
            "CHANGELOG.md": "says what it was called",
            "docs/glossary.md": "its last column: an earlier reason",
            "layers/detag/python/detag/domain/reasons.py": "the alias by which earlier items are read",
            "tests/contract/test_jobs.py": "an item under the earlier reason",
            "tests/unit/adapters/test_dynamodb_errors.py": "the same, in an index",
            "tests/unit/adapters/test_job_items.py": "the same",
            "tests/unit/domain/test_job.py": "the alias",
        },
    ),
    Word(
        r"\bdoubt(s|ed|ful|fully)?\b",
        "a doubtful submission",
        "unconfirmed, maybe_submitted",
        TABLES | {"tests/e2e/test_authorised.py": "reads the attribute as it is stored"},
    ),
    Word(r"\blook-ups?\b|\blook_up\b|_look_up_", "a look-up", "find_existing_run, search"),
    Word(r"\bstray\b|\bsecond paid run\b", "a stray run", "unmatched run"),
    Word(r"\bruns? that no job\b", "a run that no job covers", "unmatched run"),
    Word(
        r"\blanes?\b",
        "eight lanes",
        "shard",
        STORED
        | {
            "benchmarks/stubs.py": "the index, by the attribute as it is stored",
            "template.yaml": "the index's key, which cannot be renamed in place",
            "tests/e2e/test_authorised.py": "writes an item as it is stored",
            "tests/property/test_job_items.py": "items as they are stored",
            "tests/template/snapshot.json": "the template, as it is",
            "tests/unit/adapters/test_dynamodb_errors.py": "items as they are stored",
        },
    ),
    Word(
        r"\brevs?\b|\.rev\b",
        "job.rev",
        "version",
        STORED
        | {
            "docs/generate/data_model.py": "writes docs/data-model.md",
            "layers/detag/python/detag/adapters/job_requests.py": "the condition on the stored attribute",
            "tests/e2e/*.py": "writes items as they are stored",
            "tests/unit/adapters/test_picture_items.py": "the same",
        },
    ),
    # A page's tables, pixels and the mock's search have rows, and failures come in a row.
    Word(
        r"\b(jobs?|job's|photo's|stored|due|open|closed|waiting) rows?\b|\bthe row (moved|changed|expired|is gone)\b"
        r"|\b(job|get|put|read|save|write|load)_rows?\b",
        "the row moved",
        "item",
    ),
    # The first bytes of a file are its head, and HEAD is a method of HTTP.
    Word(
        r"\bhead#|\b(raise|get|put|save|newest)_head\b|\bhead items?\b|\bhead of (a|the) (key|name)\b",
        "the head item, raise_head",
        "newest_upload",
        TABLES | {"docs/generate/data_model.py": "writes docs/data-model.md"},
    ),
    Word(r"\btold\(|\.told\b|\bdef told\b", "told(error)", "safe_description"),
    Word(r"\.(note|warn)\(|\bdef (note|warn)\b", "telemetry.warn(", "info, warning"),
    Word(r"\bGarbled\b|\bReceiver\(|\.answer\(", "receiver.answer(", "MalformedRequest, CallbackHandler.handle"),
    Word(r"\bposition\(|\bdef _?position\b", "position(secrets, signature)", "matching_secret"),
    Word(r"\bis_ours\b|\bbears_our_name\b", "is_ours(run)", "whose_run, proof"),
    Word(r"\bpostpone\b|\bgive_back\b", "postpone(job)", "defer, abandon_claim"),
    # A file is touched, a process or a build is watched.
    Word(r"\bdef (touch|watch)\b|\b(touch|watch)\((job|self)|\.watch\(", "touch(job)", "extend_due, poll_later"),
    Word(r"(?-i:\bClosing\b)|\bpay\(|\bpay_(?!per_request)", "Closing, pay(job)", "outbox, publish"),
    Word(r"\bread_(start|end)\b|\bstart = .*read_head|\blook\((head|data|body)", "look(head)", "read_head, sniff"),
    Word(r"\binit\.ends\b|\bdetag/init\.py\b", "init.ends()", "cold_start.done"),
    Word(r"\bmends?\b|\bmended\b", "local/emulator/mends", "patches"),
    Word(r"\bstand-?ins?\b|\bcouriers?\b", "a stand-in's courier", "mock Runflow, callback sender"),
    Word(r"\bstorm(s|y)?\b|\bstor(y|ies)\b|\bstrikes?\b", "a storm's story", "fault profile, trace, fires"),
    Word(r"\bbooks?\b|\bbooked\b|\bbites?\b|\bbitten\b", "the mock's books", "billing; a fault rule fires"),
    # A shop is also whose photos these are.
    Word(r"\bShop\(|\bself\._?shop\b|\bthe shop (answers|received|gets)\b", "what the shop received", "harness"),
    Word(r"\bworlds?\b|\bWorld\(", "a world", "simulation; outside"),
    # A picture is what equal photos share, and is paid for once.
    Word(r"\bcleaned[ _](image|photo|object|picture)s?\b", "the cleaned photo", "output"),
    Word(r"\boutput[ _]links?\b|\bLinkExpired\b|\blinks_of\b|\bMAX_LINKS\b", "LinkExpired", "output URL"),
    # Links of pages, of mails and of file systems are links, and so are pip's; `links` is a key of messages and of
    # Runflow's records.
    Word(
        r"\b(presigned|signed|output|photo|photo's|image|its|a|the) links?\b(?! (to|lead|local|in it))(?!-local)"
        r"|(?<!find)_links?\b",
        "the photo's link",
        "presigned URL, output URL",
    ),
    Word(
        r"\bmakes? good\b|\bcallbacks that never\b|\bin vain\b|\bof nobody's\b",
        "makes good callbacks",
        "recovers lost callbacks",
    ),
    Word(r"\bthe road for\b|\bno message leads on\b", "the road for", "what reconcile does, said plainly"),
)
NOT_READ: Final = ("tests/data/*", "requirements/*.txt", "layers/dependencies/requirements.txt", "*.svg")


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, int, str]]:
    """Every committed line of text: file, number, line. Not those of this file, nor what others wrote."""
    here = str(Path(__file__).resolve().relative_to(Path(__file__).resolve().parents[3]))
    return [
        (name, number, line)
        for name, data in texts().items()
        if name != here and not any(fnmatch(name, pattern) for pattern in NOT_READ)
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1)
    ]


def hits(word: Word, lines: list[tuple[str, int, str]]) -> Iterator[tuple[str, int, str]]:
    compiled = word.compiled
    return (place for place in lines if compiled.search(place[2]))


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.example)
def test_a_retired_word_is_not_used(word: Word, lines: list[tuple[str, int, str]]) -> None:
    assert word.compiled.search(word.example), "the pattern finds its own example"
    found = [place for place in hits(word, lines) if not any(fnmatch(place[0], name) for name in word.stays)]
    assert found == [], f"say: {word.instead}"


@pytest.mark.parametrize("word", [word for word in WORDS if word.stays], ids=lambda word: word.example)
def test_a_word_stays_only_where_it_is(word: Word, lines: list[tuple[str, int, str]]) -> None:
    """No place is allowed that does not need it any more."""
    files = {place[0] for place in hits(word, lines)}
    unused = [name for name in word.stays if not any(fnmatch(file, name) for file in files)]
    assert unused == []
