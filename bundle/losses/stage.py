"""The whole loss of a training stage."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from bundle.losses.denoising import DenoisingLoss
from bundle.losses.quantisation import QuantisationLoss

__all__ = ["StageLoss"]


class StageLoss(_Loss):
    """Task loss (mean squared error at points, equation 9) plus the weighted auxiliary losses.

    Args:
        quantisation_weight: weight of the quantisation loss; 0.1 in pretraining and dataset adaptation.
        denoising_weight: weight of the denoising loss; 1.0 in view adjustment.
        gradient_weight: weight of the mean squared error of the differences within pairs of points, whose first are the
            first half of the points and whose second the other half (SamplePointsd's pairs); not in the paper.
    """

    def __init__(
        self, quantisation_weight: float = 0.1, denoising_weight: float = 0.0, gradient_weight: float = 0.0
    ) -> None:
        super().__init__(reduction=LossReduction.MEAN.value)
        self.quantisation_weight = quantisation_weight
        self.denoising_weight = denoising_weight
        self.gradient_weight = gradient_weight
        self.quantisation = QuantisationLoss()
        self.denoising = DenoisingLoss()
        self.terms: dict[str, torch.Tensor] = {}

    def forward(self, prediction: dict, target: torch.Tensor) -> torch.Tensor:
        """Adds the terms up; the last call's terms stay in ``terms`` for logging.

        Args:
            prediction: output of PointForward.
            target: [B, 1, points] values in [0, 1].
        """
        points = prediction["points"].float()
        task = F.mse_loss(points, target)
        self.terms = {"task": task.detach()}
        loss = task
        if self.gradient_weight > 0:
            gradient = F.mse_loss(_difference(points), _difference(target))
            self.terms["gradient"] = gradient.detach()
            loss = loss + self.gradient_weight * gradient
        if self.quantisation_weight > 0:
            quantisation = self.quantisation(prediction["latents"], prediction["codes"])
            self.terms["quantisation"] = quantisation.detach()
            loss = loss + self.quantisation_weight * quantisation
        if self.denoising_weight > 0:
            denoising = self.denoising(prediction["denoised"], prediction["dense"])
            self.terms["denoising"] = denoising.detach()
            loss = loss + self.denoising_weight * denoising
        return loss


def _difference(points: torch.Tensor) -> torch.Tensor:
    """[B, 1, pairs] second less first of every pair in [B, 1, 2 * pairs]."""
    first, second = points.chunk(2, dim=-1)
    return second - first
