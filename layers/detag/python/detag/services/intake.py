"""Moves of the intake by those who learn something about it."""

from __future__ import annotations

from detag.domain import intake as intakes
from detag.domain.decisions import Probe
from detag.domain.intake import Intake
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.errors import Conflict
from detag.ports.jobs import JobStore
from detag.ports.telemetry import Telemetry


class IntakeControl:
    """One conditional write for each move; the worker that loses a race leaves the intake as the other set it."""

    def __init__(self, *, jobs: JobStore, clock: Clock, telemetry: Telemetry) -> None:
        self._jobs, self._clock, self._telemetry = jobs, clock, telemetry

    def pause(self, reason: Reason, *, probe: bool) -> None:
        """Pause intake, for what a photo has met; `probe`: it is the one that tests a paused intake."""
        intake = self._jobs.intake()
        after = intakes.noticed(intake, reason, self._clock.now(), probe=probe)
        if after is not intake:
            self.save(intake, after)

    def probed(self, result: Probe) -> None:
        """Say what the probe has shown."""
        intake = self._jobs.intake()
        if result is Probe.PASSED:
            self.save(intake, intakes.drain(intake))
        else:
            self.save(intake, intakes.inconclusive(intake, self._clock.now()))

    def save(self, before: Intake, after: Intake) -> bool:
        """Save a move of the intake; False where another worker has changed it."""
        try:
            self._jobs.save_intake(before, after)
        except Conflict:
            self._telemetry.info("intake changed by another worker")
            return False
        self._telemetry.warning("intake changed", state=after.state, reason=after.reason)
        return True
