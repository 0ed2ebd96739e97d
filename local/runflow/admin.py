"""The mock's own routes under /_admin: billing, faults, behaviour. For who has a key of the mock, on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.runflow.account import read_object
from local.runflow.behaviour import choices
from local.runflow.faults import KINDS, ROUTES
from local.runflow.mock import MockRunflow
from local.runflow.problems import Problem, invalid

Handler = Callable[[Request], Awaitable[Response]]


def admin_routes(mock: MockRunflow) -> list[Route]:
    """The routes of a running mock."""
    admin = _Admin(mock)

    def route(path: str, **methods: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                _check_caller(request)
                mock.account.check_key(request.headers.get("Authorization"), own=True)
                return await methods[request.method](request)
            except Problem as problem:
                return JSONResponse({"code": problem.code, "message": problem.message}, problem.status)

        return Route(f"/_admin{path}", endpoint, methods=list(methods))

    return [
        route("", GET=admin.index),
        route("/billing", GET=admin.billing),
        route("/faults", GET=admin.faults, POST=admin.add_faults, DELETE=admin.clear_faults),
        route("/faults/{fault_id}", DELETE=admin.remove_fault),
        route("/behaviour", GET=admin.behaviour, POST=admin.behave, DELETE=admin.behave_by_default),
        route("/balance", POST=admin.set_balance),
        route("/keys", POST=admin.add_key),
        route("/reset", POST=admin.reset),
    ]


def _check_caller(request: Request) -> None:
    """Raises Problem 403 for a caller on another machine, and for a page in a browser."""
    try:
        local = request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        local = False
    if not local or "Origin" in request.headers:
        raise Problem(403, "PERMISSION_DENIED", "only programs on this machine may use the admin routes")


class _Admin:
    def __init__(self, mock: MockRunflow) -> None:
        self._mock = mock

    async def index(self, _request: Request) -> Response:
        """What the admin routes offer."""
        kinds = {name: kind for name, kind in KINDS.items() if name not in ROUTES}
        return JSONResponse(
            {
                "routes": ["billing", "faults", "faults/{id}", "behaviour", "balance", "keys", "reset"],
                "faults": {
                    "on": {"any": "every one of: " + ", ".join(ROUTES)},
                    "always": ["times", "share", "seed", "skip", "client_ref (on run, callback, output_url)"],
                    "do": {
                        on: {do: {"meaning": kind.meaning, **kind.options} for do, kind in dos.items()}
                        for on, dos in kinds.items()
                    },
                },
                "behaviour": choices(),
            }
        )

    async def billing(self, request: Request) -> Response:
        """What Runflow would have billed; `?runs=false` leaves out the list of runs."""
        return JSONResponse(self._mock.account.billing(with_runs=request.query_params.get("runs") != "false"))

    async def faults(self, _request: Request) -> Response:
        """Every active rule, with how often it fired."""
        return JSONResponse([rule.as_json() for rule in self._mock.faults])

    async def add_faults(self, request: Request) -> Response:
        """One rule, or a list of rules under `rules`: all are added, or none."""
        posted = read_object(await request.body())
        rules = posted["rules"] if set(posted) == {"rules"} else [posted]
        if not isinstance(rules, list):
            raise invalid("body.rules", "must be a list")
        added = self._mock.faults.add(*rules)
        return JSONResponse([rule.as_json() for rule in added], 201)

    async def clear_faults(self, _request: Request) -> Response:
        """Remove every fault."""
        self._mock.faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        """Remove one fault."""
        self._mock.faults.remove(request.path_params["fault_id"])
        return Response(status_code=204)

    async def behaviour(self, _request: Request) -> Response:
        """The current reading of the contract."""
        return JSONResponse(self._shown())

    async def behave(self, request: Request) -> Response:
        """Change some of it."""
        self._mock.behaviour = self._mock.behaviour.changed(read_object(await request.body()))
        return JSONResponse(self._shown())

    async def behave_by_default(self, _request: Request) -> Response:
        """Restore the reading from the start."""
        self._mock.behaviour = self._mock.settings.behaviour
        return JSONResponse(self._shown())

    async def set_balance(self, request: Request) -> Response:
        """`{"balance": "0.50"}`: what is left of the credit, in USD."""
        balance: Any = read_object(await request.body()).get("balance")
        try:
            amount = Decimal(balance) if isinstance(balance, str) else Decimal("NaN")
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            raise invalid("body.balance", 'must be an amount in USD as a string, such as "10.00"')
        self._mock.account.balance = amount
        return JSONResponse({"balance": balance})

    async def add_key(self, request: Request) -> Response:
        """`{"key": "rf_live_other", "org_id": "other"}`: a key of another organisation: it sees its own runs only."""
        posted = read_object(await request.body())
        key, org_id = posted.get("key"), posted.get("org_id")
        if not (isinstance(key, str) and key and isinstance(org_id, str) and org_id):
            raise invalid("body", "must have a key and an org_id, both texts")
        self._mock.account.other_keys[key] = org_id
        return Response(status_code=204)

    async def reset(self, _request: Request) -> Response:
        """Clear everything except API keys and callback secrets."""
        await self._mock.reset()
        return Response(status_code=204)

    def _shown(self) -> dict[str, Any]:
        return vars(self._mock.behaviour)
