"""Which decision may stand on an item, by where its job stands: agreed here, not read from the code."""

from __future__ import annotations

from typing import Final

from detag.domain.job import Job, State
from detag.domain.reasons import Group, Reason

SENT_TO_SUBMIT: Final = "sent to submit"
AGAIN: Final = "closed as before"
WAITING: Final[dict[Reason, set[str]]] = {
    Reason.READY: {"interrupted", "reopened", "released", "not sent now", "started over", SENT_TO_SUBMIT},
    Reason.RATE_LIMITED: {"sent again later", SENT_TO_SUBMIT},
    Reason.UNCONFIRMED: {"reopened", "awaiting confirmation", "unconfirmed", "not sent now", SENT_TO_SUBMIT},
    Reason.OTHER_ACCOUNT: {"unconfirmed", SENT_TO_SUBMIT},
    Reason.ACCESS_DENIED: {"read again later", SENT_TO_SUBMIT},
    Reason.INTERRUPTED: {"read again later", SENT_TO_SUBMIT},
    Reason.RETRY: {"tried again", SENT_TO_SUBMIT},
    Reason.REOPENED: {"reopened", "asked again later", SENT_TO_SUBMIT},
    Reason.SAME_PICTURE: {"waits for an equal photo", "woken", SENT_TO_SUBMIT},
}
"""While a job waits; for intake, see `belongs`."""
OTHERS: Final[dict[State, set[str]]] = {
    State.SUBMITTING: {"sending", "sent again", SENT_TO_SUBMIT},
    State.SUBMITTED: {
        "run created",
        "run adopted",
        "another run taken over",
        "asked again later",
        "sent to deliver",
        "delivered later",
        "goes on later",
        "callback asked for again",
    },
    State.DELIVERED: {"delivered", AGAIN},
    State.FAILED: {"not sent", "refused", "not tried again", "given up", AGAIN},
    State.CANCELLED: {"not tried again", AGAIN},
    State.SKIPPED: {"not sent", AGAIN},
    State.SUPERSEDED: {"not sent", "not stored", AGAIN},
}


def belongs(job: Job) -> bool:
    """Whether the decision on an item is one that leads to where its job stands, for the reason that it waits for."""
    decision, _, why = (job.decision or "").partition(": ")
    if job.state is not State.WAITING:
        return decision in OTHERS[job.state]
    if job.reason is not None and job.reason.group is Group.INTAKE:
        return decision == "waits for intake" and why.split(",")[0] == job.reason
    return job.reason is not None and decision in WAITING[job.reason]
