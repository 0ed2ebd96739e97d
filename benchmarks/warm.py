"""Warm functions: batches of uploads, outputs on their way to S3, callbacks, and what a photo uses altogether."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from benchmarks.calls import PER_PHOTO, PER_PROCESS
from benchmarks.cold import upload_batch
from benchmarks.machine import ROOT, environment, middle, run_json, stubs
from benchmarks.package import Package
from benchmarks.stubs import RUN_ID, SECRET

SIZES: Final = (2_000_000, 20_000_000, 100_000_000)
WAYS: Final = ("streamed", "read all", "upload_fileobj", "bare sockets")
RUNFLOW_MS: Final = 50.0


@dataclass(frozen=True)
class Batch:
    """Ten uploads by way: events a second, and CPU ms for each."""

    per_second: Mapping[str, float]
    cpu_ms: Mapping[str, float]


@dataclass(frozen=True)
class Delivery:
    """Outputs by way and size: medians of ms and of CPU ms, and the most MiB beyond the base."""

    wall_ms: Mapping[tuple[str, int], float]
    cpu_ms: Mapping[tuple[str, int], float]
    mib: Mapping[tuple[str, int], float]
    repetitions: int


@dataclass(frozen=True)
class Warm:
    """CPU ms of a warm call: `callback` with its 4 KB body, one that only sends that to the queue, and one that only
    parses it.
    """

    median: float
    p99: float
    send: float
    send_p99: float
    bare: float
    times: int


@dataclass(frozen=True)
class Photo:
    """What one photo uses: by function CPU ms and bytes logged; DynamoDB's units in all."""

    cpu_ms: Mapping[str, float]
    logged: Mapping[str, float]
    write_units: float
    read_units: float


def batches(package: Package, certificate: Path, work: Path, rounds: int) -> Batch:
    """The three ways in turn."""
    event = work / "batch.json"
    event.write_text(json.dumps(upload_batch(10)), encoding="utf-8")
    wall: dict[str, list[float]] = {"threads": [], "shared": [], "client per call": []}
    cpu: dict[str, list[float]] = {way: [] for way in wall}
    with stubs(certificate, RUNFLOW_MS) as port:
        for _ in range(rounds):
            for way, times in (("threads", 10), ("shared", 4), ("client per call", 1)):
                arguments = [package.function("submit"), way, str(event), str(times)]
                found = run_json("batch.py", arguments, environment("submit", port))
                wall[way] += found["wall"]
                cpu[way] += found["cpu"]
    return Batch(
        {way: 10_000 / middle(values) for way, values in wall.items()},
        {way: middle(values) / 10 for way, values in cpu.items()},
    )


def deliveries(package: Package, certificate: Path, rounds: int, each: int) -> Delivery:
    """Every way and size in turn, in a process of its own."""
    wall: dict[tuple[str, int], list[float]] = {(way, size): [] for way in WAYS for size in SIZES}
    cpu: dict[tuple[str, int], list[float]] = {place: [] for place in wall}
    mib: dict[tuple[str, int], list[float]] = {place: [] for place in wall}
    with stubs(certificate) as port, stubs(certificate) as source:  # as they are two places, two processes
        env = environment("deliver", port) | {"SOURCE_PORT": str(source)}
        for _ in range(rounds):
            for size in SIZES:
                for way in WAYS:
                    arguments = [package.function("deliver"), way, str(size), str(each)]
                    found = run_json("deliver.py", arguments, env)
                    wall[way, size] += found["wall"]
                    cpu[way, size] += found["cpu"]
                    mib[way, size].append(found["mib"])
    return Delivery(
        {place: middle(values) for place, values in wall.items()},
        {place: middle(values) for place, values in cpu.items()},
        {place: max(values) for place, values in mib.items()},
        each * rounds,
    )


def callback_event(job_id: str, size: int = 4_096) -> dict[str, Any]:
    """A signed callback whose body has about so many bytes."""
    event: dict[str, Any] = json.loads((ROOT / "events/callback.json").read_text(encoding="utf-8"))
    body = json.loads(event["body"])
    body["metadata"]["job_id"] = job_id
    output = body["output"]["outputs"][0]
    output["url"] += "0" * max(0, size - len(json.dumps(body)))
    event["body"] = json.dumps(body)
    event["headers"]["runflow-signature"] = hmac.new(
        SECRET.encode(), event["body"].encode(), hashlib.sha256
    ).hexdigest()
    return event


def callbacks(package: Package, certificate: Path, work: Path, rounds: int) -> Warm:
    """A thousand callbacks of 4 KB in a process of their own, several times: medians of the rounds.

    No two are alike: one that comes again within a minute is dropped, which takes a tenth of the time.
    """
    first, times = 50, 1_000
    events = work / "callbacks.json"
    bodies = [callback_event(f"{number:032x}") for number in range(first + times)]
    events.write_text(json.dumps(bodies), encoding="utf-8")
    arguments = [package.function("callback"), str(events), str(first), str(times), "beside"]
    with stubs(certificate) as port:
        found = [run_json("warm.py", arguments, environment("callback", port)) for _ in range(rounds)]
    return Warm(
        middle([middle(one["cpu"]) for one in found]),
        middle([_p99(one["cpu"]) for one in found]),
        middle([middle(one["send"]["cpu"]) for one in found]),
        middle([_p99(one["send"]["cpu"]) for one in found]),
        middle([middle(one["bare"]["cpu"]) for one in found]),
        rounds * times,
    )


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98]


def photo(package: Package, certificate: Path, work: Path, photos: int) -> Photo:
    """Photos one by one through the packaged functions. Raises RuntimeError where they call what was not counted."""
    first = 3
    cpu, logged, units = {}, {}, {"write units": 0.0, "read units": 0.0}
    with stubs(certificate, keep=True) as port:
        for function in (*PER_PHOTO, "reconcile"):
            events = work / f"{function}s.json"
            events.write_text(json.dumps(_events(function, first + photos, port)), encoding="utf-8")
            _asked(port, "/counts")
            arguments = [package.function(function), str(events), str(first), str(photos)]
            found = run_json("warm.py", arguments, environment(function, port))
            counts = _asked(port, "/counts")
            cpu[function], logged[function] = middle(found["cpu"]), found["logged"]
            if function == "reconcile":
                continue
            for name in units:
                units[name] += counts.get(name, 0) / (first + photos)
            calls = sum(times for name, times in counts.items() if not name.endswith("units"))
            expected = sum(PER_PHOTO[function].values()) * (first + photos) + sum(PER_PROCESS[function].values())
            if calls != expected:
                raise RuntimeError(
                    f"{function} made {calls} calls for {first + photos} photos, not {expected}: {counts}"
                )
    return Photo(cpu, logged, units["write units"], units["read units"])


def _events(function: str, photos: int, port: int) -> list[dict[str, Any]]:
    if function == "submit":
        return [{"Records": [record]} for record in upload_batch(photos)["Records"]]
    if function == "reconcile":
        return [json.loads((ROOT / "events/minute.json").read_text(encoding="utf-8"))]
    jobs = _asked(port, "/jobs")
    if function == "callback":
        return [callback_event(job) for job in jobs]
    messages = [json.dumps({"job_id": job, "run_id": RUN_ID}) for job in jobs]
    return [{"Records": [{"messageId": "1", "body": message}]} for message in messages]


def _asked(port: int, path: str) -> Any:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # our own stub, on loopback
    with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context, timeout=30) as answer:
        return json.load(answer)
