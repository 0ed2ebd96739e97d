"""Runflow over HTTPS."""

from __future__ import annotations

import json
import math
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from threading import Lock
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx

from detag.adapters.http import (
    USER_AGENT,
    Headers,
    Network,
    RequestFailed,
    client,
    header,
    read_all,
    request_to,
)
from detag.adapters.invocation import INVOCATION
from detag.domain.outcomes import Accepted, Ambiguous, Outcome, Refused
from detag.domain.runs import MODEL, Run, failure_of, names_of_key, read_run, run_id_of, same_account
from detag.domain.values import dataclass
from detag.domain.waits import ACCOUNT_AGAIN
from detag.ports.errors import Transient
from detag.ports.runs import OtherAccount, RunPage, Unauthorized

ACCOUNT_SECONDS: Final = 3.0
"""Short: a photo is sent whether or not Runflow says whose the key is."""
READ_SECONDS: Final = 10.0
PAGE_SECONDS: Final = 20.0
KEEP_SECONDS: Final = 3.0
"""What a call leaves of its invocation, to write down what it brought."""
PAGE_LIMIT: Final = 500
"""The most that a page may hold (contract section 3)."""
NAMED_LIMIT: Final = 10
FIELDS: Final = "id,status_code,client_ref,metadata,input,output,cost,failure_code,failure_message,created_at"
"""What is read of an entry of the list: one that is not asked for them may leave them out (contract 16.9)."""
RECORD_BYTES: Final = 2 * 1024 * 1024
PAGE_BYTES: Final = 32 * 1024 * 1024
"""A record holds two presigned URLs and some names: 500 of them are about 3 MB."""


