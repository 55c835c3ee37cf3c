"""One progress bar for a whole training run."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from bundle.optional import require

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Shows iterations done, time left and the loss, on terminals only.

    Args:
        name: what to call the run.
    """

    def __init__(self, name: str = "training") -> None:
        self.name = name
        self._bar: Any = None

    def attach(self, engine: Engine) -> None:
        """Opens the bar at the first iteration, since a run may resume, and closes it at the end."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.COMPLETED, self._close)

    def _update(self, engine: Engine) -> None:
        state: Any = engine.state  # ignite calls the output a number
        if self._bar is None:
            total = state.max_epochs * state.epoch_length
            tqdm = require("tqdm", "tqdm", "the progress bar").tqdm
            self._bar = tqdm(total=total, initial=state.iteration - 1, desc=self.name, unit="step", disable=None)
        self._bar.update()
        if not self._bar.disable:
            self._bar.set_postfix(epoch=state.epoch, loss=f"{state.output[0]['terms']['loss']:.4g}", refresh=False)

    def _close(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
