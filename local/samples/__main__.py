"""`python -m local.samples FOLDER` draws the sample photos into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from local.samples import write_samples


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Draw the sample photos into FOLDER."""
    for path in write_samples(folder):
        click.echo(path)


if __name__ == "__main__":
    main(prog_name="python -m local.samples")
