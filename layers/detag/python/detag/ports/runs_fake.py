"""A small Runflow in memory: it reads photos at their URLs, takes its time, bills, and answers as its contract says."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

from detag.domain.outcomes import Accepted, Ambiguous, Outcome, Refused
from detag.domain.runs import Run, read_run, same_account
from detag.ports.clock import Clock
from detag.ports.effect_fake import Effect, no_effect
from detag.ports.errors import Transient
from detag.ports.outputs import OutputUrlExpired, Unsafe
from detag.ports.photos import Archived, Denied, Missing
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.runs import NotConfigured, OtherAccount, RunPage, Unauthorized

PRICE: Final = Decimal("0.14")
HOST: Final = "outputs.runflow.test"
OTHER_ACCOUNT: Final = "the stored API key is of another account"
_KEY: Final = b"signs the URLs of this fake"
_ENDS: Final = {"jpeg": "jpg"}
NAMED: Final = 10
"""How many runs a filter gives at most."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call: an answer of this status, or none at all where it is None.

    `effect`: Runflow has done its work all the same, `late` seconds after the call.
    """

    status: int | None = None
    effect: bool = False
    late: float = 0.0
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run will go. A run that cannot read its photo fails free of charge whatever is planned."""

    queued: float = 1.0
    """Seconds before the photo is read."""
    seconds: float = 20.0
    """And from there to the end; `math.inf` for a run that never ends."""
    status: str = "succeeded"
    """The terminal `status_code`, in any of the contract's spellings."""
    cost: Decimal = PRICE
    """What is billed at the end, whatever the status; a run that failed with `Decimal(0)` is free."""
    tells_cost: bool = True
    cost_after: float = 0.0
    """Seconds from the end to when its record tells the cost."""
    cost_before: str | None = None
    """What the record says until then."""
    code: str | None = None
    message: str | None = None
    images: int = 1
    content_type: str = "image/webp"
    instead: bytes | None = None
    """What the output URLs give in place of the outputs."""


FAILED: Final = Ending(status="failed", cost=Decimal(0), code="MODEL_ERROR", message="the model gave up")
CANCELLED: Final = Ending(status="canceled", cost=Decimal(0))


@dataclass(slots=True)
class FakeRun:
    """A run as the fake keeps it. `photo` is what it read at the URL."""

    run_id: str
    number: int
    request: Mapping[str, Any]
    created_at: float
    ending: Ending
    status: str = "queued"
    photo: bytes | None = None
    billed: Decimal = Decimal(0)
    code: str | None = None
    message: str | None = None
    completed_at: float | None = None
    lost: bool = False
    """Runflow does not know it any more."""
    account: str = "ours"
    """Whose it is: no other account's key shows it."""

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal status."""
        return self.completed_at is not None

    @property
    def next_at(self) -> float:
        """When it next changes by itself."""
        if self.ended:
            return math.inf
        starts = self.created_at + self.ending.queued
        return starts if self.status == "queued" else starts + self.ending.seconds


@dataclass(slots=True)
class Habits:
    """How this Runflow reads its own contract. A test may change them at any time."""

    idempotency: Literal["honoured", "ignored", "conflict", "cached"] = "honoured"
    """Of a known Idempotency-Key: the same run (another body: 409); another run; 409 in any case; the first answer,
    even an error."""
    visible_after: float = 0.0
    """Seconds after which a run is in the list."""
    known_after: float = 0.0
    """Seconds after which a run can be asked for."""
    output_url_seconds: float = 3_600.0
    page_limit: int = 500
    output: Literal["image_urls", "outputs"] = "image_urls"
    signs: Literal["always", "when asked", "unless asked", "in callbacks"] = "always"
    """Whether a record's output URLs are signed: always, only where `add_signature` asks for it, only where it does
    not, or never: then only a callback's are."""
    redelivers: bool = True
    """Whether it sends a callback again when it is asked to: else 404."""
    list_entries: Literal["whole", "thin", "ids", "nested", "no ids"] = "whole"
    """What an entry of the list is: the record; its id, status and time only; its id as text; an object with the record
    in it; or the record with null for its id."""
    input_shown: Literal["sent", "asset", "elsewhere", "nothing", "requoted", "escaped twice", "defaults"] = "sent"
    """The `input` of a record: as it was sent; with `image_url` as a link to an asset or at an unknown host, or with
    each space in it as a plus sign, or its escapes escaped again; left out; or with a ratio that Runflow filled in, or
    spelt in its own way."""
    order: Literal["descending", "ascending", "grouped", "none"] = "descending"
    """The order of the list, whatever is asked for; grouped: newest first in each of three groups."""
    client_ref_filter: Literal["honoured", "ignored", "refused", "none"] = "honoured"
    """What a filter on `client_ref` gives: the runs of this name, the list, a refusal, or no run at all."""
    may_list: bool = True
    """Whether the API key has the right to list runs: else 403."""
    list_readable: bool = True
    list_followable: bool = True
    """Whether it says how the list goes on, and not only that it does."""
    cursor_length: int = 0
    """A cursor is no shorter."""
    clock_behind: float = 0.0
    """How many seconds the times that it tells are in the past."""
    credit: Decimal | None = None
    """What is left to spend: at 0, 402. None: unlimited."""
    configured: bool = True
    """Whether an API key is stored."""
    key_good: bool = True
    """Whether Runflow takes it."""
    key: str = "key 1"
    """Which API key is stored."""
    accounts: Mapping[str, str] = field(default_factory=lambda: {"key 1": "ours"})
    """Whose each key is."""
    names_account: bool = True
    """Whether Runflow names the account of a key."""


