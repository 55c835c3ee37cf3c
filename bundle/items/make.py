"""Making items: the scan of a number, and its reconstruction by total variation."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, Orientationd

from bundle.data.anatomy_volume import AnatomyVolumed
from bundle.data.cut_field import CutFieldd
from bundle.data.load_ct import LoadCTd
from bundle.items.item import Item
from bundle.items.recipe import ItemRecipe, Plan
from bundle.physics.acquisition import Acquisition
from bundle.physics.attenuation import normalised_to_unit_integral
from bundle.physics.noise import DetectorNoise
from bundle.physics.truncation import DetectorTruncation
from bundle.sampling.jitter import ScanJitter
from bundle.simulation import SCANNED_FROM, simulate_item

__all__ = ["ItemMaker"]


class ItemMaker:
    """Makes items of a recipe; each is a function of its number.

    Args:
        recipe: the recipe.
        device: device to compute on.
    """

    def __init__(self, recipe: ItemRecipe, device: str | torch.device = "cpu") -> None:
        self.recipe = recipe
        self.device = torch.device(device)

    @torch.no_grad()
    def scan(self, plan: Plan) -> Item:
        """Makes a truth and its scan.

        Args:
            plan: of the recipe.
        """
        recipe, scan = self.recipe, self.recipe.scan
        volumes = self._volumes({str(key): value for key, value in plan.anatomy.items()})
        cut = CutFieldd(probability=recipe.cut_probability)
        cut.set_random_state(plan.seed)
        volumes = cut(volumes)
        rng = np.random.RandomState(plan.seed)
        angles_rad = (np.arange(plan.views) + rng.uniform()) * scan.arc_rad / plan.views
        geometry = ScanJitter(**recipe.jitter).draw(scan, angles_rad, rng)
        acquisition = Acquisition(noise=None if plan.photons is None else DetectorNoise(plan.photons))
        generator = torch.Generator(self.device).manual_seed(plan.seed)
        projections = simulate_item(volumes, geometry, scan.hu_window, acquisition, generator, self.device)
        projections = DetectorTruncation(plan.truncation)(projections[0])
        truth = torch.as_tensor(volumes["image"])[0].as_subclass(torch.Tensor)
        return Item(truth.half().cpu(), projections.half().cpu(), geometry, plan.photons, str(volumes[SCANNED_FROM]))

    @torch.no_grad()
    def total_variation(self, item: Item) -> torch.Tensor:
        """[X, Y, Z] float16 an item's reconstruction by total variation, with the recipe's options."""
        from bundle.classical import TotalVariation

        projections = normalised_to_unit_integral(item.projections.to(self.device).float())[None]
        noise = None if item.photons is None else DetectorNoise(item.photons)
        solver = TotalVariation(noise=noise, hu_window=self.recipe.scan.hu_window, **self.recipe.tv)
        return solver(projections, item.geometry)[0, 0].clamp(0.0, 1.0).half().cpu()

    @cached_property
    def _volumes(self) -> AnatomyVolumed:
        read: list[Any] = [LoadCTd("image"), Orientationd("image", axcodes="LPS", labels=None)]
        return AnatomyVolumed(self.recipe.scan, Compose(read), device=self.device)
