"""Idempotency-Key under every reading of the contract (contract section 8, contract 13.10)."""

from __future__ import annotations

import pytest

from tests.unit.local.runflow.harness import Harness, refused

pytestmark = pytest.mark.anyio

KEYED = {"Idempotency-Key": "k" * 64}


async def test_the_same_key_and_body_replay_the_first_answer(runflow: Harness) -> None:
    """The same key and body replay the first answer, and make no second run."""
    first = await runflow.create(headers=KEYED)
    await runflow.ended(first.json()["id"])
    again = await runflow.create(headers=KEYED)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.json()["status_code"] == "queued"  # the stored answer, not the present state
    billing = await runflow.billing()
    assert (billing["runs"], billing["creates"]) == (1, 2)


async def test_the_same_key_with_another_body_is_409(runflow: Harness) -> None:
    await runflow.create(headers=KEYED)

    assert refused(await runflow.create(headers=KEYED, client_ref="ref-2"), 409, "CONFLICT")
    assert (await runflow.billing())["runs"] == 1


async def test_another_key_or_none_makes_another_run(runflow: Harness) -> None:
    for headers in (KEYED, {"Idempotency-Key": "other"}, None, None):
        assert (await runflow.create(headers=headers)).status_code == 201
    assert (await runflow.billing())["runs"] == 4


async def test_a_refusal_is_not_remembered(runflow: Harness) -> None:
    assert (await runflow.create(headers=KEYED, client_ref=7)).status_code == 422
    assert (await runflow.create(headers=KEYED)).status_code == 201


async def test_keys_may_be_ignored(runflow: Harness) -> None:
    await runflow.behave(idempotency="ignored")
    for _ in range(2):
        await runflow.create(headers=KEYED)
    assert (await runflow.billing())["runs"] == 2


async def test_a_repeated_key_may_be_answered_409(runflow: Harness) -> None:
    await runflow.behave(idempotency="conflict")
    assert (await runflow.create(headers=KEYED)).status_code == 201
    assert refused(await runflow.create(headers=KEYED), 409, "CONFLICT")
    assert (await runflow.billing())["runs"] == 1


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
async def test_a_cached_error_may_be_replayed_for_ever(runflow: Harness, when: str, runs: int) -> None:
    await runflow.behave(idempotency="cached_errors")
    await runflow.fault("create_run", "status", status=500, when=when, times=1)

    answers = [(await runflow.create(headers=KEYED)).status_code for _ in range(3)]

    assert answers == [500, 500, 500]
    assert await runflow.fired() == [1]
    assert (await runflow.billing())["runs"] == runs
    assert (await runflow.create(headers={"Idempotency-Key": "fresh"})).status_code == 201


async def test_a_cached_refusal_may_be_replayed(runflow: Harness) -> None:
    await runflow.behave(idempotency="cached_errors")
    await runflow.fault("account", "no_credit", times=1)
    assert [(await runflow.create(headers=KEYED)).status_code for _ in range(2)] == [402, 402]


async def test_a_lost_answer_is_replayed_to_the_same_key(runflow: Harness) -> None:
    """An answer lost after the run was made is replayed to the same key."""
    await runflow.fault("create_run", "status", status=502, when="after", times=1)

    lost = await runflow.create(headers=KEYED)
    again = await runflow.create(headers=KEYED)

    assert (lost.status_code, again.status_code) == (502, 201)
    assert list(runflow.mock.account.runs) == [again.json()["id"]]
