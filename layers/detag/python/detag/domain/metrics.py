"""Every metric: its name in CloudWatch, what it counts, and which functions count it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from detag.domain.values import dataclass


class Metric(StrEnum):
    """A metric of the stack's namespace. The names stay: alarms and dashboards are made of them."""

    SUBMITTED = "Submitted"
    AMBIGUOUS_SUBMISSION = "AmbiguousSubmission"
    ANSWERED_200 = "Answered200"
    ANSWERED_401 = "Answered401"
    ANSWERED_413 = "Answered413"
    ANSWERED_503 = "Answered503"
    PREVIOUS_SECRET_MATCHED = "PreviousSecretMatched"  # noqa: S105 - a name
    UNUSABLE_CALLBACK = "UnusableCallback"
    UNMATCHED_CALLBACK = "UnmatchedCallback"
    UNMATCHED_PAID_RUN = "UnmatchedPaidRun"
    OTHER_ACCOUNT = "OtherAccount"
    RUN_RETRIED = "RunRetried"
    DELIVERY_RETRIED = "DeliveryRetried"
    DELIVERED = "Delivered"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    REUSED = "Reused"
    NOT_SPENT = "NotSpentUsd"
    SKIPPED = "Skipped"
    NOT_A_PHOTO = "NotAPhoto"
    SUPERSEDED = "Superseded"
    MESSAGE_FAILED = "MessageFailed"
    UNREADABLE_ITEM = "UnreadableItem"
    GATE_HELD = "GateHeld"
    UPLOAD_RECOVERED = "UploadRecovered"
    REOPENED = "Reopened"
    REOPEN_REFUSED = "ReopenRefused"


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric for a person. `functions`: those that count it, and so the values of its dimension `service`."""

    counts: str
    functions: tuple[str, ...]


METRICS: Final[dict[Metric, Entry]] = {
    Metric.SUBMITTED: Entry("Runs that Runflow accepted.", ("submit",)),
    Metric.AMBIGUOUS_SUBMISSION: Entry(
        "Requests for a run whose outcome is unknown: they are confirmed before anything is sent again.", ("submit",)
    ),
    Metric.ANSWERED_200: Entry(
        "Callbacks with a valid signature whose result is queued or known to be of no use.", ("callback",)
    ),
    Metric.ANSWERED_401: Entry("Requests not signed with an accepted secret.", ("callback",)),
    Metric.ANSWERED_413: Entry("Requests too large to come from Runflow.", ("callback",)),
    Metric.ANSWERED_503: Entry(
        "Callbacks that could not be verified or queued at the moment: Runflow resends them.", ("callback",)
    ),
    Metric.PREVIOUS_SECRET_MATCHED: Entry(
        "Callbacks signed with a secret other than the first in the list, as during a rotation.", ("callback",)
    ),
    Metric.UNUSABLE_CALLBACK: Entry("Signed callbacks that are not about one of our runs.", ("callback",)),
    Metric.UNMATCHED_CALLBACK: Entry(
        "Results without a job, of a run that is not their job's, or of one that Runflow never showed.",
        ("deliver",),
    ),
    Metric.UNMATCHED_PAID_RUN: Entry(
        "Paid runs that match no job. Each is charged to the daily spend limit.", ("submit", "deliver")
    ),
    Metric.OTHER_ACCOUNT: Entry(
        "Photos that cannot continue because the stored API key is of another Runflow account than theirs, each time "
        "one is looked at.",
        ("reconcile",),
    ),
    Metric.RUN_RETRIED: Entry("Failed runs whose photo is sent again.", ("deliver",)),
    Metric.DELIVERY_RETRIED: Entry("Outputs that could not be fetched or stored yet.", ("deliver",)),
    Metric.DELIVERED: Entry("Photos whose outputs are in the output bucket.", ("submit", "deliver")),
    Metric.FAILED: Entry("Photos that ended as failed: a record in `_failed/` says why.", ("submit", "deliver")),
    Metric.CANCELLED: Entry("Photos whose run was cancelled at Runflow.", ("deliver",)),
    Metric.REUSED: Entry(
        "Of the photos that were delivered, those whose picture had been paid for before.", ("submit",)
    ),
    Metric.NOT_SPENT: Entry("US dollars that were not spent because a result was reused.", ("submit",)),
    Metric.SKIPPED: Entry("Files that were not sent to Runflow, and cost nothing.", ("submit",)),
    Metric.NOT_A_PHOTO: Entry(
        "Files that were skipped as not meant as photos: folders, and names of IgnoredNames.", ("submit",)
    ),
    Metric.SUPERSEDED: Entry("Photos that were gone, or overtaken by a newer version.", ("submit", "deliver")),
    Metric.MESSAGE_FAILED: Entry(
        "Messages whose handling failed unexpectedly. After five tries they are in the dead-letter queue.",
        ("submit", "deliver"),
    ),
    Metric.UNREADABLE_ITEM: Entry(
        "Job items that this code cannot read, each time one is met. The photo's message becomes a dead letter.",
        ("submit", "deliver", "reconcile"),
    ),
    Metric.GATE_HELD: Entry(
        "1 where intake is paused, or the claim to the folder can't be told, else 0, for each run that succeeded.",
        ("reconcile",),
    ),
    Metric.UPLOAD_RECOVERED: Entry(
        "Uploads that had no event, found in the input bucket and sent to submit.", ("reconcile",)
    ),
    Metric.REOPENED: Entry("Closed jobs that were reopened because somebody asked for it.", ("submit",)),
    Metric.REOPEN_REFUSED: Entry("Requests to reopen a job that were not carried out: the log says why.", ("submit",)),
}
