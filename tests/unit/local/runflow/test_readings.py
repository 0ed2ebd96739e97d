"""Readings that can be chosen (contract section 13), and that each shows."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from local.runflow.behaviour import Behaviour, choices
from tests.unit.local.runflow.harness import EXAMPLES, Harness, refused

pytestmark = pytest.mark.anyio

OUTPUTS = [each["output"] for each in EXAMPLES["run_output_success"]]
CALLBACKS = {each["name"]: each["body"] for each in EXAMPLES["callbacks"]}
BALANCES = [each["body"] for each in EXAMPLES["balance"]]


def shape(value: Any) -> Any:
    """A JSON value with its leaves taken out."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def output_urls(output: Any) -> list[str]:
    """Every URL in a JSON value."""
    if isinstance(output, dict | list):
        return [url for each in (output.values() if isinstance(output, dict) else output) for url in output_urls(each)]
    return [output] if isinstance(output, str) and output.startswith("http") else []


@pytest.mark.parametrize(
    ("reading", "example"),
    [("image_urls", OUTPUTS[0]), ("outputs", OUTPUTS[1]), ("image", OUTPUTS[3]), ("url", {"url": ""}),
     ("output_url", {"output_url": ""}), ("outputs_plain", OUTPUTS[1] | {"outputs": [""]}),
     ("images", {"images": [""]}), ("image_list", {"image": [""]}), ("image_url", {"image_url": ""}), ("text", "")],
)  # fmt: skip
async def test_output_shapes(runflow: Harness, reading: str, example: Any) -> None:
    await runflow.behave(output_shape=reading)
    record = await runflow.done()
    assert shape(record["output"]) == shape(example)
    assert shape(runflow.envelopes[0]["output"]) == shape(example)
    for output in (record["output"], runflow.envelopes[0]["output"]):
        assert (await runflow.fetch(output_urls(output)[0])).status_code == 200


async def test_more_images_than_one(runflow: Harness) -> None:
    await runflow.behave(images_per_run=3)
    record = await runflow.done()
    assert len(set(record["output"]["image_urls"])) == 3
    assert all("/result_" in url for url in record["output"]["image_urls"])


async def test_create_status(runflow: Harness) -> None:
    await runflow.behave(create_status=200)
    assert (await runflow.create()).status_code == 200


@pytest.mark.parametrize("record_says", ["canceled", "cancelled"])
@pytest.mark.parametrize("callback_says", ["canceled", "cancelled"])
async def test_spellings_of_cancelled(runflow: Harness, record_says: str, callback_says: str) -> None:
    await runflow.behave(cancelled_spelling=record_says, callback_cancelled_spelling=callback_says)
    await runflow.fault("run", "cancel")
    record = await runflow.done(metadata={"job_id": "j-1"})
    (envelope,) = runflow.envelopes
    example = CALLBACKS["cancelled_uk" if callback_says == "cancelled" else "cancelled_us"]
    assert record["status_code"] == record_says
    assert {name: envelope[name] for name in ("event", "status", "output")} == {
        name: example[name] for name in ("event", "status", "output")
    }
    assert [run["id"] for run in await runflow.listed(q=f"status_code:{record_says}")] == [record["id"]]
    statuses = (await runflow.http.get("/v1/runs/statuses")).json()
    assert record_says in [status["code"] for status in statuses]


@pytest.mark.parametrize(
    ("reading", "example"),
    [("null", "failed_output_null"), ("flat", "failed_output_envelope_flat"),
     ("nested", "failed_output_envelope_nested")],
)  # fmt: skip
async def test_output_of_a_failed_run(runflow: Harness, reading: str, example: str) -> None:
    await runflow.behave(failed_output=reading)
    runflow.photos["/shoe.png"] = 404
    record = await runflow.done(metadata={"job_id": "j-1"})
    (envelope,) = runflow.envelopes
    assert shape(envelope) == shape(CALLBACKS[example])
    assert record["failure_code"] in str(envelope) or reading == "null"


