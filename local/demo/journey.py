"""Send photos through a running stack: upload, wait, fetch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.demo.photos import Photo, output_name
from local.stack import Stack

PATIENCE_SECONDS = 90.0
"""The demo gives up when no photo has changed state for this long."""

Progress = Callable[[], object]


def upload(stack: Stack, photos: Sequence[Photo], done: Progress) -> None:
    """Put the photos into the input bucket, a few at a time; `done` is called after each."""
    s3, bucket = stack.client("s3"), stack.description["input_bucket"]

    def put(photo: Photo) -> None:
        try:
            with photo.path.open("rb") as body:
                s3.put_object(Bucket=bucket, Key=photo.key, Body=body, ContentType=photo.content_type)
        except (OSError, BotoCoreError, ClientError, ValueError) as error:
            photo.detail = str(error)
        else:
            photo.state, photo.uploaded_at = "uploaded", time.time()
        done()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, photos))


def wait(stack: Stack, photos: Sequence[Photo], changed: Progress) -> None:
    """Poll the job table until every job has ended, or none has changed for PATIENCE_SECONDS."""
    by_key = {photo.key: photo for photo in photos}
    changed_at = time.monotonic()
    states: list[str] = []
    while not all(photo.closed for photo in photos):
        for item in _jobs(stack):
            if item["key"] in by_key:
                _update(by_key[item["key"]], item)
        if states != (states := [photo.state for photo in photos]):
            changed_at = time.monotonic()
            changed()
        if time.monotonic() - changed_at > PATIENCE_SECONDS:
            return
        time.sleep(0.4)


def _update(photo: Photo, item: Mapping[str, Any]) -> None:
    """Copy what the item of a job says into its photo."""
    photo.state = item["state"]
    photo.reason = str(item.get("reason") or "")
    photo.detail = str(item.get("detail") or photo.reason).replace("_", " ")
    photo.cost = item.get("cost")
    photo.output_keys = tuple(item.get("outputs", ()))
    photo.uploaded_at = float(item["uploaded_at"])
    photo.closed_at = float(item["closed_at"]) if item.get("closed_at") else None


def _jobs(stack: Stack) -> Iterator[dict[str, Any]]:
    scan = stack.client("dynamodb").get_paginator("scan")
    for page in scan.paginate(TableName=stack.description["job_table"], ConsistentRead=True):
        for item in page["Items"]:
            if "job_id" in item and "state" in item:
                yield {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, Any]) -> Any:
    """A DynamoDB value without its type; numbers stay text."""
    ((kind, inner),) = value.items()
    return [_plain(each) for each in inner] if kind == "L" else inner


def fetch(stack: Stack, photos: Sequence[Photo], folder: Path) -> None:
    """Copy each delivered photo into `folder`, and download its outputs next to it."""
    s3, bucket = stack.client("s3"), stack.description["output_bucket"]
    for photo in photos:
        if photo.state != "delivered":
            continue
        original = _inside(folder, photo.key)
        paths = [_inside(folder, str(output_name(photo.key, output_key))) for output_key in photo.output_keys]
        try:
            original.parent.mkdir(parents=True, exist_ok=True)
            if photo.path != original:
                shutil.copyfile(photo.path, original)
            for output_key, path in zip(photo.output_keys, paths, strict=True):
                s3.download_file(bucket, output_key, str(path))
                photo.outputs.append(path)
        except (OSError, BotoCoreError, ClientError) as error:
            photo.detail = str(error)


def _inside(folder: Path, key: str) -> Path:
    path = folder / key
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{key} leads out of the folder")
    return path