def ends_well(_request: Mapping[str, Any]) -> Ending:
    """Every run is cleaned and billed."""
    return Ending()


def no_fault(_operation: str) -> Fault | None:
    """Every call is answered."""
    return None


class FakeRuns:
    """See `detag.ports.runs.Runs`. Its effects are "runs.<method>".

    `ending` plans each run when it is made, from the request's body; `fault` is asked before each "create", "get",
    "redeliver" and "page"; `cleaned` draws the outputs. An effect that raises after "runs.create" must not raise what
    the port promises only before: an answer that was lost is a `Fault`.
    """

    def __init__(
        self,
        photos: FakePhotoStore,
        clock: Clock,
        effect: Effect = no_effect,
        *,
        ending: Callable[[Mapping[str, Any]], Ending] = ends_well,
        fault: Callable[[str], Fault | None] = no_fault,
        cleaned: Callable[[bytes, str], bytes] | None = None,
    ) -> None:
        self.habits = Habits()
        self.ending, self.fault = ending, fault
        self.runs: dict[str, FakeRun] = {}
        """Every run ever made, in the order of making."""
        self.posts: list[tuple[str, str]] = []
        """Body and Idempotency-Key of every POST that reached Runflow."""
        self.ended: list[FakeRun] = []
        """Every run whose callback is due, in that order: it has ended, or its callback was asked for again. A test
        takes out what it has sent.
        """
        self.shown_as_sent: set[str] = set()
        """Runs whose `input` is shown as it was sent, whatever the habit."""
        self._going: dict[str, FakeRun] = {}
        self._late: list[tuple[float, str, str, str]] = []
        self._answers: dict[tuple[str, str], tuple[str, Outcome]] = {}
        self._photos, self._clock, self._effect = photos, clock, effect
        self._clean = cleaned or clean

    # What Runflow does by itself

    @property
    def billed(self) -> Decimal:
        """All that was charged, in US dollars."""
        return sum((run.billed for run in self.runs.values()), Decimal(0))

    def next_at(self) -> float:
        """When something next happens by itself; infinity for never."""
        return min((*(one[0] for one in self._late), *(run.next_at for run in self._going.values())), default=math.inf)

    def tick(self) -> None:
        """Let happen what is due by now, in the order of its times. Every call begins with it."""
        now = self._clock.now()
        while self._late and min(self._late)[0] <= now:
            late = when, body, key, whose = min(self._late)
            self._late.remove(late)
            self._post(body, key, when, whose)
        while (run := min(self._going.values(), key=lambda run: run.next_at, default=None)) and run.next_at <= now:
            if run.status == "queued":
                self._begin(run)
            else:
                self._end(run, run.next_at, run.ending.status, run.ending.code, run.ending.message)

    def _begin(self, run: FakeRun) -> None:
        starts, run.status = run.next_at, "running"
        try:
            photo = self._photos.open_url(str(run.request["input"]["image_url"]), starts)
        except (Archived, Denied, Missing) as error:
            self._end(run, starts, "failed", "INPUT_UNREADABLE", f"image_url cannot be read: {error}", free=True)
            return
        run.photo = photo.data
        sent_as = f"{photo.content_type} {photo.content_encoding}".strip()
        if not re.fullmatch(r"image/\S+( identity)?", sent_as):
            self._end(run, starts, "failed", "INPUT_UNREADABLE", f"image_url is sent as {sent_as}", free=True)

    def _end(
        self, run: FakeRun, when: float, status: str, code: str | None, message: str | None, *, free: bool = False
    ) -> None:
        run.status, run.completed_at, run.code, run.message = status, when, code, message
        run.billed = Decimal(0) if free else run.ending.cost
        if self.habits.credit is not None:
            self.habits.credit -= run.billed
        self.ended.append(run)
        self._going.pop(run.run_id, None)

    def cancel(self, run_id: str) -> None:
        """Somebody cancels a run at Runflow, now; its planned cost is charged for the work done."""
        run = self.runs[run_id]
        if not run.ended:
            self._end(run, self._clock.now(), "canceled", None, None)

    def record(self, run: FakeRun) -> dict[str, Any]:
        """The run record of the API (contract section 2), its output URLs signed anew."""
        return {
            "id": run.run_id,
            "status_code": run.status,
            "target_type": "model",
            "client_ref": run.request.get("client_ref"),
            "metadata": run.request.get("metadata"),
            "callback_url": run.request.get("callback_url"),
            "input": self._input(run),
            "output": self._output(run),
            "cost": self._cost(run),
            "failure_code": run.code,
            "failure_message": run.message,
            "created_at": _iso(run.created_at - self.habits.clock_behind),
            "completed_at": None if run.completed_at is None else _iso(run.completed_at - self.habits.clock_behind),
        }

    def _cost(self, run: FakeRun) -> str | None:
        if run.completed_at is None or not run.ended or not run.ending.tells_cost:
            return None
        told = self._clock.now() >= run.completed_at + run.ending.cost_after or not run.billed
        return str(run.billed) if told else run.ending.cost_before

    def _input(self, run: FakeRun) -> dict[str, Any] | None:
        sent: dict[str, Any] | None = run.request.get("input")
        if not sent or self.habits.input_shown == "sent" or run.run_id in self.shown_as_sent:
            return sent
        if self.habits.input_shown == "nothing":
            return None
        return sent | self._shown(run, str(sent["image_url"]), sent.get("config", {}).get("aspect_ratio", "1:1"))

    def _shown(self, run: FakeRun, url: str, ratio: str) -> dict[str, Any]:
        match self.habits.input_shown:
            case "defaults":
                return {"config": {"aspect_ratio": ratio.replace(":", "x")}}
            case "requoted":
                return {"image_url": url.replace("%20", "+")}
            case "escaped twice":
                return {"image_url": url.replace("%", "%25")}
            case "asset":
                return {"image_url": f"runflow://assets/{run.number}"}
        return {"image_url": f"https://pub-0123456789abcdef.r2.dev/{run.number}"}

    def _entry(self, run: FakeRun) -> object:
        """An entry of the list."""
        record = self.record(run)
        match self.habits.list_entries:
            case "thin":
                return {name: record[name] for name in ("id", "status_code", "created_at")}
            case "ids":
                return run.run_id
            case "nested":
                return {"id": None, "run": record}
            case "no ids":
                return record | {"id": None}
        return record

    def callback(self, run: FakeRun) -> bytes:
        """The body that is POSTed to the run's callback_url (contract section 4), its output URLs signed now."""
        word = {"succeeded": "completed", "canceled": "cancelled"}.get(run.status, run.status)
        record = self.record(run)
        return json.dumps(
            {
                "event": f"run.{word}",
                "run_id": run.run_id,
                "status": run.status,
                "output": record["output"],
                "duration_ms": None,
                "created_at": record["created_at"],
                "completed_at": record["completed_at"],
                "metadata": record["metadata"],
            }
        ).encode()

    def _output(self, run: FakeRun) -> dict[str, Any] | None:
        if run.status not in ("succeeded", "partial_succeeded"):
            return None
        expires = self._clock.now() + self.habits.output_url_seconds
        kind = run.ending.content_type.removeprefix("image/")
        urls = []
        for number in range(1, run.ending.images + 1):
            url = f"https://{HOST}/outputs/{run.run_id}/{number}.{_ENDS.get(kind, kind)}?expires={expires}"
            urls.append(f"{url}&signature={_signature(url)}")
        if self.habits.output == "image_urls":
            return {"image_urls": urls}
        return {"outputs": [{"url": url, "type": "image"} for url in urls], "seed": None}

    def read_output_url(self, url: str) -> bytes:
        """What an output URL gives. Raises `OutputUrlExpired`, or `Unsafe` for a URL that is none of Runflow's."""
        parts = urlsplit(url)
        unsigned, _, signature = url.partition("&signature=")
        if parts.netloc == HOST and not parts.query:
            raise OutputUrlExpired("the URL answered 403")
        run = self.runs.get(parts.path.split("/")[2]) if parts.netloc == HOST and parts.path.count("/") == 3 else None
        if run is None or signature != _signature(unsigned):
            raise Unsafe("not a URL of Runflow's")
        if run.lost or self._clock.now() >= float(parse_qs(parts.query)["expires"][0]):
            raise OutputUrlExpired("the URL answered 403")
        return self.output_of(run, int(parts.path.rpartition("/")[2].partition(".")[0]))

    def output_of(self, run: FakeRun, number: int = 1) -> bytes:
        """Output `number` of a run: drawn from the bytes that it read, and from nothing else."""
        if run.ending.instead is not None:
            return run.ending.instead
        source = (run.photo or b"") + (b"" if number == 1 else str(number).encode())
        return self._clean(source, run.ending.content_type)

    # The port

    def ready(self) -> None:
        """See `Runs`."""
        with self._effect("runs.ready"):
            self._key()

    def _key(self) -> None:
        if not self.habits.configured:
            raise NotConfigured("RunflowApiKey: it has no value yet")

    def account(self) -> tuple[str, ...]:
        """See `Runs`. No effect of its own: it says what is known of the key that is stored."""
        self._key()
        return self._names(self.habits.key)

    def _names(self, key: str) -> tuple[str, ...]:
        return (key, f"of {self.habits.accounts[key]}") if self.habits.names_account else (key,)

    def _is_foreign(self, key: str, account: tuple[str, ...] | None) -> bool:
        return account is not None and not same_account(account, self._names(key))

    def create(
        self, body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None
    ) -> Outcome:
        """See `Runs`."""
        with self._effect("runs.create"):
            self._key()
            if timeout <= 0:
                raise Transient("no time left to wait for Runflow's answer")
            if self._is_foreign(self.habits.key, account):
                raise Transient(OTHER_ACCOUNT)
            whose = self.habits.accounts[self.habits.key]
            self.tick()
            fault, now = self.fault("create"), self._clock.now()
            if fault is None:
                return self._post(body, idempotency_key, now, whose)
            outcome, known = _outcome(fault), (whose, idempotency_key) in self._answers
            if fault.effect and fault.late:
                self._late.append((now + fault.late, body, idempotency_key, whose))
            elif fault.effect:
                self._post(body, idempotency_key, now, whose)
            if fault.status is not None and not known and self.habits.idempotency == "cached":
                self._answers[whose, idempotency_key] = (body, outcome)
            return outcome

    def _post(self, body: str, key: str, now: float, whose: str) -> Outcome:
        self.posts.append((body, key))
        known = self._answers.get((whose, key)) if self.habits.idempotency != "ignored" else None
        if known is not None:
            same = known[0] == body and self.habits.idempotency != "conflict"
            return known[1] if same else Ambiguous("Runflow answered 409", down=False)
        outcome = self._made(body, now, whose)
        if isinstance(outcome, Accepted) or self.habits.idempotency == "cached":
            self._answers[whose, key] = (body, outcome)
        return outcome

    def _made(self, body: str, now: float, whose: str) -> Outcome:
        if not self.habits.key_good:
            return Refused(401, "UNAUTHORIZED", "Invalid API key.")
        if self.habits.credit is not None and self.habits.credit <= 0:
            return Refused(402, "INSUFFICIENT_CREDIT", "Your balance is too low.")
        request, number = json.loads(body), len(self.runs) + 1
        run_id = f"0198c0de-7a11-7000-8000-{number:012x}"
        run = FakeRun(run_id, number, request, now, self.ending(request), account=whose)
        self.runs[run_id] = self._going[run_id] = run
        return Accepted(run_id)

    def get(self, run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        """See `Runs`."""
        with self._effect("runs.get"):
            key = self.habits.key
            self._ask("get")
            run = self.runs.get(run_id)
            known = run is not None and not run.lost and run.account == self.habits.accounts[key]
            if run is None or not known or self._clock.now() < run.created_at + self.habits.known_after:
                if self._is_foreign(key, account):
                    raise OtherAccount(OTHER_ACCOUNT)
                return None
            record = self.record(run)
            if not self._signs(asked=signed):
                record["output"] = json.loads(re.sub(r"\?[^\"]*", "", json.dumps(record["output"])))
            return read_run(record)

    def _signs(self, *, asked: bool) -> bool:
        return {"always": True, "when asked": asked, "unless asked": not asked}.get(self.habits.signs, False)

    def redeliver(self, run_id: str) -> None:
        """See `Runs`."""
        with self._effect("runs.redeliver"):
            key = self.habits.key
            self._ask("redeliver")
            run = self.runs.get(run_id)
            known = run is not None and not run.lost and run.account == self.habits.accounts[key]
            if run is None or not known or not self.habits.redelivers:
                raise Transient("Runflow answered 404")
            if not run.ended:
                raise Transient("Runflow answered 422")
            self.ended.append(run)

    def page(self, cursor: str | None = None, account: tuple[str, ...] | None = None) -> RunPage:
        """See `Runs`."""
        with self._effect("runs.page"):
            key = self.habits.key
            self._ask("page")
            self._list()
            length = self.habits.page_limit
            seen = list(islice(self._listed(key, after=cursor), length + 1))
            here = seen[:length]
            following = f"{self._place(here[-1])}".zfill(self.habits.cursor_length) if len(seen) > len(here) else None
            if following and not self.habits.list_followable:
                raise Transient("Runflow's list goes on without a usable cursor")
            page = RunPage.of(map(self._entry, here), following)
            return replace(page, foreign=self._is_foreign(key, account))

    def named(self, client_ref: str) -> tuple[Run, ...]:
        """See `Runs`."""
        with self._effect("runs.named"):
            key = self.habits.key
            self._ask("page")
            self._list()
            reading = self.habits.client_ref_filter
            if reading == "refused":
                raise Transient("Runflow answered 422")
            shown = iter(()) if reading == "none" else self._listed(key)
            if reading == "honoured":
                shown = (run for run in shown if run.request.get("client_ref") == client_ref)
            return RunPage.of(map(self._entry, islice(shown, NAMED)), None).runs

    def _list(self) -> None:
        if not self.habits.may_list:
            raise Unauthorized("Runflow answered 403")
        if not self.habits.list_readable:
            raise Transient("Runflow's list of runs cannot be read")

    def _listed(self, key: str, after: str | None = None) -> Iterator[FakeRun]:
        """The runs that the list shows by now to a key, in its order, from a cursor on."""
        now, account = self._clock.now(), self.habits.accounts[key]
        seen = -1 if after is None else int(after)
        places = sorted((place, run) for run in self.runs.values() if (place := self._place(run)) > seen)
        return (run for _, run in places if run.account == account and not run.lost and now >= self.listed_at(run))

    def listed_at(self, run: FakeRun) -> float:
        """When a run is first in the list."""
        return run.created_at + self.habits.visible_after

    def _place(self, run: FakeRun) -> int:
        """Where a run is in the list: a cursor names the place of the last one seen."""
        if self.habits.order == "none":
            return run.number * 7_919 % 10_007 * 1_000_000 + run.number
        if self.habits.order == "ascending":
            return run.number
        group = run.number % 3 if self.habits.order == "grouped" else 0
        return group * 2_000_000_000 + 1_000_000_000 - run.number

    def _ask(self, operation: str) -> None:
        self._key()
        self.tick()
        fault = self.fault(operation)
        if not self.habits.key_good or (fault is not None and fault.status in (401, 403)):
            raise Unauthorized("Runflow answered 401")
        if fault is not None:
            raise Transient(f"Runflow answered {fault.status}" if fault.status else "Runflow cannot be reached")


def _outcome(fault: Fault) -> Outcome:
    status = fault.status
    if status is None:
        return Ambiguous("no answer: ReadTimeout")
    if 400 <= status < 500 and status not in (408, 409):
        return Refused(status, fault.code, fault.message, fault.retry_after)
    return Ambiguous(f"Runflow answered {status}", down=status != 409)


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat()


def _signature(unsigned: str) -> str:
    return hmac.digest(_KEY, unsigned.encode(), "sha256").hex()


# Image files


def clean(photo: bytes, content_type: str) -> bytes:
    """The output of a photo: a small image of a type that names the photo by its hash. No two photos have the same."""
    return tiny_image(content_type, b"cleaned " + hashlib.sha256(photo).hexdigest().encode())


def tiny_image(content_type: str, note: bytes) -> bytes:
    """A file of some hundred bytes that holds `note` and has the beginning and the end of a JPEG, PNG, WebP or GIF.

    Raises KeyError for another type.
    """
    return _DRAWN[content_type](note)


def _jpeg(note: bytes) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(note)) + note
    size = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 8, 8, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + comment + size + b"\xff\xd9"


def _png(note: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * 8) * 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"Comment\0" + note)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def _webp(note: bytes) -> bytes:
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x04\0\0\0" + b"\x07\0\0" + b"\x07\0\0"
    remark = b"XMP " + struct.pack("<I", len(note)) + note + b"\0" * (len(note) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(remark)) + b"WEBP" + canvas + remark


def _gif(note: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"\x21\xfe" + bytes([len(note)]) + note + b"\0;"


_DRAWN: Final[dict[str, Callable[[bytes], bytes]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
}
