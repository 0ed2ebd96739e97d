"""What goes into an item comes out of it, for every job there can be."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detag.adapters.job_items import intake_item, job_item, read_intake, read_job
from detag.adapters.sqs import batch_requests
from detag.domain.intake import Intake
from detag.domain.job import Job, Reservation, State, Trouble, Upload
from detag.domain.reasons import Reason
from detag.ports.items import MAX_BODY_BYTES, MAX_DETAIL, MAX_OUTPUTS, kept, kept_intake
from detag.ports.queue import MAX_BATCH, MAX_MESSAGE_BYTES

times = st.floats(min_value=0, max_value=4e9, allow_nan=False) | st.integers(0, 4 * 10**9).map(float)
counts = st.integers(0, 10**6)
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, min_size=1, max_size=60)
some_text = st.none() | texts
ids = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789_-", min_size=1, max_size=64)
uploads = st.builds(
    Upload,
    bucket=texts,
    key=texts,
    version_id=some_text,
    sequencer=texts,
    etag=texts,
    size=st.integers(0, 5 * 2**40),
    uploaded_at=times,
    event_key=some_text,
)
reservations = st.builds(
    Reservation,
    day=st.dates().map(lambda day: day.isoformat()),
    usd=st.decimals(0, 1000, places=4),
)
jobs = st.builds(
    Job,
    upload=uploads,
    state=st.sampled_from(State),
    reason=st.none() | st.sampled_from(Reason),
    detail=st.none() | st.text(characters, max_size=MAX_DETAIL + 50),
    code=some_text,
    decision=some_text,
    version=counts,
    created_at=times,
    not_before=times,
    due_at=st.none() | times,
    lease_until=times,
    submission_no=counts,
    attempt=counts,
    expired_urls=counts,
    tries=counts,
    body=some_text,
    url_expires_at=times,
    claimed_at=times,
    maybe_submitted=st.booleans(),
    search_from=some_text,
    content_type=some_text,
    source_metadata=st.lists(
        st.tuples(st.text(characters, max_size=20), st.text(characters, max_size=20)), max_size=5
    ).map(tuple),
    run_id=st.none() | ids,
    submitted_at=times,
    callback_asked_at=times,
    earlier_runs=st.lists(ids, max_size=5).map(tuple),
    unknown_runs=st.lists(ids, max_size=5).map(tuple),
    reservation=st.none() | reservations,
    outputs=st.lists(texts, max_size=5).map(tuple) | st.just(("a.jpg",) * (MAX_OUTPUTS + 1)),
    done=st.lists(st.just("") | texts, max_size=5).map(tuple),
    done_run=st.none() | texts,
    leftovers=st.lists(texts, max_size=5).map(tuple),
    cost=some_text,
    partial=st.booleans(),
    pending=st.lists(st.sampled_from(["event", "record"]), max_size=2).map(tuple),
    closed_at=st.none() | times,
    troubles=st.dictionaries(st.sampled_from(Trouble), times).map(lambda troubles: tuple(troubles.items())),
    ask_at=st.none() | times,
)
intakes = st.builds(
    Intake,
    reason=st.none() | st.sampled_from(Reason),
    since=times,
    draining=st.booleans(),
    probe_at=times,
    probes=counts,
    probe_job=st.none() | ids,
    version=counts,
)


def through_the_wire(item: dict[str, Any]) -> dict[str, Any]:
    """What DynamoDB would give back: plain JSON, after all."""
    result: dict[str, Any] = json.loads(json.dumps(item))
    return result


@given(jobs)
def test_a_job_comes_out_of_its_item_as_it_went_in(job: Job) -> None:
    assert read_job(through_the_wire(job_item(job))) == kept(job)


@given(jobs)
def test_an_item_keeps_all_but_long_texts_and_tiny_fractions(job: Job) -> None:
    """Only what people read is cut, and times to the microsecond."""
    found = kept(job)
    assert kept(found) == found
    for field in fields(Job):
        one, other = getattr(job, field.name), getattr(found, field.name)
        if field.name == "upload":
            assert replace(one, uploaded_at=0.0) == replace(other, uploaded_at=0.0)
            assert other.uploaded_at == pytest.approx(one.uploaded_at, abs=1e-6)
        elif isinstance(one, float):
            assert other == pytest.approx(one, abs=1e-6, rel=0)
        elif field.name == "troubles":
            assert dict(other).keys() == dict(one).keys()
            assert dict(other) == pytest.approx(dict(one), abs=1e-6, rel=0)
        elif field.name == "detail":
            assert (other or "") == (one or "")[:MAX_DETAIL]
        elif field.name == "outputs":
            assert other == one[:MAX_OUTPUTS]
        else:
            assert other == one


@given(jobs)
def test_an_item_has_both_keys_of_an_index_or_neither(job: Job) -> None:
    """And no attribute without a value."""
    item = job_item(job)
    for attribute in item.values():
        ((kind, value),) = attribute.items()
        assert kind in ("S", "N", "BOOL", "L", "M")
        assert value not in ("", [], {}, False)
    assert ("lane" in item) == ("due_at" in item) == (job.due_at is not None)
    assert ("outcome" in item) == ("closed_at" in item) == (job.closed_at is not None)
    assert item["pk"] == {"S": f"job#{job.job_id}"}


@given(jobs, jobs)
def test_items_sort_as_their_times_do(one: Job, other: Job) -> None:
    """The index sorts by the written number: it must not put an earlier job after a later one."""
    first, second = (float(job_item(replace(job, due_at=job.created_at))["due_at"]["N"]) for job in (one, other))
    if one.created_at < other.created_at:
        assert first <= second


@given(intakes)
def test_an_intake_comes_out_of_its_item_as_it_went_in(intake: Intake) -> None:
    assert read_intake(through_the_wire(intake_item(intake))) == kept_intake(intake)


@given(st.integers(MAX_BODY_BYTES + 1, MAX_BODY_BYTES + 10), jobs)
def test_no_body_is_ever_cut(length: int, job: Job) -> None:
    with pytest.raises(ValueError, match="body"):
        job_item(replace(job, body="x" * length))
    longest = replace(job, body="x" * MAX_BODY_BYTES)
    assert job_item(longest)["body"] == {"S": longest.body}


@given(st.lists(st.integers(0, MAX_MESSAGE_BYTES - 20) | st.integers(0, 50), max_size=40))
def test_messages_are_sent_once_in_order_in_batches_sqs_takes(lengths: list[int]) -> None:
    messages = [{"text": "x" * length} for length in lengths]
    batches = [request["Entries"] for request in batch_requests("url", messages)]
    sent = [json.loads(entry["MessageBody"]) for batch in batches for entry in batch]
    assert sent == messages
    for batch in batches:
        assert 1 <= len(batch) <= MAX_BATCH
        assert len({entry["Id"] for entry in batch}) == len(batch)
        assert sum(len(entry["MessageBody"].encode()) for entry in batch) <= MAX_MESSAGE_BYTES
