"""Upload, wait, fetch: against a stack of which only the answers exist."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from local.demo import journey
from local.demo.photos import Photo

ITEM = {"job_id": "j", "state": "waiting", "uploaded_at": "100.5"}


class Cloud:
    """A stack: buckets as dictionaries, and the job table's items as they are at each look."""

    description: Final = {"input_bucket": "in", "output_bucket": "out", "job_table": "jobs"}

    def __init__(self, looks: list[list[dict[str, Any]]] | None = None, refuse: str = "") -> None:
        self.looks = looks or [[]]
        self.refuse = refuse
        self.put: dict[str, tuple[bytes, str]] = {}
        self.outputs: dict[str, bytes] = {}

    def client(self, _service: str) -> Any:
        return self

    def put_object(self, Bucket: str, Key: str, Body: Any, ContentType: str) -> None:  # noqa: N803 - boto3's names
        assert Bucket == "in"
        if Key == self.refuse:
            raise ClientError({"Error": {"Code": "KeyTooLongError", "Message": "too long"}}, "PutObject")
        self.put[Key] = (Body.read(), ContentType)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "scan"
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, **asked: Any) -> list[dict[str, Any]]:
        assert asked == {"TableName": "jobs", "ConsistentRead": True}
        plain = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        items = [{name: _typed(value) for name, value in item.items()} for item in plain]
        return [{"Items": [*items, {"pk": {"S": "gate"}}]}]

    def download_file(self, bucket: str, key: str, path: str) -> None:
        assert bucket == "out"
        if key not in self.outputs:
            raise ClientError({"Error": {"Code": "404", "Message": "gone"}}, "HeadObject")
        Path(path).write_bytes(self.outputs[key])


def _typed(value: Any) -> dict[str, Any]:
    return {"L": [_typed(each) for each in value]} if isinstance(value, list) else {"S": value}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def photo(tmp_path: Path, key: str, content: bytes = b"x") -> Photo:
    path = tmp_path / "in" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Photo(key, path, ("delivered",))


def test_each_photo_is_put_with_the_type_of_its_name(tmp_path: Path) -> None:
    """Each photo is put under its key, with the type of its name."""
    cloud, done = Cloud(), []
    photos = [photo(tmp_path, "é/a b+%.jpg", b"jpeg"), photo(tmp_path, "b.txt"), photo(tmp_path, "c")]

    journey.upload(cloud, photos, lambda: done.append(1))  # type: ignore[arg-type]

    assert cloud.put["é/a b+%.jpg"] == (b"jpeg", "image/jpeg")
    assert [cloud.put[key][1] for key in ("b.txt", "c")] == ["text/plain", "application/octet-stream"]
    assert len(done) == 3
    assert {each.state for each in photos} == {"uploaded"}


def test_a_photo_that_cannot_be_put_is_over_and_the_others_go_on(tmp_path: Path) -> None:
    cloud = Cloud(refuse="long.jpg")
    photos = [photo(tmp_path, "long.jpg"), photo(tmp_path, "gone.jpg"), photo(tmp_path, "a.jpg")]
    photos[1].path.unlink()

    journey.upload(cloud, photos, lambda: None)  # type: ignore[arg-type]

    assert [each.state for each in photos] == ["not uploaded", "not uploaded", "uploaded"]
    assert [each.closed for each in photos] == [True, True, False]
    assert "too long" in photos[0].detail


def test_waiting_follows_the_items_until_all_have_ended(tmp_path: Path) -> None:
    a, b = photo(tmp_path, "a.jpg"), photo(tmp_path, "b.txt")
    a.uploaded_at = b.uploaded_at = 99.0
    closed = ITEM | {
        "key": "a.jpg",
        "state": "delivered",
        "closed_at": "103.75",
        "cost": "0.14",
        "outputs": ["a.jpg.webp"],
    }
    skipped = ITEM | {"key": "b.txt", "state": "skipped", "closed_at": "101", "reason": "not_an_image"}
    stranger = ITEM | {"key": "stranger.jpg"}
    cloud = Cloud([[], [ITEM | {"key": "a.jpg"}, stranger], [closed], [closed, skipped]])
    changes: list[tuple[str, str]] = []

    journey.wait(cloud, [a, b], lambda: changes.append((a.state, b.state)))  # type: ignore[arg-type]

    assert changes[-1] == ("delivered", "skipped")
    assert (a.seconds, a.cost, a.output_keys) == (3.25, "0.14", ("a.jpg.webp",))
    assert b.detail == "not an image"


def test_waiting_ends_when_nothing_moves_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = photo(tmp_path, "a.jpg")
    a.uploaded_at = 99.0
    monkeypatch.setattr(journey, "PATIENCE_SECONDS", 0.05)
    journey.wait(Cloud([[ITEM | {"key": "a.jpg", "reason": "paused"}]]), [a], lambda: None)  # type: ignore[arg-type]
    assert (a.state, a.detail, a.good) == ("waiting", "paused", False)


def test_fetching_puts_originals_and_outputs_side_by_side(tmp_path: Path) -> None:
    cloud, results = Cloud(), tmp_path / "results"
    a, b, c = (photo(tmp_path, key, key.encode()) for key in ("x/a.jpg", "x/a.webp", "skipped.txt"))
    a.state, a.output_keys = "delivered", ("x/a.jpg.webp", "x/a.jpg.2.webp")
    b.state, b.output_keys = "delivered", ("x/a.webp",)
    c.state = "skipped"
    cloud.outputs = {"x/a.jpg.webp": b"1", "x/a.jpg.2.webp": b"2", "x/a.webp": b"3"}

    journey.fetch(cloud, [a, b, c], results)  # type: ignore[arg-type]

    found = {path.relative_to(results).as_posix(): path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert found == {
        "x/a.jpg": b"x/a.jpg",
        "x/a.jpg.cleaned.webp": b"1",
        "x/a.jpg.cleaned.2.webp": b"2",
        "x/a.webp": b"x/a.webp",
        "x/a.cleaned.webp": b"3",
    }
    assert (a.good, len(a.outputs)) == (True, 2)


def test_an_output_that_is_not_there_is_no_success(tmp_path: Path) -> None:
    a = photo(tmp_path, "a.jpg")
    a.state, a.output_keys = "delivered", ("a.jpg.webp",)
    journey.fetch(Cloud(), [a], tmp_path / "results")  # type: ignore[arg-type]
    assert (a.good, "gone" in a.detail) == (False, True)


def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    a = photo(tmp_path, "a.jpg")
    a.key, a.state = "../../a.jpg", "delivered"
    with pytest.raises(ValueError, match="out of the folder"):
        journey.fetch(Cloud(), [a], tmp_path / "results")  # type: ignore[arg-type]