class ApiKey(Protocol):
    """The API key, given by a call, which raises `NotConfigured` or `Transient`."""

    def __call__(self) -> str:
        """The key."""
        ...

    def forget(self) -> None:
        """Read it anew the next time."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after: float | None
    goes_on: bool = False
    """Whether its status or a header says that there is more than its body shows."""

    def json(self) -> object:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def record(self) -> Mapping[str, Any]:
        """The body as a JSON object; one of any other kind as the detail of one."""
        answer = self.json()
        return answer if isinstance(answer, Mapping) else {"detail": self.body[:2_000].decode(errors="replace")}


class RunflowRuns:
    """See `detag.ports.runs.Runs`. For many threads; connections are shared, and none is trusted after a pause.

    `api_url` is such as https://api.runflow.io; a path in it is kept.
    """

    def __init__(
        self,
        api_url: str,
        api_key: ApiKey,
        tls: ssl.SSLContext,
        network: Network | None = None,
        page_limit: int = PAGE_LIMIT,
    ) -> None:
        parts = urlsplit(api_url)
        self._origin = httpx.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port)
        self._path = parts.path.rstrip("/")
        self._api_key, self._page_limit = api_key, page_limit
        self._accounts: dict[str, tuple[tuple[str, ...], float]] = {}
        """By key, what its account is known by, and until when that is not asked again, on the monotonic clock."""
        self._asking = Lock()
        self._client = client(tls, network or Network())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ready(self) -> None:
        """See `Runs`."""
        self._api_key()

    def account(self) -> tuple[str, ...]:
        """See `Runs`."""
        return self._names_of(self._api_key())

    def _names_of(self, key: str) -> tuple[str, ...]:
        with self._asking:  # the other photos of a batch wait for the same answer
            names, until = self._accounts.get(key, ((), 0.0))
            if not names or time.monotonic() >= until:
                names, seconds = self._ask_whose(key)
                self._accounts[key] = names, time.monotonic() + seconds
            return names

    def _ask_whose(self, key: str) -> tuple[tuple[str, ...], float]:
        """What the account of a key is known by, and for how many seconds that is not asked again."""
        seconds = min(ACCOUNT_SECONDS, INVOCATION.left(KEEP_SECONDS))
        try:
            answer = self._call("GET", "/v1/auth/me", key, seconds, RECORD_BYTES) if seconds > 0 else None
        except RequestFailed:
            answer = None
        if answer is None or answer.status in (401, 408, 429) or answer.status >= 500:
            return names_of_key(key, None), ACCOUNT_AGAIN.seconds
        return names_of_key(key, answer.json() if answer.status == 200 else None), math.inf

    def _is_foreign(self, key: str, account: tuple[str, ...] | None) -> bool:
        """Whether a key is of another account, or may be. It is then read anew, since the right one may be stored."""
        if account is None or same_account(account, names_of_key(key, None)):
            return False
        foreign = not same_account(account, self._names_of(key))
        if foreign:
            self._api_key.forget()
        return foreign

    def create(
        self, body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None
    ) -> Outcome:
        """See `Runs`.

        A connection that could not even be made counts as ambiguous too: that is safe, and intake learns of the outage.
        """
        key = self._api_key()
        if self._is_foreign(key, account):
            raise Transient(_FOREIGN)
        timeout = min(timeout, INVOCATION.left(KEEP_SECONDS))
        if timeout <= 0:
            raise Transient("no time left to wait for Runflow's answer")
        headers = [(b"Content-Type", b"application/json"), (b"Idempotency-Key", idempotency_key.encode())]
        try:
            answer = self._call(
                "POST", f"/v1/models/{quote(MODEL)}/runs", key, timeout, RECORD_BYTES, headers, body.encode()
            )
        except RequestFailed as error:
            return Ambiguous(f"no answer: {error}")
        return outcome_of(answer.status, answer.record(), answer.retry_after)

    def get(self, run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        """See `Runs`."""
        asked, key = {"add_signature": "true"} if signed else {}, self._api_key()
        answer = self._read(key, f"/v1/runs/{quote(run_id, safe='')}", {}, asked, READ_SECONDS, RECORD_BYTES)
        if answer.status in (403, 404) and self._is_foreign(key, account):
            raise OtherAccount(_FOREIGN)
        if answer.status == 404:
            return None
        run = read_run(_expected(answer))
        if run is None or run.run_id != run_id:
            raise Transient("Runflow's answer is not the record of this run")
        return run

    def redeliver(self, run_id: str) -> None:
        """See `Runs`."""
        key, seconds = self._api_key(), min(READ_SECONDS, INVOCATION.left(KEEP_SECONDS))
        if seconds <= 0:
            raise Transient("no time left to ask Runflow")
        path = f"/v1/runs/{quote(run_id, safe='')}/callback-redeliveries"
        try:
            _expected(self._call("POST", path, key, seconds, RECORD_BYTES))
        except RequestFailed as error:
            raise Transient(f"Runflow cannot be reached: {error}") from None

    def page(self, cursor: str | None = None, account: tuple[str, ...] | None = None) -> RunPage:
        """See `Runs`."""
        key = self._api_key()
        query = {"sort_by": "created_at:desc", "limit": str(self._page_limit)} | ({"pq": cursor} if cursor else {})
        answer = self._list(key, query)
        page = read_page(_expected(answer), self._page_limit, is_first=cursor is None)
        if page.next is None and answer.goes_on:
            raise Transient(_NO_CURSOR)
        if page.next is not None and page.next == cursor:
            raise Transient("Runflow's list does not go on")
        return replace(page, foreign=self._is_foreign(key, account))

    def named(self, client_ref: str) -> tuple[Run, ...]:
        """See `Runs`."""
        answer = self._list(self._api_key(), {"q": f"client_ref.EQ:'{client_ref}'", "limit": str(NAMED_LIMIT)})
        return RunPage.of(_entries(_record(_expected(answer))), None).runs

    def _list(self, key: str, query: Mapping[str, str]) -> _Answer:
        return self._read(key, "/v1/runs", query, {"fields": FIELDS}, PAGE_SECONDS, PAGE_BYTES)

    def _read(
        self, key: str, path: str, query: Mapping[str, str], optional: Mapping[str, str], seconds: float, most: int
    ) -> _Answer:
        """The answer to a GET. `optional` parameters are on no page of the route: where they are refused, it is asked
        without them.
        """
        seconds = min(seconds, INVOCATION.left(KEEP_SECONDS))
        if seconds <= 0:
            raise Transient("no time left to ask Runflow")
        try:
            answer = self._call("GET", _with_query(path, {**query, **optional}), key, seconds, most)
            left = min(seconds, INVOCATION.left(KEEP_SECONDS))
            if answer.status in (400, 422) and optional and left > 0:
                answer = self._call("GET", _with_query(path, query), key, left, most)
        except RequestFailed as error:
            raise Transient(f"Runflow cannot be reached: {error}") from None
        return answer

    def _call(
        self,
        method: str,
        path: str,
        key: str,
        seconds: float,
        most: int,
        headers: Headers = (),
        content: bytes | None = None,
    ) -> _Answer:
        common = [
            (b"Authorization", b"Bearer " + key.encode()),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", USER_AGENT),
        ]
        target = (self._path + path).encode()
        request = request_to(self._origin, method, target, [*common, *headers], time.monotonic() + seconds, content)
        with closing(self._client.send(request, stream=True)) as response:
            body = read_all(response, most)
        goes_on = response.status_code == 206 or _LINK_NEXT.search(header(response, b"link") or b"") is not None
        answer = _Answer(response.status_code, body, retry_after_of(header(response, b"retry-after")), goes_on)
        if answer.status in (401, 403):
            self._api_key.forget()
        return answer


_FOREIGN: Final = "the stored API key is of another account than the run"
_NO_CURSOR: Final = "Runflow's list goes on without a usable cursor"
_LINK_NEXT: Final = re.compile(rb"""(?i)\brel\s*=\s*["']?[^"',;]*\bnext\b""")


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def outcome_of(status: int, record: Mapping[str, Any], retry_after: float | None) -> Outcome:
    """What an answer to the POST means for the budget: by its status alone, but for the run's id (contract
    section 6).
    """
    if 200 <= status < 300:
        run_id = run_id_of(record.get("id")) or run_id_of(record.get("run_id"))  # contract 16.4
        return Accepted(run_id) if run_id else Ambiguous(f"{status} without a run id")
    if 400 <= status < 500 and status not in (408, 409):
        code, message = failure_of(record)
        return Refused(status, code, message, retry_after)
    return Ambiguous(f"Runflow answered {status}", down=status != 409)


def retry_after_of(value: bytes | None) -> float | None:
    """Seconds of a Retry-After header; None for a date or anything else (contract section 7)."""
    if value is None or not re.fullmatch(rb"\d{1,9}(\.\d{1,9})?", value):
        return None
    return float(value)


def read_page(answer: object, asked: int = PAGE_LIMIT, *, is_first: bool = True) -> RunPage:
    """A page of the run list: bare, or under `data`, `items`, `runs` or `results` with a cursor (contract 13.15).
    `asked`: how many entries were asked for.

    Raises `Transient` for anything else, and where more follows in a way that no page describes: if that looked like
    the end of the list, the photo whose run is searched for would be sent, and paid for, again.
    """
    record = _record(answer)
    entries, cursor = _entries(record), _cursor(record)
    if record.get("error") or record.get("errors"):
        raise Transient("Runflow's list of runs is not whole")
    if cursor is None and _goes_on(record, len(entries), asked, is_first=is_first):
        raise Transient(_NO_CURSOR)
    return RunPage.of(entries, cursor)


_LISTS: Final = ("data", "items", "runs", "results")
_PLACES: Final = ("pagination", "page", "meta", "links")
_MORE: Final = re.compile(r"next|more|truncated|incomplete")
"""Names whose value says that more follows, letters only; and, where it is false, those of `_OVER`."""
_OVER: Final = re.compile(r"(?:is)?(?:last|final|end|done|complete|completed|finished)(?:page)?")
_TOTALS: Final = re.compile(r"(?:count|hits|numfound|total(?:count|items|results|elements|entries|records|runs)?)")
_PAGES: Final = re.compile(r"(?:pages|numpages|pagecount|lastpage|totalpages)")
_SIZE: Final = re.compile(r"(?:page)?(?:limit|size)|perpage")
_CURSOR: Final = re.compile(r"(?:cursor|token|pq|after|lastid)$")
_MOST: Final = (100, 200, 250)
"""Entries that others' lists have at most: no page of Runflow's was seen that has fewer than were asked for and goes on
without saying so (contract 13.15).
"""


def _record(answer: object) -> Mapping[str, Any]:
    return answer if isinstance(answer, Mapping) else {"data": answer}


def _entries(record: Mapping[str, Any]) -> list[Any]:
    """All that a page lists, under whichever name. Raises `Transient` where it has no list."""
    lists = [value for name in _LISTS if isinstance(value := record.get(name), list)]
    if not lists:
        raise Transient("Runflow's list of runs cannot be read")
    return [entry for one in lists for entry in one]


def _cursor(record: Mapping[str, Any]) -> str | None:
    places = [record, *(value for name in _PLACES if isinstance(value := record.get(name), Mapping))]
    cursor = next((value for place in places for name in ("next_pq", "next") if (value := place.get(name))), None)
    if isinstance(cursor, str) and "?" in cursor:  # a URL in place of a cursor
        cursor = next(iter(parse_qs(urlsplit(cursor).query).get("pq", ())), "")
    if cursor is not None and (not isinstance(cursor, str) or not cursor or "://" in cursor):
        raise Transient(_NO_CURSOR)
    return cursor


def _goes_on(record: Mapping[str, Any], shown: int, asked: int, *, is_first: bool) -> bool:
    """Whether a page without a cursor says that more follows, or says nothing of its end and may be full: as many as
    were asked for, or as it says that it has at most, or as services give who were asked for more; or with a cursor of
    another name.
    """
    says_end, full = False, shown in (asked, *_MOST)
    for name, value in _said(record):
        if (_MORE.search(name) and _is_yes(value)) or (_OVER.fullmatch(name) and value is False):
            return True
        total = _TOTALS.fullmatch(name)
        if is_first and (total or _PAGES.fullmatch(name)) and _number(value) > (shown if total else 1):
            return True
        says_end = says_end or bool(_MORE.search(name) or _OVER.fullmatch(name) or total)
        full = full or (is_first and bool(_CURSOR.search(name)) and _is_yes(value))
        full = full or (bool(_SIZE.fullmatch(name)) and _number(value) == shown > 0)
    return full and not says_end


def _said(record: Mapping[str, Any], deep: int = 4) -> Iterator[tuple[str, object]]:
    """What a page says beside its entries: each name, letters only, and its value."""
    for name, value in record.items():
        word = re.sub(r"[^a-z]", "", str(name).lower())
        if isinstance(value, Mapping) and deep:
            yield from ((word if word == "next" else inner, one) for inner, one in _said(value, deep - 1))
        elif not isinstance(value, list):
            yield word, value


def _is_yes(value: object) -> bool:
    return bool(value) and str(value).strip().lower() not in ("", "false", "no", "0", "null", "none")


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else 0.0
    except ValueError:
        return 0.0


def _expected(answer: _Answer) -> object:
    """The JSON of a good answer to a read."""
    if answer.status in (401, 403):
        raise Unauthorized(f"Runflow answered {answer.status}")
    if not 200 <= answer.status < 300:
        raise Transient(f"Runflow answered {answer.status}")
    return answer.json()
