"""The guards of what is read of a photo before it is paid for: is it still there, the newest, and meant as one."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, Change, Mutant, one

ADMISSION: Final = "detag.services.admission:Admission."

MUTANTS: Final = (
    one(
        "deleted: what is at the key is read, not the version",
        "deleted is deleted",
        ADMISSION + "_read_head",
        "(None, None)",
        "(job.upload.version_id, None)",
    ),
    one(
        "deleted: judged again after each wait",
        "deleted is deleted",
        ADMISSION + "judge",
        "self._screen(job)",
        "self._screen(job) if job.version == 0 else (job, Photo('image/jpeg', (), None))",
    ),
    one(
        "deleted: looked for before it is sent again",
        "deleted is deleted",
        DECISIONS + "before_resend",
        "not isinstance(seen, Head) or not _is_of(job.upload, seen)",
        "False",
    ),
    one(
        "replaced: by its version",
        "deleted is deleted",
        DECISIONS + "_is_of",
        "seen.version_id == upload.version",
        "True",
    ),
    one(
        "replaced: by its ETag",
        "deleted is deleted",
        DECISIONS + "_is_of",
        "seen.etag == upload.etag",
        "True",
        400,
    ),
    one(
        "newest upload: looked for once more",
        "nothing superseded for nothing",
        DECISIONS + "screen_rank",
        "upload.version and known.seen is None",
        "False",
        400,
    ),
    Mutant(
        "newest upload: raised for photos only",
        "nothing superseded for nothing",
        (
            Change(
                ADMISSION + "_screen",
                "self._clock.now()",
                "(self._jobs.raise_newest_upload(job.upload.bucket, job.upload.key, job.upload.rank),"
                " self._clock.now())[1]",
            ),
            Change(DECISIONS + "screen_rank", "upload.version and known.seen is None", "False"),
        ),
        400,
    ),
    one(
        "judged on arrival",
        "judged on arrival",
        ADMISSION + "judge",
        "self._screen(job)",
        "self._screen(job) if self.refusal(job) is None else (job, Photo('image/jpeg', (), None))",
    ),
    one(
        "ignored names",
        "judged by its bytes",
        DECISIONS + "screen_upload",
        "ignoring(criteria.ignored_names, named)",
        "''",
    ),
    one(
        "access: read again",
        "no failure for a paused intake",
        DECISIONS + "_not_read",
        "tries >= DENIED_TRIES",
        "True",
    ),
    one(
        "access: for an hour",
        "no failure for a paused intake",
        DECISIONS + "_not_read",
        "waits.ACCESS_DENIED.seconds(tries, max)",
        "60.0",
        400,
    ),
    one(
        "access: tries of its own",
        "no failure for a paused intake",
        DECISIONS + "_not_read",
        "job.tries if job.reason is Reason.ACCESS_DENIED else 0",
        "job.tries + 5",
        400,
    ),
    one(
        "age: after its item has expired no event pays again",
        "redriving is harmless",
        DECISIONS + "screen_upload",
        "job.version == 0 and now - upload.uploaded_at > RETENTION_SECONDS",
        "False",
    ),
)
