"""From a collated batch to the network's arguments, projections simulated on the device where none are stored."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import PrepareBatch

from bundle.data.load_projections import with_pixels
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import unpack_distinct
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import case_generator
from bundle.physics.truncation import DetectorTruncation
from bundle.prepared.resident import ResidentVolumes
from bundle.presets import ScanPreset
from bundle.sampling.misalignment import Misalignment
from bundle.simulation import FINE, MEASURED, simulate_item

__all__ = ["PreparePoints", "PrepareVolume"]


class _PrepareProjections(PrepareBatch):
    """Gives the projections of a batch: stored ones, or simulated with "geometry" of "fine", or of "image" without it.

    Images are volumes, or the folders of prepared cases, whose volumes are then kept on the device.

    Args:
        scan: the scan.
        acquisition: noise and other physics of simulated projections; none if None.
        seed: for evaluation, seed of its randomness, which is then the same for a case every time; None draws from the
            global generator.
        volumes: gives the volumes of prepared cases.
    """

    target = "image"
    passed_on: tuple[str, ...] = ("matrices",)

    def __init__(
        self,
        scan: ScanPreset,
        acquisition: Acquisition | None = None,
        seed: int | None = None,
        volumes: ResidentVolumes | None = None,
    ) -> None:
        self.scan = scan
        self.acquisition = acquisition
        self.seed = seed
        self.volumes = volumes or ResidentVolumes()

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple, dict[str, Any]]:
        """Gives projections [B, views, V, U], the target, and the network's other arguments by name."""
        device, options = torch.device(device or "cpu"), {"non_blocking": non_blocking, **kwargs}
        arguments: dict[str, Any] = {name: _plain(batchdata[name]).to(device, **options) for name in self.passed_on}
        if "prior" in batchdata:
            arguments["prior"] = _plain(batchdata["prior"]).to(device, **options).float()
        mask = _plain(batchdata["sparse_mask"])
        # The sparse views come first, so a mask of the most that an item has says all, and spares the rest the work.
        short = mask[:, : int(mask.sum(dim=1).max())]
        arguments["sparse_mask"] = None if bool(mask.all()) else short.to(device, **options)
        target = _plain(batchdata[self.target]).to(device, **options)
        return self._projections(batchdata, device, options), target, (), arguments

    def _projections(self, batch: dict[str, Any], device: torch.device, options: dict[str, Any]) -> torch.Tensor:
        if "projections" in batch:
            projections = _plain(batch["projections"]).to(device, **options)
            if "projection_coding" not in batch:
                return projections.float()
            scale, offset = _plain(batch["projection_coding"]).to(device, **options)[:, :, None, None, None].unbind(1)
            return projections.float() * scale + offset
        cases = batch.get("case", [None] * len(batch["image"]))
        scans = []
        for number, (rows, case) in enumerate(zip(batch["geometry"], cases)):  # every item has views of its own
            name = FINE if FINE in batch else "image"
            item = {name: self._volume(batch[name][number], device, options)}
            geometry, places = unpack_distinct(_plain(rows))
            scans.append(self._simulate(item, geometry, case, device)[:, places.to(device)])
        return torch.cat(scans)

    def _simulate(
        self, item: dict[str, torch.Tensor], geometry: ConeBeamGeometry, case: object, device: torch.device
    ) -> torch.Tensor:
        """[1, views, V, U] projections of one case's item."""
        generator = self._generator(case, device)
        return simulate_item(item, geometry, self.scan.hu_window, self.acquisition, generator, device)

    def _generator(self, case: object, device: str | torch.device) -> torch.Generator | None:
        return None if self.seed is None else case_generator(self.seed, case, device)

    def _volume(self, image: torch.Tensor | str, device: torch.device, options: dict[str, Any]) -> torch.Tensor:
        if isinstance(image, str):
            return self.volumes(image, device)
        return _plain(image).to(device, **options).float()


class PreparePoints(_PrepareProjections):
    """Training: the target is the values [B, 1, points] of the sampled points [B, points, 3]."""

    target = "values"
    passed_on = ("matrices", "points")


class PrepareVolume(_PrepareProjections):
    """Evaluation: the target is the whole volume [B, 1, X, Y, Z].

    Simulated scans may be worse than the methods are told, to see how robust these are.

    Args:
        scan: the scan.
        acquisition: noise and other physics of simulated projections; none if None.
        seed: seed of its randomness, and the misalignment's, which are then the same for a case every time; None draws
            from the global generator.
        volumes: gives the volumes of prepared cases.
        misalignment: how the simulated scan differs from "geometry" and "matrices", which stay what they are.
        truncation: how much of the detector is measured.
        detector: the scan with the detector that is simulated; the network gets averages of its pixels, and the batch
            gets what it measures, "measured" [B, views, V, U], for other methods. The scan's own if None.

    Raises:
        InputError: when the scan is to be misaligned or truncated, but a batch brings stored projections.
    """

    def __init__(
        self,
        scan: ScanPreset,
        acquisition: Acquisition | None = None,
        seed: int | None = None,
        volumes: ResidentVolumes | None = None,
        misalignment: Misalignment | None = None,
        truncation: DetectorTruncation | None = None,
        detector: ScanPreset | None = None,
    ) -> None:
        super().__init__(scan, acquisition, seed, volumes)
        self.detector = detector or scan
        self.misalignment = misalignment
        self.truncation = truncation

    def _projections(self, batch: dict[str, Any], device: torch.device, options: dict[str, Any]) -> torch.Tensor:
        for name in ("misalignment", "truncation"):
            if getattr(self, name) is not None and "projections" in batch:
                raise InputError(
                    name,
                    "is set, but the projections are stored.",
                    "Simulate them: set prepared_projections and cache_projections to false.",
                )
        projections = super()._projections(batch, device, options)
        if "projections" in batch:
            return projections
        batch[MEASURED] = projections
        return with_pixels(projections, self.scan.detector_shape)

    def _simulate(
        self, item: dict[str, torch.Tensor], geometry: ConeBeamGeometry, case: object, device: torch.device
    ) -> torch.Tensor:
        geometry = geometry.with_pixels(self.detector.detector_shape)
        if self.misalignment is not None:
            # A stream of its own on the CPU: the same errors on every device, and the same noise with and without.
            geometry = self.misalignment.disturb(geometry, self._generator(f"misalignment of {case}", "cpu"))
        projections = super()._simulate(item, geometry, case, device)
        return projections if self.truncation is None else self.truncation(projections)


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without MONAI's metadata, whose bookkeeping the network does not need."""
    return value.as_tensor() if hasattr(value, "as_tensor") else value
