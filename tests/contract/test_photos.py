"""What every photo store does."""

from __future__ import annotations

import io
import ssl
import time
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import boto3
import pytest
from botocore.config import Config

from detag.adapters.s3 import S3PhotoStore, s3_config
from detag.domain.job import Upload
from detag.domain.picture import Output
from detag.domain.uploads import read_upload
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.outputs import Unsafe
from detag.ports.photos import Denied, Existing, Missing, PhotoStore, PreconditionFailed
from detag.ports.photos_fake import FakePhotoStore, Stored
from local.emulator import client as emulators
from local.emulator.client import Emulator
from tests.emulator import Aws

ODD_KEYS = [
    "plain.jpg",
    "two words/three  spaces.jpg",
    "plus+plus.jpg",
    "100%.jpg",
    "percent%20encoded%2Fslash.jpg",
    "a&b=c?d#e;f,g:h@i!j$k'(l)*m.jpg",
    'quotes "and" <brackets> {braces} [more] |^`\\.jpg',
    "Größe/çà/日本語.jpg",
    "emoji 😀👩‍🎨.jpg",
    "e\u0301 is not \u00e9.jpg",
    "double//slash.jpg",
    "/leading.jpg",
    "~tilde~.jpg",
    ".hidden/..name",
    "é" * 512,
]


@dataclass
class Side:
    """A photo store with what is around it."""

    store: PhotoStore
    bucket: str
    upload: Callable[..., Upload]
    delete: Callable[..., None]
    open_url: Callable[[str], Stored]
    """What anybody gets at a URL. Raises `Denied`."""
    outputs: Callable[[], dict[str, bytes]]
    remove_output: Callable[[str], None]
    wait: Callable[[float], None]
    keep_versions: Callable[[str], None]
    """Whether the bucket keeps them from now on: "Enabled" as at first, "Suspended", or "" for another, unversioned."""
    keep_output_versions: Callable[[bool], None]
    """Whether the output bucket keeps versions from now on."""
    tag: Callable[[str, dict[str, str]], None]
    """Give an output these tags."""

    def fetch(self, url: str) -> bytes:
        """The bytes that anybody gets at a URL. Raises `Denied`."""
        return self.open_url(url).data


@dataclass
class S3:
    """A client as the functions have it, and the certificates of the other side."""

    client: Any
    ca: str | None


def s3_of(emulator: Emulator) -> Iterator[S3]:
    ca = emulator.env.get("AWS_CA_BUNDLE")
    session = boto3.Session(
        emulator.env["AWS_ACCESS_KEY_ID"], emulator.env["AWS_SECRET_ACCESS_KEY"], region_name=emulator.env["AWS_REGION"]
    )
    config = s3_config(emulator.endpoint_url).merge(Config(proxies={}))
    client = session.client("s3", endpoint_url=emulator.endpoint_url, verify=ca, config=config)
    yield S3(client, ca)
    client.close()


@pytest.fixture(scope="session")
def s3(emulated_aws: Aws) -> Iterator[S3]:
    yield from s3_of(emulated_aws.emulator)


@pytest.fixture(scope="session")
def s3_over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """As it is for real: only over https is a body streamed with its checksum behind it."""
    with emulators.running(tmp_path_factory.mktemp("emulator over tls"), tls=True) as emulator:
        yield from s3_of(emulator)
        emulator.child.stop(patience=1)  # it would wait for the rest of the bodies that were broken off


@pytest.fixture(params=["fake", "s3", "s3_over_tls"])
def side(request: pytest.FixtureRequest, name: str) -> Side:
    return fake_side(name) if request.param == "fake" else s3_side(request.getfixturevalue(request.param), name)


def fake_side(name: str) -> Side:
    clock = FakeClock()
    store = FakePhotoStore(clock, output_bucket=f"{name}-out")

    def remove_output(key: str) -> None:
        del store.outputs[key]

    def keep_versions(how: str) -> None:
        store.suspended.update({name} if how == "Suspended" else ())
        store.unversioned.update({name} if not how else ())

    return Side(
        store,
        name,
        lambda *arguments, **named: read_upload(store.upload(name, *arguments, **named)),
        lambda *arguments: store.delete(name, *arguments),
        store.open_url,
        lambda: {key: stored.data for key, stored in store.outputs.items()},
        remove_output,
        clock.advance,
        keep_versions,
        lambda kept: setattr(store, "keeps_versions", kept),
        lambda key, tags: store.output_tags.update({(key, store.outputs[key].version_id): tags}),
    )


