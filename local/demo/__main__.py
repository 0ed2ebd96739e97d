"""`python -m local.demo [PHOTOS]`."""

from __future__ import annotations

import fcntl
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from local.demo.journey import fetch, upload, wait
from local.demo.photos import Photo, own_photos, sample_photos, verdict
from local.demo.sheet import MOST, Pair, contact_sheet
from local.emulator.client import REPOSITORY
from local.stack import Options, Stack, isolate, running

console = Console(highlight=False)

FOLDERS = REPOSITORY / ".build" / "demos"  # one for each demo that runs, so that several may at the same time
MOCK_NOTE = (
    "The tags were removed by a mock Runflow on this machine: a few lines of OpenCV, far weaker than Runflow's\n"
    "model. Nothing was charged, and nothing left this machine."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", required=False, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=REPOSITORY / "demo-output",
    help="Where results go, each run's in a numbered folder (default: demo-output).",
)
def main(photos: Path | None, output: Path) -> None:
    """Remove price tags on a local stack: from the samples, or from the files in PHOTOS.

    Starts an AWS emulator and a mock Runflow, deploys detag to the emulator, uploads the photos, waits, and writes each
    output next to its photo, with a contact sheet. Exits with 0 only if every photo ended in the expected state.
    """
    # SIGINT as well: Python leaves it ignored when a shell started us in the background.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    isolate()
    try:
        sys.exit(demo(photos, output))
    except (ValueError, RuntimeError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
    except (BotoCoreError, ClientError, httpx.HTTPError) as error:
        console.print(
            f"The local stack failed: {error}\nIts logs, named above, may say why.", markup=False, soft_wrap=True
        )
        sys.exit(1)
    except OSError as error:
        console.print(f"A file could not be read or written: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Interrupted: the local stack is down and nothing is left running.")
        sys.exit(130)


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def demo(place: Path | None, output: Path) -> int:
    """Run the demo; returns the exit status.

    Raises ValueError for a wrong path, RuntimeError if the stack fails, OSError for a file.
    """
    began = time.monotonic()
    # The caller's own folder first: a wrong path should fail before a stack is started.
    photos = None if place is None else own_photos(place, output)
    results = _next_folder(output)
    if photos is None:
        console.print("Drawing the sample photos ...", style="dim")
        photos = sample_photos(results)
    with _own_folder() as folder, _stack(folder) as stack:
        console.print(f"The local stack is up after {time.monotonic() - began:.0f} s.", style="dim")
        _process(stack, photos)
        fetch(stack, photos, results)
        with stack.runflow_admin() as runflow:
            billing = runflow.get("billing?runs=false").json()
        console.print("Stopping the local stack ...", style="dim")
    sheet = _draw_sheet(photos, results)
    _report(photos, billing)
    if sheet is not None:
        console.print(f"Before and after:   {_shown(sheet)}", soft_wrap=True)
    console.print(f"Photos and outputs: {_shown(results)}", soft_wrap=True)
    console.print(f"\n{MOCK_NOTE}", soft_wrap=True)
    return _judge(photos, time.monotonic() - began)


def _next_folder(output: Path) -> Path:
    """A new folder in `output`, with the next free number; never that of another demo which looks at the same time."""
    output.mkdir(parents=True, exist_ok=True)
    number = max((int(path.name) for path in output.iterdir() if path.name.isdecimal()), default=0) + 1
    for each in itertools.count(number):
        with suppress(FileExistsError):
            (output / str(each)).mkdir()
            return output / str(each)
    raise AssertionError("unreachable")


@contextmanager
def _own_folder() -> Iterator[Path]:
    """The first folder for a stack that no other demo has. The lock ends with this process, however it does."""
    FOLDERS.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        with (FOLDERS / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield FOLDERS / str(number)
            return


def _stack(folder: Path) -> AbstractContextManager[Stack]:
    """A stack in a folder of its own."""
    console.print(f"Logs: {_shown(folder / 'logs')}", style="dim", soft_wrap=True)
    # Nothing is charged here, so no photo should wait for the daily spend limit to reset.
    options = Options(
        folder=folder,
        parameters={"DailySpendLimitUsd": "none"},
        runflow=("--balance", "1000000"),
    )
    return running(options, lambda text: console.print(f"{text} ...", style="dim"))


def _process(stack: Stack, photos: Sequence[Photo]) -> None:
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        uploading = progress.add_task("Uploading", total=len(photos))
        cleaning = progress.add_task("Cleaning", total=len(photos))
        upload(stack, photos, lambda: progress.advance(uploading))

        def changed() -> None:
            progress.update(cleaning, completed=sum(photo.closed for photo in photos))

        changed()
        wait(stack, photos, changed)


def _draw_sheet(photos: Sequence[Photo], results: Path) -> Path | None:
    """The contact sheet of what was delivered; None if nothing was."""
    pairs = []
    for photo in photos:
        for number, output in enumerate(photo.outputs, 1):
            which = f", output {number}" if len(photo.outputs) > 1 else ""
            pairs.append(Pair(results / photo.key, output, photo.key, f"cleaned in {photo.seconds or 0:.1f} s{which}"))
    if not pairs:
        return None
    title = "Before and after" + (f": the first {MOST} of {len(pairs)}" if len(pairs) > MOST else "")
    sheet = contact_sheet(pairs, title, "Cleaned by the local mock Runflow, which is far weaker than Runflow's model.")
    path = results / "contact-sheet.png"
    sheet.save(path)
    return path


def _report(photos: Sequence[Photo], billing: dict[str, Any]) -> None:
    table = Table("photo", "state", "seconds", "cost", "output", header_style="bold")
    for name in ("seconds", "cost"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for photo in photos:
        made = ", ".join(path.name for path in photo.outputs)
        style = "green" if photo.good and photo.state == "delivered" else "yellow" if photo.good else "bold red"
        table.add_row(
            Text(photo.key, overflow="fold"),
            Text(photo.state, style=style),
            f"{photo.seconds:.1f}" if photo.seconds is not None else "",
            f"${photo.cost}" if photo.cost and Decimal(photo.cost) else "",
            Text(made or photo.detail, overflow="fold", style="" if made else "dim"),
        )
    console.print(table)
    console.print(
        "The cost is what Runflow would have charged: "
        f"{billing['paid_runs']} x ${billing['price']} = ${billing['total']}.\n"
    )


def _shown(path: Path) -> str:
    """The path, relative to the working directory if it is inside."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _judge(photos: Sequence[Photo], seconds: float) -> int:
    wrong = verdict(photos)
    for photo in wrong:
        expected = " or ".join(photo.allowed)
        console.print(f"{photo.key} is {photo.state}, not {expected}. {photo.detail}", style="red", markup=False)
    for photo in photos:
        if photo.state == "failed" and photo.good:
            console.print(f"{photo.key} could not be cleaned: {photo.detail}", style="yellow", markup=False)
    states = Counter(photo.state for photo in photos)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    files = "The only file" if len(photos) == 1 else f"All {len(photos)} files"
    if wrong:
        console.print(f"{len(wrong)} of {len(photos)} did not end as expected: {counted}, in {seconds:.0f} s.")
        return 1
    console.print(f"{files} ended as expected: {counted}, in {seconds:.0f} s.")
    return 0


if __name__ == "__main__":
    main(prog_name="python -m local.demo")
