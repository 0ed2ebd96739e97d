"""detag without one of its guards: each is taken out of the code as it stands, and put back.

A mutant is a change of one expression, as a person would make it by mistake. It is caught by the invariant that is
named for its guard, in a world that the unchanged code passes.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Final

from tests.simulation.scenario import play


@dataclass(frozen=True, slots=True)
class Change:
    """`old` becomes `new` in the body of a function: `detag.services.submit:Submit._send`."""

    place: str
    old: str
    new: str

    @contextmanager
    def made(self) -> Iterator[None]:
        """While the change is made. Raises LookupError where the function does not hold `old` exactly once."""
        function = _function(self.place)
        source = _source(function)
        if source.count(self.old) != 1:
            raise LookupError(f"{self.place} holds {source.count(self.old)} times: {self.old}")
        kept = function.__code__
        function.__code__ = _compiled(function, source.replace(self.old, self.new))
        try:
            yield
        finally:
            function.__code__ = kept


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, what takes it away, and the invariant that notices."""

    guard: str
    invariant: str
    changes: tuple[Change, ...]
    within: int = 100
    """Worlds in which it is looked for."""

    def caught_in(self) -> int | None:
        """The first world in which the invariant notices that the guard is missing; None where it is in none."""
        for seed in range(self.within):
            with self.alive():
                if self.invariant in {name for name, _ in play(seed).broken}:
                    return seed
        return None

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While the guard is missing."""
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change.made())
            yield


def _function(place: str) -> FunctionType:
    module, _, path = place.partition(":")
    found: object = import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    if callable(found):
        found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise LookupError(place)
    return found


def _source(function: FunctionType) -> str:
    """A function's text as Python itself would write it: no comments, single quotes, one line for each statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.decorator_list = []
    return ast.unparse(tree)


def _compiled(function: FunctionType, source: str) -> CodeType:
    """The code of a changed function, with the same names around it."""
    names = function.__code__.co_freevars
    around = ast.parse(f"from __future__ import annotations\ndef around({', '.join(names)}):\n    return 0\n")
    changed = ast.parse(source).body[0]
    outer = around.body[1]
    assert isinstance(changed, ast.FunctionDef) and isinstance(outer, ast.FunctionDef)
    outer.body = [changed, ast.Return(ast.Name(changed.name, ast.Load()))]
    space: dict[str, FunctionType] = {}
    exec(compile(ast.fix_missing_locations(around), function.__code__.co_filename, "exec"), space)
    made: FunctionType = space["around"](*names)
    return made.__code__


def _one(guard: str, invariant: str, place: str, old: str, new: str, within: int = 100) -> Mutant:
    return Mutant(guard, invariant, (Change(place, old, new),), within)


SUBMIT: Final = "detag.services.submit:Submit."
DELIVER: Final = "detag.services.deliver:Deliver."
RECONCILE: Final = "detag.services.reconcile:Reconcile."
STORE: Final = "detag.ports.jobs_fake:FakeJobStore."
JOB: Final = "detag.domain.job:"

