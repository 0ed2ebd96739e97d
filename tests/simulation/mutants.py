"""detag without one of its guards: each is taken out of the code as it stands, and put back.

A mutant is a change of one expression, as a person would make it by mistake. It is caught by the invariant that is
named for its guard, in a simulation that the unchanged code passes.
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
    """How many simulations it is looked for in."""

    def caught_in(self) -> int | None:
        """The seed of the first simulation in which the invariant notices the missing guard; None if there is none."""
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
    tree.args.defaults, tree.args.kw_defaults = [], [None] * len(tree.args.kwonlyargs)  # they stay the function's
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


DECISIONS: Final = "detag.domain.decisions:"
SUBMIT: Final = "detag.services.submit:Submit."
SUBMISSION: Final = "detag.services.submission:Submission."
EXISTING: Final = "detag.services.existing_runs:ExistingRuns."
DELIVER: Final = "detag.services.deliver:Deliver."
RECONCILE: Final = "detag.services.reconcile:Reconcile."
STORE: Final = "detag.ports.jobs_fake:FakeJobStore."
JOB: Final = "detag.domain.job:"
IMAGES: Final = "detag.domain.images:"

MUTANTS: Final = (
    # One send
    _one("lease", "one send per lease", SUBMISSION + "_claim", "now + waits.LEASE.seconds", "now + 1.0"),
    _one(
        "lease of a second send",
        "one send per lease",
        DECISIONS + "after_list",
        "now + waits.LEASE.seconds",
        "now + 1.0",
        400,
    ),
    _one(
        "deadline",
        "time left to save",
        SUBMISSION + "_post",
        "min(POST_SECONDS, deadline - SAVE_SECONDS - self._clock.monotonic())",
        "POST_SECONDS",
    ),
    _one("stored body", "body stored first", "detag.ports.items:kept", "replace(job, ", "replace(job, body=None, "),
    _one(
        "body built again",
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
    _one(
        "search for an existing run",
        "search first",
        SUBMIT + "_confirm",
        "self._existing.find_existing_run(job, deadline - POST_SECONDS)",
        "after_list.__globals__['NoneFound']()",
    ),
    _one(
        "search for an existing run: what it finds",
        "paid once",
        DECISIONS + "after_list",
        "case Found(runs):",
        "case Found(runs) if not runs:",
    ),
    _one(
        "search for an existing run: all pages",
        "paid once",
        EXISTING + "_search",
        "if cursor is None or",
        "if True or",
        400,
    ),
    _one(
        "confirmation",
        "confirmation awaited first",
        "detag.app:_confirmation_seconds",
        "settings.confirmation_minutes * 60.0",
        "0.0",
    ),
    _one(
        "confirmation: two clocks",
        "confirmation awaited first",
        "detag.app:_confirmation_seconds",
        "+ CLOCK_SKEW",
        "",
        400,
    ),
    _one(
        "confirmation: waited for",
        "confirmation awaited first",
        DECISIONS + "resume",
        "now < job.not_before",
        "False",
    ),
    _one(
        "unconfirmed after an outage",
        "confirmation awaited first",
        DECISIONS + "after_post",
        "move(await_confirmation, now + confirmation_seconds)",
        "move(await_confirmation.__globals__['abandon_claim'], now)",
    ),
    _one(
        "unconfirmed after a lease",
        "confirmation awaited first",
        DECISIONS + "resume",
        "move(await_confirmation, job.lease_until + confirmation_seconds)",
        "move(await_confirmation.__globals__['abandon_claim'], now)",
    ),
    _one(
        "photo URL: expiry",
        "photo URL valid",
        DECISIONS + "after_list",
        "job.url_expires_at - now <= waits.URL_MARGIN.seconds",
        "False",
        400,
    ),
    # Conditional writes
    _one(
        "item: create",
        "one writer at a time",
        STORE + "save",
        "(present.version if present else 0) != before.version",
        "before.version and (present.version if present else 0) != before.version",
    ),
    _one(
        "item: replace",
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
    _one(
        "newest wins: newest upload",
        "nothing reserved for an older upload",
        DECISIONS + "screen_rank",
        "newest > upload.rank",
        "False",
    ),
    _one(
        "newest wins: newest upload raised only",
        "nothing reserved for an older upload",
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
    _one(
        "daily spend limit",
        "daily spend limit",
        STORE + "_move_money",
        "if shard.free < taken[after.day, after.shard]:",
        "if False:",
    ),
    _one(
        "day budget: in one transaction",
        "day budget",
        STORE + "save",
        "self._move_money(before.reservation, after.reservation, limit)",
        "pass",
    ),
    _one(
        "day budget: reserved day",
        "day budget",
        STORE + "_move_money",
        "taken[before.day, 0] -= before.images",
        "taken[day_of(self._clock.now()), 0] -= before.images",
        400,
    ),
    _one("daily spend limit: changed", "daily spend limit", STORE + "_move_money", "shard.limit != limit", "False"),
    _one("free retries: charged", "free retries only", DECISIONS + "after_failure", "if run.charged:", "if False:"),
    _one(
        "free retries: how often",
        "free retries only",
        DECISIONS + "after_failure",
        "job.attempt >= max_attempts",
        "False",
    ),
    # Whose run it is
    _one(
        "adoption: after a callback",
        "own run",
        DELIVER + "_go_on",
        "not belongs_to(run, job, self._photos)",
        "False",
        400,
    ),
    _one(
        "adoption: after a search", "own run", EXISTING + "_proven", "belongs_to(run, job, self._photos)", "True", 400
    ),
    _one("earlier runs", "no unexpected error", DECISIONS + "whose_run", "run_id in job.earlier_runs", "False", 400),
    _one(
        "closed job", "no unexpected error", DELIVER + "_go_on", "job.state.terminal and (not job.repairable)", "False"
    ),
    Mutant(
        "closed job: a late result turns DONE into FAILED",
        "terminal is final",
        (
            Change(DELIVER + "_go_on", "job.state.terminal and (not job.repairable)", "False"),
            Change(
                DECISIONS + "after_run",
                "return Idle('nothing to repair with')",
                "return Step(move=Move(lambda job: __import__('dataclasses').replace("
                "job, state=State.FAILED, version=job.version + 1), (), {}), decision='failed')",
            ),
        ),
    ),
    # What is sent
    _one(
        "photo: its end",
        "judged by its bytes",
        DECISIONS + "screen_tail",
        "check_tail(image, head.data, tail)",
        "True",
    ),
    _one(
        "photo: headers that go on",
        "judged by its bytes",
        DECISIONS + "screen_head",
        "headers_go_on(seen.data, seen.size)",
        "False",
    ),
    _one("photo: an animation", "judged by its bytes", IMAGES + "check_photo", "if image.animated:", "if False:"),
    _one(
        "photo: unknown dimensions",
        "judged by its bytes",
        IMAGES + "sniff",
        "if not width or not height:",
        "if False:",
    ),
    _one(
        "photo: an end that is looked for in all that was read",
        "judged by its bytes",
        IMAGES + "check_tail",
        "mark in rest or mark in head[image.begins:]",
        "mark in rest[-1000:]",
    ),
    _one(
        "photo: headers do not count",
        "judged by its bytes",
        IMAGES + "_png",
        "kind in (b'IDAT', b'IEND')",
        "False",
    ),
    _one(
        "photo URL: type and encoding",
        "sent as what it is",
        SUBMISSION + "_claim",
        "self._url_seconds, photo.content_type",
        "self._url_seconds",
    ),
    # Intake
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
        DECISIONS + "admit",
        "if paused:",
        "if False:",
    ),
    _one("intake: Retry-After", "Retry-After respected", DECISIONS + "after_post", "asked or 0.0", "0.0"),
    _one("intake: the probe", "intake reopens", RECONCILE + "_probe", "self._release([job])", "0", 400),
    _one(
        "intake: midnight, or a raised limit",
        "intake reopens",
        RECONCILE + "_is_lifted",
        "self._budget.left(limit) > 0",
        "False",
        400,
    ),
    _one(
        "intake: a bad key",
        "no failure for a paused intake",
        DECISIONS + "after_post",
        "case Refused(status=401 | 403 | 404):",
        "case Refused(status=1):",
        400,
    ),
    _one(
        "intake: no credit",
        "no failure for a paused intake",
        DECISIONS + "after_post",
        "status == 402 or (code or '').startswith('INSUFFICIENT_CREDIT')",
        "False",
        400,
    ),
    _one(
        "intake: throttled",
        "no failure for a paused intake",
        DECISIONS + "after_post",
        "case Refused(status=429,",
        "case Refused(status=1,",
    ),
    # Nothing forgotten
    _one("due time", "due time", JOB + "_unconfirmed", "due_at=due_at", "due_at=None"),
    _one("due time of a run", "due time", JOB + "_submitted", "due_at=due_at", "due_at=None"),
    _one("reconcile", "one terminal state", RECONCILE + "_tend_due", "self._jobs.due(now, DUE_BATCH)", "[]"),
    _one(
        "reconcile: waiting for intake",
        "one terminal state",
        RECONCILE + "_release_waiting",
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
        DECISIONS + "after_run",
        "_fail(Reason.TIMED_OUT",
        "_poll_later(job, '', now) if True else _fail(Reason.TIMED_OUT",
    ),
    _one(
        "a run unknown to Runflow",
        "one terminal state",
        DECISIONS + "after_run",
        "now - job.submitted_at > waits.UNKNOWN_RUN.seconds",
        "False",
        400,
    ),
    _one(
        "write conflict: the job is read again",
        "no unexpected error",
        SUBMIT + "handle",
        "except Conflict:",
        "except ZeroDivisionError:",
    ),
    _one(
        "reconcile: claimed before it is sent",
        "one terminal state",
        RECONCILE + "_tend_due",
        "extend_due(job, now + waits.RESUME.seconds)",
        "extend_due(job, now + 1e9)",
    ),
    _one("outbox", "events", "detag.services.outbox:Outbox._publish", "failed.append(what)", "pass", 400),
    _one(
        "outbox: record", "records", "detag.services.outbox:pending_for", "(RECORD,) * (job.state in RECORDED) + ", ""
    ),
    _one(
        "published when certain",
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
        "interrupted before the item was created",
        "dead letters explained",
        SUBMIT + "_interrupted",
        "if job.version:",
        "raise error\n    if job.version:",
        400,
    ),
    _one(
        "paid and not yet stored",
        "nothing paid is lost",
        DELIVER + "_fetch",
        "NotStored(f'an output could not be fetched or stored: {error}')",
        "Stored((), 'gone')",
    ),
    _one(
        "dropped only for a newer delivery",
        "nothing paid is lost",
        DELIVER + "_is_done",
        "> job.upload.rank",
        "!= job.upload.rank",
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
    _one(
        "nothing secret logged",
        "no secret logged",
        DECISIONS + "after_post",
        "why=f'no clear answer: {why}'",
        "why=job.body",
    ),
)
