"""A full disk is a passing fault: the paid output is fetched again later, and its message is no dead letter."""

from __future__ import annotations

import io
import resource
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import botocore.session
import pytest

from detag.adapters.disk import temporary_file
from detag.adapters.http import Network
from detag.adapters.outputs import Guard, SafeFetcher
from detag.adapters.s3 import S3PhotoStore, s3_config
from detag.ports.errors import Transient
from detag.ports.runs_fake import tiny_image
from tests.wire import Wire, answer, resolver

OUTPUT = tiny_image("image/webp", b"x" * 300_000)


@pytest.fixture
def full() -> Iterator[None]:
    """No file of this process may grow beyond 64 KiB: writing fails as on a full disk, flushing at the close too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full")
def test_a_disk_full_while_receiving_is_transient() -> None:
    """An output for which the disk has no space while it is received is fetched again later."""
    wire = Wire([answer(body=OUTPUT, Content_Length="none")])
    network = Network(Guard().address, resolve=resolver({"cdn.example": ["93.184.216.34"]}), inner=wire)
    fetcher = SafeFetcher(ssl.create_default_context(), Guard(), network)
    with pytest.raises(Transient, match="temporary file failed: EFBIG"), fetcher.open("https://cdn.example/a.webp"):
        pass


@pytest.mark.usefixtures("full")
def test_a_disk_full_before_storing_is_transient() -> None:
    """An output for which the disk has no space before it is stored is stored later."""
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=s3_config("http://127.0.0.1:9"),
    )
    store = S3PhotoStore(cast("Any", client), "cleaned")
    with pytest.raises(Transient, match="temporary file failed"):
        store.put("a.webp", io.BytesIO(OUTPUT), len(OUTPUT), "image/webp", {}, None)


def test_a_disk_too_full_for_any_file_is_no_other_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(Transient, match="ENOENT"), temporary_file():
        pass
