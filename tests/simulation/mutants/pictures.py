"""The guards of pictures: equal photos are paid for once, and what is not good enough is not reused."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, REUSE, STORE, one

ITEMS: Final = "detag.ports.items:"

MUTANTS: Final = (
    one(
        "a claim takes its picture",
        "one run per picture",
        DECISIONS + "begin",
        "picture=photo.picture",
        "picture=None",
    ),
    one(
        "a picture is taken only as it was seen",
        "one run per picture",
        STORE + "_pictures",
        "change.takes and (not same)",
        "False",
    ),
    one(
        "a picture that is taken is waited for",
        "one run per picture",
        DECISIONS + "meet_picture",
        "pays and now < picture.taken_until",
        "False",
    ),
    one(
        "a picture is taken for as long as a run may take",
        "one run per picture",
        DECISIONS + "begin",
        "picture_until=now + run_timeout_hours * 3600.0",
        "picture_until=now + 60.0",
        400,
    ),
    one(
        "an unconfirmed photo keeps its picture",
        "one run per picture",
        "detag.domain.job:Job.holds_picture",
        "sent or self.unconfirmed",
        "sent",
        400,
    ),
    one(
        "what was delivered is known",
        "one run per picture",
        ITEMS + "_known",
        "known = pictures.know(",
        "known = pictures.leave(as_met, job.job_id) if as_met else pictures.know(",
    ),
    one(
        "what detag delivered is not cleaned again",
        "already cleaned",
        DECISIONS + "begin",
        "unless_output=photo.as_output",
        "unless_output=None",
        400,
    ),
    one(
        "what was rejected is not reused",
        "reused as it should be",
        REUSE + "_is_rejected",
        "self._tags(meeting, output.key, version).get(REVIEW) == REJECTED",
        "False",
        400,
    ),
    one(
        "a new run that a person asked for is not replaced by what is known",
        "reopened on request",
        DECISIONS + "meet_picture",
        "picture.is_known and job.again is None",
        "picture.is_known",
    ),
    one(
        "a new run that a person asked for is sent though it is an output",
        "reopened on request",
        DECISIONS + "_photo",
        "again is None and job.again is None",
        "again is None",
    ),
    one(
        "a word makes another picture",
        "one run per picture",
        DECISIONS + "_photo",
        "picture=picture_id(head.etag, head.size, ratio=ratio, again=again)",
        "picture=picture_id(head.etag, head.size, ratio=ratio, again=None)",
    ),
    one(
        "another shape is another picture",
        "own output",
        DECISIONS + "_photo",
        "picture=picture_id(head.etag, head.size, ratio=ratio, again=again)",
        "picture=picture_id(head.etag, head.size, ratio=None, again=again)",
    ),
    one(
        "a copy never takes the place of a newer output",
        "newest wins",
        REUSE + "_copy_one",
        "sequencer_rank(existing.metadata.get(SEQUENCER, '')) > job.upload.rank",
        "False",
    ),
    one(
        "few photos are no batch",
        "batches",
        "detag.domain.batches:is_told",
        "batch.photos + news >= FEWEST",
        "True",
    ),
    one(
        "what was deleted or overwritten by hand is not reused",
        "reused as it should be",
        DECISIONS + "is_as_delivered",
        "one.there and one.untouched",
        "one.there",
        400,
    ),
    one(
        "what was rejected under any name is not reused",
        "reused as it should be",
        REUSE + "_source_in",
        "replace(GONE, rejected=self._is_rejected(meeting, output))",
        "GONE",
        400,
    ),
    one(
        "a photo is not sent again once its picture is known",
        "one run per picture",
        "detag.domain.picture:keep",
        "picture.known_version > claimed",
        "False",
    ),
    one(
        "a run that turned up has its picture once the other leaves it",
        "one run per picture",
        "detag.domain.picture:retake",
        "tuple(dict.fromkeys((*picture.also_taken_by, job_id)))",
        "picture.also_taken_by",
    ),
    one(
        "a late result leaves what is known",
        "one run per picture",
        "detag.domain.picture:_beside",
        "return [*known[:MAX_RESULTS - 1], made]",
        "return [made]",
    ),
    one(
        "what was rejected does not come back",
        "reused as it should be",
        "detag.domain.picture:know",
        "picture.was_rejected(run_id)",
        "False",
    ),
    one(
        "what was replaced is not used for what is rejected",
        "reused as it should be",
        REUSE + "_source",
        "known or (result.replaced and refused)",
        "known",
    ),
    one(
        "another output's rejection does not count",
        "one run per picture",
        REUSE + "_is_rejected",
        "shown is None or shown.etag != output.etag",
        "False",
    ),
)
