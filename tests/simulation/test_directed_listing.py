"""The run list as it may be: thin, rewritten, in another order, not readable; and whose run it shows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Literal

import pytest

from detag.domain.intake import Override
from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.domain.runs import Run
from detag.domain.search import ORDERED
from detag.ports.runs_fake import FAILED, PRICE, Ending, Fault
from detag.services.existing_runs import MAX_ASKED
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Simulation


def lost_answer(simulation: Simulation, key: str = "shoe.jpg") -> str:
    """A photo whose POST made a run and had no answer, and whose callback is lost; its job."""
    simulation.runflow.deaf = True
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.faults = [Fault(effect=True)]
    return upload(simulation, key)


def paid_once(simulation: Simulation, job: str) -> None:
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    runflow = simulation.runflow
    assert sum(run.billed for run in runflow.runs.values() if run.run_id not in runflow.foreign) == PRICE


READINGS: dict[str, dict[str, object]] = {
    "thin": {"list_entries": "thin"},
    "ids alone": {"list_entries": "ids"},
    "nested": {"list_entries": "nested"},
    "asset links": {"input_shown": "asset"},
    "no input": {"input_shown": "nothing"},
    "URLs quoted anew": {"input_shown": "requoted"},
    "ascending": {"order": "ascending"},
    "no order": {"order": "none"},
    "in groups": {"order": "grouped"},
    "thin, of asset links, ascending": {"list_entries": "thin", "input_shown": "asset", "order": "ascending"},
    "a clock that is behind": {"clock_behind": 3_500.0},
    "a clock that is behind, thin": {"clock_behind": 3_500.0, "list_entries": "thin"},
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("filtered", ["honoured", "ignored", "refused", "none"])
def test_a_run_is_found_whatever_the_list_is_like(simulation: Simulation, reading: str, filtered: str) -> None:
    """An existing run is found, and not paid for again, under every reading of the list and of its filter."""
    habits = simulation.runflow.habits
    habits.page_limit = 5
    for name, value in (*READINGS[reading].items(), ("client_ref_filter", filtered)):
        setattr(habits, name, value)
    simulation.runflow.others(30)
    pass_time(simulation, 3 * HOUR)
    job = lost_answer(simulation)
    for minute in range(8):
        simulation.after(60.0 * minute + 1, lambda: simulation.runflow.others(3))
    paid_once(simulation, job)


@pytest.mark.parametrize("deaf", [True, False], ids=["no callback", "callback"])
def test_a_url_that_was_quoted_anew_is_our_photos(simulation: Simulation, deaf: bool) -> None:
    """A run that shows our photo's URL with a plus sign for each space is found, and adopted from its callback."""
    simulation.runflow.habits.input_shown = "requoted"
    job = lost_answer(simulation, "a red shoe.jpg")
    simulation.runflow.deaf = deaf
    paid_once(simulation, job)


def test_a_callback_with_a_rewritten_url_is_adopted(simulation: Simulation) -> None:
    """The callback of our run is adopted although its record shows an asset link for the photo."""
    simulation.runflow.habits.input_shown = "asset"
    simulation.runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED, "well before the confirmation time"
    rest(simulation)


CLOCK = (
    Change("detag.domain.search:RunSearch.read", "waits.LIST_SKEW.seconds", "0.0"),
    Change("detag.domain.search:_in_time", "job.created_at) - waits.LIST_SKEW.seconds", "job.created_at)"),
)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_clock_that_is_behind_hides_no_run(simulation: Simulation, allowed: bool) -> None:
    """A run that seems to be older than its request is found; without the allowance for clocks it is not used."""
    with ExitStack() as stack:
        for change in CLOCK if not allowed else ():
            stack.enter_context(change.made())
        simulation.runflow.habits.clock_behind = 1_800.0
        job = lost_answer(simulation)
        simulation.run_out(simulation.time + 4 * DAY)
    assert simulation.runflow.billed == PRICE
    assert simulation.jobs.jobs[job].state is (State.DELIVERED if allowed else State.FAILED)


