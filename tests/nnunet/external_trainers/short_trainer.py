"""A trainer that ends after seconds; nnU-Net finds it through nnUNet_extTrainer."""

from __future__ import annotations

import random

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):
    """One epoch of a few steps, the same in every run where nnUNet_n_proc_DA is 0."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (nnU-Net reads the parameters' names)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        self.num_epochs = 1
        self.num_iterations_per_epoch = 5
        self.num_val_iterations_per_epoch = 1
