"""What the losses over several scales share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

__all__ = ["MultiScaleLoss"]


class MultiScaleLoss(_Loss):
    """Reduces an element-wise distance within each scale and averages over the scales.

    Args:
        distance: element-wise distance with a reduction argument.
        reduction: "mean" or "sum" within a scale.
    """

    def __init__(self, distance: Callable[..., torch.Tensor], reduction: LossReduction | str) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if self.reduction == "none":
            raise ValueError("reduction must be 'mean' or 'sum', since scales differ in shape.")
        self.distance = distance

    def forward(self, prediction: Sequence[torch.Tensor], target: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compares scale by scale, in single precision; no gradient reaches the target.

        Args:
            prediction: [B, C_k, ...] per scale.
            target: the same shapes.

        Raises:
            ValueError: when the lists are empty or of different length.
        """
        if not prediction or len(prediction) != len(target):
            raise ValueError(f"got {len(prediction)} predicted and {len(target)} target scales.")
        pairs = ((p.float(), t.detach().float()) for p, t in zip(prediction, target))
        terms = [self.distance(p, t, reduction=self.reduction) for p, t in pairs]
        return torch.stack(terms).mean()
