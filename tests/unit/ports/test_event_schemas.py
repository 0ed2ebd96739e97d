"""The schemas of events say what the events are, and are what every event of every test is compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detag.domain.job import CLOSED_ORDER
from detag.domain.reasons import Group, Reason
from detag.ports.events_fake import SCHEMAS, FakeEvents, breaches, schema_of
from detag.services.batches import FINISHED
from detag.services.outbox import DETAIL_TYPES, SCHEMA

EVENT: dict[str, Any] = json.loads((SCHEMAS.parent / "photo-delivered.json").read_text(encoding="utf-8"))
GROUPS = {"Photo Failed": Group.FAILED, "Photo Cancelled": Group.CANCELLED, "Photo Superseded": Group.SUPERSEDED}


def test_every_event_has_a_schema_and_no_other_has() -> None:
    names = {path.name for path in SCHEMAS.iterdir()}
    kinds = [*(DETAIL_TYPES[state] for state in CLOSED_ORDER), FINISHED]
    assert names == {f"{kind.lower().replace(' ', '-')}.json" for kind in kinds}
    for kind in kinds:
        schema = schema_of(kind)
        assert schema["title"] == kind
        assert schema["properties"]["schema"]["const"] == SCHEMA
        assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize(("kind", "group"), [*GROUPS.items(), ("Photo Skipped", Group.SKIPPED)])
def test_a_schema_names_every_reason(kind: str, group: Group) -> None:
    reasons = {reason.value for reason in Reason if reason.group is group}
    assert set(schema_of(kind)["properties"]["reason"]["enum"]) == reasons - {"not_a_photo"}


def test_the_example_is_as_its_schema_says() -> None:
    assert list(breaches(EVENT["detail"], schema_of(EVENT["detail-type"]))) == []


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"schema": 2}, "schema is not 1"),
        ({"schema": True}, "schema is not 1|not of type"),
        ({"state": "failed"}, "state is not 'delivered'"),
        ({"job_id": "X"}, "job_id is not like"),
        ({"outputs": [1]}, r"outputs\[0\] is not of type"),
        ({"outputs": "a"}, "outputs is not of type"),
        ({"reason": "refused"}, "reason is not of type"),
        ({"url": "https://example.com"}, "url is not described"),
    ],
)
def test_an_event_that_differs_is_refused(change: dict[str, Any], breach: str) -> None:
    events = FakeEvents()
    with pytest.raises(ValueError, match=breach):
        events.publish("Photo Delivered", EVENT["detail"] | change)
    missing = {name: value for name, value in EVENT["detail"].items() if name not in change}
    if len(missing) < len(EVENT["detail"]):
        with pytest.raises(ValueError, match="is missing"):
            events.publish("Photo Delivered", missing)
    assert events.published == []


def test_a_kind_without_a_schema_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        FakeEvents().publish("Photo Lost", EVENT["detail"])


def test_the_fake_finds_the_schemas_of_the_repository() -> None:
    assert Path(__file__).parents[3] / "events" / "schemas" == SCHEMAS
