"""Cold starts: as packaged, against the floor, the naive function, and with one lever after the other taken away."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.machine import ROOT, environment, middle, run
from benchmarks.package import CERTIFI, Package
from benchmarks.stubs import ETAG, SECRET

FUNCTIONS: Final = ("submit", "callback", "deliver", "reconcile")
AWS: Final = "DetagLayer/python/detag/adapters/aws.py"
MODELS: Final = "DependenciesLayer/python/botocore/data"
PRUNED: Final = "floor, on the layer's packages"


@dataclass(frozen=True)
class Result:
    """Medians of CPU in ms: `init` by name, and `first` (init and the first event) by function and lever."""

    init: Mapping[str, float]
    first: Mapping[str, float]
    repetitions: int

    def over_floor(self, name: str) -> float:
        """Init in units of the floor."""
        return self.init[name] / self.init["floor"]

    def first_over_floor(self, name: str) -> float:
        """Init and first event in units of the floor's init."""
        return self.first[name] / self.init["floor"]


def measure(package: Package, port: int, repetitions: int, work: Path) -> Result:
    """All of it, one of each in turn."""
    folders = {"floor": package.alone("Floor", "FloorPackages"), "naive": package.alone("NaiveFunction")}
    folders[PRUNED] = package.alone("Floor", "DependenciesLayer/python")
    folders |= {name: package.function(name) for name in FUNCTIONS}
    without = {
        name: take(package.copy(work / f"without-{number}")) for number, (name, take) in enumerate(LEVERS.items())
    }
    folders |= {f"without: {name}": changed.function("submit") for name, changed in without.items()}
    events = first_events(work)
    init: dict[str, list[float]] = {name: [] for name in folders}
    first: dict[str, list[float]] = {name: [] for name in (*events, *(f"without: {name}" for name in LEVERS))}
    for _ in range(repetitions):
        for name, folder in folders.items():
            function = name if name in FUNCTIONS else "submit"
            init[name].append(run("cold.py", [folder], environment(function, port)).cpu_ms)
            if name in first:
                arguments = [folder, str(events[function])]
                first[name].append(run("cold.py", arguments, environment(function, port)).cpu_ms)
    return Result(
        {name: middle(values) for name, values in init.items()},
        {name: middle(values) for name, values in first.items()},
        repetitions,
    )


def first_events(work: Path) -> dict[str, Path]:
    """An event for submit, and one for callback, that go through without trouble."""
    uploads = upload_batch(1)
    body = json.loads((ROOT / "events/callback.json").read_text(encoding="utf-8"))
    body["headers"]["runflow-signature"] = hmac.new(SECRET.encode(), body["body"].encode(), hashlib.sha256).hexdigest()
    events = {"submit": uploads, "callback": body}
    paths = {name: work / f"{name}.json" for name in events}
    for name, path in paths.items():
        path.write_text(json.dumps(events[name]), encoding="utf-8")
    return paths


def upload_batch(number: int) -> dict[str, list[dict[str, object]]]:
    """A batch of the upload queue: so many new photos, uploaded now."""
    (record,) = json.loads((ROOT / "events/upload.json").read_text(encoding="utf-8"))["Records"]
    records = []
    for index in range(number):
        event = json.loads(record["body"])
        event["time"] = datetime.now(UTC).isoformat()
        event["detail"]["bucket"]["name"] = "photos"
        event["detail"]["object"] |= {"key": f"{index}.jpg", "version-id": f"v{index}", "size": 40_000, "etag": ETAG}
        records.append(record | {"messageId": str(index), "body": json.dumps(event)})
    return {"Records": records}


def _replaced(package: Package, path: str, before: str, after: str) -> None:
    file = package.folder / path
    text = file.read_text(encoding="utf-8")
    if before not in text:
        raise RuntimeError(f"{path} no longer holds the lever {before!r}")
    file.write_text(text.replace(before, after), encoding="utf-8")
    package.compiled()


def _byte_code(package: Package) -> Package:
    for folder in [*package.folder.rglob("__pycache__")]:
        shutil.rmtree(folder)
    return package


def _garbage(package: Package) -> Package:
    _replaced(package, "DetagLayer/python/detag/cold_start.py", "gc.disable()", "gc.enable()")
    return package


def _models(package: Package) -> Package:
    shutil.copytree(_whole() / "data", package.folder / MODELS, dirs_exist_ok=True, ignore=_table)
    return package


def _endpoints(package: Package) -> Package:
    shutil.copy(_whole() / "data/endpoints.json", package.folder / MODELS)
    return package


def _whole() -> Path:
    """The runtime's botocore: the same version, with everything."""
    return next((ROOT / ".venv/runtime/lib").glob("python3.*/site-packages/botocore"))


def _table(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "endpoints.json"]


def _session(package: Package) -> Package:
    _replaced(package, AWS, "make: Any = session.client", "make: Any = Session().client")
    return package


def _roots(package: Package) -> Package:
    shutil.rmtree(package.folder / "DependenciesLayer" / CERTIFI / "roots")
    return package


LEVERS: Final[dict[str, Callable[[Package], Package]]] = {
    "byte code in the package": _byte_code,
    "no garbage collection during init": _garbage,
    "the models of five services": _models,
    "endpoints.json of five services": _endpoints,
    "one session for all clients": _session,
    "root certificates by hash": _roots,
}
