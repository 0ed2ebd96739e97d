"""The sample that everybody copies: S3 invokes one function for each upload, and Runflow's callbacks another.

The first creates a run, polls until it has ended and stores its output. What goes wrong in it is raised, so that Lambda
invokes it again, twice, as it does for every event of S3. The second stores the output that a callback names, whoever
sent it. OUTPUT_BUCKET, CALLBACK_URL, RUNFLOW_API_URL and RUNFLOW_API_KEY are in the environment.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.parse import unquote_plus

import boto3
import httpx

POLL_SECONDS = 2.0
OPEN = ("queued", "dispatching", "running")

s3 = boto3.client("s3")
runflow = httpx.Client(
    base_url=f"{os.environ['RUNFLOW_API_URL']}/v1",
    headers={"Authorization": f"Bearer {os.environ['RUNFLOW_API_KEY']}"},
    timeout=30,
)


def on_upload(event: dict[str, Any], _context: object) -> None:
    """Create a run for each photo, wait for it and store its output."""
    for record in event["Records"]:
        bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=3600)
        create = {
            "input": {"image_url": url},
            "callback_url": os.environ["CALLBACK_URL"],
            "metadata": {"key": key},
        }
        run = runflow.post("/models/runflow/tag-removal/runs", json=create).raise_for_status().json()
        while run["status_code"] in OPEN:
            time.sleep(POLL_SECONDS)
            run = runflow.get(f"/runs/{run['id']}").raise_for_status().json()
        if run["status_code"] != "succeeded":
            raise RuntimeError(f"run {run['id']} {run['status_code']}: {run['failure_message']}")
        store(key, run["output"])


def on_callback(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Store the output that a callback names."""
    callback = json.loads(event["body"])
    if callback["status"] == "succeeded":
        store(callback["metadata"]["key"], callback["output"])
    return {"statusCode": 200}


def store(key: str, output: dict[str, Any]) -> None:
    """Copy an output of Runflow into the bucket, under the photo's name."""
    image = httpx.get(output["image_urls"][0], timeout=30).raise_for_status()
    s3.put_object(
        Bucket=os.environ["OUTPUT_BUCKET"], Key=key, Body=image.content, ContentType=image.headers["content-type"]
    )
