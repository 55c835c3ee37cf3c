"""Quantisation loss."""

from __future__ import annotations

import torch.nn.functional as F
from monai.utils import LossReduction

from bundle.losses.scales import MultiScaleLoss

__all__ = ["QuantisationLoss"]


class QuantisationLoss(MultiScaleLoss):
    """Squared distance between features and their codes, || z - sg[e] ||^2 (DeepSparse, equation 10).

    Args:
        reduction: "mean" or "sum" over the elements of a scale; scales are averaged.
    """

    def __init__(self, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(F.mse_loss, reduction)
