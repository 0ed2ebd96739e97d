"""Every reason in the words of a shop: what it means, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from detag.domain.job import Reason


@dataclass(frozen=True, slots=True)
class Advice:
    """One reason for a person."""

    means: str
    do: str


ADVICE: Final[dict[Reason, Advice]] = {
    Reason.READY: Advice("About to be sent to Runflow.", "Nothing."),
    Reason.RATE_LIMITED: Advice("Runflow asked for a pause.", "Nothing: it is tried again by itself."),
    Reason.UNCONFIRMED: Advice(
        "Runflow's answer was lost. Before the photo is sent again, detag waits and looks whether it was taken, "
        "so that it is not paid twice.",
        "Nothing: it goes on by itself.",
    ),
    Reason.RETRY: Advice("The run failed free of charge.", "Nothing: it is tried again by itself."),
    Reason.SPEND_LIMIT: Advice(
        "Today's spending limit is reached.", "Wait for midnight UTC, or raise DailySpendLimitUsd."
    ),
    Reason.OUT_OF_CREDIT: Advice("Runflow's credit is used up.", "Top up at Runflow: photos go on by themselves."),
    Reason.UNAUTHORIZED: Advice(
        "Runflow refused the API key, or the key may not use this model.",
        "Store a working key in the RunflowApiKey secret: photos go on by themselves.",
    ),
    Reason.NOT_CONFIGURED: Advice(
        "No Runflow API key is stored yet.", "Store one in the RunflowApiKey secret: photos go on by themselves."
    ),
    Reason.PAUSED: Advice("Somebody paused detag.", "Resume it: set Paused to false."),
    Reason.RUNFLOW_DOWN: Advice("Runflow is not answering.", "Nothing: one photo at a time tests whether it is back."),
    Reason.NOT_AN_IMAGE: Advice("The file is not an image.", "Nothing, or upload the photo that was meant."),
    Reason.UNSUPPORTED_TYPE: Advice(
        "The image is of a type that cannot be cleaned.", "Save it as JPEG, PNG or WebP and upload it again."
    ),
    Reason.EMPTY: Advice("The file is empty.", "Upload it again."),
    Reason.FOLDER_MARKER: Advice("Only a folder's name, not a file.", "Nothing."),
    Reason.TRUNCATED: Advice("The image stops before its end: the upload was cut off.", "Upload it again."),
    Reason.TOO_LARGE: Advice("The file is larger than the limit.", "Make it smaller, or raise MaxImageMegabytes."),
    Reason.TOO_MANY_PIXELS: Advice("The image has too many pixels.", "Make it smaller and upload it again."),
    Reason.TOO_OLD: Advice("The event is more than 90 days old.", "Upload the photo again if it is still wanted."),
    Reason.DELETED: Advice("The photo was deleted before it was read.", "Nothing, or upload it again."),
    Reason.REPLACED: Advice("The photo was replaced before it was read.", "Nothing: the newer one has its own job."),
    Reason.NEWER_UPLOAD: Advice(
        "A newer photo of the same name came first.", "Nothing: the newer one has its own job."
    ),
    Reason.NEWER_DELIVERED: Advice(
        "A newer photo of the same name was delivered meanwhile.", "Nothing: the newer picture stays."
    ),
    Reason.NO_PERMISSION: Advice(
        "detag may not read the photo.",
        "Check the bucket's policy and the photo's encryption key, then upload it again.",
    ),
    Reason.UNUSABLE_NAME: Advice(
        "A part of the photo's name is only . or .., so no web address leads to it.",
        "Upload it again under another name.",
    ),
    Reason.INVALID_ASPECT_RATIO: Advice(
        "The aspect ratio is not two numbers with a colon.",
        "Correct the photo's aspect-ratio metadata (or the AspectRatio parameter) and upload it again.",
    ),
    Reason.REFUSED: Advice(
        "Runflow refused the request; nothing was charged.", "Read the detail; then upload it again."
    ),
    Reason.RUN_FAILED: Advice("Runflow could not clean the photo.", "Read the detail; then upload it again."),
    Reason.NO_OUTPUT: Advice(
        "Runflow said that it was done, but gave no picture.", "Show the run id to Runflow: it may have been charged."
    ),
    Reason.BAD_OUTPUT: Advice(
        "What Runflow gave back was not a picture that is safe to store.",
        "Show the run id to Runflow: it may have been charged.",
    ),
    Reason.UNDELIVERABLE: Advice(
        "The cleaned picture could not be fetched or stored for days.",
        "Read the detail, fix the cause, then redeliver the run's callback at Runflow: the picture is stored then.",
    ),
    Reason.TIMED_OUT: Advice(
        "The run did not end in time.", "Nothing: if it ends after all, the picture is stored. Or upload it again."
    ),
    Reason.UNKNOWN_RUN: Advice(
        "Runflow does not know the run any more.", "If it turns up, the picture is stored. Or upload it again."
    ),
    Reason.CANCELLED_AT_RUNFLOW: Advice(
        "Somebody cancelled the run at Runflow.", "Upload the photo again if it is still wanted."
    ),
}
