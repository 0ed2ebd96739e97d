"""The page of decisions: each function that decides about a job, called with each kind of thing it may learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from detag.domain import decisions, intake, waits
from detag.domain import picture as pictures
from detag.domain.decisions import (
    DENIED_TRIES,
    DOWN_AFTER,
    MAX_EXPIRED_URLS,
    Adopt,
    Again,
    Busy,
    Criteria,
    Facts,
    Fetch,
    Fetched,
    FetchOther,
    Find,
    Forbidden,
    Gone,
    Idle,
    InArchive,
    Known,
    LookBeside,
    Next,
    NotRead,
    NotStored,
    Overtaken,
    Partway,
    Photo,
    ReadOther,
    Replaced,
    Reusable,
    Step,
    Stored,
    TakeOver,
    Unanswered,
    Untold,
    UseRun,
)
from detag.domain.images import HEAD_BYTES, LONG_HEAD_BYTES, LONG_TAIL_BYTES, TAIL_BYTES, Head, ReadHead, ReadTail
from detag.domain.intake import Evidence, Intake, Override
from detag.domain.job import (
    MAX_UNKNOWN,
    Job,
    Reservation,
    Spent,
    State,
    Trouble,
    Upload,
    accept,
    await_confirmation,
    cancel,
    claim,
    defer,
    deliver,
    fail,
    new,
    read_again,
    reopen,
    resend,
    retry,
    skip,
    take_over,
    wait_for_intake,
    wait_for_picture,
)
from detag.domain.missed_uploads import (
    MAX_LISTED,
    Listed,
    Page,
    Place,
    Position,
    Scan,
    after_page,
    first_scan,
    is_overtaken,
    scan_of,
    scan_over,
    taken_up,
)
from detag.domain.outcomes import Accepted, Ambiguous, NotSent, Outcome, Refused
from detag.domain.picture import Output, Picture
from detag.domain.reasons import Reason
from detag.domain.reopening import Refusal, Request, Way
from detag.domain.runs import Result, Run, RunStatus
from detag.domain.search import (
    ORDERED,
    AskedElsewhere,
    Found,
    NoneFound,
    NotSearched,
    Proof,
    RunSearch,
    Search,
    Unfinished,
    Whose,
    after_list,
    proof,
    refuse_search,
    whose_run,
)
from detag.domain.uploads import read_upload
from detag.domain.waits import WAITS, Backoff, UntilMidnight, Wait
from detag.ports.runs_fake import tiny_image
from docs.generate import markdown

NOW: Final = 1_795_431_600.0
CONFIRMATION_SECONDS: Final = 630.0
HOURS: Final = 24
ATTEMPTS: Final = 3
PHOTO: Final = tiny_image("image/jpeg", b"shoe")
ANIMATION: Final = b"RIFF\x16\0\0\0WEBPVP8X\n\0\0\0\x02" + bytes(9)
CRITERIA: Final = Criteria(
    input_bucket="in",
    input_prefix="",
    ignored_names=("@eaDir", "*.tmp"),
    max_bytes=50_000_000,
    most_pixels=500_000_000,
    aspect_ratio=None,
    reuses=True,
)
MOVED: Final = replace(CRITERIA, input_prefix="incoming/")
"""The same, once InputPrefix was changed."""
UPLOAD: Final = Upload("in", "shoe.jpg", "v1", "0055AA", "e1", len(PHOTO), NOW - 60)

WAITING: Final = new(UPLOAD, NOW - 50)
UNVERSIONED: Final = replace(WAITING, upload=replace(UPLOAD, version_id=None))
SUBMITTING: Final = claim(
    WAITING,
    submission_no=1,
    body="{}",
    reservation=Reservation("2026-11-23", Decimal("0.14")),
    content_type="image/jpeg",
    source_metadata=(),
    now=NOW - 30,
    lease_until=NOW + 30,
    url_expires_at=NOW + 3_600,
)
DENIED: Final = read_again(WAITING, Reason.ACCESS_DENIED, NOW, "AccessDenied")
UNCONFIRMED: Final = await_confirmation(SUBMITTING, NOW)
SENT_AGAIN: Final = resend(UNCONFIRMED, lease_until=NOW + 60)
SUBMITTED: Final = accept(SUBMITTING, "run-1", NOW - 20, NOW)
DELIVERED: Final = deliver(SUBMITTED, ("shoe.jpg.webp",), NOW, cost=None, partial=False)
TIMED_OUT: Final = fail(SUBMITTED, Reason.TIMED_OUT, "", NOW, free=False)
"""A failed job that a paid result may still repair."""
ASKED_AGAIN: Final = fail(SUBMITTED, Reason.TIMED_OUT, "", NOW - 3_600, free=False, ask_at=NOW)
"""The same, and the time has come to ask for it."""

ASK, UNPAID, PAID = (Request("r-1", way, "anna", NOW - 20) for way in Way)
ASKED: Final = reopen(replace(TIMED_OUT, closed_at=NOW - 60), ASK, Reason.REOPENED, NOW - 20, NOW)
FREE: Final = fail(SUBMITTED, Reason.RUN_FAILED, "", NOW - 60, free=True)
SKIPPED: Final = skip(WAITING, Reason.TOO_LARGE, "", NOW - 60)

URLS: Final = ("https://outputs.example/1.webp",)
SUCCEEDED: Final = Run("run-1", RunStatus.SUCCEEDED, output_urls=URLS, cost=Decimal("0.14"))
FAILED: Final = Run("run-1", RunStatus.FAILED, failure_code="MODEL_ERROR")

HEAD: Final = """\
# Decisions

<!-- Drawn from the code by `make generate`: change decisions.py, search.py, intake.py or waits.py in detag.domain. -->

The functions in `detag.domain.decisions`, and for a run that may exist those in `detag.domain.search`, decide what to
do about a job from what is known about it. Each row below is one call of one of them. The decision, and the reason for
it, is on the job's item (attribute `decision`), in the log line, and in the report of `reconcile` for photos that
failed today. While a closed job's event and record are being published, its item keeps the decision that closed it.
`{reason}` stands for what Runflow or S3 said.

