"""What a person finds in the output bucket about a photo that has no output: one text for each photo's name.

It speaks of the newest upload of that name that has ended and was not taken back before an older one, there again,
ended. Whoever writes or removes one has the right to store outputs of the photo meanwhile (`begin_delivery`), so that
of two versions the newer decides, whichever ends first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from detag.domain.job import Job, State, sequencer_rank
from detag.domain.naming import FAILED_RECORDS, SKIPPED_RECORDS, readable
from detag.domain.reasons import Reason

NOT_A_PHOTO: Final = frozenset({Reason.NOT_A_PHOTO})
"""Why something is skipped that nobody meant as a photo: no file and no event tell of it."""
UNRECORDED: Final = NOT_A_PHOTO | {Reason.TOO_OLD, Reason.ALREADY_CLEANED}
"""Why an upload is skipped without a record. An old message says nothing of what its name is now, and what detag
delivered is there.
"""
GONE: Final = (Reason.DELETED, Reason.REPLACED, Reason.ALREADY_CLEANED)
"""Why a photo without a record ended that no newer one has overtaken: what an older one left behind is of no use any
more. One that is gone has no record, and neither has what detag delivered.
"""


def folder_of(job: Job) -> str | None:
    """Where the record of a closed job goes; None where it has none."""
    match job.state:
        case State.FAILED | State.CANCELLED:
            return FAILED_RECORDS
        case State.SKIPPED if job.reason not in UNRECORDED:
            return SKIPPED_RECORDS
    return None


def decides_record(job: Job) -> bool:
    """Whether the end of a job, other than a delivery, decides what record its photo has: its own, or none."""
    return folder_of(job) is not None or job.reason in GONE


def is_overtaken(job: Job, *, delivered: str, recorded: str) -> bool:
    """Whether the record of a photo is not for this end to decide: a newer version has, or its own result was delivered
    after all. The sequencers are those of the newest version that was delivered, and of the one that has a record.
    """
    repaired = delivered != "" and sequencer_rank(delivered) >= job.upload.rank
    return repaired or sequencer_rank(recorded) > job.upload.rank


def newest_recorded(job: Job, recorded: str, at_key: str | None, *, delivered: bool = False) -> str:
    """The sequencer of the newest upload whose record stays: `recorded`, unless that version was taken back, which it
    was where the job's own, an older one, is `at_key` (None: nothing that can be read). Without versions none comes
    back; nor does one whose job ended because of what was newer, unless its result is `delivered` after all.
    """
    ended = job.state is State.SUPERSEDED and not delivered
    is_back = job.upload.version is not None and at_key == job.upload.version and not ended
    return "" if is_back and is_newer(job, recorded) else recorded


def was_taken_back(job: Job, at_key: Job | None) -> bool:
    """Whether the upload of a closed job was taken back before what is there now ended: an older upload, or a newer one
    of which no event told. `at_key`: the job of what is at its key now, if there is one.
    """
    if at_key is None or at_key.closed_at is None or job.closed_at is None or at_key.state is State.SUPERSEDED:
        return False
    later = at_key.upload.uploaded_at > job.upload.uploaded_at  # what the scan has found has the lowest rank
    return at_key.upload.rank < job.upload.rank and (later or at_key.closed_at > job.closed_at)


def is_newer(job: Job, recorded: str) -> bool:
    """Whether the record of a photo is that of a newer version."""
    return sequencer_rank(recorded) > job.upload.rank


def advised(job: Job, text: str | None) -> str | None:
    """An advice to reopen a closed job, as it would be carried out: one that was paid for before is not reopened as
    unpaid any more.
    """
    paid = any(one.reservation.usd > 0 for one in job.spent)
    return text.replace("(unpaid)", "(paid)") if text and paid else text


def text_of(job: Job) -> str:
    """A record: what happened, its first line one sentence for a shop owner; what to do; and the facts. Plain text, no
    URL in it.
    """
    reason = job.reason
    happened, do = (reason.means, reason.do) if reason else ("The photo was not cleaned.", "Upload it again.")
    do, detail = advised(job, do) or "", advised(job, job.detail)
    uploaded = datetime.fromtimestamp(job.upload.uploaded_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    runs = tuple(run for run in (*job.earlier_runs, job.run_id, *job.missing_runs) if run)
    facts = {
        "Photo": readable(job.upload.key),
        "Uploaded": uploaded,
        "Version": job.upload.version_id,
        "Ended as": f"{job.state} ({reason})",
        "Detail": detail,
        "Decision": job.decision,
        "Runflow's code": job.code,
        "Runflow's runs": ", ".join(runs),
        "Charged": _charged(job),
        "In all": f"${job.total_cost}" if job.spent else None,
        "To reopen": REOPEN if "reopen" in f"{do} {job.detail}".lower() else None,
        "Job": job.job_id,
    }
    lines = [f"{name + ':':<16}{_one_line(value)}" for name, value in facts.items() if value]
    return "\n".join((*_sentences(happened), "", f"What to do: {do}", "", *lines, ""))


REOPEN: Final = "run what the stack's output ReopenCommand says"


def _charged(job: Job) -> str:
    """What the photo was charged with, as far as that is known when it ends."""
    told = f"${job.cost}" if job.cost is not None and job.cost.strip("0.") else ""
    kept = job.reservation.usd if job.reservation is not None else Decimal(0)
    if kept and job.reserved_run is not None and not job.has_submission(job.reserved_run):  # another run's, and billed
        return f"${kept}"
    if kept and (job.reserved_run is not None or job.cost is None):
        perhaps = f"perhaps ${kept}: Runflow had not said yet"
        return f"{told}, and {perhaps}" if told else perhaps
    may_be = job.run_id is not None and job.reason is not None and job.reason.repairable
    if may_be and job.cost is None and job.reason is not Reason.RUN_FAILED:  # one that failed without a cost is free
        return "perhaps: Runflow had not said yet"
    return told or "nothing"


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) (?=[A-Z])", text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
