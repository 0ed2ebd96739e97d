"""Photos in Amazon S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing, suppress
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, Literal, cast
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError, UnseekableStreamError

from detag.adapters.aws import aws_config, calling, error_code
from detag.adapters.disk import temporary_file
from detag.adapters.hosts import is_loopback
from detag.domain.images import Head
from detag.domain.missed_uploads import Listed, Page, Position
from detag.domain.picture import Output
from detag.domain.prefix_claim import MAX_BYTES, STACKS_KEY
from detag.ports.errors import Conflict, Transient
from detag.ports.photos import RECORD_TYPE, Archived, Denied, Existing, Missing, NotShown, PreconditionFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_SECONDS: Final = 20.0
"""S3 may take that long to answer for a large object that has just been sent."""
BLOCK: Final = 65_536
_OURS: Final = frozenset({"InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})
"""Codes of a 403 that speak of the caller's clock and credentials, not of the object: they pass."""


def s3_config(endpoint_url: str | None) -> Config:
    """`aws_config` for S3: URLs are presigned with SigV4, regional and virtual-hosted, as every region takes them.

    Path style only where the endpoint is this machine, whose name has no sub-domains.
    """
    style: Literal["path", "virtual"] = "path" if is_loopback(urlsplit(endpoint_url or "").hostname) else "virtual"
    own = Config(signature_version="s3v4", s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional"})
    return aws_config(read_seconds=READ_SECONDS).merge(own)


def put_request(
    bucket: str, key: str, length: int, content_type: str, metadata: Mapping[str, str], replaces: Existing | None
) -> dict[str, Any]:
    """A PutObject request, all but its body, that is refused unless `replaces` is still what is there.

    Raises ValueError for metadata that no header holds as it is; `detag.domain.naming` never makes any.
    """
    for name, value in metadata.items():
        if not (name + value).isascii() or not (name + value).isprintable():
            raise ValueError(f"metadata {name!r} cannot be stored as it is")
    request: dict[str, Any] = {
        "Bucket": bucket,
        "Key": key,
        "ContentLength": length,
        "ContentType": content_type,
        "Metadata": metadata,
    }
    if replaces is None:
        request["IfNoneMatch"] = "*"
    else:
        request["IfMatch"] = f'"{replaces.etag}"'
    return request


def copy_request(
    bucket: str, source: Output, key: str, metadata: Mapping[str, str], replaces: Existing | None
) -> dict[str, Any]:
    """A CopyObject request for exactly one output, refused unless `replaces` is still what is at the key."""
    request = put_request(bucket, key, source.size, source.content_type, metadata, replaces)
    del request["ContentLength"]
    where = {"Bucket": bucket, "Key": source.key}
    if source.version_id:
        where["VersionId"] = source.version_id
    return request | {
        "CopySource": where,
        "CopySourceIfMatch": f'"{source.etag}"',
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
    }


class S3PhotoStore:
    """See `detag.ports.photos.PhotoStore`. `output_bucket` is where `existing`, `put` and `put_record` work.

    `output_prefix`: the functions may look at what lies in this folder of it only. An output from before it was set has
    a key elsewhere, and is not asked for: S3 would refuse to say whether it is there.
    """

    def __init__(self, client: S3Client, output_bucket: str, output_prefix: str = "") -> None:
        self._client, self._output_bucket, self._output_prefix = client, output_bucket, output_prefix

    def read_head(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> Head:
        """See `PhotoStore`. One GET; a HEAD besides only for an empty object, which has no range."""
        where = _version(bucket, key, version_id, etag)
        try:
            with calling("GetObject"):
                answer = self._client.get_object(**where, Range=f"bytes=0-{length - 1}")
                with closing(answer["Body"]) as body:
                    data = body.read(length)
                if len(data) < min(length, answer["ContentLength"]):
                    raise Transient("GetObject: the answer ended early")
        except ClientError as error:
            if _status(error) == 416:
                return self._empty(where)
            raise _refused(self._client, error, where) from None
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.get("ContentRange", ""))
        size = int(total[1]) if total else answer["ContentLength"]
        return Head(
            data,
            size,
            answer["ETag"].strip('"'),
            answer["Metadata"],
            _id(answer.get("VersionId")),
            _modified(answer),
        )

    def _empty(self, where: dict[str, Any]) -> Head:
        try:
            with calling("HeadObject"):
                head = self._client.head_object(**where)
        except ClientError as error:
            raise _refused(self._client, error, where) from None
        if head["ContentLength"]:
            raise Transient("HeadObject: the object changed while it was read")
        version_id = _id(head.get("VersionId"))
        return Head(b"", 0, head["ETag"].strip('"'), head["Metadata"], version_id, _modified(head))

    def read_tail(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> bytes:
        """See `PhotoStore`."""
        where = _version(bucket, key, version_id, etag)
        try:
            with calling("GetObject"):
                answer = self._client.get_object(**where, Range=f"bytes=-{length}")
                with closing(answer["Body"]) as body:
                    return body.read()[-length:]  # HTTP allows the whole as an answer to a range
        except ClientError as error:
            if _status(error) == 416:
                return b""
            raise _refused(self._client, error, where) from None

    def presign(
        self, bucket: str, key: str, version_id: str | None, seconds: int, content_type: str | None = None
    ) -> str:
        """See `PhotoStore`. Made on this machine: no call."""
        where = _version(bucket, key, version_id)
        if content_type:
            where |= {"ResponseContentType": content_type, "ResponseContentEncoding": "identity"}
        url: str = self._client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)
        return url

    def existing(self, key: str, version_id: str | None = None) -> Existing | None:
        """See `PhotoStore`. A version that may not be read counts as gone."""
        if not key.startswith(self._output_prefix):
            return None
        where = _version(self._output_bucket, key, version_id)
        try:
            with calling("HeadObject"):
                answer = self._client.head_object(**where)
        except ClientError as error:
            if _status(error) == 404 or (version_id and _status(error) == 405):  # 405: a delete marker
                return None
            if version_id and _status(error) in (400, 403):
                self._make_sure_unreadable(key, version_id)
                return None
            if _status(error) == 403 and _is_gone(self._client, where):
                return None
            if _status(error) in (400, 403):
                self._make_sure_unreadable(key, None)
                raise NotShown(f"HeadObject: {error_code(error)}") from None
            raise Transient(f"HeadObject: {error_code(error)}") from None
        version = _id(answer.get("VersionId"))  # null: of a bucket whose versioning is off or suspended
        etag, size = answer["ETag"].strip('"'), answer["ContentLength"]
        content_type = answer.get("ContentType", "")
        return Existing(etag, answer["Metadata"], version is not None, version, size, content_type)

    def _make_sure_unreadable(self, key: str, version_id: str | None) -> None:
        """Raise `Transient` where an object may be readable later: the answer to a HEAD has no body that says why it
        was refused, that to another call has.
        """
        with suppress(Missing, Denied):
            self.tags(key, version_id)

    def tags(self, key: str, version_id: str | None) -> Mapping[str, str]:
        """See `PhotoStore`."""
        if not key.startswith(self._output_prefix):
            raise Missing("outside of OutputPrefix")
        where = _version(self._output_bucket, key, version_id)
        try:
            with calling("GetObjectTagging"):
                answer = self._client.get_object_tagging(**where)
        except ClientError as error:
            if version_id and error_code(error) == "InvalidArgument":
                raise Missing("no version has such an id") from None
            raise _refused(self._client, error, where) from None
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def copy_output(self, source: Output, key: str, metadata: Mapping[str, str], replaces: Existing | None) -> Existing:
        """See `PhotoStore`. S3 copies by itself: no byte comes here."""
        request = copy_request(self._output_bucket, source, key, metadata, replaces)
        try:
            with calling("CopyObject"):
                answer = self._client.copy_object(**request)
        except ClientError as error:
            overwritten = replaces is not None and error_code(error) == "NoSuchKey"  # If-Match, and nothing is there
            if _status(error) == 409 or overwritten:
                raise Transient(f"CopyObject: {error_code(error)}") from None
            meant = _unreadable(error)
            if isinstance(meant, Denied) and self._can_be_read(source):
                raise Transient(f"CopyObject: the copy may not be stored: {error_code(error)}") from None
            raise meant from None
        version = _id(answer.get("VersionId"))
        etag = answer["CopyObjectResult"]["ETag"].strip('"')
        return Existing(etag, metadata, version is not None, version, source.size, source.content_type)

    def _can_be_read(self, source: Output) -> bool:
        """Whether an output can be read, so that the right to store its copy is what lacks."""
        where = _version(self._output_bucket, source.key, source.version_id)
        try:
            with calling("GetObject"):
                self._client.get_object(**where, Range="bytes=0-0")["Body"].close()
        except ClientError:
            return False
        return True

    def put(
        self,
        key: str,
        body: BinaryIO,
        length: int,
        content_type: str,
        metadata: Mapping[str, str],
        replaces: Existing | None,
    ) -> Existing:
        """See `PhotoStore`. The body goes through as it comes; S3 gets it with the SDK's own checksum behind it.

        Over plain http, as on some local stacks, the checksum has to go first: the body waits in a temporary file.
        """
        request = put_request(self._output_bucket, key, length, content_type, metadata, replaces)
        whole = _Whole(body, length)
        try:
            if self._client.meta.endpoint_url.startswith("https:"):
                answer = self._put(request, cast("IO[bytes]", whole))
            else:
                with temporary_file() as file:
                    while block := whole.read(BLOCK):
                        file.write(block)
                    file.seek(0)
                    answer = self._put(request, file)
        except Exception:
            if whole.failure is not None:  # the SDK wraps it in an error of its own
                raise whole.failure from None
            raise
        version = _id(answer.get("VersionId"))
        return Existing(answer["ETag"].strip('"'), metadata, version is not None, version, length, content_type)

    def _put(self, request: dict[str, Any], body: IO[bytes]) -> Mapping[str, Any]:
        try:
            with calling("PutObject"):
                return self._client.put_object(**request, Body=body)
        except UnseekableStreamError:
            raise Transient("PutObject: interrupted, and a stream cannot be sent twice") from None
        except ClientError as error:
            code = error_code(error)
            if _status(error) == 412 or (code == "NoSuchKey" and "IfMatch" in request):
                raise PreconditionFailed(f"PutObject: {code}") from None
            raise Transient(f"PutObject: {code}") from None  # also 409 ConditionalRequestConflict

    def put_record(self, key: str, text: str, metadata: Mapping[str, str], replaces: Existing | None) -> None:
        """See `PhotoStore`."""
        body = text.encode()
        self._put(put_request(self._output_bucket, key, len(body), RECORD_TYPE, metadata, replaces), BytesIO(body))

    def remove(self, key: str) -> bool:
        """See `PhotoStore`. No version is named: in a bucket that keeps them a delete marker is put before them."""
        try:
            with calling("DeleteObject"):
                self._client.delete_object(Bucket=self._output_bucket, Key=key)
        except ClientError as error:
            if _status(error) == 403 and error_code(error) not in _OURS:
                return False
            raise Transient(f"DeleteObject: {error_code(error)}") from None
        return True


class S3Listing:
    """See `detag.ports.photos.Listing`."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def versions(self, bucket: str, prefix: str, after: Position | None, most: int) -> Page:
        """See `Listing`."""
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": most}
        if after is not None:
            request |= {"KeyMarker": after[0], "VersionIdMarker": after[1]}
        try:
            with calling("ListObjectVersions"):
                answer = self._client.list_object_versions(**request)
        except ClientError as error:
            raise Transient(f"ListObjectVersions: {error_code(error)}") from None
        found, markers = answer.get("Versions", []), answer.get("DeleteMarkers", [])
        latest = [
            Listed(one["Key"], one["VersionId"], one["ETag"].strip('"'), one["Size"], one["LastModified"].timestamp())
            for one in found
            if one["IsLatest"]
        ]
        following = (answer["NextKeyMarker"], answer["NextVersionIdMarker"]) if answer["IsTruncated"] else None
        return Page(latest, len(found) + len(markers), following)


class S3Stacks:
    """See `detag.ports.stacks.Stacks`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._where: dict[str, Any] = {"Bucket": bucket, "Key": STACKS_KEY}

    def read(self) -> tuple[str, str | None]:
        """See `Stacks`."""
        try:
            with calling("GetObject"):
                answer = self._client.get_object(**self._where)
                with closing(answer["Body"]) as body:
                    data = body.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise Transient(f"the list of stacks cannot be read: it has more than {MAX_BYTES} bytes")
            return data.decode(errors="replace"), answer["ETag"].strip('"')
        except ClientError as error:
            if error_code(error) == "NoSuchKey" or (_status(error) == 403 and _is_gone(self._client, self._where)):
                return "", None
            raise Transient(f"GetObject: {error_code(error)}") from None

    def replace(self, text: str, etag: str | None) -> None:
        """See `Stacks`."""
        request: dict[str, Any] = {**self._where, "Body": text.encode(), "ContentType": "application/json"}
        request |= {"IfMatch": f'"{etag}"'} if etag else {"IfNoneMatch": "*"}
        try:
            with calling("PutObject"):
                self._client.put_object(**request)
        except ClientError as error:
            if _status(error) in (409, 412) or error_code(error) == "NoSuchKey":
                raise Conflict("another stack wrote it") from None
            raise Transient(f"PutObject: {error_code(error)}") from None


class _Whole:
    """A body that gives exactly `length` bytes or an error, which it remembers: a part is never taken for the whole."""

    def __init__(self, body: BinaryIO, length: int) -> None:
        self._body, self._length, self._left = body, length, length
        self.failure: Exception | None = None

    def __len__(self) -> int:
        """All of it, read or not. Of a body without a length some SDKs send Content-Length beside chunks: S3 refuses
        that.
        """
        return self._length

    def read(self, size: int = -1) -> bytes:
        """At most `size` of the bytes that are left."""
        if not self._left:
            return b""
        try:
            data = self._body.read(self._left if size < 0 else min(size, self._left))
            if not data:
                raise Transient("the output ended early")
        except Exception as error:
            self.failure = error
            raise
        self._left -= len(data)
        return data


def _version(bucket: str, key: str, version_id: str | None, etag: str | None = None) -> dict[str, Any]:
    where = {"Bucket": bucket, "Key": key}
    if etag is not None:
        where["IfMatch"] = f'"{etag}"'
    return where | {"VersionId": version_id} if version_id else where


def _id(version: str | None) -> str | None:
    """A version's id; None for an object from before its bucket kept versions, or while it keeps none."""
    return None if version == "null" else version


def _modified(answer: Mapping[str, Any]) -> float:
    """When the object was stored; long ago where the answer does not tell."""
    moment = answer.get("LastModified")
    return moment.timestamp() if moment else 0.0


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _unreadable(error: ClientError) -> Exception:
    """What a refused read means: nothing there (405: a delete marker), not allowed, or not now."""
    status, code = _status(error), error_code(error)
    if status == 412:
        return PreconditionFailed(f"S3 answered {code}")
    if code == "InvalidObjectState":
        return Archived(f"S3 answered {code}")
    if status in (404, 405):
        return Missing(f"S3 answered {code}")
    denied = status == 403 and code not in _OURS
    if denied or code == "InvalidRequest" or code.startswith("KMS."):  # the former: a customer's own key is needed
        return Denied(f"S3 answered {code}")
    return Transient(f"S3 answered {code}")


def _refused(client: S3Client, error: ClientError, where: Mapping[str, Any]) -> Exception:
    """What a refused read means. Where a role may list one folder only, S3 answers 403 for what is not there."""
    meant = _unreadable(error)
    denied = _status(error) == 403 and isinstance(meant, Denied)
    return Missing("S3 lists no such object") if denied and _is_gone(client, where) else meant


def _is_gone(client: S3Client, where: Mapping[str, Any]) -> bool:
    """Whether a listing tells that nothing is at a key, or that it has no such version. False where listing is not
    allowed, or does not come to an end.
    """
    if "VersionId" in where:
        return _is_version_gone(client, where)
    try:
        with calling("ListObjectsV2"):
            answer = client.list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"], MaxKeys=1)
    except ClientError:
        return False
    return all(one["Key"] != where["Key"] for one in answer.get("Contents", []))


def _is_version_gone(client: S3Client, where: Mapping[str, Any]) -> bool:
    try:
        with calling("ListObjectVersions"):
            answer = client.list_object_versions(Bucket=where["Bucket"], Prefix=where["Key"])
    except ClientError:
        return False
    wanted = where["Key"], where["VersionId"]
    return not answer["IsTruncated"] and all(
        (one["Key"], one["VersionId"]) != wanted for one in answer.get("Versions", [])
    )
