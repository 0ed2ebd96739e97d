"""The guards of the search for an existing run, and of whose run it is."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutant import DECISIONS, DELIVER, SEARCH, SEARCHED, Change, Mutant, one

MUTANTS: Final = (
    one(
        "of failed runs one that was charged is adopted",
        "paid once",
        DECISIONS + "usefulness",
        "run.cost is not None and run.cost > 0",
        "True",
        100,
    ),
    one(
        "search for an existing run: all pages",
        "paid once",
        SEARCH + "read",
        "self.is_read = following is None or",
        "self.is_read = True or",
        400,
    ),
    one(
        "search for an existing run: order checked",
        "paid once",
        SEARCH + "read",
        "self._order.is_beyond",
        "self._order._older > 0",
        400,
    ),
    Mutant(
        "search for an existing run: clocks",
        "paid once",
        (
            Change(SEARCH + "read", "waits.LIST_SKEW.seconds", "0.0"),
            Change(SEARCHED + "_in_time", "job.created_at) - waits.LIST_SKEW.seconds", "job.created_at)"),
        ),
        400,
    ),
    one(
        "search for an existing run: an entry that does not tell",
        "paid once",
        SEARCH + "judge",
        "self.to_ask.append(entry.run_id)",
        "pass",
        400,
    ),
    Mutant(
        "search for an existing run: an entry that is not a record",
        "paid once",
        (
            Change("detag.domain.runs:read_entry", "(entry, *inner)", "(entry,)"),
            Change(SEARCH + "read", "self._without_id += without_id", "pass"),
        ),
        400,
    ),
    one(
        "search for an existing run: listed and not known yet",
        "paid once",
        SEARCH + "answered",
        "Proof.UNTOLD if run is None",
        "Proof.FOREIGN if run is None",
        400,
    ),
    one(
        "search for an existing run: a list that may not be read",
        "search first",
        SEARCH + "result",
        "is_over = self.is_read and (not self.to_ask) and (not trouble)",
        "is_over = True",
        400,
    ),
    one(
        "adoption: the photo's URL rewritten",
        "paid once",
        "detag.domain.runs:shown_by",
        "_is_asset(run.image_url, photo_url)",
        "False",
        400,
    ),
    one(
        "adoption: the photo's URL quoted anew",
        "paid once",
        "detag.domain.runs:same_place",
        "{unquote(a[1]), unquote_plus(a[1])}",
        "{unquote(a[1])}",
        400,
    ),
    one(
        "adoption: another configuration",
        "own run",
        SEARCHED + "proof",
        "named and shown is Shown.PHOTO and fits",
        "named and shown is Shown.PHOTO",
        400,
    ),
    one(
        "search for an existing run: what a server may have written otherwise",
        "paid once",
        SEARCHED + "proof",
        "else Proof.UNTOLD",
        "else Proof.UNTOLD if fits else Proof.FOREIGN",
        400,
    ),
    one(
        "search for an existing run: a run of a callback that does not tell",
        "paid once",
        SEARCHED + "whose_run",
        "return Whose.UNTOLD",
        "return Whose.FOREIGN",
        400,
    ),
    one(
        "adoption: after a search",
        "own run",
        SEARCH + "_proof",
        "proof(run, self._job, self._photo_url)",
        "Proof.OURS if run.job_id == self._job.job_id else Proof.FOREIGN",
        400,
    ),
    one(
        "adoption: number of the submission",
        "unmatched run charged once",
        SEARCHED + "proof",
        "not job.has_submission(run.client_ref or '')",
        "not (run.client_ref or '').startswith(job.job_id)",
        400,
    ),
    Mutant(
        "adoption: a submission that is unaccounted for",
        "own run",
        (
            Change(
                SEARCHED + "proof",
                "not job.has_submission(run.client_ref or '')",
                "not (run.client_ref or '').startswith(job.job_id)",
            ),
            Change(SEARCHED + "own_run", "client_ref in job.awaited", "job.awaited"),
        ),
        400,
    ),
    one(
        "paid and signed by another road",
        "nothing paid is lost",
        DELIVER + "_fetch_by_any_road",
        "self._other_roads(run, result)",
        "iter(())",
        400,
    ),
)
