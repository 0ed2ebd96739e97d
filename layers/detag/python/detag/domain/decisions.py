"""What is to be done about a job, given what is known: what decides a move is here, or beside the search for a run, in
`detag.domain.search`; and nothing here does I/O.

A decision is a pure function from a job, and what was just learnt about it, to one of

    `Step`      a named transition of the job, what intake learns from it, and why: "not tried again: charged"
    `Idle`      nothing to do, and why
    or a value that names what else must be found out or done first.

Services ask, then carry out the answer. `docs/decision-tables.md` shows each of these functions as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from typing import Final

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.images import (
    ACCEPTED,
    HEAD_BYTES,
    EndNotSeen,
    Film,
    Head,
    Image,
    NotAnImage,
    ReadHead,
    ReadTail,
    TooManyPixels,
    Truncated,
    UnreadableDimensions,
    Unsupported,
    examine,
)
from detag.domain.intake import Intake
from detag.domain.job import (
    CLOSED_AGAIN,
    MAX_SAID,
    MAX_UNKNOWN,
    RETENTION_SECONDS,
    Job,
    Move,
    Reservation,
    Spent,
    State,
    Trouble,
    Upload,
    abandon_claim,
    accept,
    adopt,
    ask_again,
    ask_for_callback,
    ask_later,
    await_confirmation,
    back_off,
    bill_earlier,
    bill_reserved,
    cancel,
    claim,
    close_again,
    defer,
    deliver,
    deliver_copy,
    deliver_other,
    extend_due,
    fail,
    go_ahead,
    keep_pending,
    match_run,
    move,
    note_run,
    poll_later,
    published,
    read_again,
    release,
    reopen,
    retry,
    sequencer_rank,
    skip,
    start_over,
    supersede,
    take_over,
    take_up,
    wait_for_intake,
    wait_for_picture,
    wake,
)
from detag.domain.metrics import Metric
from detag.domain.money import is_surely
from detag.domain.outcomes import Accepted, Ambiguous, NotSent, Outcome, Refused
from detag.domain.picture import Delivery, Output, Picture, output_id, picture_id
from detag.domain.reasons import Reason
from detag.domain.reopening import MAX_REQUESTS, Refusal, Request, Way
from detag.domain.runs import Result, Run, RunStatus, aspect_ratio, permanent
from detag.domain.uploads import ignoring, is_named_as_film, other_reading, photos_beside
from detag.domain.values import dataclass

DOWN_AFTER: Final = 3
"""Failures in a row, seen by one process, that count as an outage: they pause intake, and nothing more is asked for."""
DENIED_TRIES: Final = 7
"""How often a photo that may not be read is read again: the waits between are an hour."""
MAX_EXPIRED_URLS: Final = 5
MEGABYTE: Final = 1_048_576
"""As MaxImageMegabytes counts."""
NO_OUTPUT_YET: Final = "the run succeeded and shows no output yet"
OTHER_ACCOUNT: Final = "the stored API key is of another Runflow account"
SENT_AGAIN: Final = "sent again"
AWAITING: Final = "awaiting confirmation"
NOTED: Final = "run noted"
GOOD: Final = (RunStatus.SUCCEEDED, RunStatus.PARTIAL)


class Probe(Enum):
    """What the photo that tests a paused intake has shown."""

    PASSED = "passed"
    """The cause is gone: intake drains."""
    INCONCLUSIVE = "inconclusive"
    """It ended without an answer: another photo may test at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decision that moves a job."""

    move: Move | None
    """The transition that the job takes; None where it stays as it is."""
    decision: str
    """Which decision was taken: a constant that can be searched for in the logs."""
    why: str = ""
    code: str | None = None
    """Runflow's own code for a refusal or a failure."""
    metric: Metric | None = None
    warns: bool = False
    """Whether a person may want to look at it."""
    pauses: Reason | None = None
    """Why intake is to be paused."""
    probe: Probe | None = None
    """What follows where this photo tests a paused intake."""
    unless_stored: bool = False
    """Fails the job, unless its output is there: stored by a worker that died right after."""
    not_spent: Decimal = Decimal(0)
    """US dollars that need not be paid, since a result is reused."""
    met: Picture | None = None
    """The job's picture as it was found, where the step changes it."""
    unless_output: str | None = None
    """The id of bytes that must not have been delivered."""
    keeps_decision: bool = False
    """Whether the item of an open job keeps the decision before this one; that of one that stays closed always does."""

    @property
    def explained(self) -> str:
        """The decision and why it was taken, as the item keeps it."""
        return f"{self.decision}: {self.why}" if self.why else self.decision


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is to be done."""

    why: str


# A message about a job


class Next(Enum):
    """What a job whose time has come needs first."""

    SEARCH = "search for its run"
    BEGIN = "begin a submission"
    ASK = "ask Runflow for its run"


def resume(job: Job, *, now: float, confirmation_seconds: float) -> Step | Idle | Next:
    """What a message about a job leads to."""
    match job.state:
        case State.SUBMITTING if now < job.lease_until:
            return Idle("another worker is sending it")
        case State.SUBMITTING:
            return Step(
                move=move(await_confirmation, job.lease_until + confirmation_seconds),
                decision=AWAITING,
                why="the worker that was sending it was interrupted",
            )
        case State.WAITING if now < job.not_before:
            return Idle("not due yet")
        case State.WAITING if job.unconfirmed:
            return Next.SEARCH
        case State.WAITING if job.reason is Reason.REOPENED:
            return Next.ASK
        case State.WAITING:
            return Next.BEGIN
    return Idle("already done")


def put_off(why: str, *, now: float, uniform: Uniform) -> Step:
    """A new upload that could not be judged is written down: from then on its own due time leads back to it."""
    later = move(defer, now + waits.CONTENDED.seconds(0, uniform))
    return Step(move=later, decision="interrupted", why=why, warns=True)


SENT_TO_SUBMIT: Final = "sent to submit"
SENT_TO_DELIVER: Final = "sent to deliver"


def when_due(job: Job, *, now: float) -> Step | Idle | Next:
    """What reconcile does about a job that the index of due jobs shows. Its next due time is saved before its message
    is sent: a lost message costs a wait, and the next minute does not send it again.
    """
    if job.due_at is None or job.due_at > now or job.waits_for_intake:
        return Idle("not due: the index is behind the item")
    if job.state is State.SUBMITTED:
        return Next.ASK
    if job.state.terminal:
        later = move(keep_pending, job.pending, now + waits.REDELIVER.seconds)
        why = f"still to be published: {', '.join(job.pending)}" if job.pending else "a late result is asked for"
        return Step(move=later, decision=SENT_TO_DELIVER, why=why)
    later = move(extend_due, now + waits.RESUME.seconds)
    metric = Metric.OTHER_ACCOUNT if job.reason is Reason.OTHER_ACCOUNT else None
    return Step(move=later, decision=SENT_TO_SUBMIT, why=f"due, {job.reason or job.state}", metric=metric)


def runs_to_look_at(job: Job) -> tuple[str | None, ...]:
    """The runs of a closed job that is sent to deliver, each in a message of its own. Those that failed are asked for,
    because Runflow may try any of them again by itself; and every closed job's that Runflow did not show.
    """
    if job.ask_at is None:
        return (job.run_id,)
    return _asked_for(job) or (None,)


def _asked_for(job: Job) -> tuple[str, ...]:
    """The runs that are asked for while a closed job has a time for that."""
    if job.state is State.DELIVERED:
        named = job.has_submission(job.reserved_run or "")  # a name is no id to ask by
        own = job.run_id if named else job.reserved_run or job.run_id
        untold = job.cost is None or job.reserved_run is not None
        others = (run_id for run_id in job.earlier_runs if run_id != own)
        known = filter(None, (*others, own if untold else None))
    else:
        asked = job.repairable or _has_result(job)
        known = filter(None, (*job.earlier_runs, job.run_id if asked else None))
    return (*known, *job.missing_runs)


def _is_last_asked(job: Job, run_id: str, now: float) -> bool:
    """Whether it is time to ask for a closed job's runs, and this is the one after which the next time is set."""
    return _is_asked_for(job, now) and run_id == runs_to_look_at(job)[-1]


# Before paying


def let_go(intake: Intake, *, now: float) -> Step:
    """Release a job that waits for intake, because intake drains, or as the probe of a paused one."""
    tests = intake.state == "paused"
    why = f"it tests a paused intake: {intake.reason}" if tests else f"intake is {intake.state}"
    return Step(move=move(release, now, now + waits.RESUME.seconds), decision="released", why=why)


def turn_away(job: Job, reason: Reason, *, pauses: bool = False) -> Step:
    """Let a job wait until intake releases it; `pauses`: intake learns the reason from this job."""
    stays = job.reason is reason
    return Step(
        move=None if stays else move(wait_for_intake, reason),
        decision="waits for intake",
        why=reason.value,
        pauses=reason if pauses else None,
    )


@dataclass(frozen=True, slots=True)
class Gone:
    """The photo is not there any more."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another object is at the photo's key."""


@dataclass(frozen=True, slots=True)
class InArchive:
    """The photo cannot be read before somebody restores it."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The photo may not be read."""

    why: str


NotRead = Gone | Replaced | InArchive | Forbidden


