"""Runflow's API, byte by byte: what is sent, and what each answer is taken for."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from detag.adapters.http import Network
from detag.adapters.runflow import (
    FIELDS,
    PAGE_BYTES,
    RECORD_BYTES,
    RunflowRuns,
    outcome_of,
    read_page,
    retry_after_of,
)
from detag.domain.outcomes import Accepted, Ambiguous, Outcome, Refused
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured, Unauthorized
from tests.wire import Wire, answer, resolver

EXAMPLES = json.loads((Path(__file__).parents[2] / "data/runflow/examples.json").read_text(encoding="utf-8"))
RUN_ID = "0198c0de-7a11-7000-8000-0123456789ab"
BODY = '{"input": {"image_url": "https://b.s3.amazonaws.com/a%20b?X-Amz-Signature=0"}}'
KEY = "k" * 64


class Key:
    """Counts how often it was asked for and forgotten."""

    def __init__(self, key: str | None = "rf_live_1") -> None:
        self.key, self.asked, self.forgotten = key, 0, 0

    def __call__(self) -> str:
        self.asked += 1
        if self.key is None:
            raise NotConfigured("nothing is stored")
        return self.key

    def forget(self) -> None:
        self.forgotten += 1


def runs_over(wire: Wire, key: Key | None = None, url: str = "https://api.runflow.test") -> RunflowRuns:
    network = Network(resolve=resolver({"api.runflow.test": ["1.1.1.1"]}), inner=wire)
    return RunflowRuns(url, key or Key(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), network)


def created(*answers: Iterable[bytes], key: Key | None = None) -> Outcome:
    return runs_over(Wire(answers), key).create(BODY, KEY, 10)


def said(status: int, body: Any = None, **headers: str) -> list[bytes]:
    return answer(status, json.dumps(body).encode(), **headers)


# What is sent


def test_a_post_is_the_stored_bytes_under_their_key() -> None:
    """A POST is the stored bytes under their key, and nothing else."""
    wire = Wire([said(201, {"id": RUN_ID})])
    assert runs_over(wire).create(BODY, KEY, 10) == Accepted(RUN_ID)
    assert wire.sent == [
        b"POST /v1/models/runflow/tag-removal/runs HTTP/1.1\r\nHost: api.runflow.test\r\n"
        b"Authorization: Bearer rf_live_1\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
        b"User-Agent: detag/1\r\nContent-Type: application/json\r\nIdempotency-Key: " + KEY.encode() + b"\r\n"
        b"Content-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY.encode()
    ]
    assert wire.hosts == ["api.runflow.test"]


def test_a_read_says_who_asks() -> None:
    wire = Wire([said(200, {"id": "a-b_1", "status_code": "queued"})])
    run = runs_over(wire).get("a-b_1")
    assert run is not None
    assert wire.sent[0].startswith(b"GET /v1/runs/a-b_1?add_signature=true HTTP/1.1\r\n")
    assert b"Authorization: Bearer rf_live_1\r\n" in wire.sent[0]


def test_a_callback_is_asked_for_again_by_a_post_without_a_body() -> None:
    wire = Wire([said(201, {"id": "delivery-1"})])
    runs_over(wire).redeliver("a-b_1")
    assert wire.sent[0].startswith(b"POST /v1/runs/a-b_1/callback-redeliveries HTTP/1.1\r\n")
    assert b"Authorization: Bearer rf_live_1\r\n" in wire.sent[0]
    assert b"\r\nContent-Length: 0\r\n" in wire.sent[0]
    assert wire.sent[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "raised"),
    [(401, Unauthorized), (403, Unauthorized), (404, Transient), (422, Transient), (503, Transient)],
)
def test_a_callback_that_is_not_sent_again_says_why(status: int, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=str(status)):
        runs_over(Wire([said(status, {"code": "X"})])).redeliver("a-b_1")


def test_a_page_is_asked_for_newest_first_and_by_its_cursor() -> None:
    wire = Wire([[*said(200, {"items": [], "next_pq": "a+b/c=&d"}), *said(200, {"items": []})]])
    runs = runs_over(wire)
    cursor = runs.page().next
    assert cursor == "a+b/c=&d"
    runs.page(cursor)
    asked = b"".join(wire.sent).split(b"\r\n")
    fields = b"&fields=" + FIELDS.replace(",", "%2C").encode()
    assert asked[0] == b"GET /v1/runs?sort_by=created_at%3Adesc&limit=500" + fields + b" HTTP/1.1"
    assert b"GET /v1/runs?sort_by=created_at%3Adesc&limit=500&pq=a%2Bb%2Fc%3D%26d" + fields + b" HTTP/1.1" in asked


def test_a_filter_is_asked_in_the_words_of_the_official_script() -> None:
    """A filter on the name is asked for in the words that Runflow's own script uses."""
    wire = Wire([said(200, {"items": [RECORD]})])
    (run,) = runs_over(wire).named("a.1")
    assert run.run_id == RUN_ID
    assert wire.sent[0].startswith(b"GET /v1/runs?q=client_ref.EQ%3A%27a.1%27&limit=10&fields=")


