"""Whose the stored API key is: asked once for each key, and never what a photo depends on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from detag.adapters.runflow import RunflowRuns
from detag.domain.outcomes import Accepted
from detag.domain.runs import names_of_key
from detag.ports.errors import Transient
from detag.ports.runs import OtherAccount, Unauthorized
from tests.unit.adapters.test_runflow import BODY, KEY, RUN_ID, Key, runs_over, said
from tests.wire import Wire, answer

OURS = {"organization_id": "o-1"}
FIRST = names_of_key("rf_live_1", OURS)


def line(*answers: list[bytes]) -> Wire:
    """One connection with these answers."""
    return Wire([[part for one in answers for part in one]])


def asked(wire: Wire) -> int:
    return b"".join(wire.sent).count(b"GET /v1/auth/me HTTP/1.1")


def test_the_account_is_asked_for_once_for_each_key() -> None:
    key, wire = Key(), line(said(200, OURS), said(201, {"id": RUN_ID}), said(200, OURS))
    runs = runs_over(wire, key)
    assert runs.account() == runs.account() == FIRST
    assert runs.create(BODY, KEY, 10, FIRST) == Accepted(RUN_ID)
    assert asked(wire) == 1
    key.key = "rf_live_2"
    assert runs.account() == runs.account() == names_of_key("rf_live_2", OURS)
    assert asked(wire) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 302])
def test_an_answer_without_an_account_is_final(status: int) -> None:
    """Where Runflow does not tell, the key stands for its account, and it is not asked again."""
    wire = line(said(status, OURS), said(status, OURS))
    runs = runs_over(wire)
    assert runs.account() == runs.account() == names_of_key("rf_live_1", None)
    assert asked(wire) == 1


@pytest.mark.parametrize("body", [b"", b"ok", b"{}", b"null", b"[" * 100_000])
def test_a_body_that_names_nothing_is_final(body: bytes) -> None:
    runs = runs_over(line(answer(200, body)))
    assert runs.account() == runs.account() == names_of_key("rf_live_1", None)


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_a_passing_failure_is_asked_about_again(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo is sent all the same; a minute later it is asked again, and not for every photo before that."""
    wire = Wire([said(status), said(200, OURS)])  # after a minute a new connection
    runs, now = runs_over(wire), time.monotonic()
    assert runs.account() == runs.account() == names_of_key("rf_live_1", None)
    assert asked(wire) == 1
    monkeypatch.setattr(time, "monotonic", lambda: now + 61.0)
    assert runs.account() == FIRST


def test_no_answer_stops_no_photo() -> None:
    wire = Wire([[], said(201, {"id": RUN_ID})])
    runs = runs_over(wire)
    assert runs.account() == names_of_key("rf_live_1", None)
    assert runs.create(BODY, KEY, 10, runs.account()) == Accepted(RUN_ID)


# What a key of another account proves

PROOFS: dict[str, tuple[tuple[str, ...], bool]] = {
    "the same key": (FIRST, False),
    "the same key, of which no account was known": (FIRST[:1], False),
    "another key of the same account": (names_of_key("rf_live_0", OURS), False),
    "another account's key": (names_of_key("rf_live_0", {"organization_id": "o-2"}), True),
    "another key, of which no account was known": (names_of_key("rf_live_0", None), True),
    "none was recorded": ((), True),
}


@pytest.mark.parametrize("known", PROOFS)
def test_a_404_proves_something_by_its_own_accounts_key(known: str) -> None:
    account, foreign = PROOFS[known]
    key = Key()
    runs = runs_over(line(said(404), said(200, OURS)), key)
    if foreign:
        with pytest.raises(OtherAccount):
            runs.get(RUN_ID, account=account)
        assert key.forgotten == 1, "the right key may be stored by now"
    else:
        assert runs.get(RUN_ID, account=account) is None


@pytest.mark.parametrize("known", PROOFS)
def test_a_page_says_whether_it_is_another_accounts(known: str) -> None:
    account, foreign = PROOFS[known]
    runs = runs_over(line(said(200, {"items": []}), said(200, OURS)))
    assert runs.page(None, account).foreign is foreign


@pytest.mark.parametrize("known", PROOFS)
def test_nothing_is_sent_with_another_accounts_key(known: str) -> None:
    account, foreign = PROOFS[known]
    needs_to_ask = not set(account) & set(FIRST[:1])
    wire = line(*([said(200, OURS)] if needs_to_ask else []), said(201, {"id": RUN_ID}))
    runs = runs_over(wire)
    if foreign:
        with pytest.raises(Transient):
            runs.create(BODY, KEY, 10, account)
        assert b"POST" not in b"".join(wire.sent)
    else:
        assert runs.create(BODY, KEY, 10, account) == Accepted(RUN_ID)


def test_what_another_accounts_key_shows_counts() -> None:
    wire = line(said(200, {"id": RUN_ID, "status_code": "running"}))
    assert runs_over(wire).get(RUN_ID, account=("key other",)) is not None
    assert asked(wire) == 0, "a run that is shown needs no proof"


def test_a_403_to_another_accounts_key_is_no_refusal_of_the_key() -> None:
    with pytest.raises(OtherAccount):
        runs_over(line(said(403), said(200, OURS))).get(RUN_ID, account=("key other",))
    with pytest.raises(Unauthorized):
        runs_over(line(said(403))).get(RUN_ID, account=FIRST)


CALLS: dict[str, Callable[[RunflowRuns], Any]] = {
    "get": lambda runs: runs.get(RUN_ID),
    "page": lambda runs: runs.page(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_read_that_names_no_account_asks_for_none(call: str) -> None:
    wire = line(said(200, {"items": [], "id": RUN_ID}))
    CALLS[call](runs_over(wire))
    assert asked(wire) == 0
