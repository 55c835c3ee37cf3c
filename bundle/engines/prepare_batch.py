"""From a collated batch to the network's arguments, projections simulated on the device where none are stored."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import PrepareBatch

from bundle.physics.noise import DetectorNoise
from bundle.presets import ScanPreset
from bundle.simulation import simulate_projections

__all__ = ["PreparePoints", "PrepareVolume"]


class _PrepareProjections(PrepareBatch):
    """Gives the projections of a batch: stored ones, or simulated from "image" at "angles_rad".

    Args:
        scan: the scan.
        noise: detector noise of simulated projections; none if None.
        seed: seed the noise anew with it for every batch, for evaluation; None draws from the global generator.
    """

    def __init__(self, scan: ScanPreset, noise: DetectorNoise | None = None, seed: int | None = None) -> None:
        self.scan = scan
        self.noise = noise
        self.seed = seed

    def _projections(self, batch: dict[str, Any], device: torch.device, options: dict[str, Any]) -> torch.Tensor:
        if "projections" in batch:
            return _plain(batch["projections"]).to(device, **options)
        volumes = _plain(batch["image"]).to(device, **options).float()
        generator = None if self.seed is None else torch.Generator(device).manual_seed(self.seed)
        scans = []
        for volume, angles in zip(volumes, batch["angles_rad"]):  # every item has views of its own
            geometry = self.scan.geometry(_plain(angles).double().numpy())
            scans.append(simulate_projections(volume[None], geometry, self.scan.hu_window, self.noise, generator))
        return torch.cat(scans)

    def _views(self, batch: dict[str, Any], device: torch.device, options: dict[str, Any]) -> dict[str, Any]:
        mask = _plain(batch["sparse_mask"])
        # The sparse views come first, so a mask of the most that an item has says all, and spares the rest the work.
        short = mask[:, : int(mask.sum(dim=1).max())]
        return {
            "matrices": _plain(batch["matrices"]).to(device, **options),
            "sparse_mask": None if bool(mask.all()) else short.to(device, **options),
        }


class PreparePoints(_PrepareProjections):
    """Training: projections in, the values of sampled points as the target."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict[str, Any]]:
        """Gives projections [B, views, V, U], values [B, 1, points], and matrices, points and sparse_mask by name."""
        device, options = torch.device(device or "cpu"), {"non_blocking": non_blocking, **kwargs}
        arguments = self._views(batchdata, device, options)
        arguments["points"] = _plain(batchdata["points"]).to(device, **options)
        values = _plain(batchdata["values"]).to(device, **options)
        return self._projections(batchdata, device, options), values, (), arguments


class PrepareVolume(_PrepareProjections):
    """Evaluation: projections in, the whole volume as the target."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict[str, Any]]:
        """Gives projections [B, views, V, U], volumes [B, 1, X, Y, Z], and matrices and sparse_mask by name."""
        device, options = torch.device(device or "cpu"), {"non_blocking": non_blocking, **kwargs}
        target = _plain(batchdata["image"]).to(device, **options)
        return self._projections(batchdata, device, options), target, (), self._views(batchdata, device, options)


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without MONAI's metadata, whose bookkeeping the network does not need."""
    return value.as_tensor() if hasattr(value, "as_tensor") else value