@pytest.mark.parametrize("status", [400, 422])
def test_a_parameter_that_is_refused_is_left_out(status: int) -> None:
    """A read whose undocumented parameter is refused is asked once more without it."""
    wire = Wire([[*said(status, {}), *said(200, {"id": "r", "status_code": "queued"})]])
    assert runs_over(wire).get("r") is not None
    assert b"GET /v1/runs/r HTTP/1.1" in b"".join(wire.sent)
    wire = Wire([[*said(status, {}), *said(200, {"items": []})]])
    assert runs_over(wire).page().runs == ()
    assert b"GET /v1/runs?sort_by=created_at%3Adesc&limit=500 HTTP/1.1" in b"".join(wire.sent)


def test_a_record_can_be_asked_for_without_signatures() -> None:
    wire = Wire([said(200, {"id": "r", "status_code": "queued"})])
    runs_over(wire).get("r", signed=False)
    assert wire.sent[0].startswith(b"GET /v1/runs/r HTTP/1.1\r\n")


def test_a_create_may_name_its_run_otherwise() -> None:
    assert created(said(201, {"run_id": RUN_ID})) == Accepted(RUN_ID)


def test_a_path_in_the_address_is_kept() -> None:
    wire = Wire([said(201, {"id": RUN_ID})])
    runs_over(wire, url="http://api.runflow.test:8099/proxy/").create(BODY, KEY, 10)
    assert wire.sent[0].startswith(
        b"POST /proxy/v1/models/runflow/tag-removal/runs HTTP/1.1\r\nHost: api.runflow.test:8099"
    )
    assert (wire.connected, wire.hosts) == ([("1.1.1.1", 8099)], [None])


def test_one_post_is_sent_whatever_becomes_of_it() -> None:
    for first in ([], said(503, {}), said(302, {}, Location="https://api.runflow.test/other"), [b"nonsense"]):
        wire = Wire([first, said(201, {"id": RUN_ID})])
        assert isinstance(runs_over(wire).create(BODY, KEY, 10), Ambiguous)
        assert len(wire.sent) == 1


def test_without_a_key_nothing_is_sent() -> None:
    wire = Wire([])
    runs = runs_over(wire, Key(None))
    for call in (runs.ready, lambda: runs.create(BODY, KEY, 10), lambda: runs.get("r"), runs.page):
        with pytest.raises(NotConfigured):
            call()
    assert wire.connected == []


@pytest.mark.parametrize("timeout", [0, -1])
def test_without_time_nothing_is_sent(timeout: float) -> None:
    wire = Wire([])
    with pytest.raises(Transient):
        runs_over(wire).create(BODY, KEY, timeout)
    assert wire.connected == []


@pytest.mark.parametrize(
    ("status", "forgotten"), [(401, 1), (403, 1), (402, 0), (404, 0), (429, 0), (500, 0), (201, 0)]
)
def test_a_key_that_is_refused_is_read_anew_the_next_time(status: int, forgotten: int) -> None:
    key = Key()
    created(said(status, {"id": RUN_ID}), key=key)
    assert key.forgotten == forgotten


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_by_a_read_is_read_anew_too(status: int) -> None:
    key = Key()
    runs = runs_over(Wire([[*said(status, {}), *said(status, {})]]), key)
    for call in (lambda: runs.get("r"), runs.page):
        with pytest.raises(Unauthorized):
            call()
    assert (key.asked, key.forgotten) == (2, 2)


# What an answer to the POST is taken for