@dataclass(frozen=True, slots=True)
class LookBeside:
    """It is a film: the first of these keys at which a photo is."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadOther:
    """Nothing is at its key: whether this very upload, by the `other` reading of its key, is, and has a job."""

    other: Upload


class Find(Enum):
    """What else an upload may have to be compared with."""

    NEWEST = "the newest upload of its name"
    SEEN = "what is at its key now"
    DELIVERED = "the newest upload of its name that was delivered"


Unknown = ReadHead | ReadTail | LookBeside | ReadOther | Find
"""What has to be found out before an upload can be screened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was found out of an upload so far; None for what nobody has looked for."""

    head: Head | NotRead | None = None
    """The first bytes of what is at its key."""
    has_own_job: bool | None = None
    """Whether it has a job by the other reading of its key, where that was looked at."""
    tail: bytes | NotRead | None = None
    """The last bytes of the same."""
    beside: str | None = None
    """The key of the photo that a film lies beside; empty where there is none."""
    newest: str | None = None
    """The rank of the newest upload of its name."""
    seen: Head | NotRead | None = None
    """What was at its key after that was known."""
    delivered: str | None = None
    """The sequencer of the newest upload of its name that was delivered; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that may be sent."""

    content_type: str
    metadata: tuple[tuple[str, str], ...]
    ratio: str | None
    picture: str | None = None
    """What its picture is known by; None where that cannot be told."""
    shared: bool = True
    """Whether results are reused: one photo then pays for all that are equal."""
    as_output: str | None = None
    """What it is known by if detag delivered it; None where it is to be cleaned all the same."""


AGAIN: Final = "detag-again"
"""The user metadata by which an uploader asks for another result, with a word of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which photos are sent, and what is asked for."""

    input_bucket: str
    input_prefix: str
    """The folder whose photos are the stack's."""
    ignored_names: Sequence[str]
    """A file whose key matches one of them (`ignoring`), from the prefix on, is no photo."""
    max_bytes: int
    most_pixels: int
    photo_types: Collection[str] = ACCEPTED
    """Content types."""
    aspect_ratio: str | None
    """Such as 4:3, for photos that name none of their own; None keeps a photo's own shape."""
    reuses: bool
    """Whether what was delivered of an equal photo is delivered again."""


def screen(job: Job, known: Known, criteria: Criteria, *, now: float) -> Step | Idle | Photo | Unknown:
    """The photo that is to be sent, or why it is not; else what has to be found out first: no more than that."""
    if known.has_own_job:
        return Idle("known by its own key")
    by_event = known.head is None or known.has_own_job is not None  # once, and again by its other key
    if by_event and (refused := screen_upload(job, criteria, now=now)) is not None:
        return refused
    if known.head is None:
        return ReadHead(HEAD_BYTES, of=None)
    other = other_reading(job.upload) if isinstance(known.head, Gone) and known.has_own_job is None else None
    if other is not None:
        return ReadOther(other)
    found = screen_photo(job, known.head, known.tail, criteria, now=now, beside=known.beside)
    return (screen_rank(job, known, now=now) or found) if isinstance(found, Photo) else found


def screen_upload(job: Job, criteria: Criteria, *, now: float) -> Step | None:
    """Why an upload is not sent, by what its event says; None where the photo has to be read.

    Its age counts only when its event arrives: a job that has an item may have waited in detag for any time. Its place
    counts whenever it may go on: the stack may have been given another folder since. Its size does not count yet where
    it may be the film of a photo.
    """
    upload = job.upload
    if not is_of_stack(upload, criteria):
        cleaned = f"{criteria.input_bucket}/{criteria.input_prefix}"
        return _skipped(Reason.ELSEWHERE, f"this stack cleans {cleaned} (InputBucketName, InputPrefix)", now)
    if job.version == 0 and now - upload.uploaded_at > RETENTION_SECONDS:
        return _skipped(Reason.TOO_OLD, "the upload is more than 90 days old", now)
    if upload.is_folder_marker:
        return _not_a_photo("only a folder's name", now)
    named = upload.key.removeprefix(criteria.input_prefix)
    if upload.is_addressable and (ignored := ignoring(criteria.ignored_names, named)):
        return _not_a_photo(f"its name is one that is ignored: {ignored}", now)
    if upload.size == 0:
        return _skipped(Reason.EMPTY, "the file is empty", now)
    if _is_too_large(upload, criteria) and not is_named_as_film(upload.key):
        return _too_large(upload, criteria, now)
    if not upload.is_addressable:
        return _failed_unpaid(Reason.UNUSABLE_NAME, "no URL can name it", now)
    return None


def _is_too_large(upload: Upload, criteria: Criteria) -> bool:
    return upload.size > criteria.max_bytes


