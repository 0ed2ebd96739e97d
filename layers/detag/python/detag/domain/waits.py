"""Every wait of the pipeline in one table: how long, and why so long. All times are in seconds."""

from __future__ import annotations

from typing import Final

from detag.domain.backoff import Uniform, backoff
from detag.domain.money import next_day
from detag.domain.values import dataclass

SUBMIT_TIMEOUT: Final = 30.0
DELIVER_TIMEOUT: Final = 120.0
"""After so long Lambda kills a worker of each function: the template's `Timeout`."""
CLOCK_SKEW: Final = 30.0
"""How far the clocks of two workers may be apart."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait of one length."""

    name: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait that grows with each try: `floor` + a random part of `base`, 2 x `base`, 4 x `base`, ... up to `cap`."""

    name: str
    base: float
    cap: float
    why: str
    floor: float = 0.0
    jitter: bool = True
    """Whether the random part is any length up to its bound, or always the whole of it."""
    first: int = 0
    """How many tries there have been when it is waited for the first time."""

    def bounded(self, seconds: float) -> float:
        """What somebody else asked for, and no longer than this wait ever gets."""
        return min(seconds, self.cap)

    def seconds(self, tries: int, uniform: Uniform, *, at_least: float = 0.0) -> float:
        """How long to wait after `tries` tries in a row; never less than `at_least`, which somebody asked for, unless
        that is longer than `cap`.
        """
        chance: Uniform = uniform if self.jitter else lambda _, high: high
        return self.floor + backoff(tries, chance, base=self.base, cap=self.cap, at_least=self.bounded(at_least))


@dataclass(frozen=True, slots=True)
class UntilMidnight:
    """A wait until the next day begins, UTC."""

    name: str
    why: str

    def after(self, now: float) -> float:
        """The end of the wait."""
        return next_day(now)


# Before a run

RATE_LIMITED: Final = Backoff(
    "after a 429",
    5.0,
    900.0,
    "Runflow's limit is short; where it names a time in Retry-After, never less than that, up to 900 s",
)
LIMITED_TRIES: Final = 24
"""How often in a row Runflow may answer 429 to one photo: after that, which takes about two hours, it pauses intake."""
CONTENDED: Final = Backoff(
    "a new photo that has to wait for others",
    30.0,
    30.0,
    "for whoever writes its picture, or claims its folder",
    floor=30.0,
)
ACCESS_DENIED: Final = Backoff(
    "a photo that may not be read",
    60.0,
    900.0,
    "what IAM is told takes a while to reach S3: tried seven times more, for an hour in all",
    jitter=False,
)
INTERRUPTED: Final = Backoff(
    "a photo that AWS failed for before it was sent",
    60.0,
    3_600.0,
    "a passing fault; for three days, before a person is told",
    jitter=False,
)
INTERRUPTED_TRIES: Final = 77
"""How often that is tried again: 6 waits are 3,780 s together, and 71 more of 3,600 s each make three days."""
SAME_PICTURE: Final = Backoff(
    "for an equal photo that is being cleaned",
    300.0,
    1_800.0,
    "the end of that one wakes it: this is for a wake-up that was lost",
    jitter=False,
)
SAME_NAME: Final = Wait(
    "for another version that is being stored", 30.0, "a copy and an output of one name are stored one by one"
)
LEASE: Final = Wait(
    "lease of a claim",
    SUBMIT_TIMEOUT + CLOCK_SKEW,
    "a worker is killed before its lease ends, whatever the clocks say: it cannot wake later and send",
)
NOT_ACCEPTED: Final = Backoff(
    "a photo whose requests get no clear answer",
    60.0,
    14_400.0,
    "never less than for confirmation; for three days, before a person is told: an outage of Runflow pauses intake and "
    "does not count",
    jitter=False,
)
MAX_UNCLEAR: Final = 25
"""So many requests in a row: 8 waits are 15,300 s together, and 17 more of 14,400 s each make three days."""
SEARCH_AGAIN: Final = Backoff(
    "a search for an existing run that failed", 60.0, 1_800.0, "until Runflow can tell, nothing is sent", floor=60.0
)
SEARCH: Final = Wait(
    "for a search for an existing run",
    72 * 3_600.0,
    "a key's rights may be put right and an outage end within days; then a person is told, and nothing is sent",
)
ACCOUNT_AGAIN: Final = Wait(
    "before Runflow is asked again whose an API key is",
    60.0,
    "it did not answer: until then the key itself stands for its account",
)
URL_MARGIN: Final = Wait(
    "left of a presigned URL", 300.0, "a URL with less than this left is not sent again: Runflow has to read the photo"
)
LIST_SKEW: Final = Wait(
    "behind a claim", 3_600.0, "how far Runflow's clock may be behind: the search goes further back"
)

# While intake is paused

PROBE: Final = Backoff(
    "before the next probe", 60.0, 900.0, "one photo at a time tests whether the cause is gone", jitter=False
)
NEW_BUDGET: Final = UntilMidnight(
    "before a probe after the daily spend limit", "every day has its own budget: until then no photo can be paid"
)
PROBE_LEASE: Final = Wait(
    "for a probe's answer", 240.0, "longer than a message of the upload queue stays invisible (180 s)"
)

# While a run is under way

FIRST_POLL: Final = Wait(
    "before a run is first asked for", 300.0, "most models end within a minute (contract section 3)"
)
ADOPTED_POLL: Final = Wait("before an adopted run is asked for", 60.0, "it may have ended long ago")
POLL: Final = Backoff("a run that still runs", 60.0, 1_800.0, "its callback may come any time", jitter=False)
UNKNOWN_RUN: Final = Wait(
    "for a run that Runflow does not know", 3_600.0, "a run that has an id may become visible late"
)
NO_OUTPUT: Final = Wait(
    "for a run that succeeded without an output",
    3_600.0,
    "it may be shown late: tries alone would not tell for how long it was not",
)

# After a run

RUN_RETRY: Final = Backoff("after a run that failed free of charge", 30.0, 900.0, "what made it fail may pass", first=1)
FRESH_URL: Final = Wait(
    "a presigned URL is fresh",
    600.0,
    "so long it surely lives, whatever credentials signed it: what Runflow says then is about the photo",
)
OUTPUT: Final = Wait("for one output", 60.0, "from the first packet of its request to its last byte: longer hangs")
STORING: Final = Wait(
    "after the invocation that stores outputs of a photo",
    CLOCK_SKEW,
    f"its worker is killed after {DELIVER_TIMEOUT:g} s at most, and no other stores outputs of the photo before, "
    "whatever the clocks say",
)
MORE_OUTPUTS: Final = Wait("before the rest of many outputs", 30.0, "a new invocation has its whole time for them")
DELIVERY: Final = Wait(
    "for an output that cannot be stored", 72 * 3_600.0, "paid already: tried for days before a person is told"
)
LATE_POLL: Final = Backoff(
    "a failed job's run that may still end well", 3_600.0, 86_400.0, "paid already, and a person was told", jitter=False
)
CALLBACK_AGAIN: Final = Wait(
    "before a run's callback is asked for again",
    86_400.0,
    "its URLs are the last road to a paid output; what Runflow does with such a request is not promised",
)
CALLBACK_URLS: Final = Wait(
    "for a callback's own output URLs",
    2_400.0,
    "they are in its message alone, which comes every 720 s: the fifth receive would make it a dead letter",
)
LATE_RESULT: Final = Wait(
    "for a late result", 7 * 86_400.0, "what Runflow does not show within a week it is not going to show"
)

# Messages that may be lost

RESUME: Final = Wait(
    "after a message to submit", 300.0, "longer than a message of the upload queue stays invisible (180 s)"
)
REDELIVER: Final = Wait(
    "after a message to deliver", 900.0, "longer than a message of the result queue stays invisible (720 s)"
)
PUBLISH_AGAIN: Final = Wait("before a pending event or record is sent again", 300.0, "EventBridge or S3 failed")
RECORD: Final = Wait(
    "for a record", 150.0, "the longest life of a worker that writes one (120 s), and the skew of two clocks (30 s)"
)

BATCH: Final = Wait(
    "before a batch is finished", 600.0, "in which nothing can go on by itself: a pause of a shop is longer"
)
LATE_END: Final = Wait(
    "before an end is counted", 300.0, "a worker lives for 120 s after it looked at its clock, and an index lags"
)
BATCH_SAVED: Final = Wait("between two writes of an idle batch", 3_600.0, "else each minute would write the same")

SET_ASIDE: Final = Wait(
    "for an item that cannot be read", 86_400.0, "a person has to repair it; a message a day tells that nobody has"
)

# Uploads without an event

LATE_EVENT: Final = Wait(
    "before an upload is taken for one without an event", 900.0, "events come within seconds as a rule"
)
SCAN_AGAIN: Final = Wait("between two scans of the input bucket", 3_600.0, "few uploads lack an event")
SCAN_OVERLAP: Final = Wait(
    "before the start of the latest complete scan",
    86_400.0,
    "what was too young for that scan is in the span of the next, also an upload in parts: its time is when it began",
)
TOO_LARGE_TO_SCAN: Final = Wait(
    "before a bucket that was too large is scanned again", 86_400.0, "a scan of 100,000 objects takes 100 minutes"
)
REMEMBERED: Final = Wait(
    "an upload may be recovered",
    80 * 86_400.0,
    "closed jobs are kept for 90 days: what is older may have been paid for, and nobody knows",
)

COMPARED_URL: Final = Wait(
    "a URL that is only compared", 60.0, "with the one that a run shows, to know whose the run is: nobody reads it"
)

# Claims to a folder

CLAIM_LOOK: Final = Wait(
    "between two looks at the claims to folders",
    120.0,
    "whoever deletes a damaged list soon has a new one; as often as another stack looks, which would get the folder",
)
CLAIM_RENEWAL: Final = Wait(
    "between two renewals of a claim to a folder", 43_200.0, "well before its stack stops paying for want of one"
)
CLAIM_PAYS: Final = Wait(
    "after its renewal a stack pays by a claim to a folder",
    86_400.0,
    "what comes later is not its own, whatever it missed: another stack that gets the folder cleans that",
)
CLAIM_LAPSES: Final = Wait(
    "after its renewal a claim to a folder lapses",
    2 * 86_400.0,
    "a stack that was stopped for a day keeps its folder, and a deleted one frees it",
)
CLAIM_TRUSTED: Final = Wait(
    "a claim to a folder is trusted", 120.0, "each look is a request to S3, and a new claim has to wait for so long"
)
CLAIM_IN_FORCE: Final = Wait(
    "before a new claim to a folder is in force",
    CLAIM_TRUSTED.seconds + SUBMIT_TIMEOUT + CLOCK_SKEW,
    "another stack may have seen its own claim just before that was deleted: it trusts it, looks no more in that "
    "invocation, and has another clock",
)

# Requests to reopen a job

REQUEST_AHEAD: Final = Wait(
    "a request to reopen a job may be ahead", 86_400.0, "the clock, or the time zone, of whoever asks may be wrong"
)

# Callbacks and contention

SECRET_CACHE: Final = Wait("callback secrets are cached", 300.0, "they seldom change, and each read costs money")
SECRET_REREAD: Final = Wait(
    "between reads after a mismatch",
    30.0,
    "a new secret is known within this time, and strangers can't drive the reads",
)
SECRET_RETRY: Final = Wait(
    "after secrets that could not be read", 5.0, "Secrets Manager failed: it is not asked at once"
)
REPLAY: Final = Wait(
    "a queued callback is not queued again", 60.0, "replays of one callback would delay every other photo's"
)
CONTENTION: Final = Backoff(
    "for an item that others write",
    0.05,
    0.8,
    "eight tries, 1.6 s of pauses on the average: below a function's timeout",
)

WAITS: Final[tuple[Wait | Backoff | UntilMidnight, ...]] = (
    RATE_LIMITED,
    CONTENDED,
    ACCESS_DENIED,
    INTERRUPTED,
    SAME_PICTURE,
    SAME_NAME,
    LEASE,
    NOT_ACCEPTED,
    SEARCH_AGAIN,
    SEARCH,
    ACCOUNT_AGAIN,
    URL_MARGIN,
    LIST_SKEW,
    PROBE,
    NEW_BUDGET,
    PROBE_LEASE,
    FIRST_POLL,
    ADOPTED_POLL,
    POLL,
    UNKNOWN_RUN,
    NO_OUTPUT,
    RUN_RETRY,
    FRESH_URL,
    OUTPUT,
    STORING,
    MORE_OUTPUTS,
    DELIVERY,
    LATE_POLL,
    CALLBACK_AGAIN,
    CALLBACK_URLS,
    LATE_RESULT,
    RESUME,
    REDELIVER,
    PUBLISH_AGAIN,
    RECORD,
    BATCH,
    LATE_END,
    BATCH_SAVED,
    SET_ASIDE,
    LATE_EVENT,
    SCAN_AGAIN,
    SCAN_OVERLAP,
    TOO_LARGE_TO_SCAN,
    REMEMBERED,
    COMPARED_URL,
    CLAIM_LOOK,
    CLAIM_RENEWAL,
    CLAIM_PAYS,
    CLAIM_LAPSES,
    CLAIM_TRUSTED,
    CLAIM_IN_FORCE,
    REQUEST_AHEAD,
    SECRET_CACHE,
    SECRET_REREAD,
    SECRET_RETRY,
    REPLAY,
    CONTENTION,
)
