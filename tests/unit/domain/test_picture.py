"""What becomes of a picture, change by change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain import picture as pictures
from detag.domain.picture import MAX_KNOWN_OUTPUTS, MAX_NAMES, MAX_RESULTS, Delivery, Output, Picture

NOW = 1_000_000.0
FREE = Picture(picture_id="p1", version=4)
TAKEN = replace(FREE, taken_by="job-1", taken_until=NOW + 60)


def delivery(number: int, outputs: int = 1, *, result: str = "e1") -> Delivery:
    key = f"{number}.jpg"
    return Delivery(
        key, tuple(Output(one, f"{key}.{one}", f"v{number}", result, 9, "image/webp") for one in range(1, outputs + 1))
    )


def known(names: int, outputs: int = 1) -> Picture:
    """A picture that was delivered under so many names."""
    found = pictures.know(FREE, "job-0", delivery(0, outputs), copies=False, run_id="run-0")
    for number in range(1, names):
        found = pictures.know(found, f"job-{number}", delivery(number, outputs), copies=True)
    return found


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        (FREE, NOW, "job-2"),
        (replace(TAKEN, taken_by="job-2"), NOW, "job-2"),
        (TAKEN, NOW, "job-1"),
        (TAKEN, TAKEN.taken_until, "job-2"),
    ],
)
def test_a_used_run_takes_it_again_unless_another_pays(before: Picture, now: float, after: str) -> None:
    found = pictures.retake(before, "job-2", now, 3_600.0)
    assert found.payers == tuple(dict.fromkeys((after, "job-2")))
    assert found.taken_until == now + 3_600.0
    assert found.version == before.version + 1


def test_a_run_that_turned_up_has_it_once_the_other_leaves() -> None:
    """Whoever waits goes on waiting: it is not free."""
    both = pictures.retake(pictures.wait(TAKEN, "job-9"), "job-2", NOW, 30.0)
    assert both.taken_until == TAKEN.taken_until, "the longer of both"
    assert pictures.retake(both, "job-2", NOW, 30.0).payers == ("job-1", "job-2")
    left = pictures.leave(both, "job-1")
    assert (left.payers, left.waiting, left.taken_until) == (("job-2",), ("job-9",), TAKEN.taken_until)
    assert pictures.woken(both, left) == ()
    free = pictures.leave(left, "job-2")
    assert (free.payers, free.waiting, free.taken_until) == ((), (), 0.0)
    assert pictures.woken(left, free) == ("job-9",)
    assert pictures.leave(free, "job-2") == free


def test_one_that_turned_up_may_leave_first() -> None:
    both = pictures.retake(pictures.retake(TAKEN, "job-2", NOW, 30.0), "job-3", NOW, 30.0)
    assert both.payers == ("job-1", "job-2", "job-3")
    assert pictures.leave(both, "job-2").payers == ("job-1", "job-3")
    assert pictures.leave(both, "job-1").payers == ("job-2", "job-3")


def test_nobody_waits_for_one_that_turned_up_once_it_is_known() -> None:
    both = pictures.retake(pictures.wait(TAKEN, "job-9"), "job-2", NOW, 30.0)
    found = pictures.know(both, "job-1", delivery(1), copies=False, run_id="run-1")
    assert (found.payers, found.waiting, found.taken_until) == ((), (), 0.0)
    late = pictures.know(found, "job-2", delivery(2), copies=False, run_id="run-2")
    assert [one.outputs for one in late.results] == [delivery(1).outputs, delivery(2).outputs]
    first = pictures.know(both, "job-2", delivery(2), copies=False, run_id="run-2")
    assert (first.payers, first.waiting) == (("job-1",), ("job-9",))


def test_nothing_is_sent_again_once_another_run_turned_up() -> None:
    assert pictures.keep(TAKEN, "job-1", None) is not None
    assert pictures.keep(pictures.retake(TAKEN, "job-2", NOW, 30.0), "job-1", None) is None
    assert pictures.keep(TAKEN, "job-2", None) is None


def test_the_first_copy_of_what_was_lost_is_an_original() -> None:
    """Its item was deleted while the copy was made."""
    found = pictures.know(FREE, "job-2", delivery(2), copies=True)
    (made,) = found.results
    assert (made.outputs, made.originals, made.older) == (delivery(2).outputs, delivery(2).outputs, ())


def test_each_copy_is_one_more_name() -> None:
    found = known(3)
    assert found.deliveries == (delivery(2), delivery(1), delivery(0))
    assert found.first.originals == delivery(0).outputs
    assert pictures.know(found, "job-9", delivery(1), copies=True) == found, "it has that name"


def test_a_name_is_remembered_once() -> None:
    """As it was delivered last; the originals stay, whoever's they were."""
    later = replace(delivery(1), outputs=(replace(delivery(1).outputs[0], version_id="v9"),))
    assert pictures.know(known(3), "job-9", later, copies=True).deliveries == (later, delivery(2), delivery(0))
    first = replace(delivery(0), outputs=later.outputs)
    found = pictures.know(known(3), "job-9", first, copies=True)
    assert found.deliveries == (first, delivery(2), delivery(1), Delivery("", delivery(0).outputs))


