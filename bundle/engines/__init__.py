"""Trainers of the stages, and what feeds them."""

from bundle.engines.prepare_batch import PreparePoints, PrepareVolume
from bundle.engines.trainers import (
    DatasetAdaptationTrainer,
    HyViPTrainer,
    SparseViewTrainer,
    ViewAdjustmentTrainer,
    loss_terms,
)

__all__ = [
    "DatasetAdaptationTrainer",
    "HyViPTrainer",
    "PreparePoints",
    "PrepareVolume",
    "SparseViewTrainer",
    "ViewAdjustmentTrainer",
    "loss_terms",
]