@pytest.mark.parametrize("example", EXAMPLES["create_run_responses"], ids=lambda example: example["kind"])
@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_an_id_is_a_run(example: dict[str, Any], status: int) -> None:
    assert created(said(status, example["body"])) == Accepted(example["body"]["id"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[1]",
        b'"id"',
        b"<html>",
        b"\xff\xfe\x00",
        b"{}",
        b'{"id": null}',
        b'{"id": 7}',
        b'{"id": ""}',
        b'{"id": "a/../b"}',
        b'{"id": "a b"}',
        b'{"id": "' + b"x" * 65 + b'"}',
        b'{"id": ["a"]}',
        b"[" * 100_000,
    ],
)
def test_a_2xx_without_a_usable_id_leaves_it_open(body: bytes) -> None:
    assert isinstance(created(answer(201, body)), Ambiguous)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 408, 409, 500, 501, 502, 503, 504, 520, 599])
def test_what_may_have_made_a_run_leaves_it_open(status: int) -> None:
    outcome = created(said(status, {"id": RUN_ID, "code": "X"}))
    assert isinstance(outcome, Ambiguous)
    assert outcome.down == (status != 409)


@pytest.mark.parametrize("status", [*range(400, 408), *range(410, 432), 451, 499])
def test_every_other_4xx_made_no_run(status: int) -> None:
    outcome = created(said(status, {"id": RUN_ID, "code": "X", "message": "why"}))
    assert outcome == Refused(status, "X", "why")


def example_name(example: dict[str, Any]) -> str:
    return f"{example['http_status']} {example['kind']}"


@pytest.mark.parametrize("example", EXAMPLES["error_bodies"], ids=example_name)
def test_every_published_error_body_is_read(example: dict[str, Any]) -> None:
    status, body = example["http_status"], example["body"]
    outcome = created(said(status, body))
    if status == 409:
        assert outcome == Ambiguous("Runflow answered 409", down=False)
        return
    assert isinstance(outcome, Refused)
    nested = body.get("error", body)
    assert (outcome.status, outcome.code) == (status, nested.get("code"))
    assert outcome.message == nested.get("message") or "Field required" in (outcome.message or "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no JSON at all", "no JSON at all"),
        (b"<h1>Bad\tGateway</h1>\n", "<h1>Bad Gateway</h1> "),
        (b"", None),
        (b'["a"]', '["a"]'),
        (b"x" * 10_000, "x" * 499 + "…"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
    ],
)
def test_a_refusal_need_not_be_json(body: bytes, message: str | None) -> None:
    assert created(answer(404, body)) == Refused(404, None, message)


@pytest.mark.parametrize(
    "shape",
    ["{}", '{"message": %s}', '{"error": {"message": %s}}', '{"detail": %s}', '{"detail": [{"input": %s}]}', "%s"],
)
def test_no_error_repeats_a_url_or_a_key(shape: str) -> None:
    echoed = json.dumps(
        "for https://b.s3.amazonaws.com/k?X-Amz-Signature=secret1 with Bearer rf_live_secret2 and whsec_secret3"
    )
    body = (shape % echoed if "%" in shape else shape).encode()
    for escaped in (body, body.replace(b"/", b"\\/")):
        outcome = created(answer(422, escaped))
        assert isinstance(outcome, Refused)
        assert "secret" not in (outcome.message or "")
        assert "amazonaws" not in (outcome.message or "")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7.0),
        (b"0", 0.0),
        (b"1.5", 1.5),
        (b"32", 32.0),
        (b"33", 33.0),
        (b"86400", 86_400.0),
        (b"", None),
        (b"-1", None),
        (b"nan", None),
        (b"inf", None),
        (b"1e9", None),
        (b"7 s", None),
        (b"\xd9\xa7", None),
        (b"Wed, 21 Oct 2026 07:28:00 GMT", None),
        (None, None),
    ],
)
def test_a_pause_is_heard_where_it_is_a_number(value: bytes | None, seconds: float | None) -> None:
    assert retry_after_of(value) == seconds