async def test_names_of_the_failure_fields(runflow: Harness) -> None:
    runflow.photos["/shoe.png"] = 404
    run_id = (await runflow.done())["id"]

    await runflow.behave(failure_fields="errors_page")
    page = await runflow.run(run_id)
    assert set(EXAMPLES["failed_run_record"][0]["body"]) <= set(page)
    assert "status_code" not in page
    assert (page["status"], page["failure_stage"]) == ("failed", "preprocess")
    await runflow.behave(failure_fields="sdk")
    sdk = await runflow.run(run_id)
    assert sdk["error"]["code"] == "INPUT_FETCH_FAILED"
    assert "failure_code" not in sdk
    await runflow.behave(failure_fields="failure_reason")
    assert "404" in (await runflow.run(run_id))["failure_reason"]


async def test_times(runflow: Harness) -> None:
    await runflow.behave(timestamps="z", completed_field="finished_at")
    record = await runflow.done()
    assert record["created_at"].endswith("Z")
    assert record["finished_at"].endswith("Z")
    assert "completed_at" not in record
    assert runflow.envelopes[0]["completed_at"].endswith("+00:00")


async def test_a_strict_schema_may_refuse_client_ref(runflow: Harness) -> None:
    await runflow.behave(client_ref_field="rejected")
    assert refused(await runflow.create(), 422, "VALIDATION_ERROR")
    assert (await runflow.create(client_ref=None)).status_code == 201


async def test_spellings_of_the_list(runflow: Harness) -> None:
    for _ in range(3):
        await runflow.made()
    await runflow.behave(list_key="data", list_cursors="next")
    first = (await runflow.http.get("/v1/runs?limit=2")).json()
    assert set(first) == {"data", "first", "next", "previous"}
    second = (await runflow.http.get("/v1/runs", params={"limit": 2, "pq": first["next"]})).json()
    assert (len(first["data"]), len(second["data"]), second["next"]) == (2, 1, None)


async def test_an_answer_to_a_create_may_name_its_run_otherwise(runflow: Harness) -> None:
    await runflow.behave(create_id="run_id")
    made = (await runflow.create()).json()
    assert "id" not in made
    assert (await runflow.run(made["run_id"]))["id"] == made["run_id"]


async def test_a_record_may_show_an_asset_for_the_photo(runflow: Harness) -> None:
    """A record may show a link to an asset in place of the photo's URL, or leave the input out."""
    await runflow.behave(input_shown="asset")
    record = await runflow.done()
    assert record["input"]["image_url"].startswith("runflow://assets/")
    assert record["status_code"] == "succeeded"
    await runflow.behave(input_shown="nothing")
    assert (await runflow.run(record["id"]))["input"] is None


@pytest.mark.parametrize(
    ("reading", "plain", "asked"),
    [
        ("ignored", 200, 200),
        ("needed", 403, 200),
        ("harmful", 200, 403),
        ("useless", 403, 403),
        ("rejected", 200, None),
    ],
)
async def test_who_signs_an_output_url(runflow: Harness, reading: str, plain: int, asked: int | None) -> None:
    await runflow.behave(add_signature=reading)
    path = f"/v1/runs/{(await runflow.done())['id']}"
    (url,) = output_urls((await runflow.http.get(path)).json()["output"])
    assert (await runflow.fetch(url)).status_code == plain
    answer = await runflow.http.get(path, params={"add_signature": "true"})
    if asked is None:
        assert refused(answer, 422, "VALIDATION_ERROR")
    else:
        (url,) = output_urls(answer.json()["output"])
        assert (await runflow.fetch(url)).status_code == asked


async def test_the_list_may_tell_less_or_more_than_asked(runflow: Harness) -> None:
    for _ in range(3):
        await runflow.made()
    asked: dict[str, str | int] = {"limit": 2, "fields": "id,client_ref"}

    async def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await runflow.http.get("/v1/runs", params=asked)).json()["items"]
        return found

    assert [set(entry) for entry in await entries()] == [{"id", "client_ref"}] * 2
    await runflow.behave(list_fields="ignored", list_limit="ignored")
    assert len(await entries()) == 3
    assert set((await entries())[0]) > {"id", "client_ref", "metadata"}
    await runflow.behave(list_entries="thin")
    assert set((await entries())[0]) == {"id", "status_code", "created_at"}
    await runflow.behave(list_fields="rejected")
    assert refused(await runflow.http.get("/v1/runs", params=asked), 422, "VALIDATION_ERROR")