def s3_side(s3: S3, name: str) -> Side:
    client = s3.client
    out = f"{name}-out"
    for bucket in (name, out):
        client.create_bucket(Bucket=bucket)
    for bucket in (name, out):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def upload(key: str, data: bytes, metadata: Mapping[str, str] | None = None, *, encoding: str = "") -> Upload:
        stored_as = {"ContentType": "application/octet-stream"} | ({"ContentEncoding": encoding} if encoding else {})
        answer = client.put_object(Bucket=name, Key=key, Body=data, Metadata=metadata or {}, **stored_as)
        version = None if answer.get("VersionId") == "null" else answer.get("VersionId")
        return Upload(name, key, version, "00", answer["ETag"].strip('"'), len(data), time.time())

    def keep_versions(how: str) -> None:
        if how:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": how})
        else:  # no bucket that has had them can do without
            client.delete_bucket(Bucket=name)
            client.create_bucket(Bucket=name)

    def delete(key: str, version_id: str | None = None) -> None:
        client.delete_object(Bucket=name, Key=key, **({"VersionId": version_id} if version_id else {}))

    def outputs() -> dict[str, bytes]:
        keys = [thing["Key"] for thing in client.list_objects_v2(Bucket=out).get("Contents", [])]
        return {key: client.get_object(Bucket=out, Key=key)["Body"].read() for key in keys}

    return Side(
        S3PhotoStore(client, out),
        name,
        upload,
        delete,
        lambda url: opened(url, s3.ca),
        outputs,
        lambda key: client.delete_object(Bucket=out, Key=key),
        time.sleep,
        keep_versions,
        lambda kept: client.put_bucket_versioning(
            Bucket=out, VersioningConfiguration={"Status": "Enabled" if kept else "Suspended"}
        ),
        lambda key, tags: client.put_object_tagging(
            Bucket=out, Key=key, Tagging={"TagSet": [{"Key": name, "Value": tags[name]} for name in tags]}
        ),
    )


