"""The run list (contract section 3, "Search", and contract 13.15)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.runflow.problems import Problem
from local.runflow.query import page, parse_filter
from tests.unit.local.runflow.harness import Harness, refused

pytestmark = pytest.mark.anyio

ROWS: list[dict[str, Any]] = [
    {
        "id": "1",
        "status_code": "failed",
        "client_ref": "a.1",
        "created_at": "2026-05-06T10:00:00+00:00",
        "duration_ms": 5,
    },
    {"id": "2", "status_code": "queued", "client_ref": "a.2", "created_at": "2026-05-06T11:00:00.5+00:00"},
    {
        "id": "3",
        "status_code": "succeeded",
        "client_ref": "b c",
        "created_at": "2026-05-07T10:00:00Z",
        "duration_ms": 90,
    },
]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("", "123"),
        ("status_code:failed", "1"),
        ("status_code = failed", "1"),
        ("status_code:Failed", ""),
        ("NOT status_code:failed", "23"),
        ("status_code:failed OR status_code:queued", "12"),
        ("status_code:failed AND client_ref:a.2", ""),
        ("status_code:failed client_ref:a.1", "1"),
        ('client_ref:"b c"', "3"),
        ("client_ref='b c'", "3"),
        ("created_at>=2026-05-06T11:00:00Z", "23"),
        ("created_at<2026-05-06T12:00:00+01:00", "1"),
        ("created_at>2026-05-06", "123"),
        ("duration_ms>5", "3"),
        ("duration_ms<=5", "1"),
        ("NOT (status_code:failed OR status_code:queued)", "3"),
        ("(status_code:failed OR status_code:queued) AND NOT client_ref:a.1", "2"),
        ("status_code:queued OR status_code:failed AND client_ref:zzz", "2"),
    ],
)
def test_a_filter_finds(q: str, found: str) -> None:
    assert "".join(row["id"] for row in ROWS if parse_filter(q)(row)) == found


@pytest.mark.parametrize(
    "q", ["status_code", "status_code:", ":x", "(status_code:x", "status_code:x)", "AND", "NOT", "a:b", "metadata:x",
          "created_at>yesterday", "status_code:x OR", "callback_url:x", "status_code:x & id:1"]
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused(q: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_filter(q)
    assert caught.value.status == 422


def test_client_ref_may_be_honoured_ignored_or_rejected() -> None:
    assert [parse_filter("client_ref:a.1", "honoured")(row) for row in ROWS] == [True, False, False]
    assert [parse_filter("client_ref:a.1", "ignored")(row) for row in ROWS] == [True, True, True]
    with pytest.raises(Problem):
        parse_filter("client_ref:a.1", "rejected")


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(["x", "y", None])), max_size=30, unique_by=lambda r: r[0]
    ),
    limit=st.integers(1, 7),
    descending=st.booleans(),
)
def test_pages_show_every_row_once_in_order_and_back_again(
    rows: list[tuple[int, str | None]], limit: int, descending: bool
) -> None:
    table = [{"id": f"{number:02}", "client_ref": ref} for number, ref in rows]
    order = [("client_ref", descending)]

    forth: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        shown = page(table, order, limit, cursor, from_prev=False)
        forth.append(shown.rows)
        if shown.next is None:
            break
        cursor = shown.next
    flat = [row for rows_ in forth for row in rows_]
    key = [(row["client_ref"] is not None, row["client_ref"] or "", row["id"]) for row in flat]
    assert key == sorted(key, reverse=descending)
    assert len(flat) == len(table)

    if len(forth) > 1:
        back = page(table, order, limit, shown.previous, from_prev=True)
        assert back.rows == forth[-2]


async def test_runs_are_listed_newest_first_by_pages(runflow: Harness) -> None:
    """Runs are listed newest first, by pages, while new ones come in."""
    ids = [await runflow.made() for _ in range(5)]
    first = (await runflow.http.get("/v1/runs", params={"limit": 2})).json()
    newer = await runflow.made()
    second = (await runflow.http.get("/v1/runs", params={"limit": 2, "pq": first["next_pq"]})).json()
    third = (await runflow.http.get("/v1/runs", params={"limit": 2, "pq": second["next_pq"]})).json()

    pages = [[run["id"] for run in shown["items"]] for shown in (first, second, third)]
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert (first["prev_pq"], third["next_pq"]) == (None, None)
    back = await runflow.listed(limit=2, pq=second["prev_pq"], from_prev="true")
    assert [run["id"] for run in back] == pages[0]
    assert (await runflow.listed())[0]["id"] == newer


async def test_sort_fields_and_projection(runflow: Harness) -> None:
    for ref in ("b", "a", "c"):
        await runflow.made(client_ref=ref)

    shown = await runflow.listed(sort_by="client_ref:desc,created_at", fields="id,client_ref")
    assert [run["client_ref"] for run in shown] == ["c", "b", "a"]
    assert all(set(run) == {"id", "client_ref"} for run in shown)
    assert [run["client_ref"] for run in await runflow.listed(sort_by="created_at:asc")] == ["b", "a", "c"]


async def test_the_list_filters_on_the_present_state(runflow: Harness) -> None:
    runflow.photos["/bad"] = 404
    bad = await runflow.done(input={"image_url": "https://photos.test/bad"})
    good = await runflow.done(client_ref="good")

    assert [run["id"] for run in await runflow.listed(q="status_code:failed")] == [bad["id"]]
    assert [run["id"] for run in await runflow.listed(q="client_ref:good")] == [good["id"]]
    since = await runflow.listed(q=f"created_at>{bad['created_at']}")
    assert [run["id"] for run in since] == [good["id"]]


@pytest.mark.parametrize(
    "asked",
    [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"sort_by": "cost"}, {"sort_by": "id:up"}, {"pq": "rubbish"},
     {"pq": "e30"}, {"q": "status_code:"}],
)  # fmt: skip
async def test_a_list_query_that_is_not_valid_is_refused(runflow: Harness, asked: dict[str, str]) -> None:
    assert refused(await runflow.http.get("/v1/runs", params=asked), 422, "VALIDATION_ERROR")


async def test_a_hidden_run_can_be_read_at_once_but_is_listed_later(runflow: Harness) -> None:
    await runflow.fault("run", "hide", seconds=0.2, times=1)
    hidden = await runflow.made()
    seen = await runflow.made()

    assert [run["id"] for run in await runflow.listed()] == [seen]
    assert (await runflow.run(hidden))["id"] == hidden
    await asyncio.sleep(0.25)
    assert [run["id"] for run in await runflow.listed()] == [seen, hidden]
    assert await runflow.fired() == [1]
