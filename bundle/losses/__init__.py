"""Losses of pretraining and finetuning."""

from bundle.losses.denoising import DenoisingLoss
from bundle.losses.quantisation import QuantisationLoss
from bundle.losses.stage import StageLoss

__all__ = ["DenoisingLoss", "QuantisationLoss", "StageLoss"]
