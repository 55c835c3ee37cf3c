"""The network and the scan that inference is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.networks import DiCE
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import DetectorNoise
from bundle.presets import ScanPreset, load_preset
from bundle.simulation import project_own_voxels
from scripts.benchmarks.measuring import DEVICE
from scripts.benchmarks.straightforward import Straightforward

__all__ = [
    "PAPER",
    "SMALL",
    "Subject",
    "equal_angles",
    "make_network",
    "network_of",
    "phantom_projections",
]

PAPER: dict[str, Any] = {
    "encoder_channels": [16, 32, 64, 128],
    "encoder_blocks": 1,
    "decoder_channels": 128,
    "decoder_blocks": 2,
    "point_channels": [184, 128, 64, 16],
    "low_resolution": 32,
    "codes": 512,
    "denoise_blocks": 0,
}
"""The paper's network."""

SMALL: dict[str, Any] = {
    "encoder_channels": [8, 16, 32, 64],
    "encoder_blocks": 1,
    "decoder_channels": 48,
    "decoder_blocks": 2,
    "point_channels": [48, 32, 16, 8],
    "low_resolution": 8,
    "codes": 64,
    "denoise_blocks": 0,
}
"""One of the same form for quick runs and tests."""

_DRAWS, _MARGIN = 20, 5e-7  # some times what single precision resolves


@dataclass(frozen=True)
class Subject:
    """A scan and a network in a folder, to be read by other processes.

    Args:
        folder: holds the weights and projections.
        scan: the scan.
        sizes: the network's sizes, PAPER or SMALL.
        views: number of views, equally spaced.
    """

    folder: Path
    scan: ScanPreset
    sizes: dict[str, Any]
    views: int

    @classmethod
    def make(
        cls,
        folder: Path,
        sizes: dict[str, Any],
        detector_shape: Sequence[int],
        volume_shape: Sequence[int],
        views: int,
        seed: int = 0,
    ) -> Subject:
        """A network of random weights, and projections of a phantom."""
        scan = load_preset("abdomenatlas", detector_shape, volume_shape)
        network = make_network(scan, sizes, seed).to(DEVICE)
        made = cls(folder, scan, sizes, views).with_views(views)
        clear_ties(network, made.projections(), made.matrices(), _DRAWS)
        torch.save(network.state_dict(), folder / "weights.pt")
        return made

    def with_views(self, views: int) -> Subject:
        """The same with another number of views."""
        made = replace(self, views=views)
        torch.save(phantom_projections(self.scan, equal_angles(self.scan, views)), made._projections_file)
        return made

    @property
    def _projections_file(self) -> Path:
        return self.folder / f"projections_{self.views}.pt"

    def matrices(self) -> torch.Tensor:
        """[1, views, 3, 4] projection matrices."""
        geometry = self.scan.geometry(equal_angles(self.scan, self.views))
        return torch.from_numpy(geometry.unit_matrices()).float()[None].to(DEVICE)

    def projections(self) -> torch.Tensor:
        """[1, views, V, U] noisy projections of a phantom."""
        return torch.load(self._projections_file, weights_only=True, map_location=DEVICE)

    def network(self) -> DiCE:
        """The network, in eval mode."""
        network = network_of(self.scan, self.sizes)
        network.load_state_dict(self._weights())
        return network.to(DEVICE).eval()

    def straightforward(self) -> Straightforward:
        """The straightforward network with the same weights, in eval mode."""
        return Straightforward(self._weights(), self.sizes).to(DEVICE).eval()

    def _weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "weights.pt", weights_only=True, map_location="cpu")


def equal_angles(scan: ScanPreset, views: int) -> list[float]:
    """Gantry angles in rad of equally spaced views."""
    return [scan.arc_rad * i / views for i in range(views)]


def network_of(scan: ScanPreset, sizes: dict[str, Any]) -> DiCE:
    """A new network."""
    others = {name: value for name, value in sizes.items() if name != "codes"}
    return DiCE(scan, quantizer={"codes": sizes["codes"]}, **others)