MUTANTS: Final = (
    # One send
    _one("lease", "one send per lease", SUBMIT + "_claim", "now + LEASE_SECONDS", "now + 1.0"),
    _one(
        "lease of a second send",
        "one send per lease",
        SUBMIT + "_find_existing_run",
        "now + LEASE_SECONDS",
        "now + 1.0",
        400,
    ),
    _one(
        "deadline",
        "time to write it down",
        SUBMIT + "_send",
        "min(POST_SECONDS, deadline - SAVE_SECONDS - self._clock.monotonic())",
        "POST_SECONDS",
    ),
    _one("stored body", "body stored first", "detag.ports.items:kept", "replace(job, ", "replace(job, body=None, "),
    _one(
        "body minted anew",
        "same key, same bytes",
        JOB + "resend",
        "reason=None",
        "reason=None, body=(job.body or '') + ' '",
    ),
    _one(
        "idempotency key",
        "one key per submission",
        JOB + "Job.idempotency_key",
        "detag/{self.client_ref}",
        "detag/{self.client_ref}/{self.version}",
    ),
    _one("look-up", "looked first", SUBMIT + "_find_existing_run", "self._runs_of(job, deadline)", "([], True, None)"),
    _one("look-up: what it finds", "paid once", SUBMIT + "_find_existing_run", "if found:", "if found and not found:"),
    _one("look-up: all pages", "paid once", SUBMIT + "_runs_of", "if cursor is None or", "if True or", 400),
    _one(
        "await_confirmation time",
        "settled first",
        SUBMIT + "_confirmation_seconds",
        "self._settings.confirmation_minutes * 60.0",
        "0.0",
    ),
    _one(
        "await_confirmation time: two clocks",
        "settled first",
        SUBMIT + "_confirmation_seconds",
        "+ CLOCK_SKEW",
        "",
        400,
    ),
    _one(
        "await_confirmation time: waited for",
        "settled first",
        SUBMIT + "_go_on",
        "elif now < job.not_before:",
        "elif False:",
    ),
    _one(
        "doubt of an outage",
        "settled first",
        SUBMIT + "_ambiguous",
        "await_confirmation(job, self._clock.now() + self._confirmation_seconds)",
        "abandon_claim(job, self._clock.now())",
    ),
    _one(
        "doubt of a lease",
        "settled first",
        SUBMIT + "_go_on",
        "await_confirmation(job, job.lease_until + self._confirmation_seconds)",
        "abandon_claim(job, now)",
    ),
    _one(
        "life of the link",
        "link lives",
        SUBMIT + "_find_existing_run",
        "and job.url_expires_at - now > URL_MARGIN_SECONDS",
        "",
        400,
    ),
    # Conditional writes
    _one(
        "row: create",
        "one writer at a time",
        STORE + "save",
        "(present.version if present else 0) != before.version",
        "before.version and (present.version if present else 0) != before.version",
    ),
    _one(
        "row: replace",
        "one writer at a time",
        STORE + "save",
        "(present.version if present else 0) != before.version",
        "present is None and before.version",
    ),
    _one(
        "intake: replace",
        "one writer at a time",
        STORE + "save_intake",
        "self._intake.version != before.version",
        "False",
        400,
    ),
    _one("newest wins: sequencer", "newest wins", DELIVER + "_is_done", "raise _NewerDelivered", "pass"),
    _one(
        "newest wins: If-Match",
        "newest wins",
        "detag.ports.photos_fake:FakePhotoStore.put",
        "(there and there.etag) != (replaces and replaces.etag)",
        "False",
        1_000,
    ),
    _one("newest wins: head", "nothing for the overtaken", SUBMIT + "_check", "> rank:", "> rank and False:"),
    _one(
        "newest wins: head raised only",
        "nothing for the overtaken",
        STORE + "raise_newest_upload",
        "max(sequencer, self.newest_uploads.get((bucket, key), ''), key=sequencer_rank)",
        "sequencer",
    ),
    _one(
        "name: ownership",
        "own name",
        DELIVER + "_put",
        "existing.metadata.get(SOURCE_KEY) != metadata[SOURCE_KEY]",
        "False",
    ),
    # Money
    _one("cap", "cap", STORE + "_move_money", "if shard.free < taken[after.day, after.shard]:", "if False:"),
    _one(
        "cap: in one transaction",
        "ledger",
        STORE + "save",
        "self._move_money(before.reservation, after.reservation, limit)",
        "pass",
    ),
    _one(
        "cap: reserved day",
        "ledger",
        STORE + "_move_money",
        "taken[before.day, 0] -= before.images",
        "taken[day_of(self._clock.now()), 0] -= before.images",
        400,
    ),
    _one("cap: a change of the limit", "cap", STORE + "_move_money", "shard.limit != limit", "False"),
    _one("free retries: charged", "free retries only", DELIVER + "_failed", "not run.charged and again", "again"),
    _one(
        "free retries: how often",
        "free retries only",
        DELIVER + "_failed",
        "job.attempt < self._settings.max_attempts",
        "True",
    ),
    # Whose run it is
    _one(
        "adoption: by its callback",
        "our run",
        DELIVER + "_go_on",
        "not belongs_to(run, job, self._photos)",
        "False",
        400,
    ),
    _one("adoption: by the look-up", "our run", SUBMIT + "_proven", "belongs_to(run, job, self._photos)", "True", 400),
    _one("earlier runs", "no surprise", DELIVER + "_go_on", "or run_id in job.earlier_runs", "", 400),
    _one("closed for good", "no surprise", DELIVER + "_go_on", "job.state.terminal and (not job.repairable)", "False"),
    Mutant(
        "closed for good: a late word makes DONE into FAILED",
        "terminal stays",
        (
            Change(DELIVER + "_go_on", "job.state.terminal and (not job.repairable)", "False"),
            Change(
                DELIVER + "_close",
                "self._telemetry.info('nothing to repair with', job_id=job.job_id)",
                "self._jobs.save(job, replace(job, state=State.FAILED, version=job.version + 1))",
            ),
        ),
    ),
    # Not now
    _one(
        "intake",
        "intake",
        "detag.domain.intake:Intake.lets_through",
        "self.reason is None or job.job_id == self.probe_job",
        "True",
    ),
    _one(
        "intake: pause",
        "intake",
        SUBMIT + "_paused",
        "self._settings.paused if override is None else override",
        "False",
    ),
    _one("intake: Retry-After", "asked to wait", SUBMIT + "_refused", "refusal.retry_after or 0.0", "0.0"),
    _one("intake: the probe", "intake opens", RECONCILE + "_probe", "self._release([job])", "0", 400),
    _one(
        "intake: midnight, or a raised limit",
        "intake opens",
        RECONCILE + "_is_lifted",
        "self._budget.room(limit) > 0",
        "False",
        400,
    ),
    _one(
        "intake: a bad key",
        "nobody blamed for a intake",
        SUBMIT + "_refused",
        "refusal.status in (401, 403, 404)",
        "False",
        400,
    ),
    _one(
        "intake: no credit",
        "nobody blamed for a intake",
        SUBMIT + "_refused",
        "refusal.status == 402 or (refusal.code or '').startswith('INSUFFICIENT_CREDIT')",
        "False",
        400,
    ),
    _one("intake: throttled", "nobody blamed for a intake", SUBMIT + "_refused", "refusal.status == 429", "False"),
    # Nothing forgotten
    _one("due time", "due time", JOB + "_unconfirmed", "due_at=due_at", "due_at=None"),
    _one("due time of a run", "due time", JOB + "_submitted", "due_at=due_at", "due_at=None"),
    _one("reconcile", "one terminal state", RECONCILE + "_tend_due", "self._jobs.due(now, DUE_BATCH)", "[]"),
    _one(
        "reconcile: the line",
        "one terminal state",
        RECONCILE + "_release_line",
        "self._jobs.waiting_for_intake(RELEASE_BATCH)",
        "[]",
    ),
    _one(
        "reconcile: asks Runflow",
        "one terminal state",
        RECONCILE + "_ask",
        "for job in overdue:",
        "for job in overdue[:0]:",
    ),
    _one(
        "a run that never ends",
        "one terminal state",
        DELIVER + "_close",
        "self._fail(job, Reason.TIMED_OUT",
        "self._poll_later(job, str(Reason.TIMED_OUT)) if True else self._fail(job, Reason.TIMED_OUT",
    ),
    _one(
        "a run that nobody knows",
        "one terminal state",
        DELIVER + "_close",
        "now - job.submitted_at > UNKNOWN_RUN_SECONDS",
        "False",
        400,
    ),
    _one(
        "a row that moved is read again",
        "no surprise",
        SUBMIT + "handle",
        "except Conflict:",
        "except ZeroDivisionError:",
    ),
    _one(
        "reconcile: claimed before it is sent",
        "one terminal state",
        RECONCILE + "_tend_due",
        "extend_due(job, now + REDUE_SECONDS)",
        "extend_due(job, now + 1e9)",
    ),
    _one("outbox", "events", "detag.services.outbox:Outbox._send", "unpaid.append(debt)", "pass", 400),
    _one(
        "outbox: record", "records", "detag.services.outbox:pending_for", "(RECORD,) * (job.state in RECORDED) + ", ""
    ),
    _one(
        "told when certain",
        "events",
        "detag.services.outbox:Outbox.close",
        "after.state not in RECORDED",
        "True",
        400,
    ),
    _one(
        "repair",
        "nothing paid is lost",
        DELIVER + "_go_on",
        "job.state.terminal and (not job.repairable)",
        "job.state.terminal",
        400,
    ),
    _one(
        "interrupted",
        "dead letters explained",
        SUBMIT + "_interrupted",
        "if job.version:\n        return",
        "raise error",
        400,
    ),
    _one(
        "paid and not stored",
        "nothing paid is lost",
        DELIVER + "_store",
        'self._later(job, f"the picture can\'t be fetched or stored: {error}")',
        "self._fail(job, Reason.NO_OUTPUT, 'gone', run)",
    ),
    _one(
        "dropped only for a newer delivery",
        "nothing paid is lost",
        DELIVER + "_is_done",
        "> sequencer_rank(job",
        "!= sequencer_rank(job",
    ),
    # Callbacks
    _one(
        "signature",
        "answers",
        "detag.services.callback:CallbackHandler._is_genuine",
        "return place is not None",
        "return True",
    ),
    _one(
        "secret read again", "answers", "detag.services.callback:SecretList.newer", "(REREAD_SECONDS)", "(1e9)", 1_000
    ),
    _one(
        "durable before 200",
        "durable before 200",
        "detag.services.callback:CallbackHandler._keep",
        "return 503",
        "return 200",
    ),
    # Secrets and bodies
    _one("body goes with the job", "no body at rest", JOB + "_closed", "body=None,", ""),
    _one("body goes with a refusal", "no body at rest", JOB + "_unsent", "body=None, ", ""),
    _one("nothing secret told", "no secret told", SUBMIT + "_ambiguous", "why=outcome.why", "why=job.body"),
)
