"""What every listing of an input bucket does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from detag.adapters.s3 import S3Listing, s3_config
from detag.domain.missed_uploads import Listed, Page, Position
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.photos import Listing
from detag.ports.photos_fake import FakePhotoStore
from tests.emulator import Aws

KEYS = ("a b+c%2F.jpg", "größe/日本.jpg", "line\nbreak.jpg", "plain.jpg")


@dataclass
class Side:
    """A listing with what fills its bucket."""

    listing: Listing
    bucket: str
    put: Callable[[str, bytes], str]
    """Stores an object; returns its version."""
    delete: Callable[[str], object]

    def pages(self, most: int, prefix: str = "") -> list[Page]:
        """All keys with a prefix."""
        found: list[Page] = []
        after: Position | None = None
        while not found or after is not None:
            found.append(self.listing.versions(self.bucket, prefix, after, most))
            after = found[-1].next
        return found

    def latest(self, most: int, prefix: str = "") -> list[Listed]:
        """The latest version of each object."""
        return [one for page in self.pages(most, prefix) for one in page.latest]


@pytest.fixture(params=["fake", "s3"])
def side(request: pytest.FixtureRequest, name: str) -> Side:
    if request.param == "fake":
        store = FakePhotoStore(FakeClock(time.time()))
        return Side(
            store,
            name,
            lambda key, data: str(store.upload(name, key, data)["detail"]["object"]["version-id"]),
            lambda key: store.delete(name, key),
        )
    aws: Aws = request.getfixturevalue("aws")
    client: Any = aws.session.client("s3", endpoint_url=aws.emulator.endpoint_url, config=s3_config("http://127.0.0.1"))
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Side(
        S3Listing(client),
        name,
        lambda key, data: str(client.put_object(Bucket=name, Key=key, Body=data)["VersionId"]),
        lambda key: client.delete_object(Bucket=name, Key=key),
    )


def test_an_empty_bucket_is_one_empty_page(side: Side) -> None:
    (page,) = side.pages(10)
    assert (list(page.latest), page.entries, page.next) == ([], 0, None)


@pytest.mark.parametrize("most", [1, 2, 3, 1_000])
def test_the_latest_version_of_each_object_is_listed(side: Side, most: int) -> None:
    """Whatever the pages, each object's latest version is listed once, with what S3 knows of it."""
    for key in KEYS:
        side.put(key, b"older")
    versions = {key: side.put(key, b"newer!") for key in KEYS}
    side.put("gone.jpg", b"gone")
    side.delete("gone.jpg")
    listed = side.latest(most)
    assert {one.key: one.version_id for one in listed} == versions
    assert len(listed) == len(KEYS)
    assert {(one.size, one.etag) for one in listed} == {(6, "316f53d2fe4452c7ad1ef810bf2fe9ae")}
    assert all(abs(one.modified - time.time()) < 60 for one in listed)


@pytest.mark.parametrize("most", [1, 2, 1_000])
def test_only_keys_with_the_prefix_are_listed(side: Side, most: int) -> None:
    for key in (*KEYS, "crème fraîche/a.jpg", "crème fraîche/b/c.jpg", "crème fraîche.jpg"):
        side.put(key, b"older")
        side.put(key, b"newer!")
    listed = side.latest(most, "crème fraîche/")
    assert [one.key for one in listed] == ["crème fraîche/a.jpg", "crème fraîche/b/c.jpg"]
    assert sum(page.entries for page in side.pages(most, "crème fraîche/")) == 4


@pytest.mark.parametrize("most", [1, 3, 1_000])
def test_versions_and_delete_markers_are_counted(side: Side, most: int) -> None:
    for key in KEYS:
        side.put(key, b"older")
        side.put(key, b"newer")
    side.delete(KEYS[0])
    assert sum(page.entries for page in side.pages(most)) == 9
    assert all(page.entries <= most for page in side.pages(most))


def test_a_bucket_that_is_not_there_is_not_empty(aws: Aws) -> None:
    """What cannot be listed is an error, never an empty bucket."""
    client: Any = aws.session.client("s3", endpoint_url=aws.emulator.endpoint_url, config=s3_config("http://127.0.0.1"))
    with pytest.raises(Transient, match="NoSuchBucket"):
        S3Listing(client).versions("no-such-bucket-of-ours", "", None, 10)