*Transition* is a row of the table in [states.md](states.md). *Intake*: `paused` with a reason, or what a photo that
tests a paused intake has shown.
"""

HEADS: Final = ("known", "decision", "transition", "job then", "intake")


def draw() -> str:
    """The page, as Markdown."""
    parts = [HEAD]
    for title, about, rows in SECTIONS:
        parts += [f"## {title}\n", f"{about}\n", markdown.table(HEADS, (_row(*row) for row in rows()))]
    parts += [
        "## Waits\n",
        "Times in seconds. `up to`: the wait is random, with this as its upper limit.\n",
        markdown.table(
            ("wait", "seconds", "why"), [*((one.name, _seconds(one), one.why) for one in WAITS), *OF_PARAMETERS]
        ),
    ]
    return "\n".join(parts)


OF_PARAMETERS: Final = (
    (
        "for confirmation",
        f"`ConfirmationMinutes` x 60 + {waits.CLOCK_SKEW:g}",
        "by then a run that an unclear answer may have made must be visible, whatever the clocks say",
    ),
    ("for a run to end", "`RunTimeoutHours` x 3,600", "Runflow states no maximum"),
)

Row = tuple[str, Job, object]


def _row(known: str, job: Job, decided: object) -> list[str]:
    if not isinstance(decided, Step):
        return [known, _other(decided), "", "", ""]
    after = decided.move.of(job) if decided.move else job
    then = f"`{after.state}`" + (f" / `{after.reason}`" if after.reason else "")
    wait = _wait(after)
    name = f"`{decided.move.name}`" if decided.move else ""
    intake = (
        f"paused: `{decided.pauses}`" if decided.pauses else f"probe {decided.probe.value}" if decided.probe else ""
    )
    found = ", unless its output is stored" if decided.unless_stored else ""
    return [known, decided.explained + found, name, then + wait if decided.move else "", intake]


def _wait(job: Job) -> str:
    moment = job.not_before if job.state is State.WAITING else job.due_at
    seconds = (moment or NOW) - NOW
    return f", in {seconds:.0f} s" if seconds > 0 else ""


def _other(decided: object) -> str:
    match decided:
        case str():
            return decided
        case Intake() | Reservation() | Next() | Find() | Whose() | Evidence() | Proof() | Reason() | bool():
            return _value(decided)
        case Idle(why):
            return f"nothing: {why}"
        case Again(why):
            return f"the message is retried: {why}"
        case Adopt(run_id, unmatched):
            more = ", ".join(run.run_id for run in unmatched)
            return f"run adopted: {run_id}" + (f"; unmatched, and charged to the day budget: {more}" if more else "")
        case NotSearched() | Unanswered() | AskedElsewhere() | Unfinished():
            return _unproven(decided)
        case NotSent() | Refusal() | TakeOver():
            return _refused(decided)
    return PASSED[type(decided)]


def _refused(decided: NotSent | Refusal | TakeOver) -> str:
    match decided:
        case TakeOver(_, why):
            return _paid_for(why)
        case NotSent(why):
            return f"not sent: {why}"
    return f"refused: {decided}"


def _unproven(search: NotSearched | Unanswered | AskedElsewhere | Unfinished) -> str:
    match search:
        case NotSearched(why):
            return f"not searched: {why}"
        case Unanswered(why):
            return f"cannot tell: {why}"
        case Unfinished(cursor):
            return "the search goes on" + (", after this page" if cursor else ", with the records")
    return "cannot tell: it is another account's"


def _value(decided: Intake | Reservation | Next | Find | Whose | Evidence | Proof | Reason | bool) -> str:
    match decided:
        case Reservation(day, usd):
            return f"charged: {usd / Decimal('0.14'):f} x the price of an image, to the budget of {day}"
        case Intake():
            return f"intake is {decided.state}" + (f": `{decided.reason}`" if decided.reason else "")
        case Reason():
            return f"waits for intake: {decided}"
        case Find():
            return f"it is compared with {decided.value}"
        case bool():
            return "intake drains" if decided else "intake stays paused"
    return str(decided.value)


def _paid_for(why: str | None) -> str:
    return "the picture is taken, and paid for" + (f": {why}" if why else "")


PASSED: Final = {
    Found: "a run",
    NoneFound: "none exists",
    type(None): "continues",
    Photo: "it is sent",
    ReadHead: "more of its first bytes are read",
    ReadTail: "more of its last bytes are read",
    LookBeside: "a photo of its name is looked for beside it",
    ReadOther: "it is looked for by that one",
    Fetch: "the outputs are fetched",
    FetchOther: "the outputs are fetched, for this job",
    Reusable: "the outputs are looked at, and copied",
    UseRun: "it is charged, unless the item counts it, and taken over",
}


def _most(_low: float, high: float) -> float:
    return high


def _resume() -> Iterator[Row]:
    def row(known: str, job: Job) -> Row:
        return known, job, decisions.resume(job, now=NOW, confirmation_seconds=CONFIRMATION_SECONDS)

    yield row("waiting, its time has come", WAITING)
    yield row("waiting, its time has not come", defer(WAITING, NOW + 60))
    yield row("unconfirmed, its time has come", UNCONFIRMED)
    yield row("submitting, under a lease", SUBMITTING)
    yield row("submitting, the lease has expired", replace(SUBMITTING, lease_until=NOW - 1))
    yield row("submitted", SUBMITTED)
    yield row("delivered", DELIVERED)
    yield row("reopened, its time has come", ASKED)
    yield (
        "a new upload that cannot be judged at the moment",
        WAITING,
        decisions.put_off("{reason}", now=NOW, uniform=_most),
    )


def _when_due() -> Iterator[Row]:
    def row(known: str, job: Job) -> Row:
        return known, job, decisions.when_due(job, now=NOW)

    yield row("it is open, and no run is known", replace(UNCONFIRMED, due_at=NOW))
    elsewhere = replace(UNCONFIRMED, due_at=NOW, reason=Reason.OTHER_ACCOUNT)
    yield row("... and the API key was of another account", elsewhere)
    yield row("it has a run", SUBMITTED)
    yield row("it is closed, and that has yet to be published", replace(DELIVERED, pending=("event",), due_at=NOW))
    yield row("it failed, and it is time to ask for a late result", ASKED_AGAIN)
    yield row("its item gives a later time", replace(SUBMITTED, due_at=NOW + 60))
    asked = replace(ASKED_AGAIN, earlier_runs=("run-0",))
    reserved = replace(DELIVERED, reserved_run="run-0", ask_at=NOW)
    for known, job in (
        ("closed, which runs are looked at", DELIVERED),
        ("the same, and it failed", asked),
        ("the same, and it was delivered from another run than the one that money is reserved for", reserved),
        (
            "the same, and Runflow did not show a run that is said to be the job's",
            replace(reserved, unknown_runs=("run-3",)),
        ),
    ):
        yield known, job, ", ".join(filter(None, decisions.runs_to_look_at(job)))


def _lifted() -> Iterator[Row]:
    for reason in (Reason.PAUSED, Reason.SPEND_LIMIT, Reason.NOT_CONFIGURED, Reason.PREFIX_TAKEN, Reason.OUT_OF_CREDIT):
        others = ", or any other reason" if reason is Reason.OUT_OF_CREDIT else ""
        paused = Intake(reason=reason, since=NOW, version=1)
        yield f"paused: `{reason}`{others}", WAITING, intake.evidence(paused)
    for known, shown_by, left, seen in (
        ("the operator resumed it", Evidence.RESUMED, 0, False),
        ("the budget still covers the price of an image", Evidence.BUDGET, 1, False),
        ("it does not", Evidence.BUDGET, 0, False),
        ("the secret holds a key", Evidence.KEY, 0, True),
        ("it does not", Evidence.KEY, 0, False),
        ("the stack has claimed its folder", Evidence.CLAIM, 0, True),
        ("another stack has", Evidence.CLAIM, 0, False),
        ("only a probe can tell", Evidence.PROBE, 0, False),
    ):
        yield known, WAITING, intake.is_lifted(shown_by, left=left, has_key=seen, has_claim=seen)
    now_open, draining = Intake(version=1), Intake(reason=Reason.OUT_OF_CREDIT, draining=True, version=1)
    paused = Intake(reason=Reason.OUT_OF_CREDIT, since=NOW, version=1)
    by_hand = replace(paused, reason=Reason.PAUSED)
    for known, after in (
        ("open: a photo meets `out_of_credit`", intake.noticed(now_open, Reason.OUT_OF_CREDIT, NOW, probe=False)),
        ("paused: another photo meets a reason", intake.noticed(paused, Reason.RUNFLOW_DOWN, NOW, probe=False)),
        ("paused: its probe meets a reason", intake.noticed(paused, Reason.RUNFLOW_DOWN, NOW, probe=True)),
        ("an operator pauses it", intake.tend(now_open, paused=True, lifted=False, now=NOW)),
        ("paused: its cause is gone", intake.tend(by_hand, paused=False, lifted=True, now=NOW)),
        ("paused: its cause is not gone", intake.tend(paused, paused=False, lifted=False, now=NOW)),
        ("a probe is due, and no photo waits", intake.without_probe(paused, waiting=False)),
        ("a probe is due, and the index is behind", intake.without_probe(paused, waiting=True)),
        ("draining, and no photo waits any more", intake.while_draining(draining, waiting=False, left=0, now=NOW)),
        ("draining, the budget is used up", intake.while_draining(draining, waiting=True, left=0, now=NOW)),
        ("draining, and photos wait", intake.while_draining(draining, waiting=True, left=5, now=NOW)),
    ):
        yield known, WAITING, after
    waits_for_it = wait_for_intake(WAITING, Reason.OUT_OF_CREDIT)
    for known, probes in (("a probe is due: of two photos that wait", 0), ("the same, after it was refused", 1)):
        first, *_ = intake.candidates(replace(paused, probes=probes), ("the oldest", "the other"))
        yield known, waits_for_it, first
    yield "a probe is due, and it is the photo", waits_for_it, decisions.let_go(paused, now=NOW)
    yield "intake is draining, and it is the photo's turn", waits_for_it, decisions.let_go(draining, now=NOW)


def _admit() -> Iterator[Row]:
    paused = Intake(reason=Reason.OUT_OF_CREDIT, since=NOW, version=1)
    probing = replace(paused, probe_job=WAITING.job_id)

    def row(known: str, found: Intake, *, paused: bool = False, override: bool | None = None) -> Row:
        return known, WAITING, intake.admit(WAITING, found, Override(paused=override), paused=paused)

    yield row("intake is open", Intake())
    yield row("intake is paused", paused)
    yield row("intake is paused, the photo is its probe", probing)
    yield row("the intake's item cannot be read", intake.UNREADABLE)
    yield row("an operator paused detag", Intake(), override=True)
    yield row("the parameter pauses detag", Intake(), paused=True)
    yield row("... and an operator overrode it", Intake(), paused=True, override=False)
    yield "today's budget was deleted", WAITING, decisions.turn_away(WAITING, Reason.BUDGET_LOST, pauses=True)
    yield "another stack cleans its folder", WAITING, decisions.turn_away(WAITING, Reason.PREFIX_TAKEN, pauses=True)
    asked = replace(WAITING, requests=(UNPAID,))
    for known, job in (
        ("another stack cleaned its folder when it was uploaded", WAITING),
        ("... and somebody has reopened it", asked),
    ):
        yield known, job, decisions.screen_since(job, NOW, now=NOW)
    yield "it may not continue: `spend_limit`", WAITING, decisions.turn_away(WAITING, Reason.SPEND_LIMIT, pauses=True)


def _screen() -> Iterator[Row]:
    def upload(known: str, job: Job = WAITING, **changes: Any) -> Row:
        job = replace(job, upload=replace(UPLOAD, **changes))
        return known, job, decisions.screen_upload(job, CRITERIA, now=NOW)

    yield (
        "it is outside of InputPrefix, or in another bucket",
        WAITING,
        decisions.screen_upload(WAITING, MOVED, now=NOW),
    )
    yield upload("its event is older than 90 days", uploaded_at=0.0)
    yield upload("... but it has waited in detag since it arrived", DENIED, uploaded_at=0.0)
    yield upload("a part of its name, below InputPrefix, matches IgnoredNames", key="@eaDir/shoe.jpg")
    yield upload("its key ends in /", key="shoes/")
    yield upload("it is empty", size=0)
    yield upload("it is too large", size=50_000_001)
    yield upload("... and has the name of a film", key="IMG_1.MOV", size=50_000_001)
    yield upload("no URL can refer to it", key="a/../b.jpg")

    def head(known: str, seen: Head | NotRead, criteria: Criteria = CRITERIA, job: Job = WAITING) -> Row:
        return known, job, decisions.screen_photo(job, seen, None, criteria, now=NOW)

    good = Head(PHOTO, len(PHOTO), "e1", {}, "v1")
    yield head("it is gone", Gone())
    yield head("another version is at its key", replace(good, version_id="v2"))
    yield head("... or, without versions, another ETag", replace(good, version_id=None, etag="e2"), job=UNVERSIONED)
    yield head("it is in an archive", InArchive())
    yield from _forbidden()
    yield head("its first bytes are not those of an image", replace(good, data=b"%PDF-1.7", size=8))
    yield head(
        "its first bytes are those of another type of image",
        replace(good, data=tiny_image("image/gif", b"x"), size=100),
    )
    yield head("... of an animation", replace(good, data=ANIMATION, size=len(ANIMATION)))
    yield from _screen_film()
    yield head("it has too many pixels", good, replace(CRITERIA, most_pixels=1))
    headers = b"\xff\xd8" + b"\xff\xe2\xff\xff" * 100
    yield head(
        "its headers are longer than the first read",
        replace(good, data=headers.ljust(HEAD_BYTES, b"\0"), size=50_000_000),
    )
    yield head(
        "... and longer than the second",
        replace(good, data=headers.ljust(LONG_HEAD_BYTES, b"\0"), size=50_000_000),
    )
    yield head("its first bytes are those of an image", replace(good, size=50_000_000))

    def tail(known: str, tail: bytes | NotRead, metadata: Mapping[str, str], size: int = len(PHOTO)) -> Row:
        data = PHOTO if size == len(PHOTO) else (PHOTO[:-2] + b"\xff\xda").ljust(HEAD_BYTES, b"\0")
        head = Head(data, size, "e1", metadata, "v1")
        return known, WAITING, decisions.screen_photo(WAITING, head, tail, CRITERIA, now=NOW)

    yield tail(
        "its last bytes are of an image that goes on", b"a scan".ljust(TAIL_BYTES - 2) + b"\xff\0", {}, 50_000_000
    )
    yield tail("... and so are its last 4 MiB", b"a scan".ljust(LONG_TAIL_BYTES - 2) + b"\xff\0", {}, 50_000_000)
    yield tail("its last bytes do not show whether it is complete", bytes(TAIL_BYTES), {}, 50_000_000)
    yield tail("... nor do its last 4 MiB", bytes(LONG_TAIL_BYTES), {}, 50_000_000)
    yield tail("it has been deleted in the meantime", Gone(), {}, 50_000_000)
    yield tail("it has been replaced in the meantime", Replaced(), {}, 50_000_000)
    yield tail("its metadata asks for an aspect ratio that is not one", PHOTO, {"aspect-ratio": "wide"})
    yield tail("it is complete", PHOTO, {})
    yield from _screen_whole(good)


def _screen_whole(good: Head) -> Iterator[Row]:
    def row(known: str, job: Job = WAITING, **found: Any) -> Row:
        return known, job, decisions.screen(job, Known(**found), CRITERIA, now=NOW)

    plus = replace(WAITING, upload=replace(UPLOAD, key="a+b.jpg"))
    yield row("nobody has read it yet")
    yield row("nothing is at its key, which can be read in another way", plus, head=Gone())
    yield row("... and nothing is there by that one", plus, head=Gone(), has_own_job=False)
    yield row("... and it is there by that one, and has a job of its own by it", plus, head=good, has_own_job=True)
    yield row("... and it has none", plus, head=good, has_own_job=False, newest=UPLOAD.rank)
    unversioned = replace(good, version_id=None)
    yield row("it is complete, and nobody has asked for newer ones", head=good)
    yield row("a newer upload has its name, in a bucket without versions", UNVERSIONED, head=unversioned, newest="FF")
    yield row("a newer upload has its name", head=good, newest="FF")
    yield row("... and is still at its key", head=good, newest="FF", seen=Replaced())
    had_run = replace(WAITING, reason=Reason.RETRY, earlier_runs=("run-0",))
    yield row("the same, and the job had a run", had_run, head=good, newest="FF", seen=Replaced())
    back: dict[str, Any] = {"head": good, "newest": "FF", "seen": good}
    yield row("... and was taken back: this version is at its key", **back)
    yield row("... but the newer one was delivered", **back, delivered="FF")
    yield row("... and was not delivered", **back, delivered="")
    yield row("it is the newest upload of its name", head=good, newest=UPLOAD.rank)


def _screen_film() -> Iterator[Row]:
    film = Head(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", 8_000_000, "e1", {}, "v1")
    for known, beside in (
        ("its first bytes are those of a film, of any size", None),
        ("... and a photo of its name lies beside it", "IMG_1.HEIC"),
        ("... and none does", ""),
    ):
        yield known, WAITING, decisions.screen_photo(WAITING, film, None, CRITERIA, now=NOW, beside=beside)
    large = replace(WAITING, upload=replace(UPLOAD, key="IMG_1.MOV", size=50_000_001))
    photo = Head(PHOTO, 50_000_001, "e1", {}, "v1")
    known = "it is too large, has the name of a film, and is none"
    yield known, large, decisions.screen_photo(large, photo, None, CRITERIA, now=NOW)


def _forbidden() -> Iterator[Row]:
    denied = replace(WAITING, reason=Reason.INTERRUPTED, tries=DENIED_TRIES)
    known = "a known output may not be looked at: it counts as gone"
    yield known, WAITING, decisions.is_interrupted_often(WAITING)
    yield f"the same, {DENIED_TRIES} times before", denied, decisions.is_interrupted_often(denied)
    for known, job in (
        ("it may not be read", WAITING),
        (f"... and could not be, {DENIED_TRIES} times before", replace(DENIED, tries=DENIED_TRIES)),
    ):
        yield known, job, decisions.screen_photo(job, Forbidden("{reason}"), None, CRITERIA, now=NOW)
    failing = replace(WAITING, reason=Reason.INTERRUPTED, tries=waits.INTERRUPTED_TRIES)
    for known, job in (("AWS fails when it is read", WAITING), ("the same, for three days", failing)):
        yield known, job, decisions.if_interrupted(job)("{reason}", NOW)


def _after_post() -> Iterator[Row]:
    def row(
        known: str, outcome: Outcome | NotSent, job: Job = SUBMITTING, *, failures: int = 1, probe: bool = False
    ) -> Row:
        step = decisions.after_post(
            job,
            outcome,
            now=NOW,
            confirmation_seconds=CONFIRMATION_SECONDS,
            failures=failures,
            probe=probe,
            uniform=_most,
        )
        return known, job, step

    photo = Photo("image/jpeg", (), None)
    price = Reservation("2026-11-23", Decimal("0.14"))
    claimed = decisions.begin(
        WAITING,
        price,
        photo=photo,
        body="{}",
        now=NOW,
        url_expires_at=NOW + 3_600,
        account=(),
        run_timeout_hours=HOURS,
    )
    yield "the photo is good, and its price is reserved: before the POST", WAITING, claimed
    for known, seconds, now in (
        ("there is time for the POST", 10.0, NOW),
        ("too little time is left", 0.0, NOW),
        ("the next day may begin, by some clock", 10.0, NOW + 14 * 3_600.0),
    ):
        yield known, SUBMITTING, decisions.before_post(SUBMITTING, seconds=seconds, killed_in=20.0, now=now)
    for known, before, outcome in (
        ("the answer points to an outage, as the one before", 1, Ambiguous("", down=True)),
        ("any other answer", 2, Accepted("run-1")),
        ("nothing was sent", 2, NotSent("")),
    ):
        count = decisions.count_failures(before, outcome)
        yield known, SUBMITTING, f"{before} failures in a row become {count}"
    yield row("2xx with a run id", Accepted("run-1"))
    yield row("402, or an error code about credit", Refused(402))
    yield row("401, 403 or 404", Refused(401))
    yield row("nothing was sent: too little time left, or no key", NotSent("{reason}"))
    often, unclear = replace(SUBMITTING, limited=waits.LIMITED_TRIES), replace(SUBMITTING, unclear_posts=8)
    yield row("429", Refused(429))
    yield row("429, Retry-After: 30", Refused(429, retry_after=30.0))
    yield row("any other 4xx except 408 and 409", Refused(422, "{reason}", "{reason}"))
    yield row("429 to a photo that tests a paused intake", Refused(429), probe=True)
    yield row(f"429 to a photo, {waits.LIMITED_TRIES} times in a row", Refused(429), often)
    yield row("5xx, 408, no answer, 2xx without an id", Ambiguous("{reason}"))
    yield row("the same, nine times in a row for one photo", Ambiguous("{reason}"), unclear)
    yield row(f"the same, {DOWN_AFTER} times in a row", Ambiguous("{reason}"), failures=DOWN_AFTER)
    yield row("the same, for a photo that tests a paused intake", Ambiguous("{reason}"), probe=True)
    yield row("409", Ambiguous("{reason}", down=False))
    yield row("429 to a request that was sent again", Refused(429), SENT_AGAIN)
    yield row("402 to a request that was sent again", Refused(402), SENT_AGAIN)
    yield row("any other 4xx to a request that was sent again", Refused(422, None, "{reason}"), SENT_AGAIN)


OUTPUT: Final = Output(1, "boot.jpg.webp", "v7", "e7", 9, "image/webp")
TAKEN: Final = Picture(picture_id="p1", version=1, taken_by="the other", taken_until=NOW + HOURS * 3_600)
RESULT: Final = pictures.Result(source_key="boot.jpg", outputs=(OUTPUT,), originals=(OUTPUT,))
KNOWN: Final = Picture(picture_id="p1", version=2, results=(RESULT,))
PAYER: Final = replace(SUBMITTED, upload=replace(UPLOAD, key="boot.jpg"), picture="p1", picture_until=NOW + 1)


def _meet_picture() -> Iterator[Row]:
    def row(known: str, picture: Picture, *payers: Job | Untold, job: Job = WAITING) -> Row:
        return known, job, decisions.meet_picture(job, picture, payers, now=NOW)

    yield row("another job pays for it", TAKEN, PAYER)
    yield row("another job has taken it, whose item cannot be read", TAKEN, Untold())
    yield row("... for longer than a run may take", replace(TAKEN, taken_until=NOW - 1), PAYER)
    ended = replace(PAYER, state=State.FAILED)
    yield row("... and has ended", TAKEN, ended)
    yield row("... and has ended; but a run of another turned up meanwhile", TAKEN, ended, PAYER)
    yield row("... and there is no such job", TAKEN)
    yield row("something was delivered of it", KNOWN)
    yield row("... and another result was asked for", KNOWN, job=replace(WAITING, again="once more"))
    yield row("nobody pays for it, and nothing was delivered of it", replace(TAKEN, taken_by=None))
    waits_for_it = wait_for_picture(WAITING, NOW + 300, "p1")
    yield "the job that it waits for has ended", waits_for_it, decisions.end_waiting(now=NOW)
    yield "it is an output that detag delivered", WAITING, decisions.already_cleaned(now=NOW)
    good = Facts(there=True, untouched=True, rejected=False)
    rejected, touched = replace(good, rejected=True), replace(good, untouched=False)
    for known, facts in (
        ("each output is there", good),
        ("a person has rejected one", rejected),
        ("one is gone", replace(good, there=False)),
        ("a person has deleted or overwritten one", touched),
    ):
        why = decisions.refuse_reuse([[facts]])
        yield known, WAITING, _paid_for(why) if why else None
    yield (
        "... under one name, and as it was delivered under another",
        WAITING,
        decisions.refuse_reuse([[touched], [good]]),
    )
    why = decisions.refuse_reuse([[good], [rejected]])
    yield "... and a person has rejected it under another", WAITING, _paid_for(why) if why else None

    def copied(known: str, copies: Fetched) -> Row:
        source = decisions.Source(KNOWN.deliveries[0], KNOWN)
        return known, WAITING, decisions.after_copy(source, copies, now=NOW, price=Decimal("0.14"))

    yield copied("copied", Stored(("shoe.jpg.webp",), "", outputs=(OUTPUT,)))
    yield copied("a newer photo of this name was delivered", Overtaken())
    yield copied("another worker is storing outputs of this name", Busy())
    yield copied("not copied", NotStored("{reason}"))


def _after_list() -> Iterator[Row]:
    def row(known: str, search: Search, *, may_send: bool = True, job: Job = UNCONFIRMED) -> Row:
        return known, job, after_list(job, search, may_send=may_send, now=NOW, uniform=_most)

    for reason in (Reason.RUNFLOW_DOWN, Reason.UNAUTHORIZED, Reason.NOT_CONFIGURED, Reason.SPEND_LIMIT):
        others = ", or any other reason" if reason is Reason.SPEND_LIMIT else ""
        yield f"intake is paused: `{reason}`{others}", UNCONFIRMED, refuse_search(reason)
    running = Run("run-2", RunStatus.RUNNING)
    yield row("a run", Found([running]))
    price = Reservation("2026-11-23", Decimal("0.14"))
    adoption = decisions.adoption(Adopt("run-2", ()), price, now=NOW)
    yield "... and it is the job's", UNCONFIRMED, adoption
    yield row("a run that failed, and one in progress", Found([FAILED, running]))
    yield row("two runs in progress", Found([replace(running, run_id="run-3"), running]))
    yield row("none, and the URL is valid", NoneFound())
    yield row("none, and the URL expires soon", NoneFound(), job=replace(UNCONFIRMED, url_expires_at=NOW + 10))
    yield row("none, and intake is paused", NoneFound(), may_send=False)
    yesterday = replace(UNCONFIRMED, reservation=Reservation("2026-11-22", Decimal("0.14")))
    yield row("none, and its money is from the day before", NoneFound(), job=yesterday)
    late = replace(UNCONFIRMED, picture="{picture}", picture_until=NOW)
    yield row("none, and its time to pay for its picture is over", NoneFound(), job=late)
    unclear = replace(UNCONFIRMED, unclear_posts=waits.MAX_UNCLEAR)
    yield row(f"none, after {waits.MAX_UNCLEAR} requests in a row without a clear answer", NoneFound(), job=unclear)
    yield row("time ran out before the end of the list", Unfinished("cursor"))
    yield row("the list could not be read, or an entry does not say whose it is", Unanswered("{reason}"))
    long_ago = replace(UNCONFIRMED, search_since=NOW - 30 * 86_400)
    yield row("the same, for three days", Unanswered("{reason}"), job=long_ago)
    yield row("none, but the API key is of another account, or of one that is not known", AskedElsewhere())
    yield row("the same, for three days", AskedElsewhere(), job=long_ago)
    yield row("intake is paused for a reason that rules out any search", NotSearched("{reason}"), job=long_ago)
    again = after_list(UNCONFIRMED, NoneFound(), may_send=True, now=NOW, uniform=_most)
    photo = Head(PHOTO, len(PHOTO), "e1", {}, "v1")
    for known, seen, delivered, criteria in (
        ("it is to be sent again, and is still at its key", photo, "", CRITERIA),
        ("... but a newer one was delivered, and then deleted for good", photo, "FF", CRITERIA),
        ("... and is gone", Gone(), "", CRITERIA),
        ("... and InputPrefix was changed", photo, "", MOVED),
    ):
        if isinstance(again, Step):
            yield known, UNCONFIRMED, decisions.before_resend(UNCONFIRMED, again, seen, delivered, criteria, now=NOW)
    known = "... and its picture was delivered meanwhile, or is another's"
    yield known, UNCONFIRMED, decisions.meet_again(now=NOW)


def _reopening() -> Iterator[Row]:
    def row(known: str, job: Job, request: Request, *, charged: bool = False) -> Row:
        return known, job, decisions.reopening(job, request, charged=charged, now=NOW)

    delivered = replace(DELIVERED, closed_at=NOW - 60)
    unsure = fail(SENT_AGAIN, Reason.REFUSED, "", NOW - 60, free=False)
    yield row("the same request was carried out before", replace(delivered, requests=(PAID,)), PAID)
    yield row("the job is open", SUBMITTED, PAID)
    yield row("it was closed after it was asked for", delivered, replace(PAID, at=NOW - 300))
    yield row("ask: it has a run", replace(TIMED_OUT, closed_at=NOW - 60), ASK)
    yield row("ask: it was never sent", SKIPPED, ASK)
    yield row("unpaid: it was never sent", SKIPPED, UNPAID)
    yield row("unpaid: its run failed free of charge", FREE, UNPAID)
    yield row("unpaid: the same, but a run was charged by its id", FREE, UNPAID, charged=True)
    yield row("unpaid: delivered", delivered, UNPAID)
    yield row("unpaid: delivered as a copy", replace(delivered, reused_from="boot.jpg.webp"), UNPAID)
    yield row("unpaid: an unclear answer may have made a run", unsure, UNPAID)
    yield row("unpaid: the same, and its item is of an earlier version", replace(unsure, unaccounted=()), UNPAID)
    yield row("paid: delivered", delivered, PAID)
    yield row("paid: an unclear answer may have made a run", unsure, PAID)
    for known, asked in (("its photo is outside of InputPrefix, or in another bucket", UNPAID), ("ask: the same", ASK)):
        yield known, SKIPPED, decisions.refuse_place(UPLOAD, asked, MOVED)
    same = Head(PHOTO, len(PHOTO), "e1", {}, None)
    for known, asked, seen, newest, done in (
        ("its photo is gone", PAID, decisions.Gone(), "", ""),
        ("ask: the same", ASK, decisions.Gone(), "", ""),
        ("another photo is at its key", UNPAID, decisions.Replaced(), "", ""),
        ("without versions, a newer photo of the same bytes was uploaded", PAID, same, "F" * 64, ""),
        ("ask: a newer photo of its name has been delivered", ASK, same, "", "F" * 64),
    ):
        upload = replace(UPLOAD, version_id=None, etag="e1")
        yield known, delivered, decisions.refuse_photo(upload, asked, seen, newest=newest, delivered=done)
    for known, request, age, versioned in (
        ("paid: it has no item, and is there", PAID, 100, True),
        ("unpaid: the same, uploaded a day ago", UNPAID, 1, True),
        ("unpaid: the same, uploaded 100 days ago", UNPAID, 100, True),
        ("unpaid: the same, uploaded a day ago, without a version", UNPAID, 1, False),
        ("ask: the same", ASK, 1, True),
        ("paid: it was uploaded a day after it was asked for", PAID, -1, True),
    ):
        uploaded_at = NOW - age * 86_400.0
        yield known, WAITING, decisions.taking_up(uploaded_at, request, versioned=versioned, now=NOW)


def _after_asking() -> Iterator[Row]:
    def row(known: str, found: list[Run] | Unanswered, job: Job = ASKED) -> Row:
        return known, job, decisions.after_asking(job, found, now=NOW, uniform=_most)

    free = reopen(FREE, UNPAID, Reason.REOPENED, NOW - 20, NOW)
    unsure = fail(SENT_AGAIN, Reason.REFUSED, "", NOW - 60, free=False)
    unsure = reopen(unsure, UNPAID, Reason.REOPENED, NOW - 20, NOW)
    earlier, charged = replace(ASKED, earlier_runs=("run-0",)), replace(FAILED, run_id="run-0", cost=Decimal("0.14"))
    counted = decisions.uncounted(earlier, [charged])
    yield "an earlier run was charged, and nothing stands for it", earlier, "charged" if counted else "not charged"
    yield row("Runflow cannot tell", Unanswered("{reason}"))
    yield row("the same, for three days", Unanswered("{reason}"), replace(ASKED, search_since=NOW - 3 * 86_400))
    yield row("a run has succeeded, or goes on", [SUCCEEDED])
    yield row("the run that an unclear answer made has succeeded", [replace(SUCCEEDED, run_id="run-2")], unsure)
    yield row("ask: no run has a result", [FAILED])
    yield row("unpaid: no run was charged", [FAILED], free)
    yield row("unpaid: a run was charged", [replace(FAILED, cost=Decimal("0.14"))], free)
    yield row("no known run has a result, and an unclear answer may have made one", [], unsure)
    taken = take_over(ASKED, "run-1", NOW, NOW + 60)
    failed = decisions.after_failure(taken, FAILED, now=NOW, max_attempts=ATTEMPTS, uniform=_most)
    yield "ask: a run that went on has failed", taken, decisions.as_asked(taken, failed, now=NOW)
    none = replace(UNCONFIRMED, requests=(ASK,), closed_as=ASKED.closed_as)
    nothing = after_list(none, NoneFound(), may_send=True, now=NOW, uniform=_most)
    yield "ask: the search finds no run", none, nothing
    waiting = replace(free, reason=Reason.READY)
    gone = decisions.screen_photo(waiting, decisions.Gone(), None, CRITERIA, now=NOW)
    if isinstance(gone, Step):
        yield "unpaid: its photo was deleted meanwhile", waiting, decisions.as_before(waiting, gone, now=NOW)


def _search() -> Iterator[Row]:
    url = f"https://in.example/{UPLOAD.key}"
    own = Run("run-2", RunStatus.RUNNING, client_ref=UNCONFIRMED.client_ref, image_url=url, created_at=NOW)
    bare, before = Run("run-3", RunStatus.UNKNOWN), UNCONFIRMED.claimed_at - 86_400.0
    theirs = [replace(own, run_id=f"run-{number}", client_ref="theirs", created_at=before) for number in range(ORDERED)]

    def row(known: str, runs: Sequence[Run], following: str | None = None, **page: Any) -> Row:
        search = RunSearch(UNCONFIRMED, url)
        search.read(runs, following, **page)
        return known, UNCONFIRMED, search.result()

    yield row("a run of ours, on whatever page", [own], "more")
    yield row("none of ours, to the end of the list", theirs[:3])
    yield row("none of ours, and the list goes on", theirs[:3], "more")
    yield row(f"none of ours, and the last {ORDERED:,} are older than the claim, newest first", theirs, "more")
    mixed = [replace(theirs[0], created_at=before - 1.0), *theirs]
    yield row("the same, but not newest first", mixed, "more")
    yield row("an entry that does not tell whose it is: it is asked for", [bare])
    yield row("an entry without an id", theirs[:3], without_id=1)
    yield row("a list of another account, or of one that is not known", theirs[:3], foreign=True)


def _scan() -> Iterator[Row]:
    scan = Scan(since=NOW - 86_400.0)

    def rank(modified: float) -> str:
        return read_upload(Listed("shoe.jpg", "v1", "e1", 100, modified).message("in")).rank

    upload = read_upload(Listed("shoe.jpg", "v1", "e1", 100, NOW - 3_600.0).message("in"))

    def listed(known: str, modified: float, version: str = "v1") -> Row:
        found = taken_up(scan, Listed("shoe.jpg", version, "e1", 100, modified), now=NOW)
        return known, WAITING, "it is looked for" if found else "left alone"

    def ranked(known: str, newest: str) -> Row:
        return known, WAITING, "left alone" if is_overtaken(upload, newest) else "it is sent to submit"

    def page(known: str, entries: int, following: Position | None) -> Row:
        after = after_page(scan, Page((), entries, following), now=NOW)
        what = "the next page" if after.after else "broken off" if after.too_large else "a new scan"
        return known, WAITING, f"{what}, in {max(0.0, after.next_at - NOW):.0f} s"

    def place(known: str, place: str, prefix: str = "incoming/", *, is_own: bool = False) -> Row:
        found = scan_of(Place("shop", prefix, is_own), replace(scan, place=place), now=NOW)
        return known, WAITING, "the scan goes on" if found.since < NOW else from_now

    from_now, own = "it starts anew, for uploads from now on", Place("in", "", is_own=True)

    def anew(known: str, found: Scan) -> Row:
        return known, WAITING, "it starts for uploads since the table was created" if found.since < NOW else from_now

    yield anew("the table has no scan yet", first_scan(Place("shop", "incoming/", is_own=False), NOW - 60.0))
    yield anew("its item cannot be read, in the stack's own bucket without a prefix", scan_over(own, 0.0, now=NOW))
    yield anew("... in another bucket, or below a prefix", scan_over(replace(own, prefix="incoming/"), 0.0, now=NOW))

    yield place("its item is of this bucket and prefix", "shop/incoming/")
    yield place("... of another bucket or prefix", "shop/photos/")
    yield place("... of an earlier version, and this is the stack's own bucket without a prefix", "", "", is_own=True)
    yield place("... of an earlier version, and this is another bucket or has a prefix", "")
    yield listed("an object that was uploaded an hour ago", NOW - 3_600.0)
    yield listed("... a minute ago: its event may still come", NOW - 60.0)
    yield listed("... before the time that the scan is about", NOW - 2 * 86_400.0)
    yield listed("... without a version of its own", NOW - 3_600.0, "null")
    yield ranked("it has no job, and no other upload of its name is known", "")
    yield ranked("... and an older one is, which the scan has found", rank(NOW - 7_200.0))
    yield ranked("... and a newer one is", rank(NOW - 1_800.0))
    yield ranked("... and one is that an event told of", UPLOAD.rank)
    yield page("a page that another follows", 1_000, ("shoe.jpg", "v1"))
    yield page("the last page", 1_000, None)
    yield page(f"{MAX_LISTED:,} versions, and another page follows", MAX_LISTED, ("shoe.jpg", "v1"))


def _whose_run() -> Iterator[Row]:
    own = f"https://in.example/{UPLOAD.key}"
    ours = Run("run-2", RunStatus.RUNNING, client_ref=SUBMITTING.client_ref, image_url=own, created_at=NOW)

    def row(known: str, job: Job, run_id: str, run: Run | None = ours) -> Row:
        return known, job, whose_run(job, run_id, run, lambda: own)

    yield "the run that the job knows, and the job is closed", DELIVERED, decisions.already_done(DELIVERED, "run-1")
    yield row("the run that the job knows", SUBMITTED, "run-1")
    yield row("an earlier run, which failed", replace(SUBMITTED, earlier_runs=("run-0",)), "run-0")
    yield row("a run that Runflow does not know", UNCONFIRMED, "run-2", None)
    otherwise = replace(ours, aspect_ratio="4:3")
    yield row("its record does not tell, and the answer to a POST is unknown", UNCONFIRMED, "run-2", otherwise)
    yield row("it bears the name of a POST whose answer is unknown", UNCONFIRMED, "run-2")
    retrying = retry(SUBMITTED, not_before=NOW, url_expired=False, detail=None, code=None)
    yield row("it bears the name of a POST that has another run, and the job has none", retrying, "run-2")
    yield row("it bears the name of a POST that has another run, and the job has one", SUBMITTED, "run-2")
    yield row("it bears the job's name, and the job is closed", DELIVERED, "run-2")

    def shown(known: str, **changes: Any) -> Row:
        return known, UNCONFIRMED, proof(replace(ours, **changes), UNCONFIRMED, own)

    yield shown("its name, its photo and its time are the job's")
    yield shown("its name is the job's, and its photo an asset link", image_url="runflow://assets/1")
    yield shown("its photo is another of the bucket's", image_url="https://in.example/hat.jpg")
    yield shown("its name is the job's, and its photo at an unknown host", image_url="https://cdn.example/1.jpg")
    yield shown("its name is that of a submission which the job has not made", client_ref=f"{UNCONFIRMED.job_id}.7")
    yield shown("its name is the job's, and its photo's URL may be another spelling", image_url=own.upper())
    yield shown("its name is the job's, and it was made before the job was claimed", created_at=0.0)
    yield shown("its name is the job's, and its configuration another", aspect_ratio="4:3")
    yield shown("it shows no name", client_ref=None)
    yield shown("it shows no name, and was made before the job was claimed", created_at=0.0, client_ref=None)


def _after_other_run() -> Iterator[Row]:
    def row(known: str, job: Job, run: Run) -> Row:
        return known, job, decisions.after_other_run(job, run, now=NOW)

    earlier = replace(SUCCEEDED, run_id="run-0")
    submitted = replace(SUBMITTED, earlier_runs=("run-0",))
    waiting = replace(UNCONFIRMED, reason=Reason.RETRY, earlier_runs=("run-0",))
    yield row("it has no result", submitted, replace(earlier, status=RunStatus.FAILED))
    yield row("it is not an earlier run, and each of the job's POSTs had a clear answer", SUBMITTED, earlier)
    yield row("it succeeded, and the job is waiting to be sent again", waiting, earlier)
    yield row("it succeeded, and the photo is being sent again", replace(waiting, state=State.SUBMITTING), earlier)
    yield row("it succeeded, and the job has another run", submitted, earlier)
    yield row(
        "the same, but a new run was asked for in its place", replace(submitted, replaced_runs=("run-0",)), earlier
    )
    yield row(
        "it succeeded, but shows no output yet, and the job has another run",
        submitted,
        replace(earlier, output_urls=()),
    )
    yield row("it succeeded, and the job has failed", replace(submitted, state=State.FAILED), earlier)
    failed = replace(ASKED_AGAIN, earlier_runs=("run-0",))
    yield row("the same, but it shows no output yet; it is asked for", failed, replace(earlier, output_urls=()))
    alone = replace(failed, run_id=None)
    yield row("the same, and the job has no other run", alone, replace(earlier, output_urls=()))
    reserved = replace(DELIVERED, reserved_run="run-0", earlier_runs=("run-0",), ask_at=NOW)
    named = replace(earlier, run_id="run-2", client_ref="ref")
    for known, job, run in (
        ("it was charged, and no reservation stands for it", submitted, earlier),
        ("it is still in progress", submitted, replace(earlier, status=RunStatus.RUNNING, cost=None)),
        ("money is reserved for it", reserved, earlier),
        ("money is reserved for the submission that made it", replace(reserved, reserved_run="ref"), named),
        ("it is the run of a job that failed free of charge", replace(TIMED_OUT, reservation=None), SUCCEEDED),
    ):
        yield known, job, "charged" if decisions.is_uncounted(job, run) else "not charged"
    price = Reservation("2026-11-23", Decimal("0.14"))
    unknown = replace(earlier, cost=None)
    yield "it is charged, and its cost is known", submitted, decisions.charge_for(earlier, None, price=price)
    yield "... and is not known yet", submitted, decisions.charge_for(unknown, None, price=price)
    dearer = replace(earlier, cost=Decimal("0.28"))
    yield (
        "it was charged with the price, and costs twice as much",
        submitted,
        decisions.charge_for(dearer, price, price=price),
    )
    free = replace(earlier, status=RunStatus.FAILED, cost=Decimal(0))
    yield "it was charged, and failed free of charge", submitted, _charged(free, price)
    yield "it was not charged, and failed free of charge", submitted, _charged(free, None)
    yield "Runflow does not know it", submitted, decisions.after_unknown_other(submitted, "run-0", now=NOW)
    yield (
        "the same, and money is reserved for it",
        reserved,
        decisions.after_unknown_other(reserved, "run-0", now=NOW),
    )
    running = replace(earlier, status=RunStatus.RUNNING, cost=None)
    yield row("the job was delivered from another run, and this one is still in progress", reserved, running)
    yield row("... and it has ended, and was billed", replace(reserved, ask_at=None), earlier)
    yield row("it succeeded, and the job is delivered", replace(DELIVERED, earlier_runs=("run-0",)), earlier)


def _unknown() -> Iterator[Row]:
    def row(known: str, job: Job) -> Row:
        return known, job, decisions.after_unknown_other(job, "run-3", now=NOW)

    noted = replace(TIMED_OUT, unknown_runs=("run-3",), ask_at=NOW + 60)
    yield row("Runflow does not know a run that its callback says is the job's", UNCONFIRMED)
    yield row("the same, and the job is closed", TIMED_OUT)
    yield row("the same, for more than a week", replace(TIMED_OUT, closed_at=NOW - waits.LATE_RESULT.seconds - 1))
    yield row("the same, and so many are noted already", replace(TIMED_OUT, unknown_runs=("run-4",) * MAX_UNKNOWN))
    yield row("the same, while the photo is being sent", SUBMITTING)
    yield row("the same, and nothing was sent", WAITING)
    untold = decisions.after_untold(UNCONFIRMED, "run-3", now=NOW)
    yield "Runflow shows it, and its record does not tell whether it is the job's", UNCONFIRMED, untold
    yield row("it is noted", noted)
    yield row("it is noted, and it is time to ask", replace(noted, ask_at=NOW))
    week = replace(noted, ask_at=NOW, closed_at=NOW - waits.LATE_RESULT.seconds)
    yield row("... for the last time", week)
    late = decisions.accepted_late(TIMED_OUT, "run-3", now=NOW)
    yield "a POST was accepted once its job was closed without its run", TIMED_OUT, late
    shown = replace(SUCCEEDED, run_id="run-3", client_ref="ref")
    for known, run, ours in (
        ("it is noted, and shown to be of a request without a clear answer", shown, True),
        ("... of another request, and it has ended", replace(shown, client_ref="ref-0"), True),
        ("... and it goes on", replace(shown, client_ref="ref-0", status=RunStatus.RUNNING), True),
        ("it is noted, and shown to be somebody else's", shown, False),
    ):
        job = replace(noted, unaccounted=(("ref", ""),))
        yield known, job, decisions.after_match(job, "run-3", run, ours=ours) or "nothing is noted"


def _bill() -> Iterator[Row]:
    def row(known: str, job: Job, run: Run) -> Row:
        return known, job, decisions.bill(job, run) or "nothing"

    charged, free = replace(FAILED, cost=Decimal("0.14")), replace(FAILED, cost=Decimal(0))
    twice = replace(TIMED_OUT, reservation=Reservation("2026-11-23", Decimal("0.28")))
    yield row("the run of a failed job failed too late, and cost another amount than was reserved", twice, charged)
    yield row("... free of charge", TIMED_OUT, free)
    yield row("... and Runflow does not say what it cost", TIMED_OUT, Run("run-1", RunStatus.CANCELLED))
    yield row("... and it cost what was reserved", TIMED_OUT, SUCCEEDED)
    yield row("it is still in progress", TIMED_OUT, Run("run-1", RunStatus.RUNNING))
    yield row("it has ended, and its job is open", SUBMITTED, charged)
    unconfirmed = replace(TIMED_OUT, run_id=None, reserved_run="ref", earlier_runs=("run-0",))
    told = replace(charged, run_id="run-2", client_ref="ref")
    yield row("a run of the request without an answer, of a job that was given up without a run", unconfirmed, told)
    late = decisions.is_reserved(unconfirmed, replace(told, status=RunStatus.RUNNING))
    yield "a POST of such a request is accepted late", unconfirmed, "reserved" if late else "charged beside it"
    yield row("an earlier run of such a job, told again", unconfirmed, replace(free, run_id="run-0", client_ref="ref"))
    yield row("a run of a job whose reservation is for another", replace(twice, reserved_run="run-0"), charged)
    yield row("the run of a job that was delivered without its record", replace(DELIVERED, ask_at=NOW), SUCCEEDED)
    before = Spent("run-1", Reservation("2026-11-23", Decimal("0.28")))
    again = replace(DELIVERED, run_id="run-2", spent=(before,))
    yield row("an earlier run of a reopened job, for less than was reserved", again, SUCCEEDED)
    yield row("... while the photo is being sent", replace(again, state=State.SUBMITTING), SUCCEEDED)


def _charged(run: Run, before: Reservation | None) -> Reservation | str:
    price = Reservation("2026-11-23", Decimal("0.14"))
    return decisions.charge_for(run, before, price=price) or "not charged"


def _after_fetch_of_other() -> Iterator[Row]:
    def row(known: str, fetched: Fetched) -> Row:
        run = replace(SUCCEEDED, run_id="run-0")
        return known, TIMED_OUT, decisions.after_fetch_of_other(TIMED_OUT, run, fetched, now=NOW)

    yield row("stored", Stored(("shoe.jpg.webp",), ""))
    yield row("some are stored, and time has run out", Partway(("shoe.jpg.webp",)))
    run, partway = replace(SUCCEEDED, run_id="run-0"), Partway(("shoe.jpg.webp",))
    yield (
        "the same, and the job has a run that is still in progress",
        SUBMITTED,
        decisions.after_fetch_of_other(SUBMITTED, run, partway, now=NOW),
    )
    done = replace(TIMED_OUT, done=("shoe.jpg.webp",), done_run="run-0")
    yield "what was done before: kept of this run", done, f"{len(decisions.done_of(done, run))} output"
    yield row("another worker is storing", Busy())
    yield row("not available at the moment", NotStored("{reason}"))
    yield row("nothing is safe to store", Stored((), "{reason}"))


def _in(trouble: Trouble, seconds: float) -> Job:
    """A job that has had a problem for so long."""
    return replace(SUBMITTED, troubles=((trouble, NOW - seconds),))


def _after_poll() -> Iterator[Row]:
    def row(known: str, run: Run | None, job: Job = SUBMITTED) -> Row:
        return known, job, decisions.after_poll(job, run, now=NOW, run_timeout_hours=HOURS)

    yield row("it is still in progress", Run("run-1", RunStatus.RUNNING))
    yield row("it has ended", SUCCEEDED)
    yield row("Runflow does not know it", None)
    foreign = decisions.after_foreign_poll(now=NOW)
    yield "... but the API key is of another account, or of one that is not known", SUBMITTED, foreign
    for known, job in (
        ("its record cannot be read", SUBMITTED),
        ("its record cannot be read for a week", _in(Trouble.UNREADABLE, 7 * 86_400 + 1)),
    ):
        yield known, job, decisions.after_poll_without_answer(job, "{reason}", now=NOW)
    days_ago = replace(SUBMITTED, submitted_at=NOW - 5 * 86_400)
    yield row(f"it is still in progress after {HOURS} hours", Run("run-1", RunStatus.RUNNING), days_ago)


def _after_run() -> Iterator[Row]:
    def row(known: str, run: Run | None, job: Job = SUBMITTED) -> Row:
        decided = decisions.after_run(job, run, now=NOW, max_attempts=ATTEMPTS, run_timeout_hours=HOURS, uniform=_most)
        return known, job, decided

    days_ago = replace(SUBMITTED, submitted_at=NOW - 5 * 86_400)
    yield row("succeeded, with output URLs", SUCCEEDED)
    yield row("succeeded, with output URLs; the job had failed without this result", SUCCEEDED, TIMED_OUT)
    nothing = replace(SUCCEEDED, output_urls=())
    yield row("succeeded, but shows no output", nothing)
    yield row("succeeded, but has shown no output for an hour", nothing, _in(Trouble.NO_OUTPUT, 3_601))
    yield row("succeeded, but shows no output; the job is closed", nothing, TIMED_OUT)
    yield row("still in progress", Run("run-1", RunStatus.RUNNING))
    yield row(f"still in progress after {HOURS} hours", Run("run-1", RunStatus.RUNNING), days_ago)
    yield row("unknown to Runflow", None)
    yield row("unknown to Runflow for the first time, days after the POST", None, days_ago)
    yield row("unknown to Runflow for an hour", None, _in(Trouble.UNKNOWN, 3_601))
    yield row("cancelled at Runflow", Run("run-1", RunStatus.CANCELLED))
    yield row("failed free of charge", FAILED)
    yield row("failed and was charged", replace(FAILED, cost=Decimal("0.14")))
    yield row("failed, because the photo is not valid", replace(FAILED, failure_code="INPUT_VALIDATION_FAILED"))
    yield row(f"failed, for the {ATTEMPTS}rd time", FAILED, replace(SUBMITTED, attempt=ATTEMPTS))
    expired = replace(SUBMITTED, url_expires_at=NOW - 1, attempt=ATTEMPTS)
    yield row("failed, and the photo's URL had expired", FAILED, expired)
    yield row("the same, too often", FAILED, replace(expired, expired_urls=MAX_EXPIRED_URLS))
    older = replace(SUBMITTED, unaccounted=((SUBMITTED.client_ref, ""),))
    yield row(
        "failed free of charge, and is of an older request than the latest, which has no clear answer", FAILED, older
    )
    unseen = replace(SUBMITTED, unknown_runs=("another run",))
    yield row(
        "failed free of charge, and Runflow does not show another run that is said to be the job's", FAILED, unseen
    )
    yield row("failed; the job is closed", FAILED, TIMED_OUT)
    cancelled = cancel(SUBMITTED, "", NOW, cost=None, ask_at=NOW + 60)
    yield row("succeeded; the job is closed, because its run was cancelled", SUCCEEDED, cancelled)
    yield row("has not succeeded; the job is closed, and it is time to ask again", FAILED, ASKED_AGAIN)
    for_a_week = replace(ASKED_AGAIN, closed_at=NOW - waits.LATE_RESULT.seconds)
    yield row("the same, a week after it was closed", FAILED, for_a_week)
    unbilled = replace(DELIVERED, ask_at=NOW)
    yield row("the job was delivered without its record, which does not say yet what it cost", None, unbilled)
    yield row("... and which says so", SUCCEEDED, unbilled)


def _after_no_answer() -> Iterator[Row]:
    def row(known: str, job: Job, run_id: str = "run-1") -> Row:
        return known, job, decisions.after_no_answer(job, run_id, "{reason}", now=NOW)

    yield row("the job's run, not known to have ended", SUBMITTED)
    yield row("the run of a failed job whose result may come late", ASKED_AGAIN)
    yield row("any run, and the job is unconfirmed", UNCONFIRMED)
    yield row("any run, and the photo is being sent", SUBMITTING)
    yield row("another run", SUBMITTED, "run-2")
    yield row("an earlier run of a failed job", replace(ASKED_AGAIN, earlier_runs=("run-0",)), "run-0")
    reserved = replace(DELIVERED, reserved_run="run-0", earlier_runs=("run-0",), ask_at=NOW)
    yield row("a run that money is reserved for, of a delivered job", reserved, "run-0")


def _published() -> Iterator[Row]:
    failed = fail(SUBMITTED, Reason.RUN_FAILED, "", NOW, free=True)
    yield "everything was published", failed, decisions.after_publishing((), now=NOW)
    yield "the event was not", failed, decisions.after_publishing(("event",), now=NOW)


def _after_fetch() -> Iterator[Row]:
    def row(known: str, fetched: Fetched, job: Job = SUBMITTED, run: Run = SUCCEEDED) -> Row:
        return known, job, decisions.after_fetch(job, run, fetched, now=NOW)

    unread = replace(SUCCEEDED, is_record=False)
    yield row("stored", Stored(("shoe.jpg.webp",), ""))
    yield row("stored; the job had failed without this result", Stored(("shoe.jpg.webp",), ""), TIMED_OUT)
    yield row("some stored, others not safe to store", Stored(("shoe.jpg.webp",), "{reason}"))
    yield row("none is safe to store", Stored((), "{reason}"))
    yield row("none is safe to store, and the run could not be read", Stored((), "{reason}"), run=unread)
    yield row("some stored, and time ran out", Partway(("shoe.jpg.webp",)))
    yield row("the same; the job had failed without this result", Partway(("shoe.jpg.webp",)), ASKED_AGAIN)
    yield row("another worker is storing outputs of this name", Busy())
    yield row("a newer photo of this name was delivered", Overtaken())
    yield row("not fetched or stored", NotStored("{reason}"))
    yield row("not fetched or stored for days", NotStored("{reason}"), _in(Trouble.NOT_STORED, 5 * 86_400))
    yield row("not fetched or stored; the job is closed", NotStored("{reason}"), TIMED_OUT)
    yield row("not fetched or stored; the job is closed, and it was time to ask", NotStored("{reason}"), ASKED_AGAIN)
    later = replace(ASKED_AGAIN, ask_at=NOW + 3_600)
    yield row(
        "every output URL was refused; the job is closed, and it is not time",
        NotStored("{reason}", refused=True),
        later,
    )


def _callback_again() -> Iterator[Row]:
    def row(known: str, fetched: Fetched | None, job: Job = SUBMITTED, run: Run = SUCCEEDED) -> Row:
        decided = decisions.callback_again(job, run, fetched, now=NOW)
        return known, job, decided or "its callback is not asked for"

    refused, today = NotStored("{reason}", refused=True), replace(SUBMITTED, callback_asked_at=NOW - 3_600)
    yield row("every output URL was refused", refused)
    yield row("the same; the callback was asked for today", refused, today)
    yield row("the same; the job is closed, and it is time to ask", refused, ASKED_AGAIN)
    yield row("the same; the job is closed, and it is not time", refused, TIMED_OUT)
    yield row("the same; the run could not be read", refused, run=replace(SUCCEEDED, is_record=False))
    yield row("its record shows no output", None, run=replace(SUCCEEDED, output_urls=()))
    yield row("none is safe to store", Stored((), "{reason}"))
    yield row("not fetched or stored, for a reason that may pass", NotStored("{reason}"))
    yield row("stored", Stored(("shoe.jpg.webp",), ""))


def _comes_again() -> Iterator[Row]:
    def row(known: str, job: Job, seconds: float = 60.0) -> Row:
        result = Result(job.job_id, "run-1", RunStatus.SUCCEEDED, URLS, sent_at=NOW - seconds)
        again = decisions.comes_again(job, result, now=NOW)
        return known, job, "the message comes again" if again else "the message is done with"

    yield row("the run is still needed", SUBMITTED)
    yield row("the job had failed without this result", TIMED_OUT)
    yield row("the job is delivered", DELIVERED)
    yield row("the message is old", SUBMITTED, waits.CALLBACK_URLS.seconds)


def _stored_before() -> Iterator[Row]:
    def row(known: str, fetched: Fetched, run: Run | None = None) -> Row:
        return known, SUBMITTED, decisions.found_stored(SUBMITTED, run, fetched, now=NOW)

    yield row("they are", Stored(("shoe.jpg.webp",), ""))
    more = Run(SUBMITTED.run_id or "", RunStatus.SUCCEEDED, output_urls=("https://a", "https://b"))
    yield row("they are, and the run has more", Stored(("shoe.jpg.webp",), ""), more)
    yield row("they are, and another worker is storing outputs of this name", Busy())
    yield row("they are, and a newer photo of this name was delivered", Overtaken())


SECTIONS: Final[tuple[tuple[str, str, Callable[[], Iterable[Row]]], ...]] = (
    ("A message about a job: `resume`, `put_off`", "Where the job stands.", _resume),
    ("A job that is due: `when_due`, `runs_to_look_at`", "What reconcile finds on the item.", _when_due),
    (
        (
            "May intake continue: `evidence`, `is_lifted`, `noticed`, `tend`, `without_probe`, `candidates`, "
            "`while_draining`, `let_go`"
        ),
        "Why it is paused, what shows that the cause is gone (`detag.domain.intake`), and which photos are released.",
        _lifted,
    ),
    (
        "An upload without an event: `first_scan`, `scan_over`, `scan_of`, `taken_up`, `is_overtaken`, `after_page`",
        "What the scan of the input bucket shows.",
        _scan,
    ),
    (
        "May it be sent now: `admit`, `turn_away`, `screen_since`",
        "What the intake and the claim to the folder say.",
        _admit,
    ),
    (
        "Is it a photo to send: `screen`, by `screen_upload`, `screen_photo` and `screen_rank`",
        "In this order; the first that applies decides. No more of the photo is read than necessary.",
        _screen,
    ),
    (
        "The POST: `begin`, `before_post`, `after_post`, `count_failures`",
        "The claim before it, and what Runflow answered.",
        _after_post,
    ),
    (
        "An equal photo: `meet_picture`, `end_waiting`, `already_cleaned`, `refuse_reuse`, `after_copy`",
        "What the claim, the output bucket and the attempt to copy tell of a picture that came before.",
        _meet_picture,
    ),
    (
        "The search for an existing run: `refuse_search`, `after_list`, `adoption`, `before_resend`, `meet_again`",
        "What the run list shows about an unconfirmed job, and whether its photo is still there.",
        _after_list,
    ),
    (
        "A request to reopen a job: `reopening`, `refuse_place`, `refuse_photo`, `taking_up`",
        "How it is asked for, and what is known of the job.",
        _reopening,
    ),
    (
        "What became of a reopened job's runs: `uncounted`, `after_asking`, `as_asked`, `as_before`",
        "What Runflow tells of them, before anything is sent.",
        _after_asking,
    ),
    (
        "What such a search has come to: `RunSearch`",
        "What the pages of the run list, and the records of single runs, have shown so far.",
        _search,
    ),
    (
        "Whose run it is: `already_done`, `whose_run`, `own_run`, `proof`",
        "How a run relates to the job that a message names.",
        _whose_run,
    ),
    (
        "What the run of a closed job cost: `bill`, `is_reserved`",
        "How it ended. What Runflow billed takes the place of what was reserved.",
        _bill,
    ),
    (
        "An earlier or unmatched run: `is_uncounted`, `charge_for`, `after_other_run`",
        "What becomes of its output: a paid output is used, unless the job has already been delivered.",
        _after_other_run,
    ),
    (
        "A run that Runflow does not show: `after_unknown_other`, `after_untold`, `accepted_late`, `after_match`",
        "Whose it is said to be. That Runflow does not show it, or whose it is, is no proof that there is none.",
        _unknown,
    ),
    (
        "After the outputs of another run were fetched: `after_fetch_of_other`",
        "What became of them; the job had failed.",
        _after_fetch_of_other,
    ),
    ("A run that sent no callback in time: `after_poll`", "What reconcile learns about it.", _after_poll),
    ("After a run: `after_run`, `after_failure`", "What its record says.", _after_run),
    (
        "A run whose record could not be read: `after_no_answer`",
        "Whose run it is; its callback has no output URLs.",
        _after_no_answer,
    ),
    ("After its outputs were fetched: `after_fetch`", "What became of them.", _after_fetch),
    (
        "Is its callback asked for again: `callback_again`",
        "What the record's URLs, and the callback's, have given.",
        _callback_again,
    ),
    (
        "Is a callback's message kept for its output URLs: `comes_again`",
        "Where the job stands after the message was handled, if not all of its URLs were tried for good.",
        _comes_again,
    ),
    (
        "Are its outputs stored already: `found_stored`",
        "A job is given up only once that has been looked at: a worker may have died right after storing them.",
        _stored_before,
    ),
    ("After the end was published: `after_publishing`", "Which of the event and the record could be sent.", _published),
)


def _seconds(one: Wait | Backoff | UntilMidnight) -> str:
    if isinstance(one, UntilMidnight):
        return "until 00:00 UTC"
    if isinstance(one, Wait):
        return _number(one.seconds)
    tries = range(one.first, one.first + 3)
    bound = ", ".join(_number(one.floor + min(one.cap, one.base * 2**number)) for number in tries)
    grows = one.base < one.cap
    text = (
        f"{'up to ' if one.jitter else ''}{bound}, ... {_number(one.floor + one.cap)}"
        if grows
        else f"up to {bound.split(', ')[0]}"
    )
    return f"{text}; at least {_number(one.floor)}" if one.floor else text


def _number(seconds: float) -> str:
    """Written out, however large: 6,912,000, not 6.912e+06."""
    return f"{seconds:,.10g}"