async def test_the_list_may_have_an_order_of_its_own(runflow: Harness) -> None:
    ids = [await runflow.made() for _ in range(3)]
    assert [run["id"] for run in await runflow.listed(sort_by="created_at:desc")] == ids[::-1]
    await runflow.behave(list_order="ascending")
    assert [run["id"] for run in await runflow.listed(sort_by="created_at:desc")] == ids
    await runflow.behave(list_order="none")
    assert {run["id"] for run in await runflow.listed(sort_by="created_at:desc")} == set(ids)


async def test_a_cursor_may_be_long(runflow: Harness) -> None:
    for _ in range(2):
        await runflow.made()
    await runflow.behave(list_cursor_length=3_000)
    page = (await runflow.http.get("/v1/runs", params={"limit": 1})).json()
    assert len(page["next_pq"]) >= 3_000
    following = (await runflow.http.get("/v1/runs", params={"limit": 1, "pq": page["next_pq"]})).json()
    assert following["items"][0]["id"] != page["items"][0]["id"]


async def test_a_name_is_filtered_in_the_words_of_the_official_script(runflow: Harness) -> None:
    """A filter on the name is understood in the words of Runflow's own script."""
    run_id = await runflow.made(client_ref="a.1")
    await runflow.made(client_ref="a.11")
    assert [one["id"] for one in await runflow.listed(q="client_ref.EQ:'a.1'")] == [run_id]


async def test_bodies_of_the_balance(runflow: Harness) -> None:
    assert shape((await runflow.http.get("/v1/billing/balance")).json()) == shape(BALANCES[0]) | {
        "low_balance_notified_at": "NoneType"
    }
    await runflow.behave(balance_body="cents")
    assert (await runflow.http.get("/v1/billing/balance")).json() == BALANCES[1] | {"balance_cents": 100_000}


async def test_envelopes_of_errors(runflow: Harness) -> None:
    await runflow.behave(error_shape="nested")
    assert set((await runflow.http.get("/v1/runs/x")).json()["error"]) == {"code", "message"}
    await runflow.behave(error_shape="detail")
    invalid = await runflow.create(input={})
    assert shape(invalid.json()) == shape(EXAMPLES["error_bodies"][6]["body"])
    assert invalid.json()["detail"][0]["loc"] == ["body", "input", "image_url"]
    assert isinstance((await runflow.http.get("/v1/runs/x")).json()["detail"], str)


async def test_code_of_402(runflow: Harness) -> None:
    await runflow.fault("account", "no_credit")
    await runflow.behave(credit_code="INSUFFICIENT_CREDITS")
    assert refused(await runflow.create(), 402, "INSUFFICIENT_CREDITS")


async def test_shapes_of_the_callback_history(runflow: Harness) -> None:
    run_id = (await runflow.done())["id"]
    path = f"/v1/runs/{run_id}/callback"
    await runflow.behave(callback_history="object")
    assert (await runflow.http.get(path)).json()["run_id"] == run_id
    await runflow.behave(callback_history="envelope")
    assert (await runflow.http.get(path)).json() == runflow.envelopes[0]


async def test_the_index_names_every_behaviour(runflow: Harness) -> None:
    """The index names every behaviour, and every choice is accepted."""
    index = (await runflow.http.get("/_admin")).json()["behaviour"]
    assert index == choices()
    assert set(index) == {field.name for field in fields(Behaviour)}
    for name, values in index.items():
        for value in values if isinstance(values, list) else [1]:
            await runflow.behave(**{name: [1, 2] if name == "callback_delays" else value})
    assert (await runflow.http.delete("/_admin/behaviour")).json()["create_status"] == 201


@pytest.mark.parametrize(
    "wrong",
    [{"output": "x"}, {"output_shape": "x"}, {"create_status": 202}, {"create_status": "201"}, {"rate_headers": 1},
     {"run_seconds": -1}, {"run_seconds": "1"}, {"run_seconds": None}, {"callback_delays": [-1]},
     {"callback_delays": 3}, {"images_per_run": True}],
)  # fmt: skip
async def test_an_unknown_behaviour_is_refused_and_changes_nothing(runflow: Harness, wrong: dict[str, Any]) -> None:
    before = (await runflow.http.get("/_admin/behaviour")).json()
    answer = await runflow.http.post("/_admin/behaviour", json={"timestamps": "z"} | wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["message"]
    assert (await runflow.http.get("/_admin/behaviour")).json() == before
