"""Callbacks: envelope, signature, attempts, history, redelivery, secrets (contract sections 4 and 5)."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from local.runflow.wire import sign
from tests.unit.local.runflow.harness import CALLBACK, EXAMPLES, Harness, harness, refused, signed_by, until

pytestmark = pytest.mark.anyio

DELIVERY = EXAMPLES["callback_delivery_history"]["body"][0]
EXAMPLE_CALLBACKS = {each["name"]: each["body"] for each in EXAMPLES["callbacks"]}


@pytest.mark.parametrize("vector", EXAMPLES["signature_vectors"]["vectors"], ids=lambda vector: vector["name"])
def test_signatures_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    body = base64.b64decode(vector["body_base64"])
    secrets = vector.get("secrets_accepted") or [vector["secret"]]

    found = vector["signature"] in [sign(secret, body) for secret in secrets]

    assert found == (vector.get("expect") != "reject")


async def secret(runflow: Harness, label: str | None = None) -> dict[str, Any]:
    answer = await runflow.http.post("/v1/callback-secrets", json={"label": label})
    assert answer.status_code == 201
    return dict(answer.json())


async def history(runflow: Harness, run_id: str) -> list[dict[str, Any]]:
    return list((await runflow.http.get(f"/v1/runs/{run_id}/callback")).json())


async def test_a_run_calls_back_once_with_the_documented_envelope(runflow: Harness) -> None:
    record = await runflow.done(metadata={"job_id": "j-1"})

    (request,) = runflow.callbacks
    (envelope,) = runflow.envelopes
    assert (request.method, str(request.url), request.headers["content-type"]) == ("POST", CALLBACK, "application/json")
    assert list(envelope) == list(EXAMPLE_CALLBACKS["success_image_urls"])
    assert (envelope["event"], envelope["status"]) == ("run.completed", "succeeded")
    assert (envelope["run_id"], envelope["metadata"]) == (record["id"], {"job_id": "j-1"})
    assert envelope["created_at"].endswith("+00:00")
    assert (await runflow.fetch(envelope["output"]["image_urls"][0])).status_code == 200


async def test_a_failed_run_calls_back_without_output(runflow: Harness) -> None:
    runflow.photos["/shoe.png"] = 403
    await runflow.done(metadata={"job_id": "j-1"})
    (envelope,) = runflow.envelopes
    assert set(envelope) == set(EXAMPLE_CALLBACKS["failed_output_null"])
    assert (envelope["event"], envelope["status"], envelope["output"]) == ("run.failed", "failed", None)


async def test_a_run_without_callback_url_calls_nobody(runflow: Harness) -> None:
    record = await runflow.done(callback_url=None)
    assert runflow.callbacks == []
    assert await history(runflow, record["id"]) == []


async def test_without_a_secret_callbacks_are_unsigned(runflow: Harness) -> None:
    """Callbacks carry a request id but no signature while no secret is registered."""
    await runflow.done()
    (request,) = runflow.callbacks
    assert request.headers["Runflow-Request-Id"]
    assert "Runflow-Signature" not in request.headers


async def test_the_current_secret_signs_the_raw_bytes(runflow: Harness) -> None:
    made = await secret(runflow)
    await runflow.done(metadata={"key": "été 🎉/a+b%.jpg"})
    (request,) = runflow.callbacks
    assert made["plain_secret"].startswith("whsec_")
    assert signed_by(made["plain_secret"], request)
    assert len(request.headers["Runflow-Signature"]) == 64
    assert not signed_by(made["plain_secret"].removeprefix("whsec_"), request)


async def test_a_secret_is_shown_once(runflow: Harness) -> None:
    """A secret is shown once, and its record has the documented fields."""
    made = await secret(runflow, "production")
    assert set(made) == set(EXAMPLES["callback_secret_create"][1]["response"])

    read = (await runflow.http.get(f"/v1/callback-secrets/{made['id']}")).json()
    assert "plain_secret" not in read
    assert read == {name: value for name, value in made.items() if name != "plain_secret"}
    assert made["plain_secret"].startswith(read["key_prefix"])
    assert made["plain_secret"] != read["key_prefix"]


async def test_several_secrets_live_side_by_side(runflow: Harness) -> None:
    """Several secrets live side by side, and promotion moves the signature."""
    old, new = await secret(runflow, "old"), await secret(runflow, "new")
    assert (old["is_current"], new["is_current"]) == (True, False)
    await runflow.done()
    promoted = await runflow.http.patch(f"/v1/callback-secrets/{new['id']}", json={"is_current": True})
    assert promoted.json()["is_current"] is True
    await runflow.done()

    before, after = runflow.callbacks
    assert signed_by(old["plain_secret"], before)
    assert signed_by(new["plain_secret"], after)
    listed = (await runflow.http.get("/v1/callback-secrets")).json()["items"]
    assert {each["label"]: each["is_current"] for each in listed} == {"old": False, "new": True}


async def test_a_deleted_secret_signs_no_more(runflow: Harness) -> None:
    made = await secret(runflow)
    assert (await runflow.http.delete(f"/v1/callback-secrets/{made['id']}")).status_code == 204
    assert (await runflow.http.get(f"/v1/callback-secrets/{made['id']}")).status_code == 404
    await runflow.done()
    assert "Runflow-Signature" not in runflow.callbacks[0].headers


async def test_a_secret_may_be_relabelled_or_stood_down(runflow: Harness) -> None:
    made = await secret(runflow, "a")
    patch = {"label": "b", "is_current": False}
    changed = (await runflow.http.patch(f"/v1/callback-secrets/{made['id']}", json=patch)).json()
    assert (changed["label"], changed["is_current"]) == ("b", False)
    untouched = (await runflow.http.patch(f"/v1/callback-secrets/{made['id']}", json={})).json()
    assert untouched["label"] == "b"


@pytest.mark.parametrize("body", [{"label": "x" * 256}, {"label": 5}, {"is_current": "yes"}])
async def test_a_secret_patch_that_is_not_valid_is_refused(runflow: Harness, body: dict[str, Any]) -> None:
    made = await secret(runflow)
    assert refused(await runflow.http.patch(f"/v1/callback-secrets/{made['id']}", json=body), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize(("reading", "signs"), [("first", 0), ("newest", 1), ("never", None)])
async def test_which_new_secret_signs_is_a_reading(runflow: Harness, reading: str, signs: int | None) -> None:
    await runflow.behave(new_secret_signs=reading)
    made = [await secret(runflow), await secret(runflow)]
    await runflow.done()
    (request,) = runflow.callbacks
    assert [signed_by(each["plain_secret"], request) for each in made] == [signs == 0, signs == 1]


@pytest.mark.parametrize("answer", [500, 503, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
async def test_5xx_and_network_errors_are_tried_three_times(runflow: Harness, answer: int | Exception) -> None:
    """5xx and network errors are tried three times, with the same bytes."""
    await secret(runflow)
    runflow.answers += [answer] * 5

    record = await runflow.done()

    assert len(runflow.callbacks) == 3
    assert len({request.content for request in runflow.callbacks}) == 1
    assert len({request.headers["Runflow-Signature"] for request in runflow.callbacks}) == 1
    (delivery,) = await history(runflow, record["id"])
    assert (delivery["status_code"], delivery["attempt_count"], delivery["max_attempts"]) == ("failed", 3, 3)


@pytest.mark.parametrize("answer", [301, 400, 401, 404, 410, 413, 429])
async def test_any_other_answer_is_final(runflow: Harness, answer: int) -> None:
    runflow.answers.append(answer)
    record = await runflow.done()
    assert len(runflow.callbacks) == 1
    (delivery,) = await history(runflow, record["id"])
    assert (delivery["status_code"], delivery["attempts"][0]["status_code"]) == ("failed", answer)


async def test_any_2xx_is_delivered(runflow: Harness) -> None:
    runflow.answers += [500, 202]
    record = await runflow.done()
    assert len(runflow.callbacks) == 2
    (delivery,) = await history(runflow, record["id"])
    assert (delivery["status_code"], delivery["attempt_count"]) == ("delivered", 2)


async def test_gentler_retries_go_on_after_any_answer_but_2xx() -> None:
    async with harness(
        behaviour={"callback_retries": "patient", "callback_delays": (0.0, 0.0, 0.0, 0.0, 0.0)}
    ) as runflow:
        runflow.answers += [401, 429, 404, 500, 503]
        await runflow.done()
        assert len(runflow.callbacks) == 6


async def test_the_history_has_the_documented_fields(runflow: Harness) -> None:
    """The history has the documented fields, and the frozen bytes."""
    made = await secret(runflow)
    runflow.answers += [503]
    record = await runflow.done()

    (delivery,) = await history(runflow, record["id"])
    assert set(delivery) == set(DELIVERY)
    assert [set(attempt) for attempt in delivery["attempts"]] == [set(DELIVERY["attempts"][0])] * 2
    assert delivery["payload_bytes"].encode() == runflow.callbacks[0].content
    assert delivery["payload"] == runflow.envelopes[0]
    assert delivery["signing_secret_id"] == made["id"]
    assert delivery["is_automatic"] is True
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 200]
    assert delivery["attempts"][0]["response_body"] == "noted"


async def test_a_retry_keeps_the_secret_of_its_delivery() -> None:
    async with harness(behaviour={"callback_delays": (0.15, 0.1)}) as runflow:
        old, new = await secret(runflow), await secret(runflow)
        runflow.answers += [503]
        run_id = await runflow.made()
        await until(lambda: bool(runflow.callbacks))
        await runflow.http.patch(f"/v1/callback-secrets/{new['id']}", json={"is_current": True})
        await runflow.ended(run_id)
        assert [signed_by(old["plain_secret"], request) for request in runflow.callbacks] == [True, True]


async def test_a_callback_keeps_the_secret_it_was_made_with(runflow: Harness) -> None:
    """A callback is signed with the secret that was current when it was made."""
    old, new = await secret(runflow), await secret(runflow)
    await runflow.fault("callback", "delay", seconds=0.2, times=1)
    run_id = await runflow.made()
    await until(lambda: runflow.mock.account.runs[run_id].status.terminal)
    await runflow.http.patch(f"/v1/callback-secrets/{new['id']}", json={"is_current": True})
    await runflow.ended(run_id)
    assert signed_by(old["plain_secret"], runflow.callbacks[0])


async def test_a_redelivery_is_a_new_delivery_with_fresh_urls(runflow: Harness) -> None:
    made = await secret(runflow)
    record = await runflow.done()
    answer = await runflow.http.post(f"/v1/runs/{record['id']}/callback-redeliveries")
    assert answer.status_code == 201
    assert (answer.json()["is_automatic"], answer.json()["run_id"]) == (False, record["id"])
    await runflow.ended(record["id"])

    first, second = runflow.callbacks
    assert first.content != second.content
    assert signed_by(made["plain_secret"], second)
    urls = [json.loads(request.content)["output"]["image_urls"][0] for request in (first, second)]
    assert [(await runflow.fetch(url)).status_code for url in urls] == [200, 200]
    assert [each["is_automatic"] for each in await history(runflow, record["id"])] == [True, False]


async def test_a_redelivery_is_refused_while_one_is_under_way() -> None:
    """A redelivery is refused while the run, or a delivery, is under way."""
    async with harness(behaviour={"callback_delays": (0.2, 0.1), "run_seconds": 0.05}) as runflow:
        runflow.answers += [503]
        run_id = await runflow.made()
        path = f"/v1/runs/{run_id}/callback-redeliveries"
        assert refused(await runflow.http.post(path), 422, "VALIDATION_ERROR")
        await until(lambda: bool(runflow.callbacks))
        conflict = await runflow.http.post(path)
        assert refused(conflict, 422, "validation_error")
        assert conflict.json()["errors"][0]["error_type"] == "conflict"
        await runflow.ended(run_id)
        assert (await runflow.http.post(path)).status_code == 201

        silent = await runflow.done(callback_url=None)
        assert (await runflow.http.post(f"/v1/runs/{silent['id']}/callback-redeliveries")).status_code == 422
        assert (await runflow.http.post("/v1/runs/unknown/callback-redeliveries")).status_code == 404


async def test_a_slow_receiver_is_a_network_error() -> None:
    async with harness(behaviour={"callback_timeout": 0.05}) as runflow:
        assert runflow.mock.behaviour.callback_timeout == 0.05
        record = await runflow.done()
        timeout = runflow.callbacks[0].extensions["timeout"]
        assert timeout["read"] == 0.05
        assert record["status_code"] == "succeeded"
