"""Ending a run after some time, to go on in another."""

from __future__ import annotations

import math
import time

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from bundle.errors import InputError

__all__ = ["TimeSlice"]


class TimeSlice:
    """Ends training after the epoch in which a time has passed; the same command then resumes it.

    Attach it before what saves checkpoints: an epoch that ends the run is saved like any other. With several processes
    all end as soon as the time of one has passed.

    Args:
        minutes: time from the start of the run; None never ends it.
        validator: runs once more where the last epoch is not one that is validated anyway, so that no run, however
            short, ends without weights.
        interval: epochs from one validation to the next.

    Raises:
        InputError: when the time is not positive.
    """

    def __init__(self, minutes: float | None = None, validator: Evaluator | None = None, interval: int = 1) -> None:
        if minutes is not None and not minutes > 0:
            raise InputError("slice_minutes", f"is {minutes}.", "Give minutes, or null for no limit.")
        self.seconds = math.inf if minutes is None else 60.0 * minutes
        self.validator = validator
        self.interval = interval
        self._start = 0.0

    def attach(self, engine: Engine) -> None:
        """Starts the clock with the engine, and looks at it after every epoch."""
        if self.seconds < math.inf:
            engine.add_event_handler(Events.STARTED, self._begin)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def _begin(self, engine: Engine) -> None:
        self._start = time.monotonic()

    def _look(self, engine: Engine) -> None:
        passed = time.monotonic() - self._start >= self.seconds
        if not idist.all_reduce(float(passed), "MAX"):
            return
        epoch = engine.state.epoch
        engine.logger.info("Epoch %d ends this slice; the same command goes on", epoch)
        if self.validator is not None and epoch % self.interval:
            self.validator.run(epoch)
        engine.terminate()