def test_a_pause_comes_with_the_refusal() -> None:
    assert created(said(429, {"code": "RATE_LIMITED"}, Retry_After="12")) == Refused(429, "RATE_LIMITED", None, 12.0)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"HTTP/1.1 201"],
        [b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"],
        [b"SSH-2.0-x\r\n"],
        [b"HTTP/1.1 201 Created\r\nContent-Length: x\r\n\r\n{}"],
        [b"HTTP/1.1 201 Created\r\n", *[b"X: " + b"x" * 60_000 + b"\r\n"] * 4],
    ],
)
def test_a_broken_connection_leaves_it_open(parts: list[bytes]) -> None:
    outcome = created(parts)
    assert isinstance(outcome, Ambiguous)
    assert outcome.down


def test_a_failed_connection_is_ambiguous_and_means_an_outage() -> None:
    """A connection that cannot be made leaves it open whether there is a run, and speaks for an outage."""
    wire = Wire([], refuse={"1.1.1.1"})
    assert runs_over(wire).create(BODY, KEY, 10) == Ambiguous("no answer: ConnectError")


def test_an_answer_without_an_end_leaves_it_open() -> None:
    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 201 Created\r\n\r\n" + b'{"id": "' + RUN_ID.encode() + b'", "x": "'
        while True:
            yield b"x" * 65_536

    assert created(endless()) == Ambiguous("no answer: TooLong")


@pytest.mark.parametrize("drip", [b"HTTP/1.1 201 Created\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n"])
def test_an_answer_that_drips_is_left_at_the_deadline(drip: bytes) -> None:
    def dripping() -> Iterator[bytes]:
        yield drip
        while True:
            time.sleep(0.02)
            yield b"x"

    began = time.monotonic()
    outcome = runs_over(Wire([dripping()])).create(BODY, KEY, 0.3)
    assert outcome == Ambiguous("no answer: ReadTimeout")
    assert time.monotonic() - began < 20


def test_the_outcome_goes_by_the_status_alone() -> None:
    assert outcome_of(400, {"id": RUN_ID}, None) == Refused(400)
    assert outcome_of(500, {"code": "INSUFFICIENT_CREDIT"}, None) == Ambiguous("Runflow answered 500")


# Reads


def read(*answers: Iterable[bytes]) -> object:
    return runs_over(Wire(answers)).get(RUN_ID)


def test_a_record_is_read_whatever_else_it_holds() -> None:
    body = EXAMPLES["create_run_responses"][0]["body"]
    assert read(said(200, {**body, "id": RUN_ID, "new_field": {"a": [1]}}))


def test_a_run_that_is_not_known_is_none() -> None:
    assert read(said(404, {"code": "RUN_NOT_FOUND"})) is None
    assert read(answer(404, b"<html>")) is None


@pytest.mark.parametrize("status", [301, 302, 400, 402, 408, 409, 418, 422, 429, 500, 503])
def test_any_other_status_is_transient(status: int) -> None:
    with pytest.raises(Transient):
        read(said(status, {"id": RUN_ID, "status_code": "failed"}))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"id": "another"}', b"[" * 100_000, b"\xff"])
def test_a_record_that_is_none_is_transient(body: bytes) -> None:
    with pytest.raises(Transient):
        read(answer(200, body))


@pytest.mark.parametrize("parts", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], [b"nonsense\r\n\r\n"]])
def test_a_broken_read_is_transient_and_names_no_url(parts: list[bytes]) -> None:
    with pytest.raises(Transient) as failure:
        read(parts)
    assert "api.runflow" not in str(failure.value)
    assert failure.value.__cause__ is None


def test_a_read_without_an_end_is_transient() -> None:
    assert RECORD_BYTES < PAGE_BYTES
    with pytest.raises(Transient):
        read([b"HTTP/1.1 200 OK\r\n\r\n", *[b" " * 1_000_000] * 3])


# The list

RECORD = {"id": RUN_ID, "status_code": "queued", "client_ref": "a.1"}


