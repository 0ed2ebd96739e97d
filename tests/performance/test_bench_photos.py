"""`make bench` counts every call of a photo on the packaged functions: what they call more or less, it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import package, warm
from benchmarks.calls import PER_PHOTO, PER_PROCESS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[package.Package, Path]:
    """The packaged functions, and the certificate of the stub that they trust."""
    work = tmp_path_factory.mktemp("bench")
    functions = package.build(work)
    ca, certificate = package.authority(work)
    package.trust(functions, ca)
    return functions, certificate


def test_photos_make_the_calls_that_the_costs_are_made_of(
    built: tuple[package.Package, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions, certificate = built
    measured = warm.photo(functions, certificate, tmp_path, 2)
    assert set(measured.cpu_ms) == {*PER_PHOTO, "reconcile"}
    monkeypatch.setitem(PER_PROCESS, "submit", PER_PROCESS["submit"] | {"Runflow.GET": 2})
    with pytest.raises(RuntimeError, match=r"^submit made \d+ calls for 5 photos"):
        warm.photo(functions, certificate, tmp_path, 2)
