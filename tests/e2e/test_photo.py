"""The main road, on the stack as it is deployed."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from PIL import Image

from local.processes import wait_until
from local.samples import SAMPLES
from local.stack import Stack

SAMPLE = next(sample for sample in SAMPLES if sample.tags and sample.path.endswith(".jpg"))


def test_the_main_path_of_one_photo(stack: Stack) -> None:
    """A file dropped in, a signed POST received, an output in S3."""
    s3, names = stack.client("s3"), stack.description
    key = "e2e/crème + 50% off 🏷.jpg"

    # A file dropped in,
    s3.put_object(Bucket=names["input_bucket"], Key=key, Body=SAMPLE.content(), ContentType="image/jpeg")
    assert wait_until(lambda: job_of(stack, key).get("state") == "delivered", 60, pause=0.1), job_of(stack, key)
    job = job_of(stack, key)

    # a signed POST received,
    vault = stack.client("secretsmanager")
    api_key = json.loads(vault.get_secret_value(SecretId=names["runflow_api_key_arn"])["SecretString"])["api_key"]
    headers = {"Authorization": f"Bearer {api_key}"}
    sent = httpx.get(f"{names['runflow_url']}/v1/runs/{job['run_id']}/callback", headers=headers).json()
    (delivery,) = sent if isinstance(sent, list) else [sent]
    assert (delivery["status_code"], delivery["attempt_count"]) == ("delivered", 1), delivery
    assert delivery["signing_secret_id"], delivery
    kept = [line for line in log_of(stack, "callback") if line.get("message") == "callback queued"]
    assert job["run_id"] in [line["run_id"] for line in kept]
    assert httpx.post(names["callback_url"], json={"run_id": job["run_id"]}).status_code == 401, "unsigned"

    # an output in S3.
    output = s3.get_object(Bucket=names["output_bucket"], Key=f"{key}.webp")
    assert output["ContentType"] == "image/webp"
    assert output["Metadata"]["detag-job-id"] == job["job_id"]
    assert output["Metadata"]["detag-run-id"] == job["run_id"]
    drawn = SAMPLE.draw()
    pixels = np.asarray(Image.open(BytesIO(output["Body"].read())).convert("RGB")).astype(float)
    assert pixels.shape == drawn.clean.shape
    before, after = (np.abs(image - drawn.clean)[drawn.tags].mean() for image in (drawn.tagged, pixels))
    assert after < before / 2, "the tag is painted out"
    assert np.abs(pixels - drawn.clean)[~drawn.tags].mean() < 8, "and the rest is as it was"
    with stack.runflow_admin() as runflow:
        billing = runflow.get("billing").json()
    assert [run["cost"] for run in billing["per_run"] if run["id"] == job["run_id"]] == ["0.14"]


def job_of(stack: Stack, key: str) -> dict[str, Any]:
    """The item of the job of the only upload under a key; empty if there is none yet."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.description["job_table"])
    items = [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("job#")]
    found = [item for item in items if item["key"]["S"] == key]
    return {name: next(iter(value.values())) for name, value in found[0].items()} if found else {}


def log_of(stack: Stack, function: str) -> list[dict[str, Any]]:
    """The lines that a function has logged as JSON, by CloudWatch Logs."""
    logs = stack.client("logs")
    settings = stack.client("lambda").get_function(FunctionName=stack.description["functions"][function])
    group = settings["Configuration"]["LoggingConfig"]["LogGroup"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    lines = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(line) for line in lines if line.startswith("{")]