def _too_large(upload: Upload, criteria: Criteria, now: float) -> Step:
    """It says both in the unit of the parameter, with as much of a fraction as is seen to be above the limit."""
    megabytes, most = -(-upload.size * 10 // MEGABYTE) / 10, criteria.max_bytes // MEGABYTE
    said = f"it has {megabytes:,.{0 if megabytes.is_integer() else 1}f} MB, and the limit is {most:,} MB"
    return _skipped(Reason.TOO_LARGE, said, now)


def is_of_stack(upload: Upload, criteria: Criteria) -> bool:
    """Whether an upload is in the folder that the stack cleans."""
    return upload.bucket == criteria.input_bucket and upload.key.startswith(criteria.input_prefix)


def screen_since(job: Job, since: float, *, now: float) -> Step | None:
    """Why a photo is not sent by a claim to its folder that covers what was uploaded `since`; None where it is. What a
    person asked for is.
    """
    if job.requests or job.upload.uploaded_at >= since:
        return None
    return _skipped(Reason.OTHER_STACKS, "it was uploaded before this stack had the folder", now)


def screen_photo(
    job: Job,
    head: Head | NotRead,
    tail: bytes | NotRead | None,
    criteria: Criteria,
    *,
    now: float,
    beside: str | None = None,
) -> Step | ReadHead | ReadTail | LookBeside | Photo:
    """The photo that is to be sent, or why it is not, by the first bytes of what is at its key now, and the last, None
    where they were not read yet; else what more of it has to be read. `beside`: the key of the photo that a film lies
    beside, empty where there is none, None where nobody has looked.
    """
    if isinstance(head, Head) and not _is_of(job.upload, head):
        head = Replaced()
    if not isinstance(head, Head):
        return _not_read(job, head, now)
    if tail is not None and not isinstance(tail, bytes):
        return _not_read(job, tail, now)
    is_too_large = _is_too_large(job.upload, criteria)  # then it was read for its film's name, and may be none
    try:
        found = examine(head, tail, criteria.most_pixels, criteria.photo_types)
    except NotAnImage as error:
        if isinstance(error, Film) or not is_too_large:
            return _no_photo(job, error, beside, now)
        return _too_large(job.upload, criteria, now)
    if is_too_large:
        return _too_large(job.upload, criteria, now)
    return _photo(job, found.content_type, head, criteria, now) if isinstance(found, Image) else found


def _no_photo(job: Job, error: NotAnImage, beside: str | None, now: float) -> Step | LookBeside:
    """What becomes of a file that is not sent. A telephone takes a film with each photo, under its name: nobody meant
    that as a photo. One on its own may be.
    """
    if isinstance(error, Film):
        if beside is None:
            return LookBeside(photos_beside(job.upload.key))
        if beside:
            return _not_a_photo(f"a film beside its photo, {beside}", now)
    return _skipped(_WHY_NOT.get(type(error), Reason.NOT_AN_IMAGE), str(error), now)


def _photo(job: Job, content_type: str, head: Head, criteria: Criteria, now: float) -> Step | Photo:
    """A photo that was seen to be complete, in the shape that is asked for."""
    try:
        ratio = aspect_ratio(head.metadata.get("aspect-ratio") or criteria.aspect_ratio)
    except ValueError as error:
        return _failed_unpaid(Reason.INVALID_ASPECT_RATIO, str(error), now)
    again = head.metadata.get(AGAIN) or None
    return Photo(
        content_type,
        tuple(sorted(head.metadata.items())),
        ratio,
        picture=picture_id(head.etag, head.size, ratio=ratio, again=again),
        shared=criteria.reuses,
        as_output=output_id(head.etag, head.size) if again is None and job.again is None else None,
    )


def screen_rank(job: Job, known: Known, *, now: float) -> Step | Find | None:
    """Why an upload is not sent where a newer one has its name; None where it is the newest, or what was newer has been
    taken back: this version is what is seen at its key afterwards. Without versions that cannot be told from an upload
    of the same bytes. The output of a newer one that was delivered stays.
    """
    upload = job.upload
    if known.newest is None:
        return Find.NEWEST
    if known.newest <= upload.rank:
        return None
    if upload.version and known.seen is None:
        return Find.SEEN
    if not upload.version or not isinstance(known.seen, Head) or not _is_of(upload, known.seen):
        return _superseded(Reason.NEWER_UPLOAD, "a newer photo of this name came first", now)
    if known.delivered is None:
        return Find.DELIVERED
    if known.delivered and sequencer_rank(known.delivered) > upload.rank:
        return _superseded(Reason.NEWER_UPLOAD, "a newer photo of this name, since deleted, was delivered", now)
    return None


def _is_of(upload: Upload, seen: Head) -> bool:
    """Whether what was read is the very upload: by its version, and by its ETag where the bucket keeps no versions."""
    if upload.version or seen.version_id:
        return seen.version_id == upload.version
    return not upload.etag or seen.etag == upload.etag


def _not_read(job: Job, seen: NotRead, now: float) -> Step:
    match seen:
        case Gone():
            return _superseded(Reason.DELETED, "deleted before it was sent", now)
        case Replaced():
            return _superseded(Reason.REPLACED, "replaced before it was sent", now)
        case InArchive():
            return _failed_unpaid(Reason.ARCHIVED, "it lies in an archive storage class", now)
    if job.reason is Reason.INTERRUPTED:  # whichever fails by turns, it is counted once
        return _interrupted(job, seen.why, now)
    tries = job.tries if job.reason is Reason.ACCESS_DENIED else 0
    if tries >= DENIED_TRIES:
        return _failed_unpaid(Reason.NO_PERMISSION, seen.why, now)
    return _read_again(Reason.ACCESS_DENIED, now + waits.ACCESS_DENIED.seconds(tries, max), seen.why)


def if_interrupted(job: Job) -> Callable[[str, float], Step | Idle]:
    """What would follow if AWS failed, by why and when: for a photo that nothing was sent for it may fail for ever. Any
    other comes due again, and has deadlines of its own.
    """
    if job.state is not State.WAITING or job.unconfirmed or job.reason is Reason.REOPENED:
        return lambda _why, _now: Idle("interrupted")
    return lambda why, now: replace(_interrupted(job, why, now), probe=None)  # a probe has its time


def _interrupted(job: Job, why: str, now: float) -> Step:
    tries = job.tries if job.reason in (Reason.INTERRUPTED, Reason.ACCESS_DENIED) else 0
    if tries >= waits.INTERRUPTED_TRIES:
        return _failed_unpaid(Reason.NOT_PREPARED, why, now)
    return _read_again(Reason.INTERRUPTED, now + waits.INTERRUPTED.seconds(tries, max), why)


def is_interrupted_often(job: Job) -> bool:
    """Whether AWS has failed before a photo was sent for about as long as new permissions may take."""
    return job.reason is Reason.INTERRUPTED and job.tries >= DENIED_TRIES


def _read_again(reason: Reason, not_before: float, why: str) -> Step:
    return Step(
        move=move(read_again, reason, not_before, why),
        decision="read again later",
        why=why,
        warns=True,
        probe=Probe.INCONCLUSIVE,
    )


def _skipped(reason: Reason, detail: str, now: float) -> Step:
    return _not_sent(move(skip, reason, detail, now), reason)


def _not_a_photo(detail: str, now: float) -> Step:
    return replace(_skipped(Reason.NOT_A_PHOTO, detail, now), metric=Metric.NOT_A_PHOTO)


def _superseded(reason: Reason, detail: str, now: float) -> Step:
    return _not_sent(move(supersede, reason, detail, now), reason)


def _failed_unpaid(reason: Reason, detail: str, now: float) -> Step:
    return _not_sent(move(fail, reason, detail, now, free=True), reason)


def _not_sent(closes: Move, reason: Reason) -> Step:
    return Step(move=closes, decision="not sent", why=reason.value, probe=Probe.INCONCLUSIVE)


_WHY_NOT: Final[dict[type[NotAnImage], Reason]] = {
    Unsupported: Reason.UNSUPPORTED_TYPE,
    Film: Reason.UNSUPPORTED_TYPE,
    Truncated: Reason.TRUNCATED,
    EndNotSeen: Reason.END_NOT_SEEN,
    UnreadableDimensions: Reason.UNREADABLE_DIMENSIONS,
    TooManyPixels: Reason.TOO_MANY_PIXELS,
}


# Paying


def begin(
    job: Job,
    reservation: Reservation,
    *,
    photo: Photo,
    body: str,
    now: float,
    url_expires_at: float,
    account: tuple[str, ...],
    run_timeout_hours: int,
    over: TakeOver | None = None,
) -> Step:
    """Claim a job for a submission whose POST has that body, with a presigned URL in it, and a key of that account. Its
    picture is taken with it, for as long as a run may take: one that nobody has met yet, or as `over` says.
    """
    number = job.submission_no + 1
    met = over.picture if over is not None else None
    claimed = move(
        claim,
        submission_no=number,
        body=body,
        reservation=reservation,
        content_type=photo.content_type,
        source_metadata=photo.metadata,
        now=now,
        lease_until=now + waits.LEASE.seconds,
        url_expires_at=url_expires_at,
        account=account,
        picture=photo.picture,
        picture_version=(met.version if met else 0) + 1,
        picture_until=now + run_timeout_hours * 3_600.0 if photo.shared else 0.0,
        not_reused=over.not_reused if over is not None else None,
    )
    why = f"submission {number}"
    return Step(move=claimed, decision="sending", why=why, met=met, unless_output=photo.as_output)


# An equal photo


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The job takes its picture as it was found, and pays for it."""

    picture: Picture
    not_reused: str | None = None
    """Why what is known of the picture is not used, where something is."""


@dataclass(frozen=True, slots=True)
class Reusable:
    """What was delivered of the picture is to be delivered for this job too, if it is still there."""


@dataclass(frozen=True, slots=True)
class Untold:
    """The item of a job cannot be read."""


def meet_picture(
    job: Job, picture: Picture, payers: Sequence[Job | Untold], *, now: float
) -> Step | TakeOver | Reusable:
    """What follows where an equal photo came before. `payers`: the jobs that have taken the picture, where there are
    such jobs.
    """
    others = [one for one in payers if isinstance(one, Untold) or one.job_id != job.job_id]
    pays = any(isinstance(one, Untold) or (one.holds_picture and one.picture == picture.picture_id) for one in others)
    if pays and now < picture.taken_until:
        wait = waits.SAME_PICTURE.seconds(job.tries if job.reason is Reason.SAME_PICTURE else 0, max)
        due_at = min(now + wait, max(picture.taken_until, now + waits.SAME_NAME.seconds))
        return Step(
            move=move(wait_for_picture, due_at, picture.picture_id),
            decision=WAITS_FOR_PICTURE,
            why=f"job {picture.taken_by} pays for it",
            probe=Probe.INCONCLUSIVE,
            met=picture,
        )
    if picture.is_known and job.again is None:
        return Reusable()
    return TakeOver(picture, "another result was asked for" if picture.is_known else None)


WAITS_FOR_PICTURE: Final = "waits for an equal photo"


def end_waiting(*, now: float) -> Step:
    """Wake a job that waits for an equal photo, whose own job has ended."""
    return Step(move=move(wake, now), decision="woken", why="the job of an equal photo has ended")


def already_cleaned(*, now: float) -> Step:
    """What was delivered by detag, and uploaded by somebody, is not cleaned again."""
    return _skipped(Reason.ALREADY_CLEANED, "it is an output that detag delivered", now)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the output bucket tells of an output that may be reused."""

    there: bool
    """Whether the version that was delivered can still be read."""
    untouched: bool
    """Whether it, or a newer output of the same photo, is what its key shows, or detag itself removed it from there."""
    rejected: bool
    """Whether somebody rejected it."""


WAS_REJECTED: Final = "the earlier result was rejected"


def is_as_delivered(outputs: Sequence[Facts]) -> bool:
    """Whether all outputs of one name can be a source of copies."""
    return all(one.there and one.untouched for one in outputs)


def refuse_reuse(names: Sequence[Sequence[Facts]]) -> str | None:
    """Why what was delivered of a picture is not reused, by its outputs of each name; None where it is: under one name
    they are all as they were delivered, and none was rejected under any.
    """
    if any(one.rejected for outputs in names for one in outputs):
        return WAS_REJECTED
    if any(is_as_delivered(outputs) for outputs in names):
        return None
    if not any(all(one.there for one in outputs) for outputs in names):
        return "the earlier result is gone or cannot be read"
    return "the earlier result was deleted or overwritten"


@dataclass(frozen=True, slots=True)
class Source:
    """What a result is copied from."""

    delivery: Delivery
    picture: Picture
    """As it was met, with that result in front, and without those of its names whose outputs were found to be gone."""


def after_copy(source: Source, copied: Fetched, *, now: float, price: Decimal) -> Step | Again:
    """What the attempt to deliver copies of known outputs leads to; `price` in US dollars: what that saves."""
    match copied:
        case Stored(keys) if keys:
            return _reused(source, copied, now, price)
        case Overtaken():
            why = "a newer photo of this name was delivered"
            newer = move(supersede, Reason.NEWER_DELIVERED, why, now)
            return Step(move=newer, decision="not stored", why=why)
        case Busy():
            return Step(
                move=move(wait_for_picture, now + waits.SAME_NAME.seconds),
                decision=WAITS_FOR_PICTURE,
                why="another worker is storing outputs of this name",
                probe=Probe.INCONCLUSIVE,
            )
        case NotStored(why):
            return Again(why)
    return Again("the outputs could not be copied")


def _reused(source: Source, copied: Stored, now: float, price: Decimal) -> Step:
    picture, delivery = source.picture, source.delivery
    delivered = move(
        deliver_copy,
        copied.keys,
        now,
        picture=picture.picture_id,
        reused_from=delivery.outputs[0].key,
        partial=picture.first.partial,
        stored=copied.outputs,
        leftovers=copied.leftovers,
    )
    return Step(
        move=delivered,
        decision="delivered",
        why=f"an equal photo was cleaned before: {delivery.source_key or delivery.outputs[0].key}"[:MAX_SAID],
        metric=Metric.REUSED,
        not_spent=price,
        probe=Probe.INCONCLUSIVE,
        met=picture,
    )


def before_post(job: Job, *, seconds: float, killed_in: float, now: float) -> NotSent | None:
    """Why a claimed job is not sent now, with `seconds` left for the POST; None where it is. However long its process
    stalls, nothing leaves it once it is killed, in `killed_in` seconds.
    """
    if seconds <= 0:
        return NotSent("too little time is left")
    day = job.reservation.day if job.reservation else ""
    if not is_surely(day, now, seconds=killed_in, skew=waits.CLOCK_SKEW):
        return NotSent("midnight UTC is too near: its money is of another day")
    return None


def after_post(
    job: Job,
    outcome: Outcome | NotSent,
    *,
    now: float,
    confirmation_seconds: float,
    failures: int,
    probe: bool,
    uniform: Uniform,
) -> Step:
    """What Runflow's answer to the POST means. `failures`: how many in a row, this one included (`count_failures`)."""
    match outcome:
        case Accepted(run_id):
            accepted = move(accept, run_id, now, now + waits.FIRST_POLL.seconds)
            return Step(move=accepted, decision="run created", why=run_id, metric=Metric.SUBMITTED, probe=Probe.PASSED)
        case NotSent(why):
            return Step(move=move(abandon_claim, now), decision="not sent now", why=why, warns=True)
        case Ambiguous(why, down):
            wait = max(confirmation_seconds, waits.NOT_ACCEPTED.seconds(job.unclear_posts, max))
            return Step(
                move=move(await_confirmation, now + wait, counts=not probe),
                decision=AWAITING,
                why=f"no clear answer: {why}",
                metric=Metric.AMBIGUOUS_SUBMISSION,
                warns=True,
                pauses=Reason.RUNFLOW_DOWN if down and (probe or failures >= DOWN_AFTER) else None,
            )
        case Refused(status=429, retry_after=asked):
            return _limited(job, outcome, now, at_least=asked or 0.0, probe=probe, uniform=uniform)
        case Refused(status, code) if status == 402 or (code or "").startswith("INSUFFICIENT_CREDIT"):
            return _refused_for_now(job, Reason.OUT_OF_CREDIT, outcome, now)
        case Refused(status=401 | 403 | 404):
            return _refused_for_now(job, Reason.UNAUTHORIZED, outcome, now)
    return _refused(job, outcome, now)


def _refused(job: Job, refusal: Refused, now: float) -> Step:
    """Refused for good; which says nothing of an earlier POST without an answer: that may have made a run. A person is
    told of those, not of what was surely refused.
    """
    message = refusal.message or refusal.code or "no reason given"
    said = f"Runflow answered {refusal.status}: {message}"[:MAX_SAID]
    reason = Reason.REFUSED_UNCONFIRMED if job.unaccounted else Reason.REFUSED
    closed = move(fail, reason, said, now, code=refusal.code, free=not job.unaccounted)
    return Step(move=closed, decision="refused", why=said, code=refusal.code, warns=True, probe=Probe.INCONCLUSIVE)


def _limited(job: Job, refusal: Refused, now: float, *, at_least: float, probe: bool, uniform: Uniform) -> Step:
    """A 429, with the seconds that Runflow asked for. One photo that has had nothing else for hours, or is a probe,
    pauses intake; if that happens to it ever again, while others are let through, it is given up.
    """
    if probe or job.limited >= waits.LIMITED_TRIES:
        if job.unclear_posts >= waits.MAX_UNCLEAR and not job.is_unanswered and not probe:
            return not_accepted(f"{job.unclear_posts} requests, the latest {job.client_ref}", now)
        bounded = waits.RATE_LIMITED.bounded(at_least)
        return _refused_for_now(job, Reason.TOO_MANY_REQUESTS, refusal, now, at_least=bounded, counts=not probe)
    wait = waits.RATE_LIMITED.seconds(job.limited, uniform, at_least=at_least)
    limited = move(back_off, Reason.RATE_LIMITED, now + wait)
    decision = AWAITING if job.is_unanswered else "sent again later"
    return Step(move=limited, decision=decision, why="rate limited")


def not_accepted(said: str, now: float) -> Step:
    """No request made a run, so that nothing was paid: what turns up all the same is still used. `said`: how many there
    were, and the name of the latest.
    """
    closed = move(fail, Reason.NOT_ACCEPTED, said, now, free=True)
    return Step(move=closed, decision="given up", why=Reason.NOT_ACCEPTED.value, warns=True)


def _refused_for_now(
    job: Job, reason: Reason, refusal: Refused, now: float, *, at_least: float = 0.0, counts: bool = False
) -> Step:
    """The refusal says nothing of an earlier POST of the same bytes: what became of that has to be found out first.
    `at_least`: seconds that Runflow asked for.
    """
    why = f"{reason}, Runflow answered {refusal.status}"
    return Step(
        move=move(back_off, reason, now + at_least, counts=counts),
        decision=AWAITING if job.is_unanswered else "waits for intake",
        why=why,
        code=refusal.code,
        warns=True,
        pauses=reason,
    )


def count_failures(failures: int, outcome: Outcome | NotSent) -> int:
    """How many answers in a row point to an outage, after this one."""
    if isinstance(outcome, NotSent):
        return failures
    return failures + 1 if isinstance(outcome, Ambiguous) and outcome.down else 0


# A run that is there already, or may be


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Runflow did not tell; where it was asked at a cursor, it is asked there again."""

    why: str
    cursor: str | None = None
    to_ask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adopt:
    """The job's run, and those that are or may be charged beside what is reserved: others that it must not have; and
    this one, if the money is another's.
    """

    run_id: str
    unmatched: tuple[Run, ...]
    client_ref: str | None = None
    """Which submission's run it is: the latest's unless said."""
    latest_is_shown: bool = False
    """Whether a run of the latest submission is among all of these: no money has to stay for it."""


def before_resend(
    job: Job, again: Step, seen: Head | NotRead, delivered: str, criteria: Criteria, *, now: float
) -> Step:
    """The step that sends a photo again unchanged, while it is what is at its key; else one after which it is judged
    anew. `delivered`: the sequencer of the newest upload of its name that was delivered.
    """
    if not is_of_stack(job.upload, criteria):
        why = "no run exists, and the photo is outside of the stack's folder"
    elif not isinstance(seen, Head) or not _is_of(job.upload, seen):
        why = "no run exists, and the photo is gone or unreadable"
    elif delivered and sequencer_rank(delivered) > job.upload.rank:
        why = "no run exists, and a newer photo of its name was delivered"
    else:
        return again
    return Step(move=move(start_over, now), decision="started over", why=why)


def meet_again(*, now: float) -> Step:
    """A photo is not sent again whose picture is known meanwhile, or another's: the next claim finds out."""
    why = "no run exists, and an equal photo came first"
    return Step(move=move(start_over, now), decision="started over", why=why)


def usefulness(run: Run) -> int:
    """Of several runs the first is adopted: one with an output, else one that may still give one, else one that was
    charged. A free failure would lead to another run, and so to a second payment.
    """
    if run.status in GOOD:
        return 0
    if run.may_give_output:
        return 1
    return 2 if run.cost is not None and run.cost > 0 else 3


def adoption(found: Adopt, reservation: Reservation, *, now: float) -> Step:
    """Take over a run that proved to be the job's; `reservation`: what it is charged with if nothing was reserved."""
    due_at = now + waits.ADOPTED_POLL.seconds
    named = {"latest_is_shown": True} if found.latest_is_shown else {}
    taken = move(adopt, found.run_id, reservation, now, due_at, client_ref=found.client_ref, **named)
    return Step(move=taken, decision="run adopted", why=found.run_id)


# Another run of the job, and what it cost


def _has_result(job: Job) -> bool:
    """Whether a job's run gave a result, delivered or dropped, of which only the cost may be left to be asked for."""
    dropped = job.reason is Reason.NEWER_DELIVERED and job.run_id is not None and job.cost is None
    return job.state is State.DELIVERED or dropped


def already_done(job: Job, run_id: str) -> Idle | None:
    """Whether a message about a run is of no use any more, before the run is asked for."""
    billed = job.ask_at is None or not _has_result(job)
    over = run_id == job.run_id and job.state.terminal and not job.repairable and billed
    return Idle("already done") if over else None


@dataclass(frozen=True, slots=True)
class FetchOther:
    """The outputs of a run that is not the job's own are to be fetched and stored as the job's."""

    run: Run


def is_uncounted(job: Job, run: Run) -> bool:
    """Whether a run was charged, and no reservation of the job stands for it, nor will. So is another run that ended
    free of charge: what it was charged with while it went on is corrected.
    """
    if run.run_id == job.run_id:
        elsewhere = job.reservation is None or job.reserved_run not in (None, run.run_id)
        return (run.charged or run.status.terminal) and elsewhere and not stands_for(job, run)
    return (run.charged or run.status.terminal) and not is_reserved(job, run) and not stands_for(job, run)


def uncounted(job: Job, found: Sequence[Run] | Unanswered) -> list[Run]:
    """The earlier runs of a reopened job that were charged unnoticed: they are counted, whatever comes of them."""
    runs = () if isinstance(found, Unanswered) else found
    return [run for run in runs if run.run_id in job.earlier_runs and is_uncounted(job, run)]


def is_reserved(job: Job, run: Run) -> bool:
    """Whether the job's reservation is for a run that is not its own, known by its id or by the name of the request
    that may have made it: no POST of that name had an answer, so no other run bears it.
    """
    return job.reserved_run is not None and job.reserved_run in (run.run_id, run.client_ref)


def bill(job: Job, run: Run) -> Step | Again | None:
    """What the money that stands for a run becomes once that run has ended, however it ended: what Runflow billed. None
    where that is known already, or Runflow does not say.
    """
    cost = _billed(job, run)
    if cost is None:
        return None
    ended = f"run {run.run_id} has ended, {f'for ${cost}' if Decimal(cost) else 'free of charge'}"
    if (spent := _spent_for(job, run)) is not None:
        if max(Decimal(cost), Decimal(0)) == spent.reservation.usd:
            return None
        if job.state is State.SUBMITTING:
            return Again("the photo is being sent")
        earlier = move(bill_earlier, run.run_id, cost, known_as=spent.run_id)
        return Step(move=earlier, decision="billed", why=ended, keeps_decision=True)
    own = run.run_id == job.run_id and job.reserved_run in (None, run.run_id)
    beside = job.state is State.SUBMITTED and run.run_id != job.run_id and is_reserved(job, run)
    if job.reservation is None or not (beside or (job.state.terminal and (own or is_reserved(job, run)))):
        return None
    asked = job.state is State.DELIVERED and job.ask_at is not None and not job.earlier_runs
    if run.run_id in (job.run_id, job.reserved_run) and job.reservation.usd == Decimal(cost) and not asked:
        return None
    return Step(move=move(bill_reserved, cost, run.run_id), decision="billed", why=ended, keeps_decision=beside)


def _billed(job: Job, run: Run) -> str | None:
    """What Runflow surely billed for a run of a job that has ended, in US dollars; None while that is not known. A job
    without a result was asked about while its run went on: that tells nothing of what the run costs.
    """
    if not run.status.terminal:
        return None
    free = not run.charged or (run.cost == 0 and _has_result(job) and job.tries > 0)
    return "0" if free else _usd(run)


def after_other_run(job: Job, run: Run, *, now: float) -> Step | Idle | FetchOther | Again:
    """What the record of an earlier or unmatched run of a job leads to, once it was charged to the day budget.

    One paid output, one delivery: the output that is there is used, also while the job's own run is still going on. Of
    an unmatched run it is used only while the POST that it bears the name of is unaccounted for: what others give the
    name of an answered one is not ours.
    """
    if is_reserved(job, run) and job.state is State.DELIVERED:
        return _ask_for_cost(job, run, now)
    if run.run_id in job.replaced_runs:
        why = "a new run was asked for in its place"
        return _ask_later(job, why, now) if _is_last_asked(job, run.run_id, now) else Idle(why)
    if run.run_id not in job.earlier_runs and run.client_ref not in job.awaited:
        return Idle("no run of the job is missing")
    if run.status not in GOOD:
        return _await_other(job, run, Idle("another run of the job has no result to use"), now)
    match job.state:
        case State.SUBMITTING:
            return Again("another run has succeeded while the photo is being sent again")
        case State.WAITING:
            due_at = now + waits.ADOPTED_POLL.seconds
            taken = move(take_over, run.run_id, now, due_at, client_ref=run.client_ref)
            why = f"it has succeeded: {run.run_id}"
            return Step(move=taken, decision="another run taken over", why=why, warns=True)
        case State.DELIVERED:
            pass
        case _ if job.reason is not Reason.NEWER_DELIVERED:  # the photo may be gone: what was paid for is delivered
            return FetchOther(run) if run.output_urls else _await_other(job, run, Again(NO_OUTPUT_YET), now)
    return _await_other(job, run, Idle("another run of the job is not needed"), now)


def _await_other(job: Job, run: Run, otherwise: Idle | Again, now: float) -> Step | Idle | Again:
    """What another run of a failed job has not given yet is asked for together with the job's own, by the due time of
    the item: it is on the item from then on. `otherwise`: what the run leads to where nothing is asked for.
    """
    if _is_last_asked(job, run.run_id, now):
        return _ask_later(job, otherwise.why, now)
    if not job.repairable or (job.ask_at is None and not run.may_give_output):
        return otherwise
    if run.run_id not in job.earlier_runs:
        ask_at = _first_ask(now) if job.ask_at is None else job.ask_at
        return Step(move=move(ask_again, ask_at, run_id=run.run_id), decision="asked again later", why=otherwise.why)
    if job.ask_at is None:
        return _ask_later(job, otherwise.why, now)
    return Idle(f"{otherwise.why}: it is asked for again with the job's own")


def _ask_for_cost(job: Job, run: Run | None, now: float) -> Step | Idle:
    """Ask what the run of a job with a result costs until Runflow says; until then, what was reserved for it stays."""
    if run is not None and _billed(job, run) is not None:
        return _ask_later(job, f"its cost is known: ${run.cost}", now, last=not job.earlier_runs)
    return _ask_later(job, "Runflow does not say what the run costs", now)


def charge_for(run: Run, before: Reservation | None, *, price: Reservation) -> Reservation | None:
    """What a run without a reservation is charged with, instead of what it was `before`: its cost, as soon as Runflow
    tells, and nothing where it ended free of charge; `price`: that of an image, and today.
    """
    if run.status.terminal and not run.charged:
        return before and replace(before, usd=Decimal(0))
    kept, cost = before or price, _usd(run)
    return replace(kept, usd=kept.usd if cost is None else max(Decimal(cost), Decimal(0)))


def after_unknown_other(
    job: Job, run_id: str, *, now: float, why: str = "Runflow does not know the run"
) -> Step | Idle:
    """What follows where Runflow does not show a run that is said to be a job's, and is not its own. That is no proof
    that there is none: its id is kept, and it is asked for as long as a late result is.
    """
    if _is_last_asked(job, run_id, now):
        return _ask_later(job, why, now)
    if run_id in (*job.runs, *job.unknown_runs):
        return Idle(f"{why}: it is asked for again")
    if why_not := _why_not_noted(job, now):
        return _not_kept(f"{why}, and {why_not}")
    return noted(job, run_id, why, now=now)


def after_untold(job: Job, run_id: str, *, now: float) -> Step | Idle:
    """What follows where the record of a run does not tell whether a POST without a clear answer made it: the same, for
    the run list need not show it, and nothing may be sent again while it may be the job's. A person is told at once.
    """
    decided = after_unknown_other(job, run_id, now=now, why="its record does not tell whose it is")
    if isinstance(decided, Step) and decided.decision == NOTED:
        return replace(decided, metric=Metric.UNMATCHED_CALLBACK)
    return decided


def _why_not_noted(job: Job, now: float) -> str:
    """Why the id of a run that Runflow does not show is not kept; empty where it is."""
    if job.submission_no == 0:
        return "nothing was sent"
    if len(job.unknown_runs) >= MAX_UNKNOWN:
        return f"neither were {MAX_UNKNOWN} others"
    late = job.closed_at is not None and now - job.closed_at > waits.LATE_RESULT.seconds
    return "the job was closed too long ago to ask for it" if late else ""


def noted(job: Job, run_id: str, why: str, *, now: float) -> Step:
    """Keep the id of a run that may be a job's, so that no lost message loses it."""
    ask_at = (job.ask_at or _first_ask(now)) if job.state.terminal else None
    return Step(
        move=move(note_run, run_id, ask_at),
        decision=NOTED,
        why=f"{why}: {run_id}",
        warns=True,
        keeps_decision=True,
    )


def accepted_late(job: Job, run_id: str, *, now: float) -> Step:
    """A POST was accepted once its job had gone on without it: the run is ours, and no callback need tell of it."""
    why = "its POST was accepted late"
    kept = run_id not in job.unknown_runs and not _why_not_noted(job, now)
    if kept:
        return noted(job, run_id, why, now=now)
    return Step(move=None, decision="run accepted late", why=run_id, warns=True)


def _not_kept(why: str) -> Step:
    return Step(move=None, decision="unmatched callback", why=why, metric=Metric.UNMATCHED_CALLBACK, warns=True)


def after_match(job: Job, run_id: str, run: Run, *, ours: bool) -> Step | None:
    """What is noted of a run that was not shown before, now that it is. One that a POST without a clear answer made is
    an earlier run of a closed job from then on; the others are of no more use once their cost can be known.
    """
    if run_id not in job.missing_runs or job.state is State.SUBMITTING or (ours and not job.state.terminal):
        return None
    missing = ours and run.client_ref in job.awaited
    if ours and not missing and not run.status.terminal:
        return None
    earlier = (*job.earlier_runs, run_id) if missing else job.earlier_runs
    left = tuple(one for one in job.unknown_runs if one != run_id)
    ask_at = job.ask_at if _asked_for(replace(job, unknown_runs=left, earlier_runs=earlier)) else None
    matched = move(match_run, run_id, ask_at, missing=missing)
    return Step(
        move=matched, decision="run matched", why=f"{run_id} is {'ours' if ours else 'not ours'}", keeps_decision=True
    )


def done_of(job: Job, run: Run) -> tuple[str, ...]:
    """What has become of a run's outputs so far, as the job keeps it of one of its runs."""
    return job.done if run.run_id == (job.done_run or job.run_id) else ()


def after_fetch_of_other(job: Job, run: Run, fetched: Fetched, *, now: float) -> Step | Idle | Again:
    """What the attempt to store the outputs of a run that is not the job's own leads to."""
    match fetched:
        case Partway(done) | NotStored(done=done) if job.repairable and len(done) > len(done_of(job, run)):
            later = move(ask_again, now + waits.MORE_OUTPUTS.seconds, done, run_id=run.run_id)
            return Step(move=later, decision="goes on later", why=f"{len(done)} outputs are done with")
        case NotStored(why):
            return _await_other(job, run, Again(why), now)
        case Partway(done):
            return Again(f"{len(done)} outputs are done with")
        case Busy():
            return Again("another worker is storing outputs of this photo")
        case Stored(keys, refused, leftovers, outputs, same_photo) if keys:
            partial = run.status is RunStatus.PARTIAL or bool(refused)
            other = move(
                deliver_other,
                run.run_id,
                keys,
                now,
                cost=_usd(run),
                partial=partial,
                ask_at=_first_ask(now),
                reserved=is_reserved(job, run),
                leftovers=leftovers,
                stored=outputs,
                remembered=same_photo and shows_picture(job, run),
            )
            return Step(move=other, decision="delivered", why=f"from another paid run of the photo: {run.run_id}")
    return _await_other(job, run, Idle("another run of the job has no output to store"), now)


# Reopened


_COPIED: Final = "it is a copy of an equal photo's output: upload the photo again, or reopen it as paid"


def reopening(job: Job, request: Request, *, charged: bool, now: float) -> Step | Idle | Refusal:
    """What a request to reopen a job leads to. `charged`: whether one of its runs was charged by its id."""
    if any(one.request_id == request.request_id for one in job.requests):
        return Idle("carried out already")
    if not job.state.terminal:
        return Refusal(f"the job is open: {job.state}")
    if (job.closed_at or 0.0) > request.at + waits.CLOCK_SKEW:
        return Refusal("it was asked for before the job was closed")
    if len(job.requests) >= MAX_REQUESTS:
        return Refusal(f"it was reopened {MAX_REQUESTS} times")
    unsure = job.reservation is not None and job.run_id is None
    known = bool(job.runs or job.unaccounted or unsure)
    copied = job.state is State.DELIVERED and job.reused_from is not None
    match request.how:
        case Way.ASK if not known:
            return Refusal(_COPIED if copied else "it has no run to ask for")
        case Way.UNPAID if charged or _was_charged(job):
            return Refusal(_COPIED if copied else "it was charged, or may have been: reopen it as paid, or ask")
        case Way.UNPAID if unsure and not job.reserved_unconfirmed:  # its item is of an earlier version
            return Refusal("an unclear answer may have made a run that cannot be told from others: ask, or pay")
        case Way.ASK | Way.UNPAID if known:
            reason = Reason.REOPENED
        case _:
            reason = Reason.UNCONFIRMED if unsure else Reason.READY
    opened = move(reopen, request, reason, now, now + waits.RESUME.seconds)
    return Step(move=opened, decision="reopened", why=_asked_by(request), metric=Metric.REOPENED)


def refuse_place(upload: Upload, request: Request, criteria: Criteria) -> Refusal | None:
    """Why a closed job is not opened again, by where its photo is; None where that is no reason. To ask, its folder
    need not be the stack's any more.
    """
    if request.how is Way.ASK or is_of_stack(upload, criteria):
        return None
    return Refusal("its photo is outside of InputPrefix, or in another bucket")


def refuse_photo(
    upload: Upload, request: Request, seen: Head | NotRead, *, newest: str, delivered: str
) -> Refusal | None:
    """Why a closed job is not opened again, by what is `seen` at its photo's key now; None where that is no reason.
    `newest`, `delivered`: the sequencers of the newest upload of its name, and of the newest that was delivered.

    To ask, the photo itself is not needed: what was paid for is delivered though the photo is gone.
    """
    if delivered and sequencer_rank(delivered) > upload.rank:
        return Refusal("a newer photo of its name has been delivered")
    if request.how is Way.ASK:
        return None
    match seen:
        case Gone():
            return Refusal("its photo, or this version of it, is gone")
        case Head() if not _is_of(upload, seen):
            return Refusal("another photo, or another version of it, is at its key now")
        case Replaced():
            return Refusal("another photo, or another version of it, is at its key now")
    if upload.version is None and newest > upload.rank:
        return Refusal("a newer photo of its name was uploaded")
    return None


def as_before(job: Job, step: Step, *, now: float) -> Step:
    """The step that closes a job whose photo is gone, or elsewhere, or has a newer one. A reopened job of which nothing
    was sent is closed as it was: that is what its photo, and what was paid for it, have become.
    """
    closes = step.move is not None and (step.move.transition is supersede or step.why == Reason.ELSEWHERE)
    if not closes or job.closed_as is None or job.state is not State.WAITING:
        return step
    retried = job.attempt > 1 or job.expired_urls > 0  # since it was reopened: Runflow may try those runs again
    asked_for = retried and job.closed_as.state is not State.SKIPPED
    closed = move(close_again, now, ask_at=_first_ask(now) if asked_for and job.earlier_runs else None)
    return replace(closed_again(f"{step.decision}, {step.why}", now, refused=True), move=closed, probe=step.probe)


def taking_up(uploaded_at: float, request: Request, *, versioned: bool, now: float) -> Step | Refusal:
    """What a request for a photo without an item leads to. What is older than the items of closed jobs, or had no
    version that would name its item, may have been paid for, and nobody knows. What came after the request is not what
    whoever asked has seen.
    """
    if uploaded_at > request.at + waits.CLOCK_SKEW:
        return Refusal("what is at this key was uploaded after it was asked for")
    remembered = versioned and now - uploaded_at <= waits.REMEMBERED.seconds
    match request.how:
        case Way.ASK:
            return Refusal("its item has expired: its runs are not known any more")
        case Way.UNPAID if not remembered:
            return Refusal("its item has expired: it may have been paid for")
    taken = move(take_up, request, now, now + waits.RESUME.seconds)
    return Step(move=taken, decision="reopened", why=_asked_by(request), metric=Metric.REOPENED)


def _asked_by(request: Request) -> str:
    return f"{request.how}, asked for by {request.by} at {request.time}: {request.request_id}"


def _was_charged(job: Job) -> bool:
    """Whether a run of a closed job was or may have been charged, as far as its item tells. One that an unconfirmed
    submission may have made is searched for first.
    """
    if job.state is State.DELIVERED or job.reason in (Reason.NEWER_DELIVERED, Reason.TOO_OLD):
        return True
    free = job.cost is not None and Decimal(job.cost) == 0
    own = job.reserved_run is not None or (job.run_id is not None and not free)
    own = own and job.reservation is not None and not job.reserved_unconfirmed
    return own or any(one.reservation.usd > 0 for one in job.spent)


@dataclass(frozen=True, slots=True)
class UseRun:
    """A run that is there already is to be taken over by a step, once those are charged that nothing stands for."""

    step: Step
    unmatched: tuple[Run, ...]


def stands_for(job: Job, run: Run) -> bool:
    """Whether the job's own item counts what a run cost."""
    return _spent_for(job, run) is not None


def _spent_for(job: Job, run: Run) -> Spent | None:
    return next((one for one in job.spent if one.run_id in (run.run_id, run.client_ref)), None)


def after_asking(job: Job, found: Sequence[Run] | Unanswered, *, now: float, uniform: Uniform) -> Step | Adopt | UseRun:
    """What the runs of a reopened job lead to, as Runflow tells of them: a result that is there is used, and a run
    that goes on is waited for; else it is closed as before, or sent where that was asked for and none was charged.
    """
    if isinstance(found, Unanswered):
        since = job.search_since or now
        if now - since >= waits.SEARCH.seconds:
            return closed_again(found.why, now, refused=job.requests[-1].how is Way.UNPAID)
        later = move(ask_later, now + waits.SEARCH_AGAIN.seconds(job.tries, uniform), since)
        return Step(move=later, decision="asked again later", why=found.why, warns=True)
    useful = [run for run in found if run.may_give_output and _is_trusted(job, run)]
    if useful:
        best = min(useful, key=lambda run: (usefulness(run), not run.output_urls))
        if job.reservation is not None and best.run_id not in job.earlier_runs:  # which is what is reserved for
            return Adopt(best.run_id, (), best.client_ref)
        due_at = now + waits.ADOPTED_POLL.seconds
        taken = move(take_over, best.run_id, now, due_at, client_ref=best.client_ref)
        step = Step(move=taken, decision="another run taken over", why=f"{best.status}: {best.run_id}")
        return UseRun(step, () if stands_for(job, best) else (best,))
    if job.requests[-1].how is Way.UNPAID and any(run.charged and run.cost != 0 for run in found):
        return closed_again("a run was charged: reopen it as paid", now, refused=True)
    if job.reservation is not None:
        searched = move(go_ahead, Reason.UNCONFIRMED, now)
        return Step(move=searched, decision="unconfirmed", why="no known run has a result")
    if job.only_asks:
        return closed_again("no run of it has a result", now)
    return Step(move=move(go_ahead, Reason.READY, now), decision="started over", why="no run of it was charged")


def _is_trusted(job: Job, run: Run) -> bool:
    """Whether a run that was found may be used: what others give the name of an answered request is not the job's."""
    unsure = job.reservation is not None and run.client_ref == job.client_ref  # its item is of an earlier version
    return run.run_id in job.runs or run.client_ref in job.awaited or unsure


def closed_again(why: str, now: float, *, refused: bool = False) -> Step:
    """Close a reopened job as it was before; `refused`: what was asked for is not done."""
    metric = Metric.REOPEN_REFUSED if refused else None
    return Step(move=move(close_again, now), decision=CLOSED_AGAIN, why=why, metric=metric)


def as_asked(job: Job, step: Step, *, now: float) -> Step:
    """The step that closes a job; one that was only asked for is closed as it was before, unless its run was not known
    then.
    """
    closes = step.move is not None and step.move.transition in (fail, cancel)
    if step.move is None or not closes or not job.only_asks or job.closed_as is None or job.closed_as.run_id is None:
        return step
    cost = "0" if step.move.named.get("free") else step.move.named.get("cost")
    closed = move(close_again, now, cost=None if cost is None else str(cost))
    return Step(move=closed, decision=CLOSED_AGAIN, why=step.why)


# After a run


def after_poll(job: Job, run: Run | None, *, now: float, run_timeout_hours: int) -> Step:
    """What reconcile does about a run that sent no callback in time; `run` is None where Runflow does not know it."""
    if run is None:
        why = "Runflow does not know the run"
    elif run.status.terminal:
        why = f"the run has ended: {run.status}"
    elif _is_late(job, now, run_timeout_hours):
        why = f"the run did not end within {run_timeout_hours} hours"
    else:
        return _poll_later(job, "the run has not ended", now)
    return Step(move=move(extend_due, now + waits.REDELIVER.seconds), decision=SENT_TO_DELIVER, why=why)


def after_foreign_poll(*, now: float) -> Step:
    """What reconcile does about a run that a key of another account does not show: it may well exist."""
    later = move(extend_due, now + waits.REDELIVER.seconds)
    return Step(move=later, decision=SENT_TO_DELIVER, why=OTHER_ACCOUNT, metric=Metric.OTHER_ACCOUNT, warns=True)


def after_poll_without_answer(job: Job, why: str, *, now: float) -> Step:
    """What reconcile does about a run whose record Runflow did not show: it is asked for ever more rarely, and handed
    over once that has lasted for so long that `deliver` gives it up.
    """
    why = f"the run could not be read: {why}"
    if _lasts(job, Trouble.UNREADABLE, waits.LATE_RESULT, now):
        later = move(extend_due, now + waits.REDELIVER.seconds)
        return Step(move=later, decision=SENT_TO_DELIVER, why=why, warns=True)
    return replace(_poll_later(job, why, now, Trouble.UNREADABLE), warns=True)


@dataclass(frozen=True, slots=True)
class Fetch:
    """The run's outputs are to be fetched and stored."""

    run: Run


@dataclass(frozen=True, slots=True)
class Again:
    """The message is to come again: nothing on the item leads back to the result."""

    why: str


def after_run(
    job: Job, run: Run | None, *, now: float, max_attempts: int, run_timeout_hours: int, uniform: Uniform
) -> Step | Idle | Fetch | Again:
    """What the record of a job's run leads to; `run` is None where Runflow does not know it."""
    used = _has_result(job)
    if run is not None and run.status in GOOD and not used:
        return Fetch(run) if run.output_urls else _without_output(job, run, now)
    if job.state is not State.SUBMITTED:
        return _ask_for_cost(job, run, now) if used else _ask_later(job, "the run has not ended well", now)
    if run is None:
        if _lasts(job, Trouble.UNKNOWN, waits.UNKNOWN_RUN, now):
            return _give_up(Reason.UNKNOWN_RUN, f"Runflow does not know run {job.run_id}", now)
        return _poll_later(job, "Runflow does not know the run yet", now, Trouble.UNKNOWN)
    if not run.status.terminal:
        if _is_late(job, now, run_timeout_hours):
            return _fail(Reason.TIMED_OUT, f"the run did not end within {run_timeout_hours} hours", now)
        return _poll_later(job, "the run has not ended", now)
    if run.status is RunStatus.CANCELLED:
        cancelled = move(cancel, "the run was cancelled at Runflow", now, cost=_usd(run), ask_at=_first_ask(now))
        return Step(move=cancelled, decision="not tried again", why="cancelled at Runflow")
    return after_failure(job, run, now=now, max_attempts=max_attempts, uniform=uniform)


def after_failure(job: Job, run: Run, *, now: float, max_attempts: int, uniform: Uniform) -> Step:
    """Whether a photo whose run failed is tried again. A URL that had expired is not counted as an attempt."""
    said = f"Runflow: {run.failure_message or run.failure_code or 'the run failed'}"[:MAX_SAID]
    expired = now >= job.url_expires_at and job.expired_urls < MAX_EXPIRED_URLS
    if run.charged:
        why_not = "charged"
    elif job.only_asks:
        why_not = "only asked for"
    elif job.is_unanswered:  # it is an older one's, and there may be another
        why_not = "the latest request has no clear answer"
    elif job.missing_runs:
        why_not = "another run of it cannot be seen, and may have been charged"
    elif expired:
        why_not = ""
    elif permanent(run.failure_code) and now - job.claimed_at < waits.FRESH_URL.seconds:
        why_not = "the same photo would fail again"
    elif job.attempt >= max_attempts:
        why_not = f"attempts used up, {job.attempt} of {max_attempts}"
    else:
        why_not = ""
    if why_not:
        free, cost = not run.charged, _usd(run)
        ask_at = _first_ask(now)  # Runflow may try the run again by itself
        failed = move(fail, Reason.RUN_FAILED, said, now, code=run.failure_code, free=free, cost=cost, ask_at=ask_at)
        return Step(move=failed, decision="not tried again", why=why_not, code=run.failure_code)
    wait = waits.RUN_RETRY.seconds(job.attempt, uniform)
    again = move(retry, not_before=now + wait, url_expired=expired, detail=said, code=run.failure_code)
    why = "the URL had expired" if expired else f"attempt {job.attempt} of {max_attempts} failed free of charge"
    return Step(move=again, decision="tried again", why=why, code=run.failure_code, metric=Metric.RUN_RETRIED)


def after_no_answer(job: Job, run_id: str, why: str, *, now: float) -> Step | Idle | Again:
    """What a message about a run leads to whose record Runflow did not show, and whose callback has no output URLs."""
    if run_id == job.run_id and (job.state is State.SUBMITTED or job.repairable):
        return deliver_later(job, f"the run could not be read: {why}", Trouble.UNREADABLE, now=now)
    if _is_last_asked(job, run_id, now):
        return _ask_later(job, why, now)
    if run_id in job.earlier_runs and job.ask_at is not None:
        return Idle("the run could not be read: it is asked for again with the job's own")
    if run_id in job.runs or (run_id not in job.unknown_runs and _why_not_noted(job, now)):
        return Again(why)
    return after_unknown_other(job, run_id, now=now, why=f"the run could not be read: {why}")


@dataclass(frozen=True, slots=True)
class Stored:
    """The keys of the outputs that are in the output bucket; why another of the run's was not stored for good; and
    which outputs of older versions were left in place.
    """

    keys: tuple[str, ...]
    refused: str
    leftovers: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    """The same, exactly as they were stored."""
    same_photo: bool = True
    """Whether the run has surely read the photo that was claimed, and not one that took its place."""


@dataclass(frozen=True, slots=True)
class Partway:
    """The time for one message was over; `done` as the job keeps it."""

    done: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A newer version of the same photo has been delivered; `done` as the job keeps it: what has become of the outputs
    before that was seen.
    """

    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotStored:
    """An output could not be fetched or stored now; `done` as the job keeps it: what has become of those before it."""

    why: str
    done: tuple[str, ...] = ()
    refused: bool = False
    """Whether every URL of it that there is was refused: only others can help."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker is storing outputs of this photo or of another version of it."""


Fetched = Stored | Partway | Overtaken | NotStored | Busy


def callback_again(job: Job, run: Run, fetched: Fetched | None, *, now: float) -> Step | None:
    """Whether Runflow is asked to send a run's callback again: where its record shows no output, or none that can be
    opened, the URLs that a callback signs are the last road. `fetched`: what the others have given; None before that.

    Once a day at most, and only while the result is asked for. Whether Runflow does it changes nothing here: what it
    sends comes as any callback does.
    """
    match fetched:
        case None:
            closed = not run.output_urls
        case NotStored(refused=closed):
            pass
        case Stored(keys):
            closed = not keys
        case _:
            closed = False
    if not closed or not run.is_record or run.status not in GOOD:
        return None
    wanted = job.state is State.SUBMITTED or (job.repairable and _is_asked_for(job, now))
    if not wanted or now - job.callback_asked_at < waits.CALLBACK_AGAIN.seconds:
        return None
    why = f"no output URL of run {run.run_id} can be opened" if run.output_urls else f"run {run.run_id} shows no output"
    return Step(move=move(ask_for_callback, now), decision="callback asked for again", why=why, warns=True)


def comes_again(job: Job, result: Result, *, now: float) -> bool:
    """Whether a message stays in its queue for the output URLs that it brought, because its job still lacks a result:
    they grant access to the output, so that the item does not keep them, and no other road need lead there.
    """
    lacking = not job.state.terminal or job.repairable
    return lacking and bool(result.output_urls) and now - result.sent_at < waits.CALLBACK_URLS.seconds


def is_proven(run: Run, refused: str) -> bool:
    """Whether what was fetched is all that the run gave: a URL that leads nowhere is no proof but in its record."""
    return run.is_record or not refused


def shows_picture(job: Job, run: Run) -> bool:
    """Whether a run's result is surely one of the picture that the job has: that of its latest submission, where an
    earlier one may have asked for another shape; or the one that it waited for since, which may be of another shape.
    """
    of_latest = run.client_ref == job.client_ref or run.run_id == job.picture_run or job.submission_no <= 1
    if job.picture_version and of_latest:
        return True
    if not run.image_url:  # the record does not show what was asked for
        return False
    upload, again = job.upload, dict(job.source_metadata).get(AGAIN) or None
    return job.picture == picture_id(upload.etag, upload.size, ratio=run.aspect_ratio, again=again)


def after_fetch(job: Job, run: Run, fetched: Fetched, *, now: float) -> Step | Idle | Again:
    """What the attempt to store a run's outputs leads to.

    A run whose record could not be read may still be at work, whatever links came with a callback: they close its job
    only by outputs that are stored.
    """
    match fetched:
        case Partway() | NotStored() | Busy():
            return _fetch_later(job, fetched, now)
        case Stored(refused=refused) if not is_proven(run, refused):
            return deliver_later(job, f"the run could not be read, and {refused}", Trouble.UNREADABLE, now=now)
        case Overtaken() if not run.is_record:
            return deliver_later(job, "the run could not be read", Trouble.UNREADABLE, now=now)
        case Stored(keys, refused, leftovers, outputs, same_photo) if keys:
            partial = run.status is RunStatus.PARTIAL or bool(refused)
            told = _usd(run) is not None or job.reserved_run
            delivered = move(
                deliver,
                keys,
                now,
                cost=_usd(run),
                partial=partial,
                leftovers=leftovers,
                ask_at=None if told else _first_ask(now),
                stored=outputs,
                remembered=same_photo and shows_picture(job, run),
            )
            return Step(move=delivered, decision="delivered", why=f"without {refused}" if refused else "")
    if job.state is not State.SUBMITTED:
        overtaken = isinstance(fetched, Overtaken)
        why = "a newer photo of this name was delivered" if overtaken else "no output is safe to store"
        return _ask_later(job, why, now, last=overtaken and _billed(job, run) is not None)  # else its cost is to come
    match fetched:
        case Stored(refused=refused):
            return _fail(Reason.BAD_OUTPUT, refused, now, run)
    why, cost = "a newer photo of this name was delivered", _usd(run)
    ask_at = _first_ask(now) if cost is None else None
    newer = move(supersede, Reason.NEWER_DELIVERED, why, now, cost=cost, ask_at=ask_at)
    return Step(move=newer, decision="not stored", why=why)


def _fetch_later(job: Job, fetched: Partway | NotStored | Busy, now: float) -> Step | Idle | Again:
    match fetched:
        case Partway(done):
            return _go_on_later(job, f"{len(done)} outputs are done with", done, now)
        case NotStored(why, done) if job.state is not State.SUBMITTED and len(done) > len(job.done):
            return _go_on_later(job, why, done, now)
        case NotStored(why, refused=True) if (
            job.state is not State.SUBMITTED and job.ask_at is not None and now < job.ask_at
        ):
            return Idle(f"{why}: the run is asked for again")  # the message has nothing more to give
        case NotStored(why, done):
            return deliver_later(job, why, Trouble.NOT_STORED, done, now=now)
    why = "another worker is storing outputs of this photo"
    return Idle(why) if job.due_at is not None else Again(why)


def _go_on_later(job: Job, why: str, done: tuple[str, ...], now: float) -> Step:
    """Some outputs were stored, and the others are not in trouble for it."""
    at = now + waits.MORE_OUTPUTS.seconds
    later = move(poll_later, at, None, (), done) if job.state is State.SUBMITTED else move(ask_again, at, done)
    return Step(move=later, decision="goes on later", why=why)


def deliver_later(
    job: Job, why: str, trouble: Trouble, done: tuple[str, ...] = (), *, now: float
) -> Step | Idle | Again:
    """A paid result that is not available now is tried again for days before a person is told, and for a week after."""
    if job.state is not State.SUBMITTED:
        step = _ask_later(job, why, now) if job.ask_at is None or _is_asked_for(job, now) else Idle("")
        return step if isinstance(step, Step) else Again(why)
    if len(done) > len(job.done):
        job = replace(job, troubles=())
    if _lasts(job, trouble, waits.LATE_RESULT if trouble is Trouble.UNREADABLE else waits.DELIVERY, now):
        return _give_up(Reason.UNDELIVERABLE, why, now)
    later = move(poll_later, _next_poll(job, now), why[:MAX_SAID], _troubles(job, trouble, now), done)
    return Step(move=later, decision="delivered later", why=why, metric=Metric.DELIVERY_RETRIED, warns=True)


def found_stored(job: Job, run: Run | None, found: Fetched, *, now: float) -> Step | Idle | Again:
    """A job that was to be given up, and whose outputs are in the output bucket. `run`: its record, where it was read;
    else nobody can tell how many there should be, and what was left when it was last saved may have been lost.
    """
    known = Run(job.run_id or "", RunStatus.SUCCEEDED) if run is None or run.run_id != job.run_id else run
    match found:
        case Stored(keys, _, leftovers, outputs, same_photo):
            count = len(known.output_urls) + known.more_outputs
            left = bool(done_of(job, known)) if known is not run else len(keys) < count
            partial = left or known.status is RunStatus.PARTIAL
            delivered = move(
                deliver,
                keys,
                now,
                cost=None,
                partial=partial,
                leftovers=leftovers,
                ask_at=None if job.reserved_run else _first_ask(now),
                stored=outputs,
                remembered=same_photo and not partial and shows_picture(job, known),
            )
            why = "its output had been stored" + (", and others may be missing" if partial else "")
            return Step(move=delivered, decision="delivered", why=why)
        case NotStored(why) if job.state is not State.SUBMITTED:
            return Again(why)  # the job stays due
    return after_fetch(job, known, found, now=now)


def _without_output(job: Job, run: Run, now: float) -> Step | Idle | Again:
    if job.state is not State.SUBMITTED:
        return _ask_later(job, NO_OUTPUT_YET, now)
    if _lasts(job, Trouble.NO_OUTPUT, waits.NO_OUTPUT, now):
        return _fail(Reason.NO_OUTPUT, f"run {run.run_id} succeeded and shows no output", now, run)
    return deliver_later(job, NO_OUTPUT_YET, Trouble.NO_OUTPUT, now=now)


def _is_asked_for(job: Job, now: float) -> bool:
    """Whether it is time to ask for the late result of a failed job."""
    return job.ask_at is not None and now >= job.ask_at


def _ask_later(job: Job, why: str, now: float, *, last: bool = False) -> Step | Idle:
    """A closed job's run is asked for ever more rarely, for a week: it is paid or may be; also one that appears after
    the job was closed. `last`: no more. What a worker stored of a late result before it died is looked for each time.
    """
    until = (job.closed_at or now) + waits.LATE_RESULT.seconds
    never_asked = job.ask_at is None and job.tries == 0
    if never_asked and job.repairable and not last and _first_ask(now) <= until:
        first = move(ask_again, _first_ask(now))
        return Step(move=first, decision="asked again later", why=why, unless_stored=True)
    if not _is_asked_for(job, now):
        return Idle("nothing to repair with")
    ask_at = now + waits.LATE_POLL.seconds(job.tries + 1, max)
    missing = job.missing_runs
    if (last and not missing) or ask_at > until:
        metric = Metric.UNMATCHED_CALLBACK if missing else None
        why = f"{why}; Runflow never showed {', '.join(missing)}" if missing else why
        step = Step(move=move(ask_again, None), decision="not asked again", why=why, metric=metric, warns=bool(missing))
    else:
        step = Step(move=move(ask_again, ask_at), decision="asked again later", why=why)
    return replace(step, unless_stored=job.repairable)


_ORDER: Final = tuple(Trouble)


def _troubles(job: Job, trouble: Trouble, now: float) -> tuple[tuple[Trouble, float], ...]:
    """The job's troubles, once it is in this one: those before it in the order are over, or it had not come so far.
    While one of those lasted, nothing could be learnt of the others: that time does not count for them.
    """
    over = [since for one, since in job.troubles if _ORDER.index(one) < _ORDER.index(trouble)]
    unseen = now - min(over, default=now)
    kept = {one: min(since + unseen, now) for one, since in job.troubles if _ORDER.index(one) >= _ORDER.index(trouble)}
    return tuple(sorted(({trouble: now} | kept).items()))


def _lasts(job: Job, trouble: Trouble, wait: waits.Wait, now: float) -> bool:
    """Whether the job has been in a trouble for longer than that."""
    return now - dict(_troubles(job, trouble, now))[trouble] > wait.seconds


def _is_late(job: Job, now: float, run_timeout_hours: int) -> bool:
    return now - job.submitted_at > run_timeout_hours * 3_600.0


def _poll_later(job: Job, why: str, now: float, trouble: Trouble | None = None) -> Step:
    in_trouble = (why, _troubles(job, trouble, now)) if trouble else ()
    later = move(poll_later, _next_poll(job, now), *in_trouble)
    return Step(move=later, decision="asked again later", why=why)


def _next_poll(job: Job, now: float) -> float:
    return now + waits.POLL.seconds(job.tries, max)


def _fail(reason: Reason, detail: str, now: float, run: Run | None = None) -> Step:
    """The run was or may have been charged, so that its reservation stays."""
    cost = _usd(run) if run else None
    failed = move(fail, reason, detail[:MAX_SAID], now, free=False, cost=cost, ask_at=_first_ask(now))
    return Step(move=failed, decision="given up", why=reason.value)


def _give_up(reason: Reason, detail: str, now: float) -> Step:
    failed = move(fail, reason, detail[:MAX_SAID], now, free=False, ask_at=_first_ask(now))
    return Step(move=failed, decision="given up", why=reason.value, unless_stored=True)


def _first_ask(now: float) -> float:
    return now + waits.LATE_POLL.seconds(0, max)


def _usd(run: Run) -> str | None:
    """What Runflow billed for a run, in US dollars; None while it does not say. That a result costs nothing is not
    believed before it was said twice, hours apart: no page says when a record's cost is final.
    """
    early = run.status in GOOD and run.cost == 0
    return None if run.cost is None or early else format(run.cost, "f")


# The end, published


def still_pending(pending: tuple[str, ...], *, now: float) -> Move:
    """Keep what could not be published of a closed job."""
    return move(keep_pending, pending, now + waits.PUBLISH_AGAIN.seconds)


def after_publishing(left: tuple[str, ...], *, now: float) -> Step:
    """What follows an attempt to publish what was pending for a closed job; `left`: what could not be."""
    if left:
        later = still_pending(left, now=now)
        return Step(move=later, decision="published later", why=f"failed: {', '.join(left)}")
    return Step(move=move(published), decision="published")
