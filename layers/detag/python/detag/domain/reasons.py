"""Every reason: why a photo waits, or how it ended; what it means to a shop, and what to do. One line for each."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, Self


class Group(Enum):
    """What a reason may be given for."""

    WAITING = "waiting, and coming due by itself"
    INTAKE = "waiting, because intake is paused"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Its value is what an item, an event and a record hold."""

    group: Group
    means: str
    """What happened, in the words of a shop owner."""
    do: str
    """What to do about it."""
    repairable: bool
    """Whether a paid result of the same run may still turn the failure into a delivery."""

    def __new__(cls, value: str, group: Group, means: str, do: str, repairable: bool = False) -> Self:
        """Make a member of a line of the table."""
        self = str.__new__(cls, value)
        self._value_ = value
        self.group, self.means, self.do, self.repairable = group, means, do, repairable
        return self

    READY = ("ready", Group.WAITING, "About to be sent to Runflow.", "Nothing.")
    RATE_LIMITED = (
        "rate_limited",
        Group.WAITING,
        "Runflow asked for a pause.",
        "Nothing: it is retried automatically.",
    )
    UNCONFIRMED = (
        "unconfirmed",
        Group.WAITING,
        "Runflow's answer was lost. detag waits and searches for the run before sending again, to avoid paying twice.",
        "Nothing: it continues automatically.",
    )
    OTHER_ACCOUNT = (
        "other_account",
        Group.WAITING,
        "Runflow's answer was lost, and the stored API key, of another account, cannot show whether a run exists.",
        "Store a key of the former account in the RunflowApiKey secret: the photo then continues automatically.",
    )
    ACCESS_DENIED = (
        "access_denied",
        Group.WAITING,
        "S3 does not allow detag to read the photo. New permissions need time to take effect: detag tries for an hour.",
        "If this persists, check the bucket policy and the photo's encryption key.",
    )
    INTERRUPTED = (
        "interrupted",
        Group.WAITING,
        "AWS failed before the photo was sent.",
        "Nothing, unless its detail names a right that is missing: it is tried again for three days.",
    )
    SAME_PICTURE = (
        "same_picture",
        Group.WAITING,
        "An equal photo is being cleaned: its result will be used for this one too.",
        "Nothing: it continues automatically.",
    )
    RETRY = ("retry", Group.WAITING, "The run failed, at no charge.", "Nothing: it is retried automatically.")
    REOPENED = (
        "reopened",
        Group.WAITING,
        "Somebody asked for the photo once more: Runflow is being asked what became of its earlier runs.",
        "Nothing: it continues automatically.",
    )

    SPEND_LIMIT = (
        "spend_limit",
        Group.INTAKE,
        "Today's spending limit is reached.",
        "Wait for midnight UTC, or raise DailySpendLimitUsd.",
    )
    BUDGET_LOST = (
        "budget_lost",
        Group.INTAKE,
        "The record of what was spent today was deleted or cannot be read, so nothing more is paid today.",
        "Wait for midnight UTC, or write down what Runflow billed today (docs/operating.md).",
    )
    UNREADABLE_INTAKE = (
        "unreadable_intake",
        Group.INTAKE,
        "The record of why intake is paused cannot be read: newer code wrote it, or somebody edited it.",
        "Deploy the newer version, or delete the record: waiting photos then continue (docs/operating.md).",
    )
    OUT_OF_CREDIT = (
        "out_of_credit",
        Group.INTAKE,
        "Runflow's credit is used up.",
        "Top up at Runflow: waiting photos then continue automatically.",
    )
    UNAUTHORIZED = (
        "unauthorized",
        Group.INTAKE,
        "Runflow refused the API key, or the key may not use this model.",
        "Store a working key in the RunflowApiKey secret: waiting photos then continue automatically.",
    )
    NOT_CONFIGURED = (
        "not_configured",
        Group.INTAKE,
        "No Runflow API key is stored, or it may not be read.",
        "Store one in the RunflowApiKey secret, and let the functions read it: waiting photos then continue.",
    )
    PAUSED = ("paused", Group.INTAKE, "detag was paused by hand.", "Resume it: set Paused to false.")
    PREFIX_TAKEN = (
        "prefix_taken",
        Group.INTAKE,
        "Another stack of detag, which the status report names, has this folder: each would pay for every photo.",
        "Change InputPrefix; or delete that stack: two days later newer photos continue, and its own are skipped.",
    )
    RUNFLOW_DOWN = (
        "runflow_down",
        Group.INTAKE,
        "Runflow is not answering.",
        "Nothing: one photo at a time tests whether it is back.",
    )
    TOO_MANY_REQUESTS = (
        "too_many_requests",
        Group.INTAKE,
        "Runflow answers that too many requests were sent.",
        "Nothing: one photo at a time tests whether it accepts them again. If this lasts, ask Runflow for more.",
    )

    NOT_AN_IMAGE = (
        "not_an_image",
        Group.SKIPPED,
        "The file is not an image.",
        "Nothing, or upload the intended photo.",
    )
    UNSUPPORTED_TYPE = (
        "unsupported_type",
        Group.SKIPPED,
        "The file is an image of a type that cannot be cleaned, an animation or a film.",
        "Save it as a photo of a type that is named below and upload that (iPhone: Camera, Formats, Most Compatible).",
    )
    NOT_A_PHOTO = (
        "not_a_photo",
        Group.SKIPPED,
        "It is a folder, or its name is one that cameras, sync tools and systems give to files of their own.",
        "Nothing; if it is a photo, change IgnoredNames and reopen it (unpaid), or upload it under another name.",
    )
    ALREADY_CLEANED = (
        "already_cleaned",
        Group.SKIPPED,
        "It is a photo that detag has cleaned and delivered.",
        "Nothing; to have it cleaned once more, reopen it (paid), or upload it with a word in detag-again metadata.",
    )
    EMPTY = ("empty", Group.SKIPPED, "The file is empty.", "If the original is not empty, upload it again.")
    TRUNCATED = (
        "truncated",
        Group.SKIPPED,
        "The image is incomplete: the upload was cut off.",
        "Upload it again; if that does not help, open it, save it again and upload the new file.",
    )
    END_NOT_SEEN = (
        "end_not_seen",
        Group.SKIPPED,
        "Whether the image is complete cannot be seen: it was cut off, or more than 4 MB of other data follow it.",
        "Open it: if all of it is shown, save it as a new file and upload that; if not, upload the original again.",
    )
    UNREADABLE_DIMENSIONS = (
        "unreadable_dimensions",
        Group.SKIPPED,
        "The image's width and height cannot be read.",
        "Open it, save it again and upload the new file.",
    )
    TOO_LARGE = (
        "too_large",
        Group.SKIPPED,
        "The file is larger than the limit.",
        "Make it smaller; or raise MaxImageMegabytes and reopen it (unpaid).",
    )
    TOO_MANY_PIXELS = (
        "too_many_pixels",
        Group.SKIPPED,
        "The image has too many pixels.",
        "Make it smaller; or raise MaxImageMegapixels and reopen it (unpaid).",
    )
    TOO_OLD = (
        "too_old",
        Group.SKIPPED,
        "The event is more than 90 days old.",
        "If you still want it, reopen it (paid): whether it was paid for before is not known any more.",
    )

    ELSEWHERE = (
        "elsewhere",
        Group.SKIPPED,
        "The photo is not in the folder that is cleaned: another folder was chosen while it waited.",
        "Upload it into the folder that is cleaned now; or have the former folder set again, and reopen it (unpaid).",
    )
    OTHER_STACKS = (
        "other_stacks",
        Group.SKIPPED,
        "The photo was uploaded while another installation of detag cleaned this folder, and may be cleaned already.",
        "Look for its output where that one put them; if it is not there, reopen it (unpaid).",
    )

    DELETED = ("deleted", Group.SUPERSEDED, "The photo was deleted before it was sent.", "Nothing, or upload it again.")
    REPLACED = (
        "replaced",
        Group.SUPERSEDED,
        "The photo was replaced before it was sent.",
        "Nothing: what has its name now has its own job.",
    )
    NEWER_UPLOAD = (
        "newer_upload",
        Group.SUPERSEDED,
        "A newer photo of the same name was handled first.",
        "Nothing: the newer one has its own job.",
    )
    NEWER_DELIVERED = (
        "newer_delivered",
        Group.SUPERSEDED,
        "A newer photo of the same name has been delivered in the meantime.",
        "Nothing: the newer output stays.",
    )

    NO_PERMISSION = (
        "no_permission",
        Group.FAILED,
        "detag may not read the photo, and still could not after an hour.",
        "Check the bucket's policy and the photo's encryption key, then reopen it (unpaid).",
    )
    NOT_PREPARED = (
        "not_prepared",
        Group.FAILED,
        "AWS failed each time before the photo was sent, for three days.",
        "Read the detail and fix the cause, then reopen it (unpaid). If you cannot download it, upload it again.",
    )
    ARCHIVED = (
        "archived",
        Group.FAILED,
        "The photo lies in an archive storage class, from which nobody can read it at once.",
        "Copy it onto itself in the storage class STANDARD; or restore it and reopen it (unpaid).",
    )
    UNUSABLE_NAME = (
        "unusable_name",
        Group.FAILED,
        "A part of the photo's name is only . or .., so no URL can refer to it.",
        "Upload it again under another name.",
    )
    INVALID_ASPECT_RATIO = (
        "invalid_aspect_ratio",
        Group.FAILED,
        "The aspect ratio is not two numbers with a colon.",
        "Correct AspectRatio and reopen it (unpaid); or upload it again with other aspect-ratio metadata.",
    )
    REFUSED = (
        "refused",
        Group.FAILED,
        "Runflow refused the request; nothing was charged.",
        "Read the detail and fix the cause; then reopen it (unpaid).",
    )
    REFUSED_UNCONFIRMED = (
        "refused_unconfirmed",
        Group.FAILED,
        "Runflow refused the photo, but its answer to an earlier request was lost: that run may have been charged.",
        "Fix the cause and reopen it (unpaid). If that cannot tell, search Runflow for the names in the detail.",
        True,
    )
    NOT_ACCEPTED = (
        "not_accepted",
        Group.FAILED,
        "For three days Runflow gave no clear answer to the photo. No run was found; one that turns up may be charged.",
        "Read the detail, and ask Runflow if it happens to several photos; then reopen it (unpaid).",
        True,
    )
    RUN_FAILED = (
        "run_failed",
        Group.FAILED,
        "Runflow could not clean the photo. That is free, unless a cost is given.",
        "Read the detail; then reopen it as unpaid. If that is refused because it was charged: as paid.",
        True,
    )
    NO_OUTPUT = (
        "no_output",
        Group.FAILED,
        "Runflow reported success, which may be charged, but returned no output.",
        "detag asks for a week. Then show the run id to Runflow, and reopen it: ask again, or pay for a new run.",
        True,
    )
    BAD_OUTPUT = (
        "bad_output",
        Group.FAILED,
        "Runflow's output was not an image that is safe to store.",
        "Show the run id to Runflow: it may have been charged. Then reopen it: ask again, or pay for a new run.",
        True,
    )
    UNDELIVERABLE = (
        "undeliverable",
        Group.FAILED,
        "The output, which was or may have been charged, could not be fetched or stored for days.",
        "Read the detail and fix the cause: it is tried again for a week. After that, reopen it (ask).",
        True,
    )
    TIMED_OUT = (
        "timed_out",
        Group.FAILED,
        "The run did not end in time. It may be charged.",
        "Nothing: if it ends within a week, its output is stored. Or reopen it: ask again, or pay for a new run.",
        True,
    )
    UNKNOWN_RUN = (
        "unknown_run",
        Group.FAILED,
        "Runflow no longer knows the run. It may have been charged.",
        "If it turns up within a week, its output is stored. Or reopen it: ask again, or pay for a new run.",
        True,
    )
    NOT_CONFIRMED = (
        "not_confirmed",
        Group.FAILED,
        "Runflow's answer was lost, and for three days its run list did not tell whether a run was made and charged.",
        "Reopen it (unpaid) once the API key may list runs. If that cannot tell, search for the name in the detail.",
        True,
    )

    CANCELLED_AT_RUNFLOW = (
        "cancelled_at_runflow",
        Group.CANCELLED,
        "Somebody cancelled the run at Runflow. Work that was done is charged.",
        "If it ends well all the same within a week, its output is stored. If you still want it, reopen it (paid).",
        True,
    )

    @classmethod
    def of(cls, value: str) -> Reason:
        """The reason with a value. Raises ValueError for any other."""
        return cls(value)  # type: ignore[call-arg]  # which of the two calls of an enum this is, mypy can't tell

    @classmethod
    def _missing_(cls, value: object) -> Reason | None:
        """The reason that an item written under an earlier name means."""
        return {"settling": cls.UNCONFIRMED, "folder_marker": cls.NOT_A_PHOTO}.get(str(value))


INTAKE_REASONS: Final = frozenset(reason for reason in Reason if reason.group is Group.INTAKE)
