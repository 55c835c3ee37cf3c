"""Dictionary transform that simulates an item's chosen views once, with a classical prior, to be kept with it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Randomizable, Transform

from bundle.geometry_rows import unpack_distinct
from bundle.networks.classical_prior import ClassicalPrior, NoPrior
from bundle.physics.acquisition import Acquisition
from bundle.presets import ScanPreset
from bundle.simulation import FINE, simulate_item

__all__ = ["ScanViewsd"]


class ScanViewsd(Randomizable, Transform):
    """Adds "projections" [views, V, U] of the views that an item has drawn (see SampleViewsd), and the "prior".

    An item's finer volume ("fine") is what is projected, and is not kept.

    On a CPU a classical prior takes longer than a training step; kept with a cached item it is made once.

    Args:
        scan: the scan.
        key: entry with the volume [1, X, Y, Z] in [0, 1].
        acquisition: noise and other physics; none if None.
        prior: the network's, which makes the "prior" [1, R, R, R] of the sparse views; none if None.
        device: device to compute on.
    """

    def __init__(
        self,
        scan: ScanPreset,
        key: str = "image",
        acquisition: Acquisition | None = None,
        prior: ClassicalPrior | NoPrior | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.scan = scan
        self.key = key
        self.acquisition = acquisition
        self.prior = prior
        self.device = torch.device(device)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        d = dict(data)
        geometry, places = unpack_distinct(torch.as_tensor(d["geometry"]))
        generator = torch.Generator(self.device).manual_seed(int(self.R.randint(2**31)))
        projections = simulate_item(
            d, geometry, self.scan.hu_window, self.acquisition, generator, self.device, self.key
        )
        d.pop(FINE, None)
        d["projections"] = projections[0, places.to(self.device)].cpu()
        if self.prior is not None:
            mask = torch.as_tensor(d["sparse_mask"])[None]
            matrices = torch.as_tensor(d["matrices"])[None]
            prior = self.prior(d["projections"][None].to(self.device), matrices, mask)
            if prior is not None:
                d["prior"] = prior[0].cpu()
        return d