def make_network(scan: ScanPreset, sizes: dict[str, Any], seed: int) -> DiCE:
    """A network of random weights that is as hard to get right as a trained one.

    Batch normalisation has statistics of its own features, and random scales and shifts; codebooks hold features; and
    the output fills the window from 0 to 1, which inference clips to.
    """
    torch.manual_seed(seed)
    network = network_of(scan, sizes)
    for norm in _norms(network):
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, std=0.1)
    settle(network, scan)
    return network.eval()


@torch.no_grad()
def settle(network: DiCE, scan: ScanPreset) -> None:
    """Takes the statistics and codebooks from a small scan, and scales the output to the window."""
    small = scan.resized(detector_shape=[min(64, n) for n in scan.detector_shape])
    angles_rad = equal_angles(scan, 6)
    projections = phantom_projections(small, angles_rad)
    matrices = torch.from_numpy(small.geometry(angles_rad).unit_matrices()).float()[None]
    points = torch.rand(1, 5000, 3)

    def values() -> torch.Tensor:
        features = network.encode(projections)
        return network.decode(features, network.embed(features, matrices, None).volume, matrices, points, None)

    norms = _norms(network)
    momentum = norms[0].momentum
    for norm in norms:
        norm.momentum = 1.0  # the statistics are those of this scan
    network.train()
    values()
    for norm in norms:
        norm.momentum = momentum
    network.eval()
    clear_ties(network, projections, matrices, draws=1)
    spread, mean = torch.std_mean(values())
    last = network.point_decoder.layers[-1][0]
    last.weight.mul_(0.15 / spread)
    last.bias.sub_(mean).mul_(0.15 / spread).add_(0.5)


@torch.no_grad()
def clear_ties(network: DiCE, projections: torch.Tensor, matrices: torch.Tensor, draws: int) -> None:
    """Moves the codes a little, at random, until every feature of the scan has one that is clearly the nearest.

    Codes drawn from features are often equal; and between codes at the same distance rounding would choose, so that
    results that should be equal would not be.
    """
    latents = network.embed(network.encode(projections), matrices, None).latents
    for quantizer, latent in zip(network.embedding.quantizers, latents):
        codebook, features = quantizer.codebook, latent.movedim(1, -1).flatten(0, -2)
        drawn = codebook.embedding.weight.clone()
        widest = -1.0
        for _ in range(draws):
            codes = drawn + 0.1 * drawn.std() * torch.randn_like(drawn)
            margin = _narrowest_margin(features, codes)
            if margin > widest:
                widest = margin
                codebook.embedding.weight.copy_(codes)
            if widest > _MARGIN:
                break
        codebook.ema_w.copy_(codebook.embedding.weight * codebook.ema_cluster_size[:, None])


def _narrowest_margin(features: torch.Tensor, codes: torch.Tensor) -> float:
    """Least difference of the squared distances to the nearest two codes, relative to the squares it is made of."""
    narrowest = float("inf")
    codes = codes.double()
    for some in features.double().split(4096):
        nearest = torch.cdist(some, codes).topk(2, dim=1, largest=False).values.square()
        squares = some.square().sum(dim=1) + codes.square().sum(dim=1).mean()
        narrowest = min(narrowest, float(((nearest[:, 1] - nearest[:, 0]) / squares).min()))
    return narrowest


def phantom_projections(scan: ScanPreset, angles_rad: Sequence[float]) -> torch.Tensor:
    """[1, views, V, U] noisy projections of the asymmetric phantom, which 64 voxels a side hold well enough."""
    geometry = scan.resized(volume_shape=[min(64, n) for n in scan.volume_shape]).geometry(angles_rad)
    volume = torch.from_numpy(voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry, 1)).clamp(0, 1)
    acquisition = Acquisition(noise=DetectorNoise(photons=1e5))
    generator = torch.Generator().manual_seed(len(angles_rad))
    return project_own_voxels(volume[None, None], geometry, scan.hu_window, acquisition, generator).float()


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
