"""Ending a run after some time, to go on in another."""

from __future__ import annotations

import time

from ignite.engine import Engine, Events

from bundle.errors import InputError

__all__ = ["TimeSlice"]


class TimeSlice:
    """Ends training after the epoch in which a time has passed; the same command then resumes it.

    Attach it before what saves checkpoints: an epoch that ends the run is saved like any other.

    Args:
        minutes: time from the start of the run; None never ends it.

    Raises:
        InputError: when the time is not positive.
    """

    def __init__(self, minutes: float | None = None) -> None:
        if minutes is not None and not minutes > 0:
            raise InputError("slice_minutes", f"is {minutes}.", "Give minutes, or null for no limit.")
        self.minutes = minutes
        self._start = 0.0

    def attach(self, engine: Engine) -> None:
        """Starts the clock with the engine, and looks at it after every epoch."""
        if self.minutes is not None:
            engine.add_event_handler(Events.STARTED, self._begin)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def _begin(self, engine: Engine) -> None:
        self._start = time.monotonic()

    def _look(self, engine: Engine) -> None:
        if time.monotonic() - self._start >= 60.0 * self.minutes:
            engine.logger.info("Epoch %d ends this slice; the same command goes on", engine.state.epoch)
            engine.terminate()
