"""S3 beyond what an emulator shows: its errors, its addresses, what is sent with an output."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import IO, Any, cast
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from detag.adapters.aws import ATTEMPTS
from detag.adapters.s3 import S3PhotoStore, S3Stacks, copy_request, put_request, s3_config
from detag.domain.images import Head
from detag.domain.picture import Output
from detag.ports.errors import Conflict, Transient
from detag.ports.photos import Archived, Denied, Existing, Missing, NotShown, PreconditionFailed


@cache
def client_of(region: str = "eu-central-1", endpoint: str | None = None) -> Any:
    session = boto3.Session("AKIDEXAMPLE", "secret", "token/+=", region_name=region)
    return session.client("s3", config=s3_config(endpoint), endpoint_url=endpoint)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(client_of()) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def store(stub: Stubber) -> S3PhotoStore:
    return S3PhotoStore(cast("Any", stub).client, "out")


def body(data: bytes | io.RawIOBase, length: int | None = None) -> StreamingBody:
    if length is None:
        length = len(cast("bytes", data))
    return StreamingBody(cast("IO[bytes]", io.BytesIO(data) if isinstance(data, bytes) else data), length)


# Addresses

ODD = "Größe/a b+c%20d&e=f?g#h 😀.jpg"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "ap-southeast-2", "us-gov-west-1"])
def test_a_url_is_regional_virtual_hosted_and_versioned(region: str) -> None:
    """A URL is regional and virtual-hosted, and names its version."""
    url = S3PhotoStore(client_of(region), "out").presign("photos", ODD, "v.1_/+=", 900, "image/png")
    parts = urlsplit(url)
    query = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert (parts.scheme, parts.netloc) == ("https", f"photos.s3.{region}.amazonaws.com")
    assert parts.path == "/Gr%C3%B6%C3%9Fe/a%20b%2Bc%2520d%26e%3Df%3Fg%23h%20%F0%9F%98%80.jpg"
    assert (query["versionId"], query["X-Amz-Algorithm"]) == ("v.1_/+=", "AWS4-HMAC-SHA256")
    assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == ("900", "host")
    assert query["X-Amz-Credential"].split("/")[2:] == [region, "s3", "aws4_request"]
    assert query["X-Amz-Security-Token"] == "token/+="
    assert (query["response-content-type"], query["response-content-encoding"]) == ("image/png", "identity")


def test_a_url_names_no_version_where_there_is_none() -> None:
    assert "versionId" not in S3PhotoStore(client_of(), "out").presign("photos", "a.jpg", None, 900)


@pytest.mark.parametrize(
    ("endpoint", "begins"),
    [
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566/photos/a.jpg?"),
        ("https://localhost:4566", "https://localhost:4566/photos/a.jpg?"),
        ("https://s3.example.com", "https://photos.s3.example.com/a.jpg?"),
        ("https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com", "https://photos.bucket.vpce-1.s3."),
    ],
)
def test_path_style_is_for_this_machine_only(endpoint: str, begins: str) -> None:
    assert S3PhotoStore(client_of(endpoint=endpoint), "out").presign("photos", "a.jpg", None, 60).startswith(begins)


def test_a_bucket_with_dots_keeps_its_certificate_valid() -> None:
    url = S3PhotoStore(client_of(), "out").presign("my.photos", "a.jpg", None, 60)
    assert url.startswith("https://s3.eu-central-1.amazonaws.com/my.photos/a.jpg?")


def test_the_sdks_own_checksum_is_kept() -> None:
    config = client_of().meta.config
    assert config.request_checksum_calculation == "when_supported"
    assert config.retries["total_max_attempts"] == ATTEMPTS


# Reading


def test_the_start_is_one_ranged_get_of_the_version(stub: Stubber, store: S3PhotoStore) -> None:
    answer = {
        "Body": body(b"0123"),
        "ContentLength": 4,
        "ContentRange": "bytes 0-3/1000000",
        "ETag": '"e-1"',
        "Metadata": {"aspect-ratio": "1:1"},
    }
    sent = {"Bucket": "in", "Key": ODD, "VersionId": "v1", "Range": "bytes=0-3"}
    stub.add_response("get_object", answer, sent)
    assert store.read_head("in", ODD, "v1", 4) == Head(b"0123", 1_000_000, "e-1", {"aspect-ratio": "1:1"})


@pytest.mark.parametrize(("told", "known"), [("v2", "v2"), ("null", None), (None, None)])
def test_the_start_says_which_version_answered(
    stub: Stubber, store: S3PhotoStore, told: str | None, known: str | None
) -> None:
    answer = {"Body": body(b"0123"), "ContentLength": 4, "ETag": '"e"', "Metadata": {}}
    stub.add_response("get_object", answer | ({"VersionId": told} if told else {}), ANY_READ)
    assert store.read_head("in", "a", None, 4).version_id == known


def test_a_read_of_the_very_object_names_its_etag(stub: Stubber, store: S3PhotoStore) -> None:
    answer = {"Body": body(b"6789"), "ContentLength": 4, "ETag": '"e"', "Metadata": {}}
    stub.add_response("get_object", answer, {"Bucket": "in", "Key": "a", "Range": "bytes=-4", "IfMatch": '"e"'})
    assert store.read_tail("in", "a", None, 4, "e") == b"6789"


def test_an_answer_with_the_whole_is_cut_to_what_was_asked_for(stub: Stubber, store: S3PhotoStore) -> None:
    whole = {"Body": body(b"0123456789"), "ContentLength": 10, "ETag": '"e"', "Metadata": {}}
    stub.add_response("get_object", whole, ANY_READ)
    assert store.read_head("in", "a", None, 4) == Head(b"0123", 10, "e", {})
    stub.add_response(
        "get_object", whole | {"Body": body(b"0123456789")}, {"Bucket": "in", "Key": "a", "Range": "bytes=-4"}
    )
    assert store.read_tail("in", "a", None, 4) == b"6789"


ANY_READ = {"Bucket": "in", "Key": "a", "Range": "bytes=0-3"}


def test_an_object_that_is_no_longer_empty_is_read_again_later(stub: Stubber, store: S3PhotoStore) -> None:
    """An object that was empty, and is not any more, is read again later."""
    stub.add_client_error("get_object", "InvalidRange", http_status_code=416)
    stub.add_response("head_object", {"ContentLength": 7, "ETag": '"e"', "Metadata": {}}, {"Bucket": "in", "Key": "a"})
    with pytest.raises(Transient):
        store.read_head("in", "a", None, 4)


READ_ERRORS = [
    ("NoSuchKey", 404, Missing),
    ("NoSuchVersion", 404, Missing),
    ("NoSuchBucket", 404, Missing),
    ("404", 404, Missing),
    ("MethodNotAllowed", 405, Missing),
    ("AccessDenied", 403, Denied),
    ("403", 403, Denied),
    ("AllAccessDisabled", 403, Denied),
    ("InvalidObjectState", 403, Archived),
    ("PreconditionFailed", 412, PreconditionFailed),
    ("KMS.DisabledException", 400, Denied),
    ("KMS.NotFoundException", 400, Denied),
    ("InvalidRequest", 400, Denied),
    ("RequestTimeTooSkewed", 403, Transient),
    ("SignatureDoesNotMatch", 403, Transient),
    ("InvalidAccessKeyId", 403, Transient),
    ("ExpiredToken", 400, Transient),
    ("RequestTimeout", 400, Transient),
    ("SlowDown", 503, Transient),
    ("ServiceUnavailable", 503, Transient),
    ("InternalError", 500, Transient),
    ("TooManyRequests", 429, Transient),
    ("SomethingNew", 418, Transient),
]


@pytest.mark.parametrize(("code", "status", "meaning"), READ_ERRORS)
@pytest.mark.parametrize("operation", ["read_head", "read_tail"])
def test_an_error_of_a_read_has_its_meaning(
    stub: Stubber, store: S3PhotoStore, operation: str, code: str, status: int, meaning: type[Exception]
) -> None:
    stub.add_client_error("get_object", code, "text", http_status_code=status)
    if (meaning, status) == (Denied, 403):
        stub.add_client_error("list_object_versions", "AccessDenied", http_status_code=403)
    with pytest.raises(meaning, match=code):
        getattr(store, operation)("in", "a", "v", 4)


def test_an_error_after_an_empty_read_has_its_meaning_too(stub: Stubber, store: S3PhotoStore) -> None:
    stub.add_client_error("get_object", "InvalidRange", http_status_code=416)
    stub.add_client_error("head_object", "404", http_status_code=404)
    with pytest.raises(Missing):
        store.read_head("in", "a", "v", 4)


class Broken(io.RawIOBase):
    """A body whose connection is lost."""

    def read(self, size: int = -1) -> bytes:
        raise ReadTimeoutError(endpoint_url="https://in.s3.amazonaws.com/a?X-Amz-Signature=secret")


@pytest.mark.parametrize("data", [Broken, lambda: b"01"])
@pytest.mark.parametrize("operation", ["read_head", "read_tail"])
def test_a_body_that_breaks_off_is_transient(
    stub: Stubber, store: S3PhotoStore, operation: str, data: Callable[[], bytes | io.RawIOBase]
) -> None:
    broken = body(data(), length=4)
    answer = {"Body": broken, "ContentLength": 4, "ContentRange": "bytes 0-3/9", "ETag": '"e"', "Metadata": {}}
    stub.add_response("get_object", answer)
    with pytest.raises(Transient) as failure:
        getattr(store, operation)("in", "a", "v", 100)
    assert "secret" not in str(failure.value)


# Writing


def test_an_output_carries_its_conditions_type_and_metadata() -> None:
    request = put_request("out", ODD, 7, "image/webp", {"detag-job-id": "j"}, None)
    assert request == {
        "Bucket": "out",
        "Key": ODD,
        "ContentLength": 7,
        "ContentType": "image/webp",
        "Metadata": {"detag-job-id": "j"},
        "IfNoneMatch": "*",
    }
    again = put_request("out", ODD, 7, "image/webp", {}, Existing("e-1", {}))
    assert (again["IfMatch"], "IfNoneMatch" in again) == ('"e-1"', False)


@pytest.mark.parametrize("metadata", [{"n": "é"}, {"ñ": "v"}, {"n": "a\nb"}, {"n": "a\r\nX: y"}, {"n": "\x00"}])
def test_metadata_that_a_header_cannot_hold_is_never_sent(metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        put_request("out", "a", 1, "image/webp", metadata, None)


WRITE_ERRORS = [
    ("PreconditionFailed", 412, None, PreconditionFailed),
    ("PreconditionFailed", 412, Existing("e", {}), PreconditionFailed),
    ("NoSuchKey", 404, Existing("e", {}), PreconditionFailed),
    ("NoSuchKey", 404, None, Transient),
    ("NoSuchBucket", 404, Existing("e", {}), Transient),
    ("ConditionalRequestConflict", 409, None, Transient),
    ("ConditionalRequestConflict", 409, Existing("e", {}), Transient),
    ("OperationAborted", 409, None, Transient),
    ("AccessDenied", 403, None, Transient),
    ("KMS.DisabledException", 400, None, Transient),
    ("BadDigest", 400, None, Transient),
    ("IncompleteBody", 400, None, Transient),
    ("SlowDown", 503, None, Transient),
    ("InternalError", 500, None, Transient),
]


@pytest.mark.parametrize(("code", "status", "replaces", "meaning"), WRITE_ERRORS)
def test_an_error_of_a_write_has_its_meaning(
    stub: Stubber, store: S3PhotoStore, code: str, status: int, replaces: Existing | None, meaning: type[Exception]
) -> None:
    stub.add_client_error("put_object", code, "text", http_status_code=status)
    with pytest.raises(meaning, match=code):
        store.put("a", io.BytesIO(b"data"), 4, "image/webp", {}, replaces)


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("SlowDown", 503), ("NoSuchBucket", 404)])
def test_a_record_that_cannot_be_stored_now_is_transient(
    stub: Stubber, store: S3PhotoStore, code: str, status: int
) -> None:
    stub.add_client_error("put_object", code, http_status_code=status)
    with pytest.raises(Transient, match=code):
        store.put_record("_failed/a.txt", "text", {}, None)


@pytest.mark.parametrize(("code", "status"), [("403", 403), ("503", 503), ("400", 400)])
def test_what_cannot_be_seen_is_not_taken_for_nothing(
    stub: Stubber, store: S3PhotoStore, code: str, status: int
) -> None:
    stub.add_client_error("head_object", code, http_status_code=status)
    if status == 403:
        stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    if status != 503:
        stub.add_client_error("get_object_tagging", "AccessDenied", http_status_code=403)
        stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    with pytest.raises(Transient if status == 503 else NotShown):
        store.existing("a")


def test_what_may_be_seen_later_is_not_taken_for_closed(stub: Stubber, store: S3PhotoStore) -> None:
    """The answer to a HEAD has no body: another call says that S3 is only busy."""
    stub.add_client_error("head_object", "400", http_status_code=400)
    stub.add_client_error("get_object_tagging", "SlowDown", http_status_code=503)
    with pytest.raises(Transient) as told:
        store.existing("a")
    assert not isinstance(told.value, NotShown)


@pytest.mark.parametrize(("code", "status"), [("404", 404), ("405", 405)])
def test_a_version_that_is_gone_is_none(stub: Stubber, store: S3PhotoStore, code: str, status: int) -> None:
    stub.add_client_error("head_object", code, http_status_code=status)
    assert store.existing("a", "v1") is None


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InvalidArgument", 400), ("NoSuchVersion", 404)])
def test_a_version_that_may_not_be_read_is_none(stub: Stubber, store: S3PhotoStore, code: str, status: int) -> None:
    """The answer to a HEAD does not say why; that to another call does."""
    stub.add_client_error("head_object", "400", http_status_code=400)
    stub.add_client_error("get_object_tagging", code, http_status_code=status)
    if status == 403:
        stub.add_client_error("list_object_versions", "AccessDenied", http_status_code=403)
    assert store.existing("a", "v1") is None


@pytest.mark.parametrize(("code", "status"), [("ExpiredToken", 400), ("RequestTimeTooSkewed", 403), ("SlowDown", 503)])
def test_what_passes_does_not_make_a_version_gone(stub: Stubber, store: S3PhotoStore, code: str, status: int) -> None:
    """What cannot be told is not taken for gone, and paid for."""
    stub.add_client_error("head_object", "403", http_status_code=403)
    stub.add_client_error("get_object_tagging", code, http_status_code=status)
    with pytest.raises(Transient):
        store.existing("a", "v1")


OUTPUT = Output(1, "shoes/ä b.jpg", "v1", "e1", 9, "image/webp")


def test_a_copy_names_its_version_and_takes_nothing_over() -> None:
    request = copy_request("out", OUTPUT, "b.jpg", {"detag-job-id": "j"}, Existing("e2", {}))
    assert request == {
        "Bucket": "out",
        "Key": "b.jpg",
        "ContentType": "image/webp",
        "Metadata": {"detag-job-id": "j"},
        "IfMatch": '"e2"',
        "CopySource": {"Bucket": "out", "Key": "shoes/ä b.jpg", "VersionId": "v1"},
        "CopySourceIfMatch": '"e1"',
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
    }
    without = copy_request("out", replace(OUTPUT, version_id=None), "b.jpg", {}, None)
    assert (without["IfNoneMatch"], without["CopySource"]) == ("*", {"Bucket": "out", "Key": "shoes/ä b.jpg"})


COPY_ERRORS = [
    ("PreconditionFailed", 412, None, PreconditionFailed),
    ("NoSuchVersion", 404, None, Missing),
    ("NoSuchVersion", 404, Existing("e", {}), Missing),
    ("NoSuchKey", 404, None, Missing),
    ("NoSuchKey", 404, Existing("e", {}), Transient),
    ("InvalidObjectState", 403, None, Archived),
    ("AccessDenied", 403, None, Denied),
    ("ConditionalRequestConflict", 409, None, Transient),
    ("SlowDown", 503, None, Transient),
]


@pytest.mark.parametrize(("code", "status", "replaces", "meaning"), COPY_ERRORS)
def test_an_error_of_a_copy_has_its_meaning(
    stub: Stubber, store: S3PhotoStore, code: str, status: int, replaces: Existing | None, meaning: type[Exception]
) -> None:
    stub.add_client_error("copy_object", code, "text", http_status_code=status)
    if meaning is Denied:
        stub.add_client_error("get_object", code, "text", http_status_code=status)
    with pytest.raises(meaning, match=code):
        store.copy_output(OUTPUT, "b.jpg", {}, replaces)


def test_a_copy_that_may_not_be_stored_is_no_lost_source(stub: Stubber, store: S3PhotoStore) -> None:
    stub.add_client_error("copy_object", "AccessDenied", "text", http_status_code=403)
    stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"x"), 1)})
    with pytest.raises(Transient, match="may not be stored"):
        store.copy_output(OUTPUT, "b.jpg", {}, None)


@pytest.mark.parametrize("error", [EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError])
def test_a_lost_connection_is_transient_and_names_no_url(error: Any) -> None:
    class Cut:
        meta = client_of().meta

        def __getattr__(self, name: str) -> Any:
            def call(**_: object) -> None:
                raise error(endpoint_url="https://in.s3.amazonaws.com/a?X-Amz-Signature=secret")

            return call

    store = S3PhotoStore(cast("Any", Cut()), "out")
    calls: list[Callable[[], object]] = [
        lambda: store.read_head("in", "a", None, 1),
        lambda: store.read_tail("in", "a", None, 1),
        lambda: store.existing("a"),
        lambda: store.tags("a", None),
        lambda: store.copy_output(OUTPUT, "b", {}, None),
        lambda: store.put("a", io.BytesIO(b"x"), 1, "image/webp", {}, None),
        lambda: store.put_record("a", "text", {}, None),
    ]
    for call in calls:
        with pytest.raises(Transient) as failure:
            call()
        assert "secret" not in str(failure.value)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", None])
def test_a_body_that_ends_early_is_never_whole_to_the_sdk(endpoint: str | None) -> None:
    client, given = client_of(endpoint=endpoint), []

    def take(request: Any, **_: object) -> AWSResponse:
        while block := request.body.read(50_000):
            given.append(block)
        return AWSResponse(request.url, 200, cast("Any", {}), RawAnswer(b""))

    client.meta.events.register("before-send.s3.PutObject", take)
    try:
        with pytest.raises(Transient, match="ended early"):
            S3PhotoStore(client, "out").put("a", io.BytesIO(b"x" * 99_999), 100_000, "image/webp", {}, None)
    finally:
        client.meta.events.unregister("before-send.s3.PutObject", take)
    assert b"x-amz-checksum" not in b"".join(given)  # which stands behind the last byte


def test_a_stream_that_s3_did_not_take_is_not_sent_twice() -> None:
    client, sent = client_of("eu-west-1"), []

    def slow_down(request: Any, **_: object) -> AWSResponse:
        sent.append(request.headers)
        return AWSResponse(request.url, 503, cast("Any", {}), RawAnswer(b"<Error><Code>SlowDown</Code></Error>"))

    client.meta.events.register("before-send.s3.PutObject", slow_down)
    body_of_an_output = io.BufferedReader(cast("io.RawIOBase", Once(b"x" * 100_000)))
    with pytest.raises(Transient, match="cannot be sent twice"):
        S3PhotoStore(client, "out").put("a", body_of_an_output, 100_000, "image/webp", {}, None)
    assert len(sent) == 1
    assert sent[0]["If-None-Match"] in ("*", b"*")
    assert sent[0]["X-Amz-Trailer"] in ("x-amz-checksum-crc32", b"x-amz-checksum-crc32")
    assert sent[0]["X-Amz-Decoded-Content-Length"] in ("100000", b"100000")


class Once(io.RawIOBase):
    """A body that can only be read on."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


