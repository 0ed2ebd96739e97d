"""Keys, limits, money, health (contract sections 1, 6, 7, 11)."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from local.runflow.account import Account
from local.runflow.api import make_app
from local.runflow.behaviour import Behaviour
from local.runflow.problems import Problem
from tests.unit.local.runflow.harness import IMAGE, RUNS, Harness, harness, refused

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer rf_live_other"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic rf_live_local"},
        {"Authorization": "rf_live_local"},
        {"Authorization": "", "x-api-key": "rf_live_local"},
        {"Authorization": "Bearer rf_live_local\u00e9".encode("latin-1")},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", RUNS),
        ("GET", "/v1/runs"),
        ("GET", "/v1/runs/statuses"),
        ("GET", "/v1/runs/1"),
        ("GET", "/v1/runs/1/callback"),
        ("POST", "/v1/runs/1/callback-redeliveries"),
        ("POST", "/v1/callback-secrets"),
        ("GET", "/v1/callback-secrets/1"),
        ("GET", "/v1/billing/balance"),
        ("GET", "/v1/auth/me"),
    ],
)
async def test_without_a_good_key_every_route_is_401(
    runflow: Harness, method: str, path: str, headers: dict[str, Any]
) -> None:
    answer = await runflow.http.request(method, path, headers=headers, json={"input": {"image_url": IMAGE}})

    assert refused(answer, 401, "UNAUTHORIZED")
    assert (await runflow.billing())["runs"] == 0


async def test_two_keys_may_be_good_at_once() -> None:
    async with harness(api_keys=("rf_live_old", "rf_live_new")) as runflow:
        for key in ("rf_live_old", "rf_live_new"):
            answer = await runflow.http.get("/v1/auth/me", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200


async def test_health_needs_no_key(runflow: Harness) -> None:
    for path in ("/v1/health", "/v1/readiness"):
        assert (await runflow.http.get(path, headers={"Authorization": ""})).status_code == 200


async def test_another_organisation_is_403(runflow: Harness) -> None:
    mine = (await runflow.http.get("/v1/auth/me")).json()["org_id"]

    assert (await runflow.http.get("/v1/runs", headers={"X-Organization-Id": mine})).status_code == 200
    other = await runflow.http.get("/v1/runs", headers={"X-Organization-Id": "0198c0de-7a11-7000-8000-0123456789ab"})
    assert refused(other, 403, "ORGANIZATION_MEMBERSHIP_REQUIRED")


async def test_only_what_was_made_is_charged() -> None:
    """Only what was made is charged, and an empty balance is 402."""
    async with harness(balance=Decimal("0.30")) as runflow:
        runflow.photos["/bad"] = 404
        await runflow.done(input={"image_url": "https://photos.test/bad"})
        await runflow.done()
        await runflow.done()
        assert (await runflow.http.get("/v1/billing/balance")).json()["balance"] == "0.02"

        assert refused(await runflow.create(), 402, "INSUFFICIENT_CREDIT")

        billing = await runflow.billing()
        assert (billing["runs"], billing["paid_runs"], billing["total"], billing["creates"]) == (3, 2, "0.28", 4)
        await runflow.http.post("/_admin/balance", json={"balance": "5.00"})
        assert (await runflow.create()).status_code == 201


async def test_runs_under_way_finish_after_the_credit_is_gone() -> None:
    async with harness(balance=Decimal("0.14"), behaviour={"run_seconds": 0.05}) as runflow:
        ids = [await runflow.made(), await runflow.made()]
        assert {(await runflow.ended(run_id))["status_code"] for run_id in ids} == {"succeeded"}
        assert (await runflow.http.get("/v1/billing/balance")).json()["balance"] == "-0.14"
        assert (await runflow.create()).status_code == 402


async def test_billing_counts_by_client_ref(runflow: Harness) -> None:
    """Billing counts by client_ref, and names images without their signature."""
    await runflow.done(client_ref="one", metadata={"job_id": "j-1"})
    await runflow.done(client_ref="one")
    await runflow.done(client_ref=None)

    billing = await runflow.billing()
    assert billing["by_client_ref"]["one"] == {"runs": 2, "paid": 2, "cost": "0.28"}
    assert billing["by_client_ref"][""]["runs"] == 1
    first = billing["per_run"][0]
    assert (first["image"], first["cost"], first["metadata"]) == ("photos.test/shoe.png", "0.14", {"job_id": "j-1"})
    assert "X-Amz" not in str(billing)
    assert "per_run" not in (await runflow.http.get("/_admin/billing?runs=false")).json()


def test_the_rate_is_per_key_and_comes_back_with_time() -> None:
    now = datetime(2026, 5, 6, tzinfo=UTC)
    account = Account(["a", "b"], Decimal(1), Decimal(1), lambda: now)

    for _ in range(3):
        account.check_rate("a", 3)
    with pytest.raises(Problem) as caught:
        account.check_rate("a", 3)
    assert (caught.value.status, caught.value.code) == (429, "RATE_LIMITED")
    account.check_rate("b", 3)
    now += timedelta(hours=1)
    for _ in range(3):  # one second's worth, however long it was unused
        account.check_rate("a", 3)
    with pytest.raises(Problem):
        account.check_rate("a", 3)
    now += timedelta(seconds=0.34)
    account.check_rate("a", 3)
    with pytest.raises(Problem):
        account.check_rate("a", 3)


async def test_a_limited_rate_answers_429(runflow: Harness) -> None:
    """A limited rate answers 429, with headers only under the older page."""
    await runflow.behave(rate_limit=1)
    first, second = await runflow.http.get("/v1/auth/me"), await runflow.http.get("/v1/auth/me")
    assert first.status_code == 200
    assert refused(second, 429, "RATE_LIMITED")
    assert not [name for name in second.headers if name.startswith(("retry", "x-rate"))]

    await runflow.behave(rate_headers=True)
    third = await runflow.http.get("/v1/auth/me")
    assert third.status_code == 429
    assert int(third.headers["Retry-After"]) >= 1
    assert third.headers["X-RateLimit-Remaining"] == "0"
    await runflow.behave(rate_limit=100)
    assert "X-RateLimit-Limit" in (await runflow.http.get("/v1/auth/me")).headers


async def test_the_admin_routes_are_for_this_machine_only(runflow: Harness) -> None:
    transport = httpx.ASGITransport(make_app(runflow.mock), client=("192.0.2.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://runflow.test") as elsewhere:
        assert (await elsewhere.get("/_admin/billing")).status_code == 403
    from_page = await runflow.http.get("/_admin/billing", headers={"Origin": "https://evil.test"})
    assert from_page.status_code == 403


async def test_every_route_needs_a_key_but_health_and_signed_outputs(runflow: Harness) -> None:
    """Another user of the machine reaches loopback too; a key that was added is no key of the mock's operator."""
    await runflow.http.post("/_admin/keys", json={"key": "rf_live_other", "org_id": "other"})
    for route in make_app(runflow.mock).routes:
        assert isinstance(route, Route)
        path = re.sub(r"{[^}]*}", "x", route.path)
        is_open = route.name in ("health", "output")
        for method in route.methods or ():
            for key in ("", "Bearer rf_live_guessed", *(["Bearer rf_live_other"] if "_admin" in path else [])):
                answer = await runflow.http.request(method, path, headers={"Authorization": key})
                assert (answer.status_code == 401) is not is_open, (method, path, key)
    assert (await runflow.fetch("/outputs/x/x")).status_code in (403, 404)
    assert (await runflow.http.get("/_admin/billing")).status_code == 200


