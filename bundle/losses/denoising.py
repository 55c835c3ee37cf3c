"""Denoising loss."""

from __future__ import annotations

import torch.nn.functional as F
from monai.utils import LossReduction

from bundle.losses.scales import MultiScaleLoss

__all__ = ["DenoisingLoss"]


class DenoisingLoss(MultiScaleLoss):
    """Absolute distance between denoised sparse-view features and dense-view ones (DeepSparse, equation 12).

    Args:
        reduction: "mean" or "sum" over the elements of a scale; scales are averaged.
    """

    def __init__(self, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(F.l1_loss, reduction)