@pytest.mark.parametrize("filtered", ["honoured", "none"])
def test_a_clock_that_nobody_allows_for_pays_nothing_twice(
    simulation: Simulation, filtered: Literal["honoured", "none"]
) -> None:
    """The name is ours, and the time cannot be: a person is told which run it is."""
    simulation.runflow.habits.clock_behind, simulation.runflow.habits.client_ref_filter = 5 * HOUR, filtered
    told_of(simulation, lost_answer(simulation))


@pytest.mark.parametrize("waited_for", [True, False])
def test_a_run_that_is_listed_and_not_known_yet_is_waited_for(simulation: Simulation, waited_for: bool) -> None:
    """A run that is listed and cannot be asked for yet is waited for; passed over, it is paid for twice."""
    passed_over = Change(
        "detag.domain.search:RunSearch.answered", "Proof.UNTOLD if run is None", "Proof.FOREIGN if run is None"
    )
    with nullcontext() if waited_for else passed_over.made():
        simulation.runflow.habits.known_after = HOUR
        simulation.runflow.habits.list_entries = "thin"
        lost_answer(simulation)
        simulation.run_out(simulation.time + DAY)
    assert simulation.runflow.billed == (PRICE if waited_for else 2 * PRICE)


@pytest.mark.parametrize("good_first", [True, False])
def test_the_good_run_is_adopted_before_one_that_failed(simulation: Simulation, good_first: bool) -> None:
    """Of a run that failed and a good one the good one is adopted; otherwise a third is paid for."""
    either = Change("detag.domain.search:after_list", "sorted(runs, key=usefulness)", "runs")
    with nullcontext() if good_first else either.made():
        simulation.runflow.habits.idempotency = "ignored"
        simulation.runflow.deaf = True
        simulation.runflow.faults = [Fault(effect=True, late=900.0), Fault(effect=True)]
        simulation.runflow.endings = [SLOW, FAILED]
        job = upload(simulation)
        simulation.run_out(simulation.time + DAY)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == (PRICE if good_first else 2 * PRICE)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == (not good_first)


def test_runs_that_do_not_tell_are_asked_for_in_parts(simulation: Simulation) -> None:
    """Of hundreds of runs whose entries do not tell, a search asks for some, and the next goes on with the others."""
    simulation.runflow.habits.list_entries = "thin"
    simulation.runflow.habits.client_ref_filter = "none"
    job = lost_answer(simulation)
    simulation.after(60.0, lambda: simulation.runflow.others(450))
    pass_time(simulation, 660.0)
    asked = len(simulation.runflow.asked)
    assert asked <= MAX_ASKED
    paid_once(simulation, job)
    assert len(simulation.runflow.asked) < 500, "none is asked for twice"
    assert len(simulation.runflow.sent) == 1


def test_only_runs_whose_time_could_be_ours_are_asked_for(simulation: Simulation) -> None:
    simulation.runflow.habits.list_entries = "thin"
    simulation.runflow.habits.client_ref_filter = "none"
    simulation.runflow.others(300)
    pass_time(simulation, 2 * HOUR)
    job = lost_answer(simulation)
    paid_once(simulation, job)
    assert set(simulation.runflow.asked) == {simulation.jobs.jobs[job].run_id}


@pytest.mark.parametrize("needed", [ORDERED, 10])
def test_a_list_that_is_in_order_within_groups_is_read_on(simulation: Simulation, needed: int) -> None:
    """Newest first in each of its groups, a list looks in order at first: ten older runs in a row do not end it."""
    ten = Change("detag.domain.search:RunSearch.read", "self._order.is_beyond", "self._order._older >= 10")
    with nullcontext() if needed == ORDERED else ten.made():
        habits = simulation.runflow.habits
        habits.order, habits.page_limit, habits.client_ref_filter = "grouped", 5, "none"
        simulation.runflow.others(60)
        pass_time(simulation, 3 * HOUR)
        lost_answer(simulation)
        simulation.run_out(simulation.time + DAY)
    assert len(simulation.runflow.sent) == (1 if needed == ORDERED else 2)


def test_a_long_list_that_is_in_order_is_not_read_to_its_end(simulation: Simulation) -> None:
    simulation.runflow.habits.client_ref_filter = "none"
    simulation.runflow.others(4_000)
    pass_time(simulation, 3 * HOUR)
    job = lost_answer(simulation)
    paid_once(simulation, job)
    assert simulation.runflow.pages == 5, "of nine: 2,499 older runs and its own"


