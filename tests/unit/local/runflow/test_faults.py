"""Faults: each kind fires and is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.runflow.api import ConnectionDropped
from local.runflow.faults import KINDS, ROUTES, Faults
from tests.unit.local.runflow.harness import CALLBACK, Harness, refused, signed_by, until

pytestmark = pytest.mark.anyio

PATHS = {
    "create_run": ("POST", "/v1/models/runflow/tag-removal/runs"),
    "get_run": ("GET", "/v1/runs/{run}"),
    "list_runs": ("GET", "/v1/runs"),
    "statuses": ("GET", "/v1/runs/statuses"),
    "callback_history": ("GET", "/v1/runs/{run}/callback"),
    "redeliver": ("POST", "/v1/runs/{run}/callback-redeliveries"),
    "secrets": ("POST", "/v1/callback-secrets"),
    "balance": ("GET", "/v1/billing/balance"),
    "me": ("GET", "/v1/auth/me"),
    "health": ("GET", "/v1/health"),
    "output": ("GET", "/outputs/{run}/result_1.png"),
}


@pytest.mark.parametrize("on", [*ROUTES, "any"])
async def test_a_status_fires_on_every_route_so_many_times(runflow: Harness, on: str) -> None:
    run_id = (await runflow.done())["id"]
    method, path = PATHS["get_run" if on == "any" else on]
    path = path.format(run=run_id)
    body = {"input": {"image_url": "https://photos.test/shoe.png"}}
    usual = (await runflow.http.request(method, path, json=body)).status_code
    await asyncio.sleep(0.05)  # a redelivery is over

    await runflow.fault(on, "status", status=418, body={"tea": True}, headers={"Retry-After": "7"}, times=2)
    answers = [await runflow.http.request(method, path, json=body) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [418, 418, usual]
    assert (answers[0].json(), answers[0].headers["Retry-After"]) == ({"tea": True}, "7")
    assert await runflow.fired() == [2]


async def test_a_status_without_a_body_has_the_error_envelope(runflow: Harness) -> None:
    """A status without a body has the error envelope, and a text stays text."""
    await runflow.fault("me", "status", status=429, times=1)
    await runflow.fault("me", "status", status=502, body="<html>bad gateway</html>", times=1)
    assert refused(await runflow.http.get("/v1/auth/me"), 429, "RATE_LIMITED")
    gateway = await runflow.http.get("/v1/auth/me")
    assert (gateway.status_code, gateway.text) == (502, "<html>bad gateway</html>")


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("do", ["status", "drop"])
async def test_a_fault_before_or_after_the_work_is_done(runflow: Harness, do: str, when: str, runs: int) -> None:
    await runflow.fault("create_run", do, when=when, times=1)
    if do == "drop":
        with pytest.raises(ConnectionDropped):
            await runflow.create()
    else:
        assert (await runflow.create()).status_code == 503
    assert (await runflow.billing())["runs"] == runs
    assert await runflow.fired() == [1]
    assert (await runflow.create()).status_code == 201


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
async def test_a_delay_holds_the_work_or_the_answer(runflow: Harness, when: str, runs: int) -> None:
    await runflow.fault("create_run", "delay", when=when, seconds=0.2, times=1)
    asked = asyncio.create_task(runflow.create())
    await asyncio.sleep(0.1)
    assert (await runflow.billing())["runs"] == runs
    assert not asked.done()
    assert (await asked).status_code == 201


async def test_a_share_is_drawn_from_its_seed(runflow: Harness) -> None:
    async def draws(seed: int) -> list[int]:
        await runflow.http.delete("/_admin/faults")
        await runflow.fault("me", "status", share=0.3, seed=seed)
        return [(await runflow.http.get("/v1/auth/me")).status_code for _ in range(100)]

    one = await draws(1)
    assert await draws(1) == one
    assert await draws(2) != one
    assert 15 < one.count(503) < 45


async def test_skip_lets_the_first_pass(runflow: Harness) -> None:
    await runflow.fault("me", "status", skip=2, times=1)
    assert [(await runflow.http.get("/v1/auth/me")).status_code for _ in range(4)] == [200, 200, 503, 200]


async def test_of_two_statuses_only_the_first_fires(runflow: Harness) -> None:
    await runflow.fault("me", "status", status=500, times=1)
    await runflow.fault("any", "status", status=501, times=1)
    assert [(await runflow.http.get("/v1/auth/me")).status_code for _ in range(3)] == [500, 501, 200]


async def test_faults_are_listed_removed_and_cleared(runflow: Harness) -> None:
    first = await runflow.fault("me", "status")
    await runflow.fault("any", "delay", seconds=0)
    await runflow.http.get("/v1/auth/me")
    listed = (await runflow.http.get("/_admin/faults")).json()
    assert [(rule["on"], rule["do"], rule["seen"], rule["fired"]) for rule in listed] == [
        ("me", "status", 1, 1),
        ("any", "delay", 1, 1),
    ]

    assert (await runflow.http.delete(f"/_admin/faults/{first['id']}")).status_code == 204
    assert (await runflow.http.get("/v1/auth/me")).status_code == 200
    assert (await runflow.http.delete(f"/_admin/faults/{first['id']}")).status_code == 404
    assert (await runflow.http.delete("/_admin/faults")).status_code == 204
    assert await runflow.fired() == []


@pytest.mark.parametrize("status_code", ["failed", "errored", "timeout"])
async def test_a_run_may_fail_with_a_code_and_a_cost(runflow: Harness, status_code: str) -> None:
    await runflow.fault("run", "fail", code="GPU_LOST", message="gone", cost="0.07", status_code=status_code, times=1)
    record = await runflow.done()
    assert (record["status_code"], record["failure_code"], record["failure_message"], record["cost"]) == (
        status_code, "GPU_LOST", "gone", "0.07",
    )  # fmt: skip
    assert (record["output"], runflow.envelopes[0]["event"]) == (None, "run.failed")
    assert (await runflow.billing())["total"] == "0.07"
    assert (await runflow.done())["status_code"] == "succeeded"


async def test_a_failed_run_is_free_unless_told_otherwise(runflow: Harness) -> None:
    await runflow.fault("run", "fail")
    assert (await runflow.done())["cost"] == "0"


async def test_a_run_may_be_cancelled_with_a_cost(runflow: Harness) -> None:
    await runflow.fault("run", "cancel", cost="0.05")
    record = await runflow.done()
    assert (record["status_code"], record["cost"], record["failure_code"]) == ("canceled", "0.05", None)
    assert runflow.envelopes[0]["event"] == "run.cancelled"


async def test_a_run_may_end_partial_with_its_output(runflow: Harness) -> None:
    await runflow.fault("run", "partial")
    record = await runflow.done()
    assert (record["status_code"], record["cost"]) == ("partial_succeeded", "0.14")
    assert len(record["output"]["image_urls"]) == 1
    assert runflow.envelopes[0]["event"] == "run.partial_succeeded"


@pytest.mark.parametrize("status_code", ["succeeded", "partial_succeeded"])
async def test_a_paid_run_may_have_no_output(runflow: Harness, status_code: str) -> None:
    await runflow.fault("run", "empty", status_code=status_code)
    record = await runflow.done()
    assert (record["status_code"], record["cost"], record["output"]) == (status_code, "0.14", {"image_urls": []})


async def test_a_run_may_stall_for_a_while_or_for_ever(runflow: Harness) -> None:
    await runflow.fault("run", "stall", seconds=0.2, times=1)
    await runflow.fault("run", "stall", times=1, client_ref="stuck")
    slow, stuck = await runflow.made(), await runflow.made(client_ref="stuck")
    assert [(await runflow.run(each))["status_code"] for each in (slow, stuck)] == ["running", "running"]
    assert (await runflow.ended(slow))["status_code"] == "succeeded"
    assert (await runflow.run(stuck))["status_code"] == "running"
    assert (await runflow.done())["status_code"] == "succeeded"  # no worker is blocked


async def test_a_run_may_be_unknown_for_a_while(runflow: Harness) -> None:
    await runflow.fault("run", "forget", seconds=0.2, times=1)
    run_id = await runflow.made()
    assert (await runflow.http.get(f"/v1/runs/{run_id}")).status_code == 404
    assert await runflow.listed() == []
    await asyncio.sleep(0.25)
    assert (await runflow.ended(run_id))["status_code"] == "succeeded"
    assert len(await runflow.listed()) == 1


async def test_a_run_may_be_unknown_for_ever(runflow: Harness) -> None:
    await runflow.fault("run", "forget", times=1)
    run_id = await runflow.made()
    await asyncio.sleep(0.1)
    assert (await runflow.http.get(f"/v1/runs/{run_id}")).status_code == 404
    assert (runflow.callbacks, (await runflow.billing())["total"]) == ([], "0")


async def test_rules_on_runs_may_be_combined(runflow: Harness) -> None:
    """Rules on runs may be about some of them, and come together."""
    await runflow.fault("run", "fail", client_ref="bad")
    await runflow.fault("run", "hide", seconds=60, client_ref="bad")
    assert (await runflow.done(client_ref="job.bad.1"))["status_code"] == "failed"
    assert (await runflow.done(client_ref="good"))["status_code"] == "succeeded"
    assert [run["client_ref"] for run in await runflow.listed()] == ["good"]
    assert await runflow.fired() == [1, 1]


async def test_a_callback_may_be_lost(runflow: Harness) -> None:
    await runflow.fault("callback", "lose", times=1)
    record = await runflow.done()
    assert (record["status_code"], runflow.callbacks) == ("succeeded", [])
    delivery = (await runflow.http.get(f"/v1/runs/{record['id']}/callback")).json()[0]
    assert (delivery["status_code"], delivery["attempt_count"]) == ("failed", 0)
    await runflow.http.post(f"/v1/runs/{record['id']}/callback-redeliveries")
    await until(lambda: len(runflow.callbacks) == 1)


async def test_a_callback_may_come_several_times(runflow: Harness) -> None:
    await runflow.fault("callback", "duplicate", copies=2, times=1)
    await runflow.done()
    await until(lambda: len(runflow.callbacks) == 3)
    assert len({request.content for request in runflow.callbacks}) == 1


async def test_a_callback_may_be_overtaken_by_the_next(runflow: Harness) -> None:
    await runflow.fault("callback", "reorder", seconds=60, times=1)  # longer than a test waits
    first = await runflow.made(client_ref="first")
    await until(lambda: runflow.mock.account.runs[first].status.terminal)
    second = await runflow.done(client_ref="second")
    await runflow.ended(first)
    assert [envelope["run_id"] for envelope in runflow.envelopes] == [second["id"], first]


async def test_a_callback_that_nothing_overtakes_comes_at_last(runflow: Harness) -> None:
    await runflow.fault("callback", "reorder", seconds=0.1, times=1)
    await runflow.done()
    assert len(runflow.callbacks) == 1


async def test_a_callback_may_be_late(runflow: Harness) -> None:
    await runflow.fault("callback", "delay", seconds=0.2, times=1)
    run_id = await runflow.made()
    await until(lambda: runflow.mock.account.runs[run_id].status.terminal)
    await asyncio.sleep(0.1)
    assert runflow.callbacks == []
    await runflow.ended(run_id)
    assert len(runflow.callbacks) == 1


@pytest.mark.parametrize("how", ["body", "truncated", "signature", "unsigned"])
async def test_a_callback_may_be_spoilt(runflow: Harness, how: str) -> None:
    secret = (await runflow.http.post("/v1/callback-secrets", json={})).json()["plain_secret"]
    await runflow.fault("callback", "corrupt", how=how, times=1)
    runflow.answers.append(401)
    await runflow.done()
    await runflow.done()
    spoilt, good = runflow.callbacks
    assert not signed_by(secret, spoilt)
    assert signed_by(secret, good)
    assert ("Runflow-Signature" in spoilt.headers) == (how != "unsigned")


async def test_output_urls_may_have_expired_from_the_start(runflow: Harness) -> None:
    await runflow.fault("output_url", "expire", times=1)
    record = await runflow.done()  # the callback's URL is the first
    assert (await runflow.fetch(runflow.envelopes[0]["output"]["image_urls"][0])).status_code == 403
    assert (await runflow.fetch(record["output"]["image_urls"][0])).status_code == 200


async def test_the_credit_may_be_gone_for_a_while(runflow: Harness) -> None:
    rule = await runflow.fault("account", "no_credit")
    assert refused(await runflow.create(), 402, "INSUFFICIENT_CREDIT")
    assert (await runflow.http.get("/v1/runs")).status_code == 200
    assert await runflow.fired() == [1]
    await runflow.http.delete(f"/_admin/faults/{rule['id']}")
    assert (await runflow.create()).status_code == 201


async def test_a_key_may_be_revoked(runflow: Harness) -> None:
    await runflow.fault("account", "revoke_key", key="rf_live_other")
    assert (await runflow.create()).status_code == 201
    await runflow.fault("account", "revoke_key", key="rf_live_local")
    assert refused(await runflow.create(), 401, "UNAUTHORIZED")
    assert refused(await runflow.http.get("/v1/runs"), 401, "UNAUTHORIZED")
    assert await runflow.fired() == [0, 2]


def test_every_kind_is_named_in_this_file() -> None:
    from pathlib import Path

    text = Path(__file__).read_text()
    for on, kinds in KINDS.items():
        for do in kinds:
            assert on in (*ROUTES, "any") or f'fault("{on}", "{do}"' in text, (on, do)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([], "body"),
        ({"do": "status"}, "on"),
        ({"on": "nowhere", "do": "status"}, "on"),
        ({"on": "me"}, "do"),
        ({"on": "me", "do": "lose"}, "do"),
        ({"on": "me", "do": "status", "status": 99}, "status"),
        ({"on": "me", "do": "status", "status": "503"}, "status"),
        ({"on": "me", "do": "status", "when": "later"}, "when"),
        ({"on": "me", "do": "status", "headers": {"A": 1}}, "headers"),
        ({"on": "me", "do": "status", "seconds": 1}, "seconds"),
        ({"on": "me", "do": "delay", "seconds": -1}, "seconds"),
        ({"on": "me", "do": "delay", "seconds": None}, "seconds"),
        ({"on": "me", "do": "status", "client_ref": "x"}, "client_ref"),
        ({"on": "run", "do": "fail", "cost": 0.14}, "cost"),
        ({"on": "run", "do": "fail", "cost": "-1"}, "cost"),
        ({"on": "run", "do": "fail", "cost": "x"}, "cost"),
        ({"on": "run", "do": "fail", "status_code": "succeeded"}, "status_code"),
        ({"on": "run", "do": "fail", "code": 7}, "code"),
        ({"on": "callback", "do": "corrupt", "how": "gently"}, "how"),
        ({"on": "callback", "do": "duplicate", "copies": 1.5}, "copies"),
        ({"on": "callback", "do": "lose", "times": -1}, "times"),
        ({"on": "callback", "do": "lose", "times": 1.5}, "times"),
        ({"on": "callback", "do": "lose", "share": 1.1}, "share"),
        ({"on": "callback", "do": "lose", "client_ref": 1}, "client_ref"),
        ({"on": "account", "do": "revoke_key", "key": 1}, "key"),
    ],
)
async def test_a_rule_that_is_not_valid_is_refused_and_says_why(runflow: Harness, wrong: Any, named: str) -> None:
    good = {"on": "me", "do": "status"}
    answer = await runflow.http.post("/_admin/faults", json={"rules": [good, wrong]})
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert await runflow.fired() == []


async def test_several_rules_may_be_posted_at_once(runflow: Harness) -> None:
    rules = [{"on": "me", "do": "status"}, {"on": "run", "do": "hide"}]
    answer = await runflow.http.post("/_admin/faults", json={"rules": rules})
    assert answer.status_code == 201
    assert [rule["on"] for rule in answer.json()] == ["me", "run"]
    index = (await runflow.http.get("/_admin")).json()["faults"]["do"]
    assert set(index) == {"any", "run", "callback", "output_url", "account"}


def test_a_fault_is_taken_once_per_occasion() -> None:
    faults = Faults()
    faults.add({"on": "callback", "do": "lose", "times": 1}, {"on": "callback", "do": "delay", "times": 1})
    assert [rule.do for rule in faults.take("callback")] == ["lose", "delay"]
    assert faults.take("callback") == []
    assert faults.take("run") == []


async def test_nothing_fires_by_itself(runflow: Harness) -> None:
    await runflow.done()
    assert len(runflow.callbacks) == 1
    assert str(runflow.callbacks[0].url) == CALLBACK
