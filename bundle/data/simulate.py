"""Dictionary transform that simulates all candidate projections of a volume, to be cached."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from torch.utils.data import get_worker_info

from bundle.arguments import is_true
from bundle.data.load_projections import network_input
from bundle.data.projection_file import ProjectionSet
from bundle.fixed_tuples import pair
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import case_generator
from bundle.presets import ScanPreset
from bundle.simulation import FINE, simulate_item

__all__ = ["SimulateProjectionsd"]


class SimulateProjectionsd(Transform):
    """Adds "projections", "matrices", "geometry" and "angles_rad" of every candidate view.

    An item's finer volume ("fine") is what is projected, and is not kept.

    Args:
        scan: the scan.
        key: entry with the volume [1, X, Y, Z] in [0, 1].
        acquisition: noise and other physics; none if None.
        seed: seed of its randomness; with the item's "case" it decides the noise, in every epoch and worker, on
            the same kind of device.
        device: device to simulate on.
        used: simulate; otherwise items stay as they are.
    """

    def __init__(
        self,
        scan: ScanPreset,
        key: str = "image",
        acquisition: Acquisition | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        used: bool = True,
    ) -> None:
        self.scan = scan
        self.key = key
        self.acquisition = acquisition
        self.seed = seed
        self.device = torch.device(device)
        self.used = is_true(used, "cache_projections")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item; one that has stored projections stays as it is."""
        d = dict(data)
        if "projections" in d or not self.used:
            return d
        # Worker processes of a data loader cannot use the parent's CUDA device.
        device = torch.device("cpu") if get_worker_info() is not None else self.device
        geometry = self.scan.geometry(self.scan.candidate_angles_rad)
        generator = case_generator(self.seed, d.get("case"), device)
        projections = simulate_item(d, geometry, self.scan.hu_window, self.acquisition, generator, device, self.key)
        d.pop(FINE, None)
        stored = ProjectionSet(projections[0].cpu().numpy(), geometry, hu_window=pair(self.scan.hu_window))
        d.update(network_input(stored, self.scan))
        return d
