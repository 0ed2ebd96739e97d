"""The script that an engineer writes in an afternoon: `python script.py INPUT_BUCKET OUTPUT_BUCKET`.

Ten threads; each creates a run, polls until it has ended and stores its output. Every request is tried five times. A
photo that has an output is left alone, so the script can be started again after it was killed. Exits with 1 if a photo
failed. RUNFLOW_API_URL and RUNFLOW_API_KEY are in the environment.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx

THREADS = 10
TRIES = 5
POLL_SECONDS = 2.0
OPEN = ("queued", "dispatching", "running")

log = logging.getLogger("script")


class Script:
    """The photos of one bucket on their way to another."""

    def __init__(self, photos: str, outputs: str) -> None:
        self._photos, self._outputs = photos, outputs
        self._s3 = boto3.client("s3")
        self._http = httpx.Client(timeout=30)
        self._url = f"{os.environ['RUNFLOW_API_URL']}/v1"
        self._key = {"Authorization": f"Bearer {os.environ['RUNFLOW_API_KEY']}"}

    def run(self) -> int:
        """Clean all photos that have no output yet. Returns how many failed."""
        todo = sorted(self._keys(self._photos) - self._keys(self._outputs))
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(self._failed, todo))

    def _keys(self, bucket: str) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def _failed(self, key: str) -> bool:
        try:
            self._clean(key)
        except Exception:
            log.exception("%s failed", key)
            return True
        return False

    def _clean(self, key: str) -> None:
        where = {"Bucket": self._photos, "Key": key}
        photo = self._s3.generate_presigned_url("get_object", Params=where, ExpiresIn=3600)
        create = {"input": {"image_url": photo}}
        run = self._api("POST", "/models/runflow/tag-removal/runs", json=create)
        while run["status_code"] in OPEN:
            time.sleep(POLL_SECONDS)
            run = self._api("GET", f"/runs/{run['id']}")
        if run["status_code"] != "succeeded":
            raise RuntimeError(f"run {run['id']} {run['status_code']}: {run['failure_message']}")
        output = self._tried("GET", run["output"]["image_urls"][0])
        self._s3.put_object(
            Bucket=self._outputs, Key=key, Body=output.content, ContentType=output.headers["content-type"]
        )

    def _api(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        record: dict[str, Any] = self._tried(method, self._url + path, headers=self._key, **request).json()
        return record

    def _tried(self, method: str, url: str, **request: Any) -> httpx.Response:
        for attempt in range(TRIES):
            try:
                return self._http.request(method, url, **request).raise_for_status()
            except httpx.HTTPError as error:
                if attempt == TRIES - 1:
                    raise
                log.warning("%s, trying again", type(error).__name__)
                time.sleep(2**attempt)
        raise AssertionError("the last attempt returns or raises")


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    sys.exit(1 if Script(*sys.argv[1:]).run() else 0)
