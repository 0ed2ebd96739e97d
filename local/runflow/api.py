"""Runflow's public routes (contract sections 1 to 5, 11), and the outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.runflow import account, query, wire
from local.runflow.admin import admin_routes
from local.runflow.faults import Rule
from local.runflow.mock import MockRunflow
from local.runflow.model import Run
from local.runflow.problems import Problem, invalid

Handler = Callable[[Request], Awaitable[Response]]
HangUp = Callable[[tuple[str, int] | None], None]

JSON = "application/json"


class ConnectionDropped(Exception):
    """Raised out of the application where a fault drops a connection and there is no socket to close."""


def no_socket(_client: tuple[str, int] | None) -> None:
    """How to hang up when the application is called in process."""
    raise ConnectionDropped


class Dropped(Response):
    """No response: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Hang up, then wait until the server has noticed."""
        hang_up: HangUp = scope["app"].state.hang_up
        client = scope.get("client")
        hang_up(None if client is None else tuple(client))
        while (await receive())["type"] != "http.disconnect":
            pass


def make_app(mock: MockRunflow, hang_up: HangUp = no_socket) -> Starlette:
    """The application over a running mock. `hang_up` closes the connection from an address."""
    api = _Api(mock)
    app = Starlette(
        routes=[*api.routes(), *admin_routes(mock)],
        exception_handlers={Problem: api.refuse_any, HTTPException: api.refuse_any},
    )
    app.state.hang_up = hang_up
    return app


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(wire.encode(value), status, headers, JSON)


class _Api:
    def __init__(self, mock: MockRunflow) -> None:
        self._mock = mock
        self._account = mock.account

    def routes(self) -> list[Route]:
        def route(path: str, name: str, **methods: Handler) -> Route:
            guard = self._open if name in ("health", "output") else self._guarded
            handlers = {method: self._faulty(name, guard(handler)) for method, handler in methods.items()}

            async def endpoint(request: Request) -> Response:
                return await handlers["GET" if request.method == "HEAD" else request.method](request)

            return Route(path, endpoint, methods=list(handlers), name=name)

        return [
            route("/v1/models/{model:path}/runs", "create_run", POST=self.create_run),
            route("/v1/runs", "list_runs", GET=self.list_runs),
            route("/v1/runs/statuses", "statuses", GET=self.statuses),
            route("/v1/runs/{run_id}", "get_run", GET=self.get_run),
            route("/v1/runs/{run_id}/callback", "callback_history", GET=self.callback_history),
            route("/v1/runs/{run_id}/callback-redeliveries", "redeliver", POST=self.redeliver),
            route("/v1/callback-secrets", "secrets", POST=self.create_secret, GET=self.list_secrets),
            route(
                "/v1/callback-secrets/{secret_id}",
                "secrets",
                GET=self.get_secret,
                PATCH=self.patch_secret,
                DELETE=self.delete_secret,
            ),
            route("/v1/billing/balance", "balance", GET=self.balance),
            route("/v1/auth/me", "me", GET=self.me),
            route("/v1/health", "health", GET=self.health),
            route("/v1/readiness", "health", GET=self.health),
            route("/outputs/{run_id}/{name}", "output", GET=self.output),
        ]

    # What every route goes through

    def refuse(self, problem: Problem) -> Response:
        """The error envelope."""
        behaviour = self._mock.behaviour
        return _json(wire.error_body(problem, behaviour), problem.status, wire.error_headers(problem, behaviour))

    async def refuse_any(self, _request: Request, error: Exception) -> Response:
        """The error envelope, also for an unknown path or method."""
        if isinstance(error, HTTPException):
            codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
            error = Problem(error.status_code, codes.get(error.status_code, "ERROR"), error.detail)
        if not isinstance(error, Problem):
            raise error
        return self.refuse(error)

    def _faulty(self, name: str, handler: Handler) -> Handler:
        """Apply the fault rules that fire on a route, before and after it does its work."""

        async def endpoint(request: Request) -> Response:
            self._account.requests[name] += 1
            rules = self._mock.faults.take(name, "any")
            answer = await self._apply(request, [rule for rule in rules if rule.options["when"] == "before"])
            if answer is None:
                try:
                    answer = await handler(request)
                except Problem as problem:
                    answer = self.refuse(problem)
                late = await self._apply(request, [rule for rule in rules if rule.options["when"] == "after"])
                answer = late or answer
            return answer

        return endpoint

    async def _apply(self, request: Request, rules: list[Rule]) -> Response | None:
        answer: Response | None = None
        for rule in rules:
            if rule.do == "delay":
                await asyncio.sleep(rule.options["seconds"])
            elif rule.do == "drop":
                answer = Dropped()
            else:
                answer = await self._faulted(request, rule)
        return answer

    async def _faulted(self, request: Request, rule: Rule) -> Response:
        status, body, headers = (rule.options[name] for name in ("status", "body", "headers"))
        if body is None:
            problem = Problem(status, _CODES.get(status, "SERVICE_UNAVAILABLE"), "a fault rule of the mock")
            body = wire.error_body(problem, self._mock.behaviour)
        answer = (
            Response(body, status, headers, "text/plain") if isinstance(body, str) else _json(body, status, headers)
        )
        if self._mock.behaviour.idempotency == "cached_errors":
            await self._remember(request, answer)
        return answer

    def _open(self, handler: Handler) -> Handler:
        return handler

    def _guarded(self, handler: Handler) -> Handler:
        """Key, organisation, rate and Idempotency-Key, in this order; then the route's own work."""

        async def endpoint(request: Request) -> Response:
            behaviour = self._mock.behaviour
            rate = self._admit(request)
            body = await request.body()
            key, place = _idempotency(request)
            known = self._account.remembered(key, place, body, behaviour)
            if known is not None:
                return Response(known.body, known.status, media_type=known.content_type)
            try:
                answer = await handler(request)
            except Problem as problem:
                answer = self.refuse(problem)
            if answer.status_code < 400 or behaviour.idempotency == "cached_errors":
                await self._remember(request, answer)
            if behaviour.rate_headers:
                answer.headers.update(rate)
            return answer

        return endpoint

    def _admit(self, request: Request) -> dict[str, str]:
        key = self._account.check_key(request.headers.get("Authorization"))
        if self._mock.faults.take(
            "account", only=lambda rule: rule.do == "revoke_key" and rule.options["key"] in (None, key)
        ):
            raise account.unauthorized()
        org = request.headers.get("X-Organization-Id")
        if org and org != self._account.org_of(key):
            raise Problem(403, "ORGANIZATION_MEMBERSHIP_REQUIRED", "You are not a member of this organization.")
        return self._account.check_rate(key, self._mock.behaviour.rate_limit)

    async def _remember(self, request: Request, answer: Response) -> None:
        key, place = _idempotency(request)
        if key is not None:
            body = await request.body()
            content_type = answer.headers.get("content-type", JSON)
            self._account.remember(key, place, body, answer.status_code, bytes(answer.body), content_type)

    def _org(self, request: Request) -> str:
        """The organisation of the request's key."""
        return self._account.org_of(self._account.check_key(request.headers.get("Authorization")))

    def _run(self, request: Request) -> Run:
        """The run that a path names, if the request's key shows it."""
        return self._account.run(request.path_params["run_id"], self._org(request))

    # Runs

    async def create_run(self, request: Request) -> Response:
        """Contract section 2."""
        if self._mock.faults.take("account", only=lambda rule: rule.do == "no_credit"):
            raise account.out_of_credit(self._mock.behaviour)
        run = self._mock.create_run(request.path_params["model"], await request.body(), self._org(request))
        record = self._mock.record(run)
        record[self._mock.behaviour.create_id] = record.pop("id")
        return _json(record, self._mock.behaviour.create_status)

    async def get_run(self, request: Request) -> Response:
        """Contract section 3 and 16.1; the output URLs are signed again."""
        reading, asked = self._mock.behaviour.add_signature, request.query_params.get("add_signature") == "true"
        if asked and reading == "rejected":
            raise invalid("query.add_signature", "Extra inputs are not permitted")
        signed = {"needed": asked, "harmful": not asked, "useless": False}.get(reading, True)
        return _json(self._mock.record(self._run(request), signed=signed))

    async def list_runs(self, request: Request) -> Response:
        """Contract section 3, "Search"."""
        behaviour = self._mock.behaviour
        asked = request.query_params
        test = query.parse_filter(asked.get("q", ""), behaviour.client_ref_filter)
        runs = self._account.listed_runs(self._org(request))
        rows = [row for run in runs if test(row := wire.search_row(run, behaviour))]
        order = query.parse_sort(_ORDERS.get(behaviour.list_order) or asked.get("sort_by") or "created_at:desc")
        limit = _limit(asked.get("limit")) if behaviour.list_limit == "honoured" else _MOST_ROWS
        page = query.page(
            rows, order, limit, asked.get("pq"), asked.get("from_prev") == "true", behaviour.list_cursor_length
        )
        fields = asked.get("fields")
        if fields and behaviour.list_fields == "rejected":
            raise invalid("query.fields", "Extra inputs are not permitted")
        records = [self._mock.record(self._account.runs[row["id"]]) for row in page.rows]
        return _json(wire.list_body([wire.entry(record, fields, behaviour) for record in records], page, behaviour))

    async def statuses(self, _request: Request) -> Response:
        """Contract section 3."""
        return _json(wire.statuses(self._mock.behaviour))

    async def callback_history(self, request: Request) -> Response:
        """Contract section 4, "Delivery history"."""
        run = self._run(request)
        return _json(wire.callback_history(run, self._mock.behaviour))

    async def redeliver(self, request: Request) -> Response:
        """Contract section 4, "Redelivery": a new delivery, rebuilt from the run's current state."""
        run = self._run(request)
        self._account.check_redelivery(run)
        delivery = self._mock.call_back(run, automatic=False)
        return _json(wire.delivery_record(delivery, self._mock.behaviour), 201)

    # Callback secrets: contract section 5

    async def create_secret(self, request: Request) -> Response:
        """The only response that shows the secret itself."""
        body = await request.body()
        label = _label(account.read_object(body) if body else {})
        secret = self._account.create_secret(label, self._mock.behaviour)
        return _json(self._secret(secret.id) | {"plain_secret": secret.plain_secret}, 201)

    async def list_secrets(self, _request: Request) -> Response:
        """No page documents this route; the guides rely on it."""
        records = [self._secret(secret_id) for secret_id in self._account.secrets]
        return _json(wire.list_body(records, query.Page(records, None, None), self._mock.behaviour))

    async def get_secret(self, request: Request) -> Response:
        """One record."""
        return _json(self._secret(request.path_params["secret_id"]))

    async def patch_secret(self, request: Request) -> Response:
        """Relabel it; `is_current` true promotes it, false stops it from signing."""
        secret = self._account.secret(request.path_params["secret_id"])
        changes = account.read_object(await request.body())
        label, current = _label(changes), changes.get("is_current")
        if current is not None and not isinstance(current, bool):
            raise invalid("body.is_current", "must be true, false or null")
        if "label" in changes:
            secret.label = label
        if current:
            self._account.promote_secret(secret)
        elif current is False:
            secret.is_current = False
        return _json(self._secret(secret.id))

    async def delete_secret(self, request: Request) -> Response:
        """No page documents this route either."""
        self._account.delete_secret(request.path_params["secret_id"])
        return Response(status_code=204)

    def _secret(self, secret_id: str) -> dict[str, Any]:
        return wire.secret_record(self._account.secret(secret_id), self._account, self._mock.behaviour)

    # The account, health, outputs

    async def balance(self, _request: Request) -> Response:
        """Contract section 11."""
        return _json(wire.balance_record(self._account, self._mock.behaviour))

    async def me(self, request: Request) -> Response:
        """Contract section 1: the key is valid."""
        org_id = self._org(request)
        return _json({"id": org_id, "org_id": org_id, "name": "Mock Runflow"})

    async def health(self, _request: Request) -> Response:
        """Contract section 1; use the status only."""
        return _json({"status": "ok", "ok": True})

    async def output(self, request: Request) -> Response:
        """An output by its signed URL. Errors are XML, as from a storage service."""
        try:
            if "Authorization" in request.headers:
                raise Problem(400, "InvalidArgument", "Only one auth mechanism allowed")
            run_id, name = request.path_params["run_id"], request.path_params["name"]
            asked = request.query_params
            path = self._mock.outputs.open(run_id, name, asked.get("Expires", ""), asked.get("Signature", ""))
        except Problem as problem:
            text = f"<Error><Code>{problem.code}</Code><Message>{problem.message}</Message></Error>"
            return Response(text, problem.status, media_type="application/xml")
        run = self._account.runs.get(run_id)
        types = {output.name: output.content_type for output in run.outputs} if run else {}
        return FileResponse(path, media_type=types.get(name, "application/octet-stream"))


_CODES = {
    400: "BAD_REQUEST", 401: "UNAUTHORIZED", 402: "INSUFFICIENT_CREDIT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    409: "CONFLICT", 422: "VALIDATION_ERROR", 429: "RATE_LIMITED", 500: "INTERNAL_ERROR",
}  # fmt: skip


_ORDERS = {"ascending": "created_at", "none": "duration_ms"}
"""The list's own orders, where it does not do as it is asked: a duration is in no order of time."""
_MOST_ROWS = 5_000


def _idempotency(request: Request) -> tuple[str | None, str]:
    """The request's Idempotency-Key, and the place it is valid for."""
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    return key, f"{request.method} {request.url.path}"


def _limit(text: str | None) -> int:
    if text is None:
        return 50
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 500:
        raise invalid("query.limit", "must be a number from 1 to 500")
    return int(text)


def _label(body: dict[str, Any]) -> str | None:
    label = body.get("label")
    if label is not None and (not isinstance(label, str) or len(label) > 255):
        raise invalid("body.label", "must be a string of at most 255 characters")
    return label
