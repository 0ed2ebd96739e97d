"""`python -m local.runflow`."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

import click

from local.runflow.behaviour import Behaviour
from local.runflow.mock import Settings
from local.runflow.server import listen, serve, url_of


class Usd(click.ParamType[Decimal]):
    """An amount such as 0.14."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Click's hook."""
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is not an amount in USD", param, ctx)
        return amount


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--port", default=8099, type=click.IntRange(0, 65535), help="Port on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    default=["rf_live_local"],
    envvar="MOCK_RUNFLOW_API_KEYS",  # an argument can be read by every user of the machine
    show_envvar=True,
    help="An accepted API key; repeatable.",
)
@click.option("--balance", type=Usd(), default="1000.00", help="Initial credit, in USD.")
@click.option("--price", type=Usd(), default="0.14", help="Price of a run that succeeds, in USD.")
@click.option("--workers", default=2, type=click.IntRange(1, 64), help="Runs processed at the same time.")
@click.option(
    "--pixels",
    type=click.Choice(["remove", "reencode", "copy"]),
    default="remove",
    help="What is done to a photo: tags painted out, only re-encoded, or nothing at all (for load tests).",
)
@click.option(
    "--output-type",
    type=click.Choice(["webp", "same"]),
    default="webp",
    help="Type of the outputs: WebP, as Runflow is reported to return, or that of the input.",
)
@click.option("--run-seconds", default=0.0, type=click.FloatRange(0), help="A run takes at least this long.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates (PEM) to trust besides the public ones, for photos and callbacks over https.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log requests, runs and callbacks to standard error.")
def main(
    port: int,
    api_keys: tuple[str, ...],
    balance: Decimal,
    price: Decimal,
    workers: int,
    pixels: Literal["remove", "reencode", "copy"],
    output_type: Literal["webp", "same"],
    run_seconds: float,
    ca_file: Path | None,
    verbose: bool,
) -> None:
    """Serve a mock of Runflow's public API on this machine, until interrupted.

    POST /v1/models/runflow/tag-removal/runs with `Authorization: Bearer rf_live_local` creates a run; the photo is
    fetched from its image_url, price tags and stickers are painted out with a few lines of OpenCV (the model is far
    better), and the callback is signed and sent. Nothing is charged: GET /_admin/billing, with the same key, shows what
    would have been.
    GET /_admin lists the faults that can be posted and the readings of Runflow's documentation that can be chosen.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, and a presigned one grants access
    try:
        sock = listen(port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    url = url_of(sock)
    settings = Settings(
        base_url=url,
        api_keys=api_keys,
        balance=balance,
        price=price,
        workers=workers,
        ca_file=ca_file,
        behaviour=replace(Behaviour(), pixels=pixels, output_type=output_type, run_seconds=run_seconds),
    )
    serve(settings, sock, lambda: click.echo(f"Mock Runflow ready at {url}"))


if __name__ == "__main__":
    main(prog_name="python -m local.runflow")
