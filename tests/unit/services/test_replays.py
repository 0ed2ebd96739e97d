"""One valid callback, replayed: queued once a minute, and answered each time."""

from __future__ import annotations

from detag.services import callback
from tests.unit.services.test_callback import SECRET, Harness, envelope


def test_replays_within_a_minute_are_dropped() -> None:
    harness = Harness(SECRET)
    assert [harness.post_signed(envelope()) for _ in range(600)] == [200] * 600
    assert len(harness.queue.sent) == 1
    harness.clock.advance(60.0)
    assert harness.post_signed(envelope()) == 200
    assert len(harness.queue.sent) == 2


def test_what_the_queue_refused_is_no_replay() -> None:
    harness = Harness(SECRET)
    harness.full = True
    assert harness.post_signed(envelope()) == 503
    harness.full = False
    assert harness.post_signed(envelope()) == 200
    assert len(harness.queue.sent) == 1


def test_another_body_of_the_same_run_is_no_replay() -> None:
    """A redelivery is made anew, with fresh URLs."""
    harness = Harness(SECRET)
    harness.post_signed(envelope())
    harness.post_signed(envelope(duration_ms=2))
    assert len(harness.queue.sent) == 2


def test_a_forged_replay_is_still_refused() -> None:
    harness = Harness(SECRET)
    harness.post_signed(envelope())
    assert harness.post(envelope(), "0" * 64) == 401


def test_only_so_many_bodies_are_remembered() -> None:
    harness = Harness(SECRET)
    for number in range(callback.MAX_REMEMBERED + 5):
        harness.post_signed(envelope(duration_ms=number))
    assert len(harness.handler._queued) == callback.MAX_REMEMBERED
