"""No reconstruction that is not finite goes on to metrics and files."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from bundle.finite import check_reconstruction
from bundle.handlers.compared_methods import items_and_outputs

__all__ = ["FiniteVolumes"]


class FiniteVolumes:
    """Refuses volumes with NaN or infinite voxels; attach it before the handlers that use the volumes.

    Args:
        method: what reconstructs.
    """

    def __init__(self, method: str = "deepsparse") -> None:
        self.method = method

    def attach(self, engine: Engine) -> None:
        """Looks at the volumes after every iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Looks at the iteration's volumes.

        Raises:
            InputError: naming method and case.
        """
        for item, output in items_and_outputs(engine):
            check_reconstruction(output[CommonKeys.PRED], self.method, item.get("case", ""))
