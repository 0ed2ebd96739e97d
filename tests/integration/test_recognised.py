"""Which uploads of the same bytes get the same ETag, and so are recognised: docs/pictures.md has the list."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from local.emulator.client import VENVS
from tests.emulator import Aws

SMALL, LARGE = 100_000, 20_000_000
"""One part, and three: the stock tools send 8 MB at a time."""
BUCKET = "photos"


@pytest.fixture
def uploaded(aws: Aws, tmp_path: Path) -> Callable[[str, str, int], tuple[str, int]]:
    """Uploads so many bytes, always the same, to a key in one of the ways below; returns ETag and size."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)

    def upload(way: str, key: str, size: int) -> tuple[str, int]:
        path = tmp_path / str(size)
        if not path.exists():
            path.write_bytes((b"the same bytes, " * (size // 16 + 1))[:size])
        WAYS[way](aws, path, key)
        head = s3.head_object(Bucket=BUCKET, Key=key)
        return head["ETag"], head["ContentLength"]

    return upload


def command(aws: Aws, *arguments: str) -> None:
    """The stock `aws` command."""
    env = {"PATH": os.environ["PATH"], "HOME": os.devnull, **aws.emulator.env}
    env["AWS_ENDPOINT_URL"] = aws.emulator.endpoint_url
    credentials = aws.session.get_credentials()
    assert credentials is not None
    env |= {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": str(credentials.secret_key)}
    called = [str(VENVS / "sam/bin/python"), "-m", "awscli", "s3", *arguments, "--only-show-errors"]
    subprocess.run(called, env=env, check=True, timeout=60)


def by_boto3(aws: Aws, path: Path, key: str, megabytes: int = 8) -> None:
    size = megabytes * 1024 * 1024
    config = TransferConfig(multipart_threshold=size, multipart_chunksize=size)
    aws.client("s3").upload_file(str(path), BUCKET, key, Config=config if megabytes != 8 else None)


def inside(aws: Aws, path: Path, key: str) -> None:
    aws.client("s3").upload_file(str(path), BUCKET, "original")
    aws.client("s3").copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": "original"})


def renamed(aws: Aws, path: Path, key: str) -> None:
    aws.client("s3").upload_file(str(path), BUCKET, "to be renamed")
    command(aws, "mv", f"s3://{BUCKET}/to be renamed", f"s3://{BUCKET}/{key}")


def renamed_from_one_part(aws: Aws, path: Path, key: str) -> None:
    WAYS["one request"](aws, path, "to be renamed")
    command(aws, "mv", f"s3://{BUCKET}/to be renamed", f"s3://{BUCKET}/{key}")


def fed_back(aws: Aws, path: Path, key: str) -> None:
    """An output, which detag stores in one request, is fetched and uploaded by the stock command."""
    WAYS["one request"](aws, path, "output")
    fetched = path.with_suffix(".fetched")
    command(aws, "cp", f"s3://{BUCKET}/output", str(fetched))
    command(aws, "cp", str(fetched), f"s3://{BUCKET}/{key}")


WAYS: dict[str, Callable[[Aws, Path, str], None]] = {
    "one request": lambda aws, path, key: aws.client("s3").put_object(
        Bucket=BUCKET, Key=key, Body=path.read_bytes(), ContentType="image/jpeg"
    ),
    "aws s3 cp": lambda aws, path, key: command(aws, "cp", str(path), f"s3://{BUCKET}/{key}"),
    "boto3": by_boto3,
    "boto3, in parts of 5 MB": lambda aws, path, key: by_boto3(aws, path, key, 5),
    "a copy inside S3": inside,
    "aws s3 mv": renamed,
    "aws s3 mv of one part": renamed_from_one_part,
    "an output fed back": fed_back,
}
Uploaded = Callable[[str, str, int], tuple[str, int]]


@pytest.mark.parametrize("way", WAYS)
def test_what_fits_in_one_part_is_recognised_however_it_comes(uploaded: Uploaded, way: str) -> None:
    assert uploaded(way, "again.jpg", SMALL) == uploaded("one request", "first.jpg", SMALL)


@pytest.mark.parametrize("way", ["aws s3 cp", "boto3", "boto3, in parts of 5 MB", "aws s3 mv"])
def test_several_parts_are_recognised_in_the_same_way(uploaded: Uploaded, way: str) -> None:
    assert uploaded(way, "again.jpg", LARGE) == uploaded(way, "first.jpg", LARGE)


def test_the_stock_tools_send_the_same_parts(uploaded: Uploaded) -> None:
    assert uploaded("aws s3 cp", "again.jpg", LARGE) == uploaded("boto3", "first.jpg", LARGE)


@pytest.mark.parametrize("way", ["one request", "boto3, in parts of 5 MB"])
def test_other_parts_are_not_recognised(uploaded: Uploaded, way: str) -> None:
    assert uploaded(way, "again.jpg", LARGE)[0] != uploaded("boto3", "first.jpg", LARGE)[0]


@pytest.mark.parametrize("way", ["aws s3 mv of one part", "an output fed back"])
def test_the_stock_command_makes_parts_of_what_is_large(uploaded: Uploaded, way: str) -> None:
    """It copies and uploads in parts of 8 MB what was stored in one: then it is known only to have come that way."""
    found = uploaded(way, "again.jpg", LARGE)
    assert found[0] != uploaded("one request", "first.jpg", LARGE)[0]
    assert found == uploaded("aws s3 cp", "other.jpg", LARGE)


def test_the_tools_are_the_stock_ones() -> None:
    """Whose part size is 8 MB unless configured otherwise."""
    assert TransferConfig().multipart_chunksize == TransferConfig().multipart_threshold == 8 * 1024 * 1024
