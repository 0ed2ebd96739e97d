"""``python -m local.stack up | down | status``."""

import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.table import Table

from local.emulator.client import REPOSITORY

from .isolation import isolate
from .stack import Options, Stack, function_processes, is_up, running, take_down

console = Console(highlight=False)
folder_option = click.option(
    "--folder", type=click.Path(path_type=Path), default=REPOSITORY / ".local", help="The folder for its files."
)


@click.group()
def cli() -> None:
    """detag on one machine: an AWS emulator, a mock Runflow, and the template deployed to it."""


@cli.command()
@folder_option
@click.option("--port", type=int, default=0, help="The emulator's port (default: a free one).")
@click.option("--runflow-port", type=int, default=0, help="The mock Runflow's port (default: a free one).")
@click.option("--processes", type=int, default=0, help="Most processes per function (default: by cores, 2 to 4).")
@click.option("--auth", is_flag=True, help="Check signatures and enforce the template's roles and policies (with TLS).")
@click.option("--tls", is_flag=True, help="Serve the emulator over TLS.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A template parameter.")
@click.option("--runflow-option", "runflow", multiple=True, metavar="OPTION", help="An argument for the mock Runflow.")
def up(
    folder: Path,
    port: int,
    runflow_port: int,
    processes: int,
    auth: bool,
    tls: bool,
    parameters: tuple[str, ...],
    runflow: tuple[str, ...],
) -> None:
    """Start it and keep it running until interrupted."""
    # SIGINT as well: Python leaves it ignored when a shell started us in the background.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    options = Options(
        folder=folder,
        port=port,
        runflow_port=runflow_port,
        processes=processes,
        auth=auth,
        tls=tls,
        parameters=dict(pair.split("=", 1) for pair in parameters),
        runflow=runflow,
    )
    isolate()
    began = time.monotonic()
    try:
        with running(options, lambda text: console.print(f"{text} ...", style="dim")) as stack:
            console.print(f"The local stack is up after {time.monotonic() - began:.0f} s.\n")
            _explain(stack)
            _watch(stack)
    except KeyboardInterrupt:
        console.print("The local stack is down.")
    except (OSError, RuntimeError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)


@cli.command()
@folder_option
def down(folder: Path) -> None:
    """Stop it, even if the process that started it was killed."""
    console.print("The local stack is down." if take_down(folder.resolve()) else "No local stack was up.")


@cli.command()
@folder_option
def status(folder: Path) -> None:
    """Show whether it is up, and what its functions are doing. Exits with 1 if it is not."""
    if not is_up(folder.resolve()):
        console.print("No local stack is up.")
        sys.exit(1)
    table = Table("function", "process", "state", "for")
    for process in function_processes(folder.resolve()):
        seconds = time.time() - process["since"]
        table.add_row(process["function"], str(process["pid"]), process["state"], f"{seconds:.0f} s")
    console.print(f"The local stack is up; {folder / 'stack.json'} describes it.")
    console.print(table)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _explain(stack: Stack) -> None:
    """Print what to type next, in lines that can be copied."""
    described = stack.description
    aws, sam = (shlex.quote(_in_shell(stack.folder / "bin" / name)) for name in ("aws", "sam"))
    lines = [
        "Upload a photo and look at the result:",
        "",
        f"  {aws} s3 cp photo.jpg s3://{described['input_bucket']}/",
        f"  {aws} s3 ls --recursive s3://{described['output_bucket']}/",
        f"  {sam} remote invoke ReconcileFunction --stack-name {described['stack_name']}",
        "",
        f"AWS emulator      {described['endpoint_url']}",
        f"Mock Runflow      {described['runflow_url']} (admin: {described['runflow_admin_url']})",
        f"For a shell       . {shlex.quote(_in_shell(stack.folder / 'env'))}",
        f"Names and keys    {os.path.relpath(stack.folder / 'stack.json')} (runflow_api_key: the mock's)",
        f"Logs              {os.path.relpath(stack.folder / 'logs')}",
        "",
        "It runs until you press Ctrl-C or run `make local-down`.",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _in_shell(path: Path) -> str:
    """A file as `.` finds it: without a slash it would look on the PATH."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"


def _watch(stack: Stack) -> None:
    """Wait for Ctrl-C. Raises RuntimeError if a part of the stack ends by itself."""
    while True:
        time.sleep(1)
        for child in stack.children:
            if not child.alive:
                raise RuntimeError(f"the {child.name} has ended; the end of {child.log} may say why")


if __name__ == "__main__":
    cli()