ANEW = delivery(7, result="e2")


def paid_again(*, asked: bool = False) -> Picture:
    """A picture known by three names, and by the result of a run that was paid for later."""
    taken = pictures.take(known(3), "job-7", NOW)
    return pictures.know(taken, "job-7", ANEW, copies=False, run_id="run-7", partial=True, asked=asked)


@pytest.mark.parametrize("asked", [False, True])
def test_another_result_is_known_before_the_others(asked: bool) -> None:
    found = paid_again(asked=asked)
    made = found.first
    assert (made.outputs, made.originals, made.partial) == (ANEW.outputs, ANEW.outputs, True)
    assert [one.run_id for one in found.results] == ["run-7", "run-0"]
    assert [one.replaced for one in found.results] == [False, asked]
    assert found.results[1].deliveries == known(3).deliveries
    assert pictures.know(found, "job-8", delivery(8, result="e2"), copies=True).first.partial


def test_a_late_result_is_known_behind_the_others() -> None:
    """Its job does not have the picture any more."""
    found = pictures.know(known(3), "job-7", ANEW, copies=False, run_id="run-7")
    assert [one.run_id for one in found.results] == ["run-0", "run-7"]
    assert found.deliveries == (*known(3).deliveries, ANEW)


def test_a_copy_is_a_name_of_the_result_that_it_was_made_of() -> None:
    copy = delivery(8)
    found = pictures.know(paid_again(), "job-8", copy, copies=True, of=delivery(0).outputs)
    assert [one.run_id for one in found.results] == ["run-7", "run-0"]
    assert found.results[1].deliveries == (copy, *known(3).deliveries)
    assert pictures.know(paid_again(), "job-8", copy, copies=True, of=copy.outputs) == paid_again(), "it is gone"


def test_what_was_rejected_makes_way_and_stays_away() -> None:
    before = pictures.reject(known(3), known(3).results)
    assert before.deliveries == known(3).deliveries, "until there is another"
    found = pictures.know(before, "job-7", ANEW, copies=False, run_id="run-7")
    assert (found.deliveries, found.rejected_runs) == ((ANEW,), ("run-0",))
    assert pictures.know(found, "job-0", delivery(0), copies=False, run_id="run-0") == found


def test_the_result_that_is_used_comes_first() -> None:
    found = pictures.prefer(paid_again(), paid_again().results[1], [delivery(1)])
    assert [one.run_id for one in found.results] == ["run-0", "run-7"]
    assert found.deliveries == (delivery(2), delivery(0), ANEW)


def test_only_so_many_results_are_remembered() -> None:
    """The newest and the first of those that were known; each with what makes it known at least."""
    found = known(MAX_NAMES)
    for number in range(1, MAX_RESULTS + 2):
        taken = pictures.take(found, f"job-{number}", NOW)
        late = delivery(40 + number, result=f"l{number}")
        anew = delivery(60 + number, result=f"n{number}")
        found = pictures.know(taken, "late", late, copies=False, run_id=f"late-{number}")
        assert found.results[-1].deliveries == (late,)
        found = pictures.know(found, f"job-{number}", anew, copies=False, run_id=f"new-{number}")
        assert found.first.outputs == anew.outputs
        assert len(found.results) <= MAX_RESULTS
        assert len(found.deliveries) <= MAX_NAMES


