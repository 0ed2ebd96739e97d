"""Output URLs (contract section 10, "Outputs")."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.local.runflow.harness import Harness

pytestmark = pytest.mark.anyio


async def url_of(runflow: Harness, run_id: str) -> str:
    return str((await runflow.run(run_id))["output"]["image_urls"][0])


async def test_an_output_url_expires_with_403(runflow: Harness) -> None:
    """An output URL expires with 403, and reading the run signs a fresh one."""
    await runflow.behave(output_seconds=0.1)
    record = await runflow.done()
    old = record["output"]["image_urls"][0]
    assert (await runflow.fetch(old)).status_code == 200
    await asyncio.sleep(0.15)

    expired = await runflow.fetch(old)
    assert (expired.status_code, expired.headers["content-type"]) == (403, "application/xml")
    assert "expired" in expired.text
    assert (await runflow.fetch(await url_of(runflow, record["id"]))).status_code == 200


async def test_a_url_that_was_tampered_with_is_403(runflow: Harness) -> None:
    url = (await runflow.done())["output"]["image_urls"][0]
    other = await url_of(runflow, (await runflow.done())["id"])
    path, _, query = url.partition("?")
    for wrong in (
        path,
        url.replace("Expires=1", "Expires=9"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        f"{path}?{other.partition('?')[2]}",
        f"{path}?Expires=x&Signature=y",
        f"{path}?{query}".replace("result_1", "result_2"),
    ):
        assert (await runflow.fetch(wrong)).status_code == 403, wrong


async def test_a_url_refuses_a_second_kind_of_authorization(runflow: Harness) -> None:
    url = (await runflow.done())["output"]["image_urls"][0]
    assert (await runflow.http.get(url)).status_code == 400


async def test_a_url_tells_length_and_type_and_serves_ranges(runflow: Harness) -> None:
    url = (await runflow.done())["output"]["image_urls"][0]
    whole = await runflow.fetch(url)
    assert int(whole.headers["content-length"]) == len(whole.content)
    del runflow.http.headers["Authorization"]
    part = await runflow.http.get(url, headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, whole.content[:8])
    head = await runflow.http.head(url)
    assert (head.status_code, head.content) == (200, b"")


async def test_a_reset_deletes_the_outputs(runflow: Harness) -> None:
    await runflow.done()
    folder = runflow.mock.outputs._folder
    assert any(folder.rglob("*.png"))
    await runflow.http.post("/_admin/reset")
    assert not any(folder.rglob("*.png"))