@pytest.mark.parametrize("name", ["data", "items", "runs", "results"])
@pytest.mark.parametrize(
    ("cursors", "following"),
    [
        ({}, None),
        ({"next_pq": None, "prev_pq": None}, None),
        ({"next_pq": ""}, None),
        ({"next": None, "previous": None, "first": "f"}, None),
        ({"next_pq": "c1", "prev_pq": "c0"}, "c1"),
        ({"next": "c1", "first": "c0"}, "c1"),
        ({"next": "https://api.runflow.io/v1/runs?limit=500&pq=c%2B1"}, "c+1"),
        ({"next": "/v1/runs?pq=c1&limit=500"}, "c1"),
        ({"next": "?pq=c1"}, "c1"),
        ({"next_pq": "YWJjpq=="}, "YWJjpq=="),
        ({"pagination": {"next_pq": "c1"}}, "c1"),
        ({"meta": {"next": "c1"}}, "c1"),
        ({"links": {"next": "https://api.runflow.io/v1/runs?pq=c1"}}, "c1"),
    ],
)
def test_a_page_is_read_in_every_shape(name: str, cursors: dict[str, Any], following: str | None) -> None:
    page = read_page({name: [RECORD], **cursors})
    assert ([run.run_id for run in page.runs], page.next) == ([RUN_ID], following)


def test_a_bare_list_is_a_page() -> None:
    page = read_page([RECORD])
    assert ([run.client_ref for run in page.runs], page.next, page.without_id) == (["a.1"], None, 0)


@pytest.mark.parametrize("entry", [RECORD, {"run": RECORD}, {"id": None, "data": RECORD}, RUN_ID, {"item": RUN_ID}])
def test_an_entry_is_read_wherever_its_id_is(entry: object) -> None:
    page = read_page([entry])
    assert ([run.run_id for run in page.runs], page.without_id) == ([RUN_ID], 0)


@pytest.mark.parametrize("entry", [RECORD | {"id": None}, {"no": "id"}, None, 7, "", "a/b", [RUN_ID], {"run": 7}])
def test_an_entry_without_an_id_is_counted(entry: object) -> None:
    """It is there, and cannot be asked for: a list that has one never proves that no run exists."""
    page = read_page([RECORD, entry])
    assert ([run.run_id for run in page.runs], page.without_id) == ([RUN_ID], 1)


@pytest.mark.parametrize("page", [None, {}, "x", 7, {"data": None}, {"items": {}}, {"total": 0}, {"error": "x"}])
def test_a_page_that_cannot_be_read_never_looks_like_the_end(page: object) -> None:
    with pytest.raises(Transient):
        read_page(page)


@pytest.mark.parametrize(
    "cursor",
    [7, True, ["c"], {"pq": "c"}, "https://api.runflow.io/v1/runs?page=2", "https://api.runflow.io/v1/runs/2", "?pq="],
)
@pytest.mark.parametrize("name", ["next", "next_pq"])
def test_a_cursor_that_cannot_be_read_never_looks_like_the_end(name: str, cursor: object) -> None:
    with pytest.raises(Transient):
        read_page({"items": [], name: cursor})


MORE: list[dict[str, Any]] = [
    {"has_more": True},
    {"hasMore": "true"},
    {"next_cursor": "c1"},
    {"nextPageToken": "c1", "next_pq": None},
    {"@odata.nextLink": "https://api.runflow.io/v1/runs?page=2"},
    {"pagination": {"next_cursor": "c1", "has_more": True}},
    {"meta": {"pagination": {"links": {"next": "https://api.runflow.io/v1/runs?pq=c1"}}}},
    {"pageInfo": {"endCursor": "c1", "hasNextPage": True}},
    {"links": {"next": {"href": "https://api.runflow.io/v1/runs?pq=c1"}}},
    {"paging": {"next": {"href": "https://api.runflow.io/v1/runs?pq=c1"}}},
    {"truncated": True},
    {"incomplete_results": True},
    {"last": False},
    {"done": False},
    {"total": 900},
    {"total_count": "2"},
    {"cursor": "c1"},
    {"pq": "c1"},
    {"continuation_token": "c1"},
    {"meta": {"starting_after": "run-1"}},
    {"last_id": "run-1"},
    {"limit": 1, "offset": 0},
    {"pagination": {"page": 1, "page_size": 1}},
    {"page": {"number": 1, "totalPages": 2}},
    {"error": "a shard did not answer"},
    {"errors": [{"code": "TIMEOUT"}]},
]


@pytest.mark.parametrize("said_more", MORE)
def test_what_says_that_more_follows_is_not_the_end(said_more: dict[str, Any]) -> None:
    """Without a cursor that can be followed, nothing is proved."""
    with pytest.raises(Transient):
        read_page({"items": [RECORD], **said_more})