def opened(url: str, ca: str | None) -> Stored:
    """What a stranger gets who was given a URL."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with opener.open(url, timeout=10) as answer:
            return Stored(
                answer.read(),
                answer.headers["ETag"].strip('"'),
                content_type=answer.headers["Content-Type"],
                content_encoding=answer.headers.get("Content-Encoding", ""),
            )
    except urllib.error.HTTPError as error:
        with error:
            raise Denied(str(error.code)) from None


class Stream(io.RawIOBase):
    """A body that can be read once, from its start; `error` comes once it is used up."""

    def __init__(self, data: bytes, error: Exception | None = None, at_most: int = 10_000) -> None:
        self._data, self._error, self._at_most = io.BytesIO(data), error, at_most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._data.read(min(len(buffer), self._at_most))
        if not data and self._error:
            raise self._error
        buffer[: len(data)] = data
        return len(data)


def stream(data: bytes, error: Exception | None = None) -> BinaryIO:
    return cast("BinaryIO", Stream(data, error))


def put(side: Side, key: str, data: bytes, replaces: Existing | None = None, **metadata: str) -> None:
    side.store.put(key, stream(data), len(data), "image/webp", metadata, replaces)


# Reading


def test_the_head_of_a_photo_comes_with_what_is_known_of_it(side: Side) -> None:
    """The first bytes of a photo come with what is known of the whole."""
    upload = side.upload("a.jpg", b"0123456789", {"aspect-ratio": "4:3"})
    head = side.store.read_head(side.bucket, "a.jpg", upload.version_id, 4)
    assert (head.data, head.size, head.etag, head.metadata) == (b"0123", 10, upload.etag, {"aspect-ratio": "4:3"})


@pytest.mark.parametrize("length", [10, 11, 65_536])
def test_a_photo_no_longer_than_asked_for_comes_whole(side: Side, length: int) -> None:
    upload = side.upload("a.jpg", b"0123456789")
    head = side.store.read_head(side.bucket, "a.jpg", upload.version_id, length)
    assert (head.data, head.size) == (b"0123456789", 10)
    assert side.store.read_tail(side.bucket, "a.jpg", upload.version_id, length) == b"0123456789"


def test_the_end_of_a_photo_is_its_last_bytes(side: Side) -> None:
    upload = side.upload("a.jpg", b"0123456789")
    assert side.store.read_tail(side.bucket, "a.jpg", upload.version_id, 3) == b"789"


def test_a_version_is_read_as_it_was_whatever_came_after(side: Side) -> None:
    first = side.upload("a.jpg", b"first", {"n": "1"})
    second = side.upload("a.jpg", b"second!")
    side.delete("a.jpg")
    head = side.store.read_head(side.bucket, "a.jpg", first.version_id, 100)
    assert (head.data, head.etag, head.metadata) == (b"first", first.etag, {"n": "1"})
    assert side.store.read_tail(side.bucket, "a.jpg", second.version_id, 1) == b"!"


def test_without_a_version_the_newest_is_read(side: Side) -> None:
    side.upload("a.jpg", b"first")
    side.upload("a.jpg", b"second")
    assert side.store.read_head(side.bucket, "a.jpg", None, 100).data == b"second"
    assert side.store.read_tail(side.bucket, "a.jpg", None, 3) == b"ond"


def test_an_empty_object_has_an_empty_head(side: Side) -> None:
    upload = side.upload("a.jpg", b"", {"n": "1"})
    head = side.store.read_head(side.bucket, "a.jpg", upload.version_id, 100)
    assert (head.data, head.size, head.etag, head.metadata) == (b"", 0, upload.etag, {"n": "1"})
    assert side.store.read_tail(side.bucket, "a.jpg", upload.version_id, 100) == b""


def test_what_never_was_is_missing(side: Side) -> None:
    with pytest.raises(Missing):
        side.store.read_head(side.bucket, "never.jpg", None, 10)
    with pytest.raises(Missing):
        side.store.read_tail(side.bucket, "never.jpg", None, 10)


def test_a_version_that_was_deleted_is_missing(side: Side) -> None:
    upload = side.upload("a.jpg", b"data")
    side.delete("a.jpg", upload.version_id)
    with pytest.raises(Missing):
        side.store.read_head(side.bucket, "a.jpg", upload.version_id, 10)
    with pytest.raises(Missing):
        side.store.read_tail(side.bucket, "a.jpg", upload.version_id, 10)


def test_a_deleted_photo_is_missing_unless_its_version_is_named(side: Side) -> None:
    upload = side.upload("a.jpg", b"data")
    side.delete("a.jpg")
    with pytest.raises(Missing):
        side.store.read_head(side.bucket, "a.jpg", None, 10)
    assert side.store.read_head(side.bucket, "a.jpg", upload.version_id, 10).data == b"data"


@pytest.mark.parametrize("overwritten", [False, True])
def test_what_is_at_a_key_says_its_version(side: Side, overwritten: bool) -> None:
    upload = side.upload("a.jpg", b"first")
    if overwritten:
        upload = side.upload("a.jpg", b"first")
    assert side.store.read_head(side.bucket, "a.jpg", None, 100).version_id == upload.version_id
    assert side.store.read_head(side.bucket, "a.jpg", upload.version_id, 100).version_id == upload.version_id


def test_a_version_deleted_for_good_lets_the_one_before_appear(side: Side) -> None:
    first, second = side.upload("a.jpg", b"first"), side.upload("a.jpg", b"second")
    side.delete("a.jpg", second.version_id)
    seen = side.store.read_head(side.bucket, "a.jpg", None, 100)
    assert (seen.data, seen.version_id) == (b"first", first.version_id)


@pytest.mark.parametrize("keeping", ["Enabled", "Suspended", ""])
def test_an_object_that_is_named_by_its_etag_is_that_or_none(side: Side, keeping: str) -> None:
    side.keep_versions(keeping)
    first = side.upload("a.jpg", b"first")
    assert side.store.read_head(side.bucket, "a.jpg", None, 3, first.etag).data == b"fir"
    assert side.store.read_tail(side.bucket, "a.jpg", None, 3, first.etag) == b"rst"
    second = side.upload("a.jpg", b"second")
    for read in (side.store.read_head, side.store.read_tail):
        with pytest.raises(PreconditionFailed):
            read(side.bucket, "a.jpg", None, 3, first.etag)
    assert side.store.read_tail(side.bucket, "a.jpg", None, 3, second.etag) == b"ond"


def test_where_versions_are_no_longer_kept_none_is_told(side: Side) -> None:
    side.upload("a.jpg", b"with a version")
    side.keep_versions("Suspended")
    upload = side.upload("a.jpg", b"without")
    seen = side.store.read_head(side.bucket, "a.jpg", None, 100)
    assert (upload.version_id, seen.version_id, seen.data) == (None, None, b"without")
    side.delete("a.jpg")
    with pytest.raises(Missing):
        side.store.read_head(side.bucket, "a.jpg", None, 100)


# Presigned URLs


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_presigned_url_gives_anybody_exactly_this_version(side: Side, key: str) -> None:
    """A presigned URL gives anybody exactly this version, whatever its key."""
    upload = side.upload(key, b"mine " + key.encode())
    url = side.store.presign(side.bucket, key, upload.version_id, 60)
    side.upload(key, b"a newer one")
    assert url.isascii()
    assert side.fetch(url) == b"mine " + key.encode()
    assert side.fetch(side.store.presign(side.bucket, key, None, 60)) == b"a newer one"


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_url_sends_a_photo_as_what_was_found(side: Side, encoding: str) -> None:
    upload = side.upload("a.jpg", b"\xff\xd8 raw", encoding=encoding)
    as_found = side.open_url(side.store.presign(side.bucket, "a.jpg", upload.version_id, 60, "image/jpeg"))
    assert (as_found.data, as_found.content_type) == (b"\xff\xd8 raw", "image/jpeg")
    assert as_found.content_encoding == "identity"


def test_a_url_without_a_type_sends_what_was_stored(side: Side) -> None:
    upload = side.upload("a.jpg", b"raw", encoding="gzip")
    stored = side.open_url(side.store.presign(side.bucket, "a.jpg", upload.version_id, 60))
    assert (stored.content_type, stored.content_encoding) == ("application/octet-stream", "gzip")


def test_a_url_dies(side: Side) -> None:
    upload = side.upload("a.jpg", b"data")
    url = side.store.presign(side.bucket, "a.jpg", upload.version_id, 1)
    side.wait(2.1)
    with pytest.raises(Denied):
        side.fetch(url)


def test_a_url_cannot_be_turned_into_another(side: Side) -> None:
    first, second = side.upload("a.jpg", b"first"), side.upload("a.jpg", b"second")
    side.upload("b.jpg", b"other")
    url = side.store.presign(side.bucket, "a.jpg", first.version_id, 60, "image/jpeg")
    for forged in (
        url.replace("a.jpg", "b.jpg"),
        url.replace(str(first.version_id), str(second.version_id)),
        url.replace("Expires=60", "Expires=600"),
        url.replace("image%2Fjpeg", "text%2Fhtml"),
    ):
        assert forged != url
        with pytest.raises(Denied):
            side.fetch(forged)


# Writing


def test_nothing_exists_before_it_is_put(side: Side) -> None:
    assert side.store.existing("a.jpg") is None


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_output_is_stored_with_its_metadata_whatever_its_key(side: Side, key: str) -> None:
    put(side, key, b"cleaned", None, **{"detag-job-id": "j1", "detag-source-key": "in/a%20b.jpg"})
    existing = side.store.existing(key)
    assert existing is not None
    assert existing.metadata == {"detag-job-id": "j1", "detag-source-key": "in/a%20b.jpg"}
    assert side.outputs() == {key: b"cleaned"}


def test_an_output_is_stored_only_where_nothing_is(side: Side) -> None:
    put(side, "a.jpg", b"first")
    with pytest.raises(PreconditionFailed):
        put(side, "a.jpg", b"second")
    assert side.outputs() == {"a.jpg": b"first"}


def test_an_output_replaces_the_very_one_that_was_seen(side: Side) -> None:
    put(side, "a.jpg", b"first")
    seen = side.store.existing("a.jpg")
    put(side, "a.jpg", b"second", seen, n="2")
    assert side.outputs() == {"a.jpg": b"second"}
    with pytest.raises(PreconditionFailed):
        put(side, "a.jpg", b"stale", seen)
    assert side.outputs() == {"a.jpg": b"second"}


def test_no_output_replaces_one_that_has_gone_since_it_was_seen(side: Side) -> None:
    """An output is not stored where the one that was seen has gone."""
    put(side, "a.jpg", b"first")
    seen = side.store.existing("a.jpg")
    side.remove_output("a.jpg")
    with pytest.raises(PreconditionFailed):
        put(side, "a.jpg", b"second", seen)
    assert side.outputs() == {}


@pytest.mark.parametrize("missing", [1, 70_000, 199_999, 200_000])
def test_a_body_that_ends_early_stores_nothing(side: Side, missing: int) -> None:
    with pytest.raises(Transient):
        side.store.put("a.jpg", stream(b"x" * (200_000 - missing)), 200_000, "image/webp", {}, None)
    assert side.outputs() == {}


@pytest.mark.parametrize("error", [Transient("the connection broke off"), Unsafe("larger than it said")])
def test_what_breaks_a_body_off_is_what_the_caller_hears(side: Side, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        side.store.put("a.jpg", stream(b"x" * 100_000, error), 200_000, "image/webp", {}, None)
    assert side.outputs() == {}


def test_a_body_that_ends_early_leaves_what_was_there(side: Side) -> None:
    put(side, "a.jpg", b"first")
    seen = side.store.existing("a.jpg")
    with pytest.raises(Transient):
        side.store.put("a.jpg", stream(b"sec"), 6, "image/webp", {}, seen)
    assert side.outputs() == {"a.jpg": b"first"}


def test_a_large_body_arrives_whole(side: Side) -> None:
    data = bytes(range(256)) * 12_345
    put(side, "a.webp", data)
    assert side.outputs() == {"a.webp": data}


def test_metadata_that_no_header_holds_is_refused(side: Side) -> None:
    for value in ("é", "line\nbreak"):
        with pytest.raises(ValueError, match="metadata"):
            put(side, "a.jpg", b"data", None, note=value)
    assert side.outputs() == {}


def test_a_record_is_stored_over_the_one_that_it_replaces(side: Side) -> None:
    side.store.put_record("_failed/ä.txt", "first", {"whose": "ours"}, None)
    first = side.store.existing("_failed/ä.txt")
    assert first is not None and first.metadata == {"whose": "ours"}
    side.store.put_record("_failed/ä.txt", "zweitens: ö", {}, first)
    assert side.outputs() == {"_failed/ä.txt": "zweitens: ö".encode()}
    for replaces in (None, first):
        with pytest.raises(PreconditionFailed):
            side.store.put_record("_failed/ä.txt", "third", {}, replaces)


@pytest.mark.parametrize("key", ["a.jpg", "_failed/ä.txt"])
def test_what_is_removed_is_not_there_any_more(side: Side, key: str) -> None:
    put(side, key, b"data")
    assert side.store.remove(key)
    assert side.store.existing(key) is None
    assert side.outputs() == {}
    assert side.store.remove(key), "it is gone, and that is all that was asked for"
    put(side, key, b"again")
    assert side.outputs() == {key: b"again"}


@pytest.mark.parametrize("keeps_versions", [True, False])
def test_an_object_tells_whether_it_could_be_brought_back(side: Side, keeps_versions: bool) -> None:
    side.keep_output_versions(keeps_versions)
    put(side, "a.jpg", b"data")
    existing = side.store.existing("a.jpg")
    assert existing is not None
    assert existing.versioned is keeps_versions


# Only of the real one


@pytest.mark.parametrize("kind", ["s3", "s3_over_tls"])
def test_a_large_body_is_never_whole_in_memory(
    request: pytest.FixtureRequest, name: str, kind: str, tmp_path: Path
) -> None:
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(48 * 1024 * 1024)
    side = s3_side(request.getfixturevalue(kind), name)
    put(side, "first.webp", b"the client has done its first call")
    tracemalloc.start()
    try:
        with source.open("rb", buffering=0) as file:
            side.store.put("large.webp", cast("BinaryIO", file), 48 * 1024 * 1024, "image/webp", {}, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 1024 * 1024
    assert len(side.outputs()["large.webp"]) == 48 * 1024 * 1024


# Copies of what was delivered


def delivered(side: Side, key: str, data: bytes = b"output", **metadata: str) -> Output:
    there = side.store.put(key, stream(data), len(data), "image/webp", metadata, None)
    return Output(1, key, there.version_id, there.etag, there.size, there.content_type)


def test_what_was_put_is_known_exactly(side: Side) -> None:
    output = delivered(side, "a.jpg")
    assert output.version_id is not None
    assert (output.size, output.content_type) == (6, "image/webp")
    there = side.store.existing("a.jpg")
    assert there is not None
    assert (there.version_id, there.etag, there.size) == (output.version_id, output.etag, output.size)


def test_a_copy_is_of_exactly_that_version(side: Side) -> None:
    """With metadata of its own, whatever has taken the place of the original."""
    output = delivered(side, "a.jpg", b"first", n="1")
    put(side, "a.jpg", b"second", side.store.existing("a.jpg"))
    copy = side.store.copy_output(output, "b.jpg", {"n": "2"}, None)
    there = side.store.existing("b.jpg")
    assert there is not None
    assert side.outputs()["b.jpg"] == b"first"
    assert (there.metadata, there.content_type, there.etag) == ({"n": "2"}, "image/webp", output.etag)
    assert (copy.version_id, copy.etag, copy.size) == (there.version_id, there.etag, there.size)


def test_a_version_of_an_output_is_found_behind_a_newer_one(side: Side) -> None:
    output = delivered(side, "a.jpg", b"first", n="1")
    put(side, "a.jpg", b"second", side.store.existing("a.jpg"))
    older = side.store.existing("a.jpg", output.version_id)
    assert older is not None
    assert (older.metadata, older.size) == ({"n": "1"}, 5)
    side.store.remove("a.jpg")
    assert side.store.existing("a.jpg") is None
    assert side.store.existing("a.jpg", output.version_id) == older


def test_a_version_that_never_was_is_none(side: Side) -> None:
    delivered(side, "a.jpg")
    assert side.store.existing("a.jpg", "no-such-version") is None
    assert side.store.existing("never.jpg", "no-such-version") is None


def test_a_copy_of_what_is_gone_is_missing(side: Side) -> None:
    output = delivered(side, "a.jpg")
    with pytest.raises(Missing):
        side.store.copy_output(replace(output, version_id="no-such-version"), "b.jpg", {}, None)
    with pytest.raises(Missing):
        side.store.copy_output(replace(output, key="never.jpg", version_id=None), "b.jpg", {}, None)
    assert "b.jpg" not in side.outputs()


def test_without_versions_only_the_same_bytes_are_copied(side: Side) -> None:
    side.keep_output_versions(False)
    output = delivered(side, "a.jpg", b"first")
    put(side, "a.jpg", b"second", side.store.existing("a.jpg"))
    with pytest.raises(PreconditionFailed):
        side.store.copy_output(replace(output, version_id=None), "b.jpg", {}, None)


def test_a_copy_never_overwrites_what_was_not_seen(side: Side) -> None:
    output = delivered(side, "a.jpg")
    seen = side.store.existing("a.jpg")
    put(side, "b.jpg", b"theirs")
    for replaces in (None, seen):
        with pytest.raises(PreconditionFailed):
            side.store.copy_output(output, "b.jpg", {}, replaces)
    assert side.outputs()["b.jpg"] == b"theirs"
    side.store.copy_output(output, "b.jpg", {}, side.store.existing("b.jpg"))
    assert side.outputs()["b.jpg"] == b"output"


def test_a_copy_has_none_of_the_tags(side: Side) -> None:
    output = delivered(side, "a.jpg")
    side.tag("a.jpg", {"detag-review": "rejected"})
    assert side.store.tags("a.jpg", output.version_id) == {"detag-review": "rejected"}
    copy = side.store.copy_output(output, "b.jpg", {}, None)
    assert side.store.tags("b.jpg", copy.version_id) == {}


def test_tags_of_what_is_not_there_are_missing(side: Side) -> None:
    with pytest.raises(Missing):
        side.store.tags("never.jpg", None)
