"""The classical methods by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch

from bundle.arguments import check_arguments
from bundle.classical.cgls import CGLS
from bundle.classical.fdk import FDK
from bundle.classical.rtk_methods import RTKCGLS, RTKFDK, RTKSART, RTKTotalVariation
from bundle.classical.sart import SART
from bundle.classical.total_variation import TotalVariation
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry

__all__ = ["ENGINES", "METHODS", "Method", "make_method"]

ENGINES = ("own", "rtk")

METHODS: dict[str, dict[str, Callable[..., Method]]] = {
    "fdk": {"own": FDK, "rtk": RTKFDK},
    "sart": {"own": SART, "rtk": RTKSART},
    "cgls": {"own": CGLS, "rtk": RTKCGLS},
    "tv": {"own": TotalVariation, "rtk": RTKTotalVariation},
}
"""Classes by name and engine: this package's operators, or the Reconstruction Toolkit."""


class Method(Protocol):
    """What every method is."""

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs.

        Args:
            projections: [B, views, V, U] line integrals in value times mm.
            geometry: the scan.
            initial: [B, 1, X, Y, Z] to start from, for iterative methods; zeros if None.

        Returns:
            [B, 1, X, Y, Z].

        Raises:
            InputError: when the method cannot reconstruct the scan.
        """
        ...


def make_method(name: str, engine: str = "own", **options: Any) -> Method:
    """A method by name.

    Args:
        name: one of METHODS.
        engine: "own" or "rtk".
        options: the method's own, such as iterations.

    Raises:
        InputError: when name, engine or an option is unknown or invalid.
    """
    if name not in METHODS:
        raise InputError("method", f"is {name!r}.", f"Use one of {', '.join(METHODS)}.")
    if engine not in ENGINES:
        raise InputError("engine", f"is {engine!r}.", f"Use one of {', '.join(ENGINES)}.")
    method = METHODS[name][engine]
    known = list(inspect.signature(method).parameters)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f"method {name}, engine {engine}", f"has no option {', '.join(unknown)}.", f"It has {', '.join(known)}."
        )
    return method(**check_arguments(method, options, f"method {name}"))
