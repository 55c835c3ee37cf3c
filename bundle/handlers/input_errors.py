"""Showing an input error once, not in every handler's log."""

from __future__ import annotations

from ignite.engine import Engine, Events

from bundle.errors import find_input_error

__all__ = ["InputErrors"]


class InputErrors:
    """Raises the :class:`~bundle.errors.InputError` behind a failure; first in a list of handlers.

    Handlers such as MONAI's StatsHandler log an exception with its traceback before they pass it on, which buries a
    message that is meant for the user.
    """

    def attach(self, engine: Engine) -> None:
        """Watches for exceptions."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, error: BaseException) -> None:
        """Raises the input error, or the exception as it is."""
        raise find_input_error(error) or error