def test_only_as_many_results_as_outputs_fit_are_remembered() -> None:
    """Each with its newest name and its originals; the first in any case, whatever it has."""
    most = MAX_KNOWN_OUTPUTS // 4
    found = known(2, most)
    for number in (1, 2):
        taken = pictures.take(found, f"job-{number}", NOW)
        made = delivery(60 + number, most, result=f"n{number}")
        found = pictures.know(taken, f"job-{number}", made, copies=False, run_id=f"new-{number}")
        assert [one.run_id for one in found.results] == [f"new-{number}", "run-0" if number == 1 else "new-1"]
        assert sum(len(one.outputs) + len(one.originals) for one in found.results) <= MAX_KNOWN_OUTPUTS
    alone = pictures.take(found, "job-3", NOW)
    large = delivery(70, MAX_KNOWN_OUTPUTS, result="large")
    assert len(pictures.know(alone, "job-3", large, copies=False, run_id="new-3").results) == 1


def test_what_was_replaced_once_stays_behind_what_is_not() -> None:
    """Somebody asked for another result in its place; a third one, that nobody asked for, changes nothing of that."""
    found = known(1)
    for number, asked in ((1, True), (2, False)):
        taken, made = pictures.take(found, f"job-{number}", NOW), delivery(number, result=f"n{number}")
        found = pictures.know(taken, f"job-{number}", made, copies=False, run_id=f"new-{number}", asked=asked)
    assert [(one.run_id, one.replaced) for one in found.results] == [
        ("new-2", False),
        ("new-1", False),
        ("run-0", True),
    ]


def test_the_same_run_stored_again_is_the_same_result() -> None:
    """It was asked for again, since somebody deleted its output; its copies are still known."""
    again = replace(delivery(0), outputs=(replace(delivery(0).outputs[0], version_id="v9"),))
    found = pictures.know(known(3), "job-0", again, copies=False, run_id="run-0")
    assert found.deliveries == (again, delivery(2), delivery(1), Delivery("", delivery(0).outputs))
    assert pictures.know(found, "job-0", again, copies=False, run_id="run-0") == found


@pytest.mark.parametrize("run_id", ["run-9", None])
def test_equal_bytes_of_another_run_are_another_result(run_id: str | None) -> None:
    """A person may have rejected the first ones."""
    again = replace(delivery(0), outputs=(replace(delivery(0).outputs[0], version_id="v9"),))
    before = known(3) if run_id else replace(known(3), results=(replace(known(3).first, run_id=None),))
    found = pictures.know(before, "job-0", again, copies=False, run_id=run_id)
    assert [one.deliveries for one in found.results] == [known(3).deliveries, (again,)]


def test_the_originals_and_the_newest_names_are_kept() -> None:
    found = known(MAX_NAMES + 5).deliveries
    assert [*found] == [*(delivery(number) for number in range(MAX_NAMES + 4, 5, -1)), delivery(0)]
    assert len(found) == MAX_NAMES


def test_an_item_never_grows_too_large() -> None:
    """Of runs with as many outputs as are stored, fewer names are remembered."""
    found = known(MAX_NAMES, outputs=16).deliveries
    assert sum(len(one.outputs) for one in found) == MAX_KNOWN_OUTPUTS
    assert (found[0], found[-1]) == (delivery(MAX_NAMES - 1, 16), delivery(0, 16))


def test_a_name_that_is_gone_is_dropped() -> None:
    (result,) = known(3).results
    found = pictures.prefer(known(3), result, [delivery(2), delivery(0)])
    left = found.first
    assert (left.source_key, left.outputs, left.older) == ("1.jpg", delivery(1).outputs, ())
    assert found.deliveries == (delivery(1), Delivery("", delivery(0).outputs)), "it may have been rejected"
    assert result.without(result.deliveries) == result, "one is left in any case"
