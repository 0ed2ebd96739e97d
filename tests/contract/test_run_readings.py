"""Runs and their list under each reading of what Runflow shows: the fake, and the adapter against the mock Runflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detag.domain.runs import Callback, read_callback
from detag.ports.errors import Transient
from local.processes import wait_until
from tests.contract.test_runs import JOB, FakeSide, HttpSide, create, listed, made, record, side

__all__ = ["side"]  # a fixture

READINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "thin": ({"list_entries": "thin"}, {"list_entries": "thin"}),
    "ids alone": ({"list_entries": "ids"}, {"list_entries": "ids"}),
    "nested": ({"list_entries": "nested"}, {"list_entries": "nested"}),
    "a URL of an unknown host": ({"input_shown": "elsewhere"}, {"input_shown": "elsewhere"}),
    "asset links": ({"input_shown": "asset"}, {"input_shown": "asset"}),
    "no input": ({"input_shown": "nothing"}, {"input_shown": "nothing"}),
    "a URL quoted anew": ({"input_shown": "requoted"}, {"input_shown": "requoted"}),
    "a URL escaped twice": ({"input_shown": "escaped twice"}, {"input_shown": "escaped_twice"}),
    "a ratio filled in": ({"input_shown": "defaults"}, {"input_shown": "defaults"}),
    "ascending": ({"order": "ascending"}, {"list_order": "ascending"}),
    "in no order": ({"order": "none"}, {"list_order": "none"}),
    "more than asked for": ({"page_limit": 500}, {"list_limit": "ignored"}),
    "fields ignored": ({}, {"list_fields": "ignored"}),
    "fields refused": ({}, {"list_fields": "rejected"}),
    "long cursors": ({"cursor_length": 3_000}, {"list_cursor_length": 3_000}),
    "signed when asked": ({"signs": "when asked"}, {"add_signature": "needed"}),
    "signed unless asked": ({"signs": "unless asked"}, {"add_signature": "harmful"}),
    "signed in callbacks": ({"signs": "in callbacks"}, {"add_signature": "useless"}),
    "the parameter refused": ({}, {"add_signature": "rejected"}),
    "run_id": ({}, {"create_id": "run_id"}),
    **{shape: ({}, {"output_shape": shape}) for shape in ("images", "image_list", "image_url", "text")},
}
"""What the fake is told, and what the mock is."""
Side = FakeSide | HttpSide


def read_as(side: Side, habits: dict[str, Any], behaviour: dict[str, Any]) -> None:
    if isinstance(side, HttpSide):
        side.runflow.behave(**behaviour)
        return
    for name, value in habits.items():
        setattr(side.fake.habits, name, value)


@pytest.mark.parametrize("reading", READINGS)
def test_every_run_is_listed_once_and_can_be_asked_for(side: Side, reading: str) -> None:
    read_as(side, *READINGS[reading])
    ids = {made(create(side, name, number)) for number, name in enumerate(("shoe", "hat", "bag"), 1)}
    side.wait_until_ended()
    found = [run.run_id for run in listed(side)]
    assert sorted(found) == sorted(ids)
    assert {record(side, run_id).client_ref for run_id in ids} == {f"{JOB}.{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize("reading", READINGS)
def test_one_of_the_records_leads_to_the_output(side: Side, reading: str) -> None:
    """Unless only a callback does."""
    read_as(side, *READINGS[reading])
    run_id = made(create(side))
    side.wait_until_ended()
    outputs: list[bytes | str] = []
    for signed in (True, False):
        run = side.runs.get(run_id, signed=signed)
        assert run is not None
        try:
            with side.fetcher.open(run.output_urls[0]) as download:
                outputs.append(download.body.read())
        except Exception as error:  # noqa: BLE001 - what is refused is compared below
            outputs.append(type(error).__name__)
    refused = {"signed when asked": (1,), "signed unless asked": (0,), "signed in callbacks": (0, 1)}.get(reading, ())
    expected = [side.cleaned("shoe")] * 2
    assert outputs == [("OutputUrlExpired" if place in refused else one) for place, one in enumerate(expected)]


def callbacks(side: Side, run_id: str) -> list[Callback]:
    """The callbacks of a run that were sent, or are due, in that order."""
    if isinstance(side, HttpSide):
        bodies = [body.encode() for body in side.runflow.callbacks(run_id)]
    else:
        bodies = [side.fake.callback(run) for run in side.fake.ended if run.run_id == run_id]
    found = [read_callback(body) for body in bodies]
    return [callback for callback in found if isinstance(callback, Callback)]


@pytest.mark.parametrize("reading", READINGS)
def test_each_callback_leads_to_the_output(side: Side, reading: str) -> None:
    """The first, and the one that is asked for."""
    if isinstance(side, HttpSide):
        side.runflow.behave(callback_delays=[])
    read_as(side, *READINGS[reading])
    run_id = made(create(side))
    side.wait_until_ended()
    assert wait_until(lambda: redelivered(side, run_id), 20)
    assert wait_until(lambda: len(callbacks(side, run_id)) == 2, 20)
    for callback in callbacks(side, run_id):
        with side.fetcher.open(callback.output_urls[0]) as download:
            assert download.body.read() == side.cleaned("shoe")


def redelivered(side: Side, run_id: str) -> bool:
    """Whether Runflow does as it is asked: it refuses while another delivery is under way."""
    try:
        side.runs.redeliver(run_id)
    except Transient:
        return False
    return True


def test_no_callback_of_an_unknown_run_is_sent_again(side: Side) -> None:
    with pytest.raises(Transient, match="404"):
        side.runs.redeliver("0198c0de-7a11-7000-8000-00000000ffff")


def test_no_callback_is_sent_before_its_run_has_ended(side: Side) -> None:
    if isinstance(side, HttpSide):
        side.runflow.behave(run_seconds=600)
    run_id = made(create(side))
    with pytest.raises(Transient, match="422"):
        side.runs.redeliver(run_id)


def test_a_thin_entry_tells_neither_name_nor_photo(side: Side) -> None:
    read_as(side, *READINGS["thin"])
    create(side)
    (run,) = listed(side)
    assert (run.client_ref, run.job_id, run.image_url) == (None, None, None)
    assert run.created_at is not None


@pytest.mark.parametrize("cursors", ["next_cursor", "has_more", "bare"])
def test_a_page_that_does_not_say_how_it_goes_on_is_not_the_end(side: Side, cursors: str) -> None:
    """Nor is one that is full, and says nothing; the last page is the end, however it says so."""
    read_as(side, {"list_followable": False}, {"list_cursors": cursors})
    create(side)
    assert len(side.runs.page().runs) == 1
    for name, number in (("hat", 2), ("bag", 3)):  # of which two are a page
        create(side, name, number)
    with pytest.raises(Transient, match="without a usable cursor"):
        side.runs.page()


def test_a_filled_in_ratio_is_shown(side: Side) -> None:
    read_as(side, *READINGS["a ratio filled in"])
    assert record(side, made(create(side))).aspect_ratio == "1x1"


def test_entries_without_an_id_are_counted(side: Side) -> None:
    read_as(side, {"list_entries": "no ids"}, {"list_entries": "no_ids"})
    create(side)
    page = side.runs.page()
    assert (page.runs, page.without_id) == ((), 1)


FILTERS: dict[str, tuple[str, Callable[[int], bool]]] = {
    "honoured": ("honoured", lambda found: found == 1),
    "ignored": ("ignored", lambda found: found == 2),
}


@pytest.mark.parametrize("reading", FILTERS)
def test_a_name_is_filtered_where_that_is_understood(side: Side, reading: str) -> None:
    name, expected = FILTERS[reading]
    read_as(side, {"client_ref_filter": name}, {"client_ref_filter": name})
    run_id = made(create(side, "shoe", 1))
    create(side, "hat", 2)
    found = side.runs.named(f"{JOB}.1")
    assert run_id in {run.run_id for run in found}
    assert expected(len(found))


def test_a_filter_that_is_refused_is_transient(side: Side) -> None:
    read_as(side, {"client_ref_filter": "refused"}, {"client_ref_filter": "rejected"})
    with pytest.raises(Transient):
        side.runs.named(f"{JOB}.1")
