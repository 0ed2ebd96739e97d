"""The mock as a whole: state, workers, callback sender and outputs, put together."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from local.runflow import wire
from local.runflow.account import Account, Clock, utc_now
from local.runflow.behaviour import Behaviour
from local.runflow.callback_sender import CallbackSender
from local.runflow.faults import Faults
from local.runflow.model import Delivery, Json, Run
from local.runflow.outputs import Outputs
from local.runflow.worker import Workers


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What does not change while the mock runs. Amounts in USD; `ca_file` is trusted besides the public authorities."""

    base_url: str
    api_keys: tuple[str, ...] = ("rf_live_local",)
    balance: Decimal = Decimal("1000.00")
    price: Decimal = Decimal("0.14")
    workers: int = 2
    ca_file: Path | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)


class MockRunflow:
    """Everything behind the HTTP routes. Made by `running`, inside a running event loop."""

    def __init__(self, settings: Settings, folder: Path, client: httpx.AsyncClient, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.behaviour = settings.behaviour
        self.faults = Faults()
        self.account = Account(settings.api_keys, settings.balance, settings.price, clock)
        self.outputs = Outputs(folder, settings.base_url)
        self.callback_sender = CallbackSender(self.account, self.faults, client)
        self.workers = Workers(
            self.account, self.outputs, client, lambda: self.behaviour, self._ended, settings.workers
        )

    def create_run(self, model: str, body: bytes, org_id: str) -> Run:
        """Create a run and queue it. Raises Problem."""
        run = self.account.create_run(model, body, self.behaviour, self.faults.fate, org_id)
        self.workers.enqueue(run)
        return run

    def record(self, run: Run, *, signed: bool = True) -> Json:
        """A run as the API shows it, with fresh output URLs (contract section 3), signed or not."""
        urls = self.output_urls(run)
        shown = urls if signed else [url.partition("?")[0] for url in urls]
        return wire.run_record(run, shown, self.account, self.behaviour)

    def output_urls(self, run: Run) -> list[str]:
        """Freshly signed URLs of a run's outputs."""
        urls = []
        for output in run.outputs:
            dead = self.faults.take("output_url", client_ref=run.client_ref)
            urls.append(self.outputs.url(run.id, output.name, 0 if dead else self.behaviour.output_seconds))
        return urls

    def call_back(self, run: Run, *, automatic: bool) -> Delivery:
        """Send a callback with the run's current state. The run has a callback_url and has ended."""
        payload = wire.encode(wire.envelope(run, self.output_urls(run), self.behaviour))
        delivery = self.account.new_delivery(run, payload, self.behaviour, automatic=automatic)
        self.callback_sender.send(run, delivery, self.behaviour)
        return delivery

    def _ended(self, run: Run) -> None:
        if run.callback_url is not None:
            self.call_back(run, automatic=True)

    async def reset(self) -> None:
        """Restore the initial state, except API keys and callback secrets. Callbacks in progress are cancelled."""
        await self.callback_sender.stop()
        self.faults.clear()
        self.behaviour = self.settings.behaviour
        self.account.reset()
        self.outputs.clear()


@asynccontextmanager
async def running(
    settings: Settings, *, client: httpx.AsyncClient | None = None, clock: Clock = utc_now
) -> AsyncIterator[MockRunflow]:
    """A running mock, with a temporary folder for its outputs; both are gone afterwards.

    `client` fetches photos and sends callbacks; tests pass one that opens no socket.
    """
    with TemporaryDirectory(prefix="runflow-") as folder:
        # Photos and callbacks are on this machine: a proxy from the environment must not be used.
        made = client or httpx.AsyncClient(
            verify=_trust(settings.ca_file), trust_env=False, timeout=30, limits=httpx.Limits(max_connections=None)
        )
        async with made:
            mock = MockRunflow(settings, Path(folder), made, clock)
            mock.workers.start()
            try:
                yield mock
            finally:
                await mock.workers.stop()
                await mock.callback_sender.stop()


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