class RawAnswer(io.BytesIO):
    """What the SDK reads an answer from."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


# A role that may list one folder only


def listed(*keys: str) -> dict[str, Any]:
    return {"Contents": [{"Key": key} for key in keys]}


LISTING = {"Bucket": "in", "Prefix": "a/b.jpg", "MaxKeys": 1}


@pytest.mark.parametrize("keys", [(), ("a/b.jpg.webp",)])
def test_a_403_for_what_is_not_listed_is_missing(stub: Stubber, store: S3PhotoStore, keys: tuple[str, ...]) -> None:
    """S3 tells missing from forbidden only to a role that may list the whole bucket."""
    for read in (store.read_head, store.read_tail):
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        stub.add_response("list_objects_v2", listed(*keys), LISTING)
        with pytest.raises(Missing):
            read("in", "a/b.jpg", None, 10)


def test_a_403_for_what_is_listed_is_denied(stub: Stubber, store: S3PhotoStore) -> None:
    stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
    stub.add_response("list_objects_v2", listed("a/b.jpg"), LISTING)
    with pytest.raises(Denied):
        store.read_head("in", "a/b.jpg", None, 10)


def test_a_403_is_denied_where_nothing_may_be_listed(stub: Stubber, store: S3PhotoStore) -> None:
    """What cannot be told is never taken for gone."""
    stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
    stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    with pytest.raises(Denied):
        store.read_head("in", "a/b.jpg", None, 10)


@pytest.mark.parametrize(
    ("versions", "truncated", "meaning"),
    [
        ([("a/b.jpg", "v0"), ("a/b.jpg.webp", "v1")], False, Missing),
        ([("a/b.jpg", "v0"), ("a/b.jpg", "v1")], False, Denied),
        ([("a/b.jpg", "v0")], True, Denied),
    ],
    ids=["not listed", "listed", "not listed to the end"],
)
def test_a_version_is_looked_for_among_the_versions(
    stub: Stubber, versions: list[tuple[str, str]], truncated: bool, meaning: type[Exception]
) -> None:
    answer = {"IsTruncated": truncated, "Versions": [{"Key": key, "VersionId": one} for key, one in versions]}
    photos = S3PhotoStore(cast("Any", stub).client, "out", "a/")
    stub.add_client_error("get_object_tagging", "AccessDenied", http_status_code=403)
    stub.add_response("list_object_versions", answer, {"Bucket": "out", "Prefix": "a/b.jpg"})
    with pytest.raises(meaning):
        photos.tags("a/b.jpg", "v1")


def test_a_403_for_a_version_is_denied_where_none_may_be_listed(stub: Stubber, store: S3PhotoStore) -> None:
    stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
    stub.add_client_error("list_object_versions", "AccessDenied", http_status_code=403)
    with pytest.raises(Denied):
        store.read_head("in", "a/b.jpg", "v1", 10)


def test_the_functions_store_knows_the_output_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    from detag.wiring import photo_store

    assert photo_store("out", "cleaned/", {}).existing("shoe.jpg.webp") is None, "without a request"


def test_outside_of_the_output_prefix_nothing_is_asked_for(stub: Stubber) -> None:
    """What was delivered before the prefix was set may not be looked at: S3 would answer 403, whatever is there."""
    store = S3PhotoStore(cast("Any", stub).client, "out", "cleaned/")
    assert store.existing("shoe.jpg.webp") is None
    assert store.existing("shoe.jpg.webp", "v1") is None
    with pytest.raises(Missing):
        store.tags("shoe.jpg.webp", "v1")


@pytest.mark.parametrize(("keys", "meaning"), [((), Missing), (("a/b.jpg",), Denied)])
def test_a_403_after_an_empty_read_is_looked_up_too(
    stub: Stubber, store: S3PhotoStore, keys: tuple[str, ...], meaning: type[Exception]
) -> None:
    """The empty object was deleted between the two requests."""
    stub.add_client_error("get_object", "InvalidRange", http_status_code=416)
    stub.add_client_error("head_object", "403", http_status_code=403)
    stub.add_response("list_objects_v2", listed(*keys), LISTING)
    with pytest.raises(meaning):
        store.read_head("in", "a/b.jpg", None, 10)


def test_no_output_is_there_where_none_is_listed(stub: Stubber, store: S3PhotoStore) -> None:
    stub.add_client_error("head_object", "403", http_status_code=403)
    stub.add_response("list_objects_v2", listed(), LISTING | {"Bucket": "out"})
    assert store.existing("a/b.jpg") is None
    stub.add_client_error("head_object", "403", http_status_code=403)
    stub.add_response("list_objects_v2", listed("a/b.jpg"), LISTING | {"Bucket": "out"})
    stub.add_response("get_object_tagging", {"TagSet": []})
    with pytest.raises(NotShown):
        store.existing("a/b.jpg")


# Claims of stacks


@pytest.fixture
def stacks(stub: Stubber) -> S3Stacks:
    return S3Stacks(cast("Any", stub).client, "in")


CLAIMS = {"Bucket": "in", "Key": ".detag/stacks.json"}


def test_claims_are_read_with_their_etag(stub: Stubber, stacks: S3Stacks) -> None:
    stub.add_response("get_object", {"Body": body(b"{}"), "ETag": '"e1"'}, CLAIMS)
    assert stacks.read() == ("{}", "e1")


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_no_claims_are_no_text(stub: Stubber, stacks: S3Stacks, code: str) -> None:
    """Where a listing shows that there are none, if S3 does not tell."""
    stub.add_client_error("get_object", code, http_status_code=404 if code == "NoSuchKey" else 403)
    if code == "AccessDenied":
        stub.add_response("list_objects_v2", listed(), {"Bucket": "in", "Prefix": CLAIMS["Key"], "MaxKeys": 1})
    assert stacks.read() == ("", None)


@pytest.mark.parametrize(("code", "status"), [("NoSuchBucket", 404), ("SlowDown", 503)])
def test_claims_that_cannot_be_read_are_not_none(stub: Stubber, stacks: S3Stacks, code: str, status: int) -> None:
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(Transient):
        stacks.read()


def test_claims_that_are_forbidden_are_not_none(stub: Stubber, stacks: S3Stacks) -> None:
    """They are there, or nobody can tell: taken for none, another stack's claims would be overwritten."""
    for listing in ("shown", "refused"):
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        if listing == "shown":
            stub.add_response("list_objects_v2", listed(CLAIMS["Key"]))
        else:
            stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
        with pytest.raises(Transient):
            stacks.read()


@pytest.mark.parametrize(("etag", "condition"), [(None, {"IfNoneMatch": "*"}), ("e1", {"IfMatch": '"e1"'})])
def test_claims_are_replaced_only_as_they_were_read(
    stub: Stubber, stacks: S3Stacks, etag: str | None, condition: dict[str, str]
) -> None:
    expected = CLAIMS | condition | {"Body": b"{}", "ContentType": "application/json"}
    stub.add_response("put_object", {}, expected)
    stacks.replace("{}", etag)
    for code, status in (("PreconditionFailed", 412), ("ConditionalRequestConflict", 409), ("NoSuchKey", 404)):
        stub.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(Conflict):
            stacks.replace("{}", etag)
    stub.add_client_error("put_object", "AccessDenied", http_status_code=403)
    with pytest.raises(Transient):
        stacks.replace("{}", etag)
