"""Creating runs and reading them (contract sections 2, 3, 12)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.unit.local.runflow.harness import EXAMPLES, IMAGE, RUNS, Harness, harness, png, refused, until

pytestmark = pytest.mark.anyio

# What the create route and GET show of a run, by the contract's table.
FIELDS = set(EXAMPLES["create_run_responses"][0]["body"])


async def test_a_run_is_created_queued_with_201(runflow: Harness) -> None:
    """A run is created queued, with 201 and every documented field."""
    answer = await runflow.create(metadata={"job_id": "j-1"})

    record = answer.json()
    assert answer.status_code == 201
    assert record["status_code"] == "queued"
    assert record["client_ref"] == "ref-1"
    assert record["metadata"] == {"job_id": "j-1"}
    assert record["input"] == {"image_url": IMAGE}
    assert record["output"] is None
    assert set(record) >= FIELDS


async def test_run_ids_are_uuid7_in_the_order_of_creation(runflow: Harness) -> None:
    ids = [await runflow.made() for _ in range(50)]

    assert {UUID(run_id).version for run_id in ids} == {7}
    assert ids == sorted(ids)


async def test_a_run_ends_succeeded_with_output_urls_duration_and_cost(runflow: Harness) -> None:
    record = await runflow.done()

    assert record["status_code"] == "succeeded"
    assert record["cost"] == "0.14"
    assert record["duration_ms"] >= 0
    (url,) = record["output"]["image_urls"]
    output = await runflow.fetch(url)
    assert (output.status_code, output.headers["content-type"], output.content) == (200, "image/png", png())
    moments = [datetime.fromisoformat(record[name]) for name in ("created_at", "started_at", "completed_at")]
    assert moments == sorted(moments)
    assert record["created_at"].endswith("+00:00")


async def test_the_published_request_bodies_are_accepted(runflow: Harness) -> None:
    for example in EXAMPLES["create_run_requests"]:
        body = example["body"]
        if not body["input"]:
            continue  # a schema with placeholders
        answer = await runflow.http.post(RUNS, json=body)
        assert answer.status_code == 201, (body, answer.text)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"input": None}, "body.input"),
        ({"input": []}, "body.input"),
        ({"input": {}}, "body.input.image_url"),
        ({"input": {"image_url": 7}}, "body.input.image_url"),
        ({"input": {"image_url": "ftp://host/a.jpg"}}, "body.input.image_url"),
        ({"input": {"image_url": "https://"}}, "body.input.image_url"),
        ({"input": {"image_url": "runflow://assets/1"}}, "body.input.image_url"),
        ({"input": {"image_url": IMAGE, "config": "square"}}, "body.input.config"),
        ({"input": {"image_url": IMAGE, "config": {"aspect_ratio": "square"}}}, "body.input.config.aspect_ratio"),
        ({"input": {"image_url": IMAGE, "config": {"aspect_ratio": "0:1"}}}, "body.input.config.aspect_ratio"),
        ({"metadata": "j-1"}, "body.metadata"),
        ({"client_ref": "x" * 256}, "body.client_ref"),
        ({"client_ref": 7}, "body.client_ref"),
        ({"callback_url": "https://shop.test/" + "x" * 2048}, "body.callback_url"),
        ({"callback_url": "shop.test"}, "body.callback_url"),
    ],
)
async def test_a_body_that_is_not_valid_is_refused_by_field(
    runflow: Harness, changes: dict[str, Any], field: str
) -> None:
    """A body that is not valid is refused by field, and makes no run."""
    answer = await runflow.create(**changes)

    assert refused(answer, 422, "VALIDATION_ERROR")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await runflow.billing())["runs"] == 0


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 422), (b"[]", 422), (b"\xff", 400)])
async def test_a_body_that_is_no_json_object_is_refused(runflow: Harness, body: bytes, status: int) -> None:
    assert (await runflow.http.post(RUNS, content=body)).status_code == status


async def test_an_unknown_model_is_404(runflow: Harness) -> None:
    for model in ("runflow/skin-fix", "other/tag-removal", "runflow/tag-removal/deeper", "tag-removal"):
        answer = await runflow.http.post(f"/v1/models/{model}/runs", json={"input": {"image_url": IMAGE}})
        assert refused(answer, 404, "MODEL_NOT_FOUND")


async def test_unknown_routes_and_methods_are_answered_in_the_envelope(runflow: Harness) -> None:
    assert refused(await runflow.http.get("/v1/nowhere"), 404, "NOT_FOUND")
    assert refused(await runflow.http.delete("/v1/runs"), 405, "METHOD_NOT_ALLOWED")


async def test_an_unknown_run_is_404(runflow: Harness) -> None:
    assert refused(await runflow.http.get("/v1/runs/0198c0de-7a11-7000-8000-0123456789ab"), 404, "RUN_NOT_FOUND")


async def test_unknown_fields_are_let_pass(runflow: Harness) -> None:
    assert (await runflow.create(priority="high")).status_code == 201


async def test_metadata_comes_back_but_for_data_urls(runflow: Harness) -> None:
    """Metadata comes back, but for data URLs, which become asset references."""
    record = await runflow.done(metadata={"key": "été/+%.jpg", "n": 7, "preview": "data:image/png;base64,AAAA"})

    assert record["metadata"]["key"] == "été/+%.jpg"
    assert record["metadata"]["n"] == 7
    assert record["metadata"]["preview"].startswith("runflow://assets/")
    assert runflow.envelopes[0]["metadata"] == record["metadata"]


def sent_as(content_type: str, encoding: str = "identity") -> httpx.Response:
    """An image as S3 sends it that was stored with such headers."""
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(png()))


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (403, "INPUT_FETCH_FAILED"),
        (404, "INPUT_FETCH_FAILED"),
        (500, "INPUT_FETCH_FAILED"),
        (httpx.ConnectError("no route"), "INPUT_FETCH_FAILED"),
        (httpx.ReadTimeout("slow"), "INPUT_FETCH_FAILED"),
        (b"", "INPUT_VALIDATION_FAILED"),
        (b"no photo", "INPUT_VALIDATION_FAILED"),
        (b"GIF89a" + bytes(40), "INPUT_VALIDATION_FAILED"),
        (sent_as("application/octet-stream"), "INPUT_VALIDATION_FAILED"),
        (sent_as("image/png", "gzip"), "INPUT_FETCH_FAILED"),
    ],
)
async def test_an_unusable_input_fails_the_run_free_of_charge(
    runflow: Harness, found: bytes | int | Exception | httpx.Response, code: str
) -> None:
    runflow.photos["/shoe.png"] = found

    record = await runflow.done()

    assert (record["status_code"], record["failure_code"], record["failure_stage_code"]) == (
        "failed",
        code,
        "preprocess",
    )
    assert record["cost"] == "0"
    assert record["output"] is None
    assert (await runflow.billing())["total"] == "0"
    assert "Signature" not in record["failure_message"]


async def test_the_worker_fetches_exactly_the_url_that_was_given() -> None:
    asked: list[str] = []

    def outside(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        assert "authorization" not in request.headers
        return httpx.Response(200, content=png())

    from local.runflow.api import make_app
    from local.runflow.mock import Settings, running

    url = "https://photos.test/a%20b%2Bc%25d/%C3%A9.png?X-Amz-Signature=abc%2Fdef&x=1+1"
    client = httpx.AsyncClient(transport=httpx.MockTransport(outside))
    async with running(Settings(base_url="http://runflow.test"), client=client) as mock:
        transport = httpx.ASGITransport(make_app(mock), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://runflow.test") as http:
            headers = {"Authorization": "Bearer rf_live_local"}
            answer = await http.post(RUNS, json={"input": {"image_url": url}}, headers=headers)
            run = mock.account.runs[answer.json()["id"]]
            await until(lambda: run.status.terminal)

    assert asked == [url]
    assert run.status == "succeeded"


async def test_a_data_url_is_worked_on_too(runflow: Harness) -> None:
    import base64

    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert (await runflow.done(input={"image_url": url}))["status_code"] == "succeeded"
    broken = await runflow.done(input={"image_url": "data:image/png;base64,*"})
    assert broken["failure_code"] == "INPUT_VALIDATION_FAILED"


async def test_a_side_limit_fails_larger_inputs_in_the_published_words(runflow: Harness) -> None:
    published = EXAMPLES["failed_run_record"][0]["body"]
    await runflow.behave(max_side=4096)
    runflow.photos["/shoe.png"] = png(4097, 2)

    record = await runflow.done()

    assert record["failure_code"] == published["failure_code"]
    assert record["failure_message"] == published["failure_message"]
    assert record["failure_stage_code"] == published["failure_stage"]


async def test_runs_beyond_the_workers_wait_in_the_queue() -> None:
    intake = asyncio.Event()
    busy = 0

    async def outside(_request: httpx.Request) -> httpx.Response:
        nonlocal busy
        busy += 1
        await intake.wait()
        return httpx.Response(200, content=png())

    async with harness(workers=2) as runflow:
        runflow.mock.workers._client = httpx.AsyncClient(transport=httpx.MockTransport(outside))
        ids = [await runflow.made(callback_url=None) for _ in range(5)]
        await asyncio.sleep(0.05)
        states = [(await runflow.run(run_id))["status_code"] for run_id in ids]
        assert states == ["running", "running", "queued", "queued", "queued"]
        assert busy == 2
        intake.set()
        assert {(await runflow.ended(run_id))["status_code"] for run_id in ids} == {"succeeded"}
        await runflow.mock.workers._client.aclose()


async def test_slow_runs_keep_no_worker_from_the_others() -> None:
    async with harness(workers=1, behaviour={"run_seconds": 0.3}) as runflow:
        began = asyncio.get_running_loop().time()
        ids = [await runflow.made() for _ in range(10)]
        for run_id in ids:
            assert (await runflow.ended(run_id))["duration_ms"] >= 300
        assert asyncio.get_running_loop().time() - began < 1.5


async def test_statuses_lists_every_status_once(runflow: Harness) -> None:
    """Statuses lists every status once, with whether it is terminal."""
    statuses = (await runflow.http.get("/v1/runs/statuses")).json()

    assert {status["code"]: status["is_terminal"] for status in statuses} == {
        "queued": False,
        "dispatching": False,
        "running": False,
        "succeeded": True,
        "failed": True,
        "canceled": True,
        "partial_succeeded": True,
    }
