"""`python -m benchmarks`: measures everything, side by side, and writes results.md, results.json and plots/."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from benchmarks import cold, compare, comparison, cost, load, machine, package, plots, report, warm

HERE: Final = Path(__file__).parent
QUICK: Final = machine.ROOT / ".build" / "bench"
"""Where a quick run is written: what is published is measured in full."""
NAMES: Final = 240
"""How many photos are uploaded to detag and to each of its peers."""
QUICK_NAMES: Final = 40
console = Console(highlight=False)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer repetitions: 6 minutes in place of 25.")
@click.option("--only-load", is_flag=True, help="Only photos at once; nothing is written.")
@click.option("--only-peers", is_flag=True, help="Only the comparison with what a user would write instead.")
@click.option("--photos", type=int, default=0, help="How many photos at once (default: 2,000; 300 if quick).")
@click.option(
    "--to", type=click.Path(path_type=Path), help="Where results are written (benchmarks; quick: .build/bench)."
)
def main(quick: bool, only_load: bool, only_peers: bool, photos: int, to: Path | None) -> None:
    """Measure detag on this machine, against committed handlers that do less, and more, than it does."""
    folder = to or (QUICK if quick else HERE)
    if only_peers:
        _compared(quick, folder)
        return
    photos = photos or (300 if quick else 2_000)
    if only_load:
        console.print(report.load_table(load.measure(photos, _said)), markup=False)
        return
    version = machine.runtime_version()
    if version != machine.VERSION:
        console.print(
            f"The functions run on Python {machine.VERSION}; .venv/runtime has {version}, which cannot show how fast "
            f"they are: install Python {machine.VERSION}, or set PYTHON to one.",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(1)
    with tempfile.TemporaryDirectory() as name:
        results = _measured(Path(name).resolve(), quick, photos)
    results.seconds = time.monotonic() - STARTED
    folder.mkdir(parents=True, exist_ok=True)
    flat = report.flat(results)
    (folder / "results.json").write_text(json.dumps(flat, indent=2) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(report.page(results, flat), encoding="utf-8")
    _plotted(results, folder / "plots")
    _compared(quick, folder)
    console.print(report.summary(flat), markup=False)
    console.print(f"Written to {folder}/results.md after {results.seconds / 60:.1f} minutes.", markup=False)


def _compared(quick: bool, folder: Path) -> None:
    """Measure detag beside its peers; write peers.json and the last section of results.md, leaving the others."""
    compared = compare.measure(QUICK_NAMES if quick else NAMES, _said)
    folder.mkdir(parents=True, exist_ok=True)
    kept, page = folder / comparison.PLACE.name, folder / "results.md"
    kept.write_text(json.dumps(compared.as_json(), indent=2) + "\n", encoding="utf-8")
    earlier = page.read_text(encoding="utf-8") if page.exists() else ""
    page.write_text(comparison.placed(earlier, compared), encoding="utf-8")
    console.print(comparison.section(compared), markup=False, soft_wrap=True)


STARTED: Final = time.monotonic()


def _said(text: str) -> None:
    console.print(f"{time.monotonic() - STARTED:4.0f} s  {text}", style="dim", markup=False)


def _measured(work: Path, quick: bool, photos: int) -> report.Results:
    repetitions = 5 if quick else 17
    _said("Building the functions as Lambda gets them")
    built = package.build(work)
    ca, certificate = package.authority(work)
    layer_mb = package.megabytes(built.folder / "DependenciesLayer") + package.megabytes(built.folder / "DetagLayer")
    package.trust(built, ca)
    _said(f"Cold starts, {repetitions} of each")
    with machine.stubs(certificate) as port:
        starts = cold.measure(built, port, repetitions, work)
    _said("Batches of ten uploads")
    batch = warm.batches(built, certificate, work, 1 if quick else 5)
    _said("Outputs on their way to S3")
    delivery = warm.deliveries(built, certificate, 2 if quick else 6, 2 if quick else 3)
    _said("Callbacks")
    callbacks = warm.callbacks(built, certificate, work, 3 if quick else 11)
    _said("Photos, for their costs")
    photo = warm.photo(built, certificate, work, 20 if quick else 100)
    _said(f"{photos} photos at once on the local stack")
    loaded = load.measure(photos, _said)
    init = {name: starts.init[name] for name in cold.FUNCTIONS}
    measured = cost.Measured(photo.cpu_ms, init, photo.logged, photo.write_units, photo.read_units)
    return report.Results(
        when=datetime.now(UTC).strftime("%Y-%m-%d"),
        quick=quick,
        machine=machine.described(),
        cold=starts,
        layer_mb=layer_mb,
        batch=batch,
        delivery=delivery,
        callback=callbacks,
        measured=measured,
        load=loaded,
    )


def _plotted(results: report.Results, folder: Path) -> None:
    starts = results.cold
    names = ("floor", *cold.FUNCTIONS, "naive")
    plots.bars(
        folder / "cold.svg",
        "Cold start: init, CPU",
        {name: starts.init[name] for name in names},
        "ms",
        starts.init["floor"],
    )
    size = warm.SIZES[-1]
    time_of = {way: results.delivery.wall_ms[way, size] for way in warm.WAYS}
    plots.bars(folder / "deliver.svg", "An output of 100 MB on its way to S3", time_of, "ms")
    samples = results.load.samples
    states = ("delivered", "submitted", "submitting", "waiting")
    series = {state: [counts.get(state, 0) for _, counts in samples] for state in states}
    plots.areas(
        folder / "load.svg", f"{results.load.photos:,} photos at once", [moment for moment, _ in samples], series
    )


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