async def test_a_revoked_key_still_opens_the_admin_routes(runflow: Harness) -> None:
    """Or nobody could take the fault back."""
    rule = await runflow.fault("account", "revoke_key")
    assert (await runflow.http.get("/v1/auth/me")).status_code == 401
    assert (await runflow.http.delete(f"/_admin/faults/{rule['id']}")).status_code == 204


async def test_reset_forgets_runs_faults_and_behaviour_but_no_secret(runflow: Harness) -> None:
    secret = (await runflow.http.post("/v1/callback-secrets", json={})).json()
    await runflow.behave(create_status=200)
    await runflow.fault("create_run", "status", times=0)
    run = await runflow.done()

    assert (await runflow.http.post("/_admin/reset")).status_code == 204

    billing = await runflow.billing()
    assert (billing["runs"], billing["creates"], billing["balance"]) == (0, 0, "1000.00")
    assert await runflow.fired() == []
    assert runflow.mock.behaviour == runflow.mock.settings.behaviour
    assert (await runflow.fetch(run["output"]["image_urls"][0])).status_code == 404
    assert (await runflow.http.get(f"/v1/callback-secrets/{secret['id']}")).status_code == 200


async def test_a_run_under_way_at_a_reset_comes_to_nothing() -> None:
    async with harness(behaviour={"run_seconds": 0.1}) as runflow:
        await runflow.made()
        await asyncio.sleep(0.03)
        await runflow.http.post("/_admin/reset")
        await asyncio.sleep(0.15)
        assert runflow.callbacks == []
        assert (await runflow.billing())["balance"] == "1000.00"


def test_defaults_are_what_the_contract_says() -> None:
    behaviour = Behaviour()
    assert behaviour.delays == (1.0, 2.0)
    assert (behaviour.create_status, behaviour.idempotency, behaviour.callback_retries) == (201, "honoured", "brief")