@pytest.mark.parametrize(
    "said_end",
    [
        {"has_more": False},
        {"hasMore": "false", "next_cursor": None},
        {"next_cursor": ""},
        {"pagination": {"next_cursor": None, "has_more": False, "total": 1, "pages": 1}},
        {"last": True, "total": 1, "total_cost": 12.5},
        {"errors": [], "error": None},
        {"limit": 500, "offset": 0, "context": {"a": 1}},
        {"limit": 1, "total": 1},
        {"cursor": "c1", "has_more": False},
        {"cursor": None},
    ],
)
def test_what_says_that_nothing_follows_is_the_end(said_end: dict[str, Any]) -> None:
    assert read_page({"items": [RECORD], **said_end}).next is None


def test_totals_are_those_of_all_pages() -> None:
    """On a later page they tell nothing: the pages before it are counted too."""
    page = {"items": [RECORD], "total": 900, "pages": 2, "next_pq": None}
    assert read_page(page, is_first=False).next is None
    assert read_page(page | {"next_pq": "c1"}).next == "c1"


@pytest.mark.parametrize(
    ("page", "proved"),
    [([RECORD] * 3, False), ({"items": [RECORD] * 3}, False), ({"items": [RECORD] * 3, "next_pq": None}, True),
     ([RECORD] * 2, True), ([RECORD] * 4, True)],
)  # fmt: skip
def test_a_full_page_that_says_nothing_of_its_end_is_not_the_end(page: object, proved: bool) -> None:
    """As many as were asked for, and neither a cursor nor the place of one. More than that is no page."""
    with nullcontext() if proved else pytest.raises(Transient):
        assert read_page(page, asked=3).next is None


@pytest.mark.parametrize(("shown", "proved"), [(99, True), (100, False), (101, True), (250, False)])
def test_a_list_cut_without_a_word_is_not_the_end(shown: int, proved: bool) -> None:
    """Fewer than were asked for, and as many as other services give at most."""
    with nullcontext() if proved else pytest.raises(Transient):
        assert read_page([RECORD] * shown).next is None
    assert read_page({"items": [RECORD] * shown, "next_pq": None}).next is None


def test_on_a_later_page_the_cursor_may_be_its_own() -> None:
    assert read_page({"items": [RECORD], "cursor": "c1"}, is_first=False).next is None


def test_lists_of_several_names_are_one_page() -> None:
    page = read_page({"data": [], "runs": [RECORD], "results": [{"id": "r2"}]})
    assert [run.run_id for run in page.runs] == [RUN_ID, "r2"]


@pytest.mark.parametrize(
    ("status", "link", "more"),
    [
        ("200 OK", b"", False),
        ("200 OK", b'Link: <https://api.runflow.io/v1/runs?pq=c0>; rel="prev"\r\n', False),
        (
            "200 OK",
            b'Link: <https://a/first>; rel="first", <https://api.runflow.io/v1/runs?pq=c1>; rel="next"\r\n',
            True,
        ),
        ("200 OK", b"link: </v1/runs?pq=c1>; rel=next\r\n", True),
        ("206 Partial Content", b"Content-Range: runs 0-0/9\r\n", True),
    ],
)
def test_a_header_may_say_that_more_follows(status: str, link: bytes, more: bool) -> None:
    body = json.dumps({"items": [RECORD]}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + link + b"\r\n"
    with pytest.raises(Transient) if more else nullcontext():
        assert runs_over(Wire([[head, body]])).page().next is None


def test_what_is_found_by_its_name_is_found_though_more_follows() -> None:
    """A filter is a second witness: what it shows exists, wherever its pages end."""
    runs = runs_over(Wire([said(200, {"items": [RECORD], "has_more": True})]))
    assert [run.run_id for run in runs.named("a.1")] == [RUN_ID]


def test_a_list_that_does_not_go_on_is_not_followed_for_ever() -> None:
    runs = runs_over(Wire([[*said(200, {"items": [], "next_pq": "c"}), *said(200, {"items": [], "next_pq": "c"})]]))
    assert runs.page().next == "c"
    with pytest.raises(Transient):
        runs.page("c")


@pytest.mark.parametrize("answered", [said(500, {}), answer(200, b"<html>"), said(404, {}), []])
def test_a_page_that_is_not_had_is_transient(answered: list[bytes]) -> None:
    with pytest.raises(Transient):
        runs_over(Wire([answered])).page()