# What cannot be looked up


def nameless(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records never tell whose they are."""
    record = simulation.runflow.record
    hidden = {"client_ref": None, "metadata": None, "input": None}
    monkeypatch.setattr(simulation.runflow, "record", lambda run: record(run) | hidden)


def unfollowable(simulation: Simulation) -> None:
    """Its first page says that more follows, and not where; a filter on names is not understood."""
    habits = simulation.runflow.habits
    habits.list_followable, habits.page_limit, habits.client_ref_filter = False, 3, "none"
    simulation.runflow.others(3)
    simulation.after(60.0, lambda: simulation.runflow.others(3))


TROUBLE: dict[str, Callable[[Simulation, pytest.MonkeyPatch], object]] = {
    "no right to list": lambda simulation, _: setattr(simulation.runflow.habits, "may_list", False),
    "a list that does not say how it goes on": lambda simulation, _: unfollowable(simulation),
    "a list that cannot be read": lambda simulation, _: setattr(simulation.runflow.habits, "list_readable", False),
    "records that never tell": nameless,
    "entries without an id": lambda simulation, _: setattr(simulation.runflow.habits, "list_entries", "no ids"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("made", [True, False], ids=["a run", "no run"])
def test_what_cannot_be_looked_up_reaches_a_person(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, trouble: str, made: bool
) -> None:
    """After three days a person is told; nothing is sent again, and what may be paid for stays counted."""
    TROUBLE[trouble](simulation, monkeypatch)
    simulation.runflow.deaf = True
    simulation.runflow.others(1)
    simulation.runflow.faults = [Fault(effect=made)]
    job_id = upload(simulation)
    pass_time(simulation, 71 * HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.UNCONFIRMED
    pass_time(simulation, 3 * HOUR)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, job.reason) == (State.FAILED, Reason.NOT_CONFIRMED)
    assert job.client_ref in str(job.detail) and job.reservation is not None
    assert len(simulation.runflow.sent) == 1
    assert "_failed/shoe.jpg.txt" in simulation.photos.outputs
    assert ("Photo Failed", job_id) in [(kind, detail["job_id"]) for kind, detail in simulation.events.published]


@pytest.mark.parametrize("told", [True, False])
def test_a_url_of_an_unknown_host_is_never_taken_for_no(simulation: Simulation, told: bool) -> None:
    """Our run, shown with a link to a host that nobody knows, is not paid for again: a person is told."""
    no = Change("detag.domain.search:proof", "shown is Shown.UNTOLD and (not names_ours)", "shown is Shown.UNTOLD")
    with nullcontext() if told else no.made():
        simulation.runflow.habits.input_shown = "elsewhere"
        job_id = lost_answer(simulation)
        simulation.run_out(simulation.time + 4 * DAY)
    job, (run, *_) = simulation.jobs.jobs[job_id], simulation.runflow.runs
    assert simulation.runflow.billed == (PRICE if told else 2 * PRICE)
    assert (job.reason is Reason.NOT_CONFIRMED and job.reservation is not None and run in str(job.detail)) is told


def told_of(simulation: Simulation, job_id: str) -> None:
    """A person is told of the run of a photo; nothing is sent again, nothing adopted, and its money stays counted."""
    simulation.run_out(simulation.time + 4 * DAY)
    job, (run, *_) = simulation.jobs.jobs[job_id], simulation.runflow.runs
    assert (len(simulation.runflow.sent), simulation.runflow.billed) == (1, PRICE)
    assert (job.reason, job.run_id) == (Reason.NOT_CONFIRMED, None)
    assert job.reservation is not None and run in str(job.detail)


@pytest.mark.parametrize("shown", ["defaults", "escaped twice"])
@pytest.mark.parametrize("deaf", [True, False], ids=["no callback", "callback"])
def test_what_a_server_wrote_otherwise_is_never_taken_for_no(
    simulation: Simulation, shown: Literal["defaults", "escaped twice"], deaf: bool
) -> None:
    """Our run, shown with our name and another configuration, or another spelling, may be ours: a person is told."""
    simulation.runflow.habits.input_shown = shown
    job_id = lost_answer(simulation, "a red shoe.jpg")
    simulation.runflow.deaf = deaf
    told_of(simulation, job_id)


def test_a_run_of_a_callback_that_does_not_tell_is_asked_for(simulation: Simulation) -> None:
    """The list does not show it after the confirmation time; its callback has named it, and its record may be ours."""
    habits = simulation.runflow.habits
    habits.input_shown, habits.visible_after = "defaults", 30 * DAY
    job_id = lost_answer(simulation)
    simulation.runflow.deaf = False
    told_of(simulation, job_id)


def test_a_search_goes_on_once_the_key_has_the_right(simulation: Simulation) -> None:
    simulation.runflow.habits.may_list = False
    job = lost_answer(simulation)
    pass_time(simulation, 12 * HOUR)
    simulation.runflow.habits.may_list = True
    paid_once(simulation, job)


def test_an_outage_of_two_days_gives_no_search_up(simulation: Simulation) -> None:
    job = lost_answer(simulation)
    simulation.runflow.down = True
    pass_time(simulation, 2 * DAY)
    simulation.runflow.down = False
    paid_once(simulation, job)


def test_the_time_of_a_paused_intake_does_not_count(simulation: Simulation) -> None:
    """A search is not given up for a key that is refused, however long, while intake is paused for it."""
    job = lost_answer(simulation)
    simulation.runflow.habits.key_good = False
    upload(simulation, "b.jpg")
    pass_time(simulation, 8 * DAY)
    assert simulation.intake.reason is Reason.UNAUTHORIZED
    simulation.runflow.habits.key_good = True
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == 2 * PRICE


def test_short_pauses_do_not_put_off_that_a_person_is_told(simulation: Simulation) -> None:
    """A key without the right to list that is refused for hours every two days: a person is told within four days."""
    habits = simulation.runflow.habits
    habits.may_list = False
    job_id = lost_answer(simulation)
    for day in (1.0, 2.5):
        simulation.after(day * DAY, lambda: setattr(habits, "key_good", False))
        simulation.after(day * DAY, lambda: upload(simulation, f"{simulation.time}.jpg"))
        simulation.after(day * DAY + 2 * HOUR, lambda: setattr(habits, "key_good", True))
    pass_time(simulation, 4 * DAY)
    paused = [write for write in simulation.jobs.writes if "intake is paused" in str(write.after.decision)]
    assert paused, "the search was put off by a pause"
    assert simulation.jobs.jobs[job_id].reason is Reason.NOT_CONFIRMED


def test_a_callback_redelivered_by_hand_repairs_the_given_up(simulation: Simulation) -> None:
    """The reason's advice is true: the run's callback, sent again by hand, still brings the output."""
    simulation.runflow.habits.may_list = False
    job_id = lost_answer(simulation)
    pass_time(simulation, 75 * HOUR)
    assert simulation.jobs.jobs[job_id].reason is Reason.NOT_CONFIRMED
    (run,) = simulation.runflow.runs.values()
    simulation.runflow.deaf = False
    simulation.runflow.call_back(run)
    paid_once(simulation, job_id)
    assert simulation.jobs.jobs[job_id].run_id == run.run_id


def test_a_cursor_too_long_to_keep_reaches_a_person(simulation: Simulation) -> None:
    """A list that one process cannot read, and whose cursor the item cannot keep, is not "none"."""
    habits = simulation.runflow.habits
    habits.cursor_length, habits.page_limit, habits.client_ref_filter = 3_000, 10, "none"
    simulation.runflow.page_seconds = 3.0
    job = lost_answer(simulation)
    for minute in range(11):
        simulation.after(60.0 * minute, lambda: simulation.runflow.others(20))
    pass_time(simulation, 75 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.NOT_CONFIRMED
    assert len(simulation.runflow.sent) == 1


# Whose run it is


def in_retry(simulation: Simulation) -> Job:
    """A photo whose first run failed free of charge, and that waits for its next attempt."""
    simulation.runflow.endings = [FAILED]
    job_id = upload(simulation)
    pass_time(simulation, 40.0)
    job = simulation.jobs.jobs[job_id]
    assert job.reason is Reason.RETRY
    return job


@pytest.mark.parametrize("number", ["1", "2", "9", "1x", "", "01"])
def test_no_run_is_adopted_while_none_is_missing(simulation: Simulation, number: str) -> None:
    """A run of somebody else that shows our photo and a name of ours is not adopted while a photo waits in `retry`."""
    job = in_retry(simulation)
    photo = simulation.photos.presign("in", "shoe.jpg", job.upload.version_id, 60, "image/jpeg")
    simulation.unmatched_runs = int(number == "1")  # nothing tells it from another run of ours: a person is told
    simulation.runflow.forge(job.job_id, f"{job.job_id}.{number}", photo)
    rest(simulation)
    job = simulation.jobs.jobs[job.job_id]
    assert job.state is State.DELIVERED
    assert job.run_id not in simulation.runflow.foreign


def test_a_run_of_another_configuration_is_not_adopted(simulation: Simulation) -> None:
    """A run that shows our name and photo, and another aspect ratio than was asked for, is not adopted. Nor is the
    photo sent again, for Runflow may have filled it in: a person is told.
    """
    simulation.runflow.faults = [Fault()]
    job_id = upload(simulation)
    pass_time(simulation, 30.0)
    job = simulation.jobs.jobs[job_id]
    photo = simulation.photos.presign("in", "shoe.jpg", job.upload.version_id, 60, "image/jpeg")
    told_of_forged = simulation.runflow.forge(job_id, job.client_ref, photo, {"aspect_ratio": "1:1"})
    simulation.run_out(simulation.time + 4 * DAY)
    job = simulation.jobs.jobs[job_id]
    assert (job.reason, job.run_id, len(simulation.runflow.sent)) == (Reason.NOT_CONFIRMED, None, 1)
    assert told_of_forged.run_id in str(job.detail)


def test_a_run_of_another_photo_is_somebody_elses(simulation: Simulation) -> None:
    """Of whatever name and configuration: the photo is sent, and nobody has to look."""
    simulation.runflow.faults = [Fault()]
    job_id = upload(simulation)
    pass_time(simulation, 30.0)
    job = simulation.jobs.jobs[job_id]
    photo = simulation.photos.presign("in", "hat.jpg", None, 60, "image/jpeg")
    simulation.runflow.forge(job_id, job.client_ref, photo, {"aspect_ratio": "1:1"})
    rest(simulation)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    assert simulation.jobs.jobs[job_id].run_id not in simulation.runflow.foreign


def test_a_late_run_of_a_submission_that_was_given_up_is_used(simulation: Simulation) -> None:
    """A run that appears after its submission was given up is adopted while no other is known: paid once."""
    simulation.runflow.habits.visible_after = 3 * HOUR
    simulation.runflow.faults = [Fault(effect=True)]
    simulation.runflow.endings = [Ending(queued=60.0, seconds=2 * HOUR)]
    simulation.after(60.0, lambda: setattr(simulation.jobs, "operator", Override(paused=True)))
    job_id = upload(simulation)
    pass_time(simulation, HOUR)
    job = simulation.jobs.jobs[job_id]
    assert (job.reason, [name for name, _ in job.unaccounted]) == (Reason.PAUSED, [job.client_ref])
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED
    simulation.jobs.operator = Override()
    rest(simulation)
    assert len(simulation.runflow.sent) == 1


# The roads to an output


@pytest.mark.parametrize("signs", ["when asked", "unless asked"])
@pytest.mark.parametrize("deaf", [True, False], ids=["no callback", "callback"])
def test_every_road_to_an_output_is_tried(
    simulation: Simulation, signs: Literal["when asked", "unless asked"], deaf: bool
) -> None:
    """A paid output is stored whichever of Runflow's answers signs its URL."""
    simulation.runflow.habits.signs, simulation.runflow.deaf = signs, deaf
    job = upload(simulation)
    paid_once(simulation, job)


def test_the_callbacks_url_is_tried_where_the_record_fails(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output whose URL is refused in every record is fetched by that of the callback."""
    get = simulation.runflow.get

    def unsigned(run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        run = get(run_id, signed=signed, account=account)
        return run and replace(run, output_urls=tuple(url.partition("?")[0] for url in run.output_urls))

    monkeypatch.setattr(simulation.runflow, "get", unsigned)
    job = upload(simulation)
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
