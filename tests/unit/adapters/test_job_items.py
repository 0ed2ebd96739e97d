"""The items of the job table, without a client."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest

from detag.adapters import job_items
from detag.domain.intake import Intake, Override
from detag.domain.job import RETENTION_SECONDS, Job, Reservation, State, Upload, new
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH
from detag.ports.items import LASTING_SECONDS

DAY = "2026-11-23"
RESERVED = Reservation(DAY, Decimal("0.14"))
UPLOAD = Upload("photos", "shoes/1.jpg", None, "0055AED6DCD90281E5", "e7a6", 1_000, EPOCH - 1.5)
JOB = replace(new(UPLOAD, EPOCH), version=3)
CLOSED = replace(
    JOB, state=State.FAILED, reason=Reason.REFUSED, due_at=None, closed_at=EPOCH + 0.25, detail="no", cost="0.14"
)


def test_an_item_is_flat_and_has_only_what_has_a_value() -> None:
    assert job_items.job_item(JOB) == {
        "pk": {"S": f"job#{JOB.job_id}"},
        "job_id": {"S": JOB.job_id},
        "bucket": {"S": "photos"},
        "key": {"S": "shoes/1.jpg"},
        "sequencer": {"S": "0055AED6DCD90281E5"},
        "etag": {"S": "e7a6"},
        "size": {"N": "1000"},
        "uploaded_at": {"N": "1795431598.5"},
        "state": {"S": "waiting"},
        "reason": {"S": "ready"},
        "rev": {"N": "3"},
        "created_at": {"N": "1795431600"},
        "lane": {"S": JOB.due_shard},
        "due_at": {"N": "1795431600"},
        "submission_no": {"N": "0"},
        "attempt": {"N": "1"},
        "expired_urls": {"N": "0"},
        "tries": {"N": "0"},
    }


def test_a_closed_job_is_in_the_outcomes_only_and_expires() -> None:
    item = job_items.job_item(CLOSED)
    assert {"lane", "due_at"}.isdisjoint(item)
    assert item["outcome"] == {"S": "failed#2026-11-23"}
    assert item["closed_at"] == {"N": "1795431600.25"}
    assert item["expires_at"] == {"N": str(int(EPOCH + RETENTION_SECONDS))}


def test_a_closed_job_with_something_pending_is_in_both_indexes() -> None:
    """And it does not expire."""
    item = job_items.job_item(replace(CLOSED, due_at=EPOCH + 300, pending=("event",)))
    assert {"lane", "due_at", "outcome", "closed_at"} <= set(item)
    assert "expires_at" not in item


def test_a_job_that_waits_for_the_intake_has_a_shard_of_its_own() -> None:
    assert job_items.job_item(replace(JOB, reason=Reason.PAUSED))["lane"]["S"].startswith("held#")


def test_a_reservation_is_written_out() -> None:
    item = job_items.job_item(replace(JOB, reservation=RESERVED))
    assert (item["reserved_day"], item["reserved_usd"]) == ({"S": DAY}, {"N": "0.14"})


@pytest.mark.parametrize("usd", ["0", "0.14", "0.1375", "1E-7", "1E+3"])
def test_dollars_are_written_exactly_and_plainly(usd: str) -> None:
    written = job_items.USD.write(Decimal(usd))
    assert "E" not in written and Decimal(written) == Decimal(usd)


def test_a_reservation_in_images_holds_no_dollars() -> None:
    """Earlier versions counted images, on counters that are not read any more."""
    item = {"reserved_day": {"S": DAY}, "slots": {"N": "1"}, "counter": {"N": "3"}}
    assert job_items.read_reservation(item) == Reservation(DAY, Decimal(0))
    assert job_items.read_reservation({}) is None


def test_every_field_is_kept_by_one_attribute() -> None:
    """A field that no attribute keeps would be lost with the next write of its job."""
    tables = {
        Job: job_items.JOB_ATTRIBUTES,
        Upload: job_items.UPLOAD_ATTRIBUTES,
        Reservation: job_items.RESERVATION_ATTRIBUTES,
        Intake: job_items.INTAKE_ATTRIBUTES,
        Override: job_items.OVERRIDE_ATTRIBUTES,
    }
    for kind, attributes in tables.items():
        kept = sorted(attribute.field for attribute in attributes)
        assert kept == sorted({field.name for field in fields(kind)} - {"upload", "reservation"}), kind.__name__


def test_the_attributes_of_an_item_have_different_names() -> None:
    of_a_job = (
        *job_items.DERIVED_ATTRIBUTES,
        *job_items.UPLOAD_ATTRIBUTES,
        *job_items.JOB_ATTRIBUTES,
        *job_items.RESERVATION_ATTRIBUTES,
        job_items.WRITTEN_BY,
    )
    of_a_charge = (*job_items.RESERVATION_ATTRIBUTES, *job_items.CHARGE_ATTRIBUTES)
    for attributes in (of_a_job, of_a_charge, job_items.NEWEST_UPLOAD_ATTRIBUTES, job_items.INTAKE_ATTRIBUTES):
        names = [attribute.name for attribute in attributes]
        assert len(set(names)) == len(names)


def test_the_intake_is_one_readable_item() -> None:
    intake = Intake(reason=Reason.UNAUTHORIZED, since=EPOCH, probe_at=EPOCH + 60, probes=1, probe_job="1f3a", version=5)
    assert job_items.intake_item(intake) == {
        "pk": {"S": "gate"},
        "reason": {"S": "unauthorized"},
        "since": {"N": "1795431600"},
        "probe_at": {"N": "1795431660"},
        "probes": {"N": "1"},
        "probe_job": {"S": "1f3a"},
        "rev": {"N": "5"},
    }


def test_what_is_spent_is_read_once_the_day_is_open() -> None:
    assert job_items.read_spent({"spent": {"N": "4.20"}, "opened_at": {"N": "1"}}) == Decimal("4.2")
    assert job_items.read_spent({"spent": {"N": "0.14"}}) is None


def test_a_charged_run_has_its_own_item() -> None:
    assert job_items.charge_item("run_1", RESERVED, EPOCH + 0.5) == {
        "pk": {"S": "run#run_1"},
        "run_id": {"S": "run_1"},
        "reserved_day": {"S": DAY},
        "reserved_usd": {"N": "0.14"},
        "charged_at": {"N": "1795431600.5"},
        "expires_at": {"N": str(int(EPOCH + LASTING_SECONDS))},
    }


def test_all_other_items_outlive_the_jobs_that_need_them() -> None:
    charged = job_items.charge_item("run_1", RESERVED, EPOCH)
    assert int(charged["expires_at"]["N"]) - EPOCH >= RETENTION_SECONDS * 4
    newest = job_items.newest_upload_item("photos", "a.jpg", "01", "e7a6")
    assert "expires_at" not in newest, "what its name was delivered is known for good"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, Override()),
        ({"paused": {"BOOL": False}}, Override(paused=False)),
        ({"paused": {"S": "TRUE"}}, Override(paused=True)),
        ({"limit_usd": {"N": "25"}}, Override(limit_usd="25")),
        ({"limit_usd": {"S": " None "}}, Override(limit_usd="none")),
        (
            {"limit_usd": {"S": "25"}, "paused": {"BOOL": False}, "note": {"S": "sale"}},
            Override(paused=False, limit_usd="25"),
        ),
    ],
)
def test_an_override_is_read_leniently(written: dict[str, Any], expected: Override) -> None:
    assert job_items.read_override({"pk": {"S": "override"}} | written) == expected


@pytest.mark.parametrize(
    "written",
    [
        {"limit_usd": {"S": "25 dollars"}},
        {"limit_usd": {"S": ""}},
        {"limit_usd": {"S": "inf"}},
        {"limit_usd": {"S": "NaN"}},
        {"limit_usd": {"NULL": True}},
        {"paused": {"S": "perhaps"}},
        {"paused": {"N": "1"}},
        {"paused": {"BOOL": False}, "limit_usd": {"S": "ten"}},
        {"Paused": {"BOOL": True}},
        {"paused": {"BOOL": False}, "PAUSED": {"BOOL": True}},
        {"limit": {"N": "25"}},
        {"DailySpendLimitUsd": {"N": "25"}},
    ],
)
def test_an_override_that_cannot_be_understood_pauses(written: dict[str, Any]) -> None:
    assert job_items.read_override(written) == Override(paused=True)


def test_a_job_of_an_unknown_state_is_refused() -> None:
    item = job_items.job_item(JOB) | {"state": {"S": "lost"}}
    with pytest.raises(ValueError, match="lost"):
        job_items.read_job(item)


@pytest.mark.parametrize(
    "odd", [{"content_type": {"colour": "red"}}, {"size": "many"}, {"earlier_runs": 3}, {"closed_at": "soon"}]
)
def test_nothing_of_another_type_is_written(odd: dict[str, Any]) -> None:
    job = replace(JOB, **{name: value for name, value in odd.items() if name != "size"})
    job = replace(job, upload=replace(UPLOAD, size=odd["size"])) if "size" in odd else job
    with pytest.raises(TypeError):
        job_items.job_item(job)


def test_an_item_of_an_earlier_version_is_still_a_job() -> None:
    """Only what every item has had from the start is required."""
    required = {"bucket", "key", "sequencer", "size", "uploaded_at", "state", "rev", "created_at"}
    counts = {"submission_no", "attempt", "expired_urls", "tries"}
    item = {name: value for name, value in job_items.job_item(JOB).items() if name in required | counts}
    assert job_items.read_job(item) == Job(
        upload=replace(UPLOAD, etag=""), state=State.WAITING, reason=None, version=3, created_at=EPOCH
    )


def test_an_item_written_as_settling_is_an_unconfirmed_job() -> None:
    """`unconfirmed` was stored under that name until it was called what it is."""
    item = job_items.job_item(replace(JOB, reason=Reason.UNCONFIRMED)) | {"reason": {"S": "settling"}}
    assert job_items.read_job(item).reason is Reason.UNCONFIRMED
    assert job_items.job_item(job_items.read_job(item))["reason"] == {"S": "unconfirmed"}


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"state": {"S": "waiting"}, "reason": {"S": "paused"}}, "waiting/paused"),
        ({"state": {"S": "waiting"}, "reason": {"S": "unconfirmed"}}, "waiting/unconfirmed"),
        ({"state": {"S": "waiting"}, "reason": {"S": "settling"}}, "waiting/unconfirmed"),
        ({"state": {"S": "submitted"}}, "submitted"),
        ({"state": {"S": "failed"}, "reason": {"S": "refused"}}, None),
    ],
)
def test_a_job_is_counted_by_what_the_due_index_has(item: dict[str, Any], place: str | None) -> None:
    assert job_items.place_of(item) == place
