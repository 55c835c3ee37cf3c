"""Refusing reconstructions that are no numbers, before anything of them is written."""

from __future__ import annotations

import torch

from bundle.errors import InputError

__all__ = ["check_reconstruction"]


def check_reconstruction(volume: torch.Tensor, method: str, case: object = "") -> None:
    """Refuses a volume that is not finite everywhere.

    Args:
        volume: of any shape.
        method: what reconstructed it.
        case: what it is of, where that has a name.

    Raises:
        InputError: naming method and case.
    """
    finite = torch.isfinite(volume)
    if bool(finite.all()):
        return
    bad = volume.numel() - int(finite.sum())
    raise InputError(
        f"{method}{f' of {case}' if case else ''}",
        f"gave {bad} of {volume.numel()} voxels that are NaN or infinite.",
        "Check the projections and their geometry, the method's options, and of a network its weights.",
    )
