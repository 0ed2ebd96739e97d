"""The items of pictures: each result is written under the names that it has always had."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from detag.adapters import job_items
from detag.domain.picture import Delivery, Output, Picture, Result
from detag.ports.clock_fake import EPOCH
from detag.ports.items import LASTING_SECONDS

FIRST = Output(1, "a.jpg", "v1", "e1", 9, "image/webp")
COPY = Output(1, "b.jpg", None, "e1", 9, "image/webp")
OTHER = Output(2, "c.jpg", "v3", "e3", 7, "image/jpeg")
KNOWN = Result(source_key="b.jpg", outputs=(COPY,), originals=(FIRST,), older=(Delivery("a.jpg", (FIRST,)),))
LATE = Result(source_key="c.jpg", outputs=(OTHER,), originals=(OTHER,), run_id="run-2", partial=True, replaced=True)
PICTURE = Picture(
    picture_id="p1",
    version=7,
    waiting=("job-4",),
    results=(KNOWN, LATE),
    rejected_runs=("run-9",),
    known_version=6,
)


def written(output: Output) -> dict[str, Any]:
    version = {"version_id": {"S": output.version_id}} if output.version_id else {}
    texts = {"key": {"S": output.key}, "etag": {"S": output.etag}, "content_type": {"S": output.content_type}}
    return {"M": {"number": {"N": str(output.number)}, "size": {"N": str(output.size)}} | texts | version}


ITEM: dict[str, Any] = {
    "pk": {"S": "picture#p1"},
    "rev": {"N": "7"},
    "waiting": {"L": [{"S": "job-4"}]},
    "source_key": {"S": "b.jpg"},
    "outputs": {"L": [written(COPY)]},
    "originals": {"L": [written(FIRST)]},
    "older": {"L": [{"M": {"source_key": {"S": "a.jpg"}, "outputs": {"L": [written(FIRST)]}}}]},
    "others": {
        "L": [
            {
                "M": {
                    "source_key": {"S": "c.jpg"},
                    "outputs": {"L": [written(OTHER)]},
                    "originals": {"L": [written(OTHER)]},
                    "run_id": {"S": "run-2"},
                    "partial": {"BOOL": True},
                    "replaced": {"BOOL": True},
                }
            }
        ]
    },
    "rejected_runs": {"L": [{"S": "run-9"}]},
    "known_version": {"N": "6"},
}
"""As it was written when a picture had the fields of its first result."""


def test_a_picture_is_one_readable_item() -> None:
    assert job_items.picture_item(PICTURE, EPOCH) == ITEM
    assert job_items.read_picture("p1", ITEM) == PICTURE


def test_a_picture_of_which_nothing_is_known_has_no_result() -> None:
    free = Picture(picture_id="p1", version=2)
    item = job_items.picture_item(free, EPOCH)
    expires_at = {"N": str(int(EPOCH + LASTING_SECONDS))}
    assert item == {"pk": {"S": "picture#p1"}, "rev": {"N": "2"}, "expires_at": expires_at}
    assert job_items.read_picture("p1", item) == free


@pytest.mark.parametrize("left_out", ["source_key", "outputs", "originals", "older", "others"])
def test_a_picture_is_written_as_it_was_read(left_out: str) -> None:
    """Whatever is missing: an earlier version wrote it, or a person changed it."""
    item = {name: value for name, value in ITEM.items() if name != left_out}
    read = job_items.read_picture("p1", item)
    assert read is not None
    again = job_items.picture_item(read, EPOCH)
    again.pop("expires_at", None)
    assert again == item


def test_every_field_of_a_picture_is_kept_by_one_attribute() -> None:
    of_a_picture = (*job_items.PICTURE_ATTRIBUTES, job_items.OTHER_RESULTS)
    tables = {Picture: of_a_picture, Result: job_items.RESULT_ATTRIBUTES}
    for kind, attributes in tables.items():
        kept = sorted(attribute.field for attribute in attributes)
        assert kept == sorted({field.name for field in fields(kind)} - {"picture_id"}), kind.__name__
    names = [attribute.name for table in tables.values() for attribute in table]
    assert len(set(names)) == len(names)
