"""The network written in the straightforward way: what the project's speed is measured against.

Every step does what its formula says and nothing else: a loop over the views that samples each map, a stack of all
views' samples, the maximum over it, all channels concatenated for every layer of the point decoder. It shares no
sampling, decoding or quantising code with the package, but takes the weights of its network, and is the same function
for the conventions of new training (voxel centres, pixel centres, a linear head).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.profiler import record_function

from scripts.benchmarks.plain_modules import PlainEncoder, PlainPointMLP, PlainQuantiser, PlainStack

__all__ = ["Straightforward", "centres"]


class Straightforward(nn.Module):
    """DiCE with a loop over the views, everything stacked, and everything concatenated.

    Args:
        weights: state dict of a DiCE.
        sizes: how that was made: encoder_channels, encoder_blocks, decoder_channels, decoder_blocks, point_channels,
            low_resolution, codes and denoise_blocks.
        frozen: names of modules that are not trained.

    Raises:
        ValueError: when the weights are of a network with other conventions.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], sizes: Mapping[str, Any], frozen: Sequence[str] = ()
    ) -> None:
        super().__init__()
        if weights["conventions"][:3].any():
            raise ValueError("the straightforward network has the conventions of new training alone.")
        maps, width = list(sizes["encoder_channels"]), sizes["decoder_channels"]
        coarsest_first = maps[::-1]
        self.low_resolution = sizes["low_resolution"]
        self.denoises = sizes["denoise_blocks"] > 0
        self.encoder = PlainEncoder(maps, sizes["encoder_blocks"])
        self.embedding = nn.ModuleDict(
            {
                "quantizers": nn.ModuleList(PlainQuantiser(c, sizes["codes"]) for c in coarsest_first),
                "denoisers": nn.ModuleList(PlainStack(3, c, c, sizes["denoise_blocks"]) for c in coarsest_first),
                "decoders": nn.ModuleList(
                    PlainStack(3, c + (width if k > 0 else 0), width, sizes["decoder_blocks"])
                    for k, c in enumerate(coarsest_first)
                ),
            }
        )
        self.point_decoder = PlainPointMLP(sum(maps) + width, sizes["point_channels"])
        bookkeeping = {name for name in weights if name == "conventions" or name.endswith(".started")}
        self.load_state_dict({name: value for name, value in weights.items() if name not in bookkeeping})
        self.frozen = [self.get_submodule(name).requires_grad_(False) for name in frozen]

    def train(self, mode: bool = True) -> Straightforward:
        """Sets the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in self.frozen if mode else ():
            part.eval()
        return self

    def forward(
        self,
        projections: torch.Tensor,
        matrices: torch.Tensor,
        points: torch.Tensor,
        sparse_mask: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """What PointForward gives, of the same arguments."""
        with record_function("encoder"):
            maps = self.encode(projections)
        keep = None
        if sparse_mask is not None:
            missing = projections.shape[1] - sparse_mask.shape[1]
            keep = F.pad(sparse_mask.bool(), (0, missing), value=False)
        embedded = self.embed(maps, matrices, keep)
        with record_function("points"):
            predicted = self.decode(maps, embedded["volume"], matrices, points, keep)
        return {"points": predicted, **embedded}

    def encode(self, projections: torch.Tensor) -> list[torch.Tensor]:
        """Maps [B, views, C_k, V / 2^k, U / 2^k] of projections [B, views, V, U]."""
        batch, views = projections.shape[:2]
        return [m.unflatten(0, (batch, views)) for m in self.encoder(projections.flatten(0, 1).unsqueeze(1))]

    def embed(
        self, maps: list[torch.Tensor], matrices: torch.Tensor, keep: torch.Tensor | None
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """The 3D features "volume" [B, C, r, r, r], and what the losses need, coarsest scale first."""
        with record_function("back_projection"):
            scales = self._back_project(maps, matrices, keep if self.denoises else None)
        with record_function("quantiser"):
            quantised = [quantiser(scale) for quantiser, scale in zip(self.embedding["quantizers"], scales)]
        features = [q[0] for q in quantised]
        result = {"latents": [q[1] for q in quantised], "codes": [q[2] for q in quantised], "denoised": [], "dense": []}
        result["indices"] = [q[3] for q in quantised]
        if self.denoises:
            with record_function("decoder_3d"):
                features = [layers(x) for layers, x in zip(self.embedding["denoisers"], features)]
            if keep is not None:
                with record_function("back_projection"):
                    everything = self._back_project(maps, matrices, None)
                with record_function("quantiser"):
                    dense = [quantiser(scale)[0] for quantiser, scale in zip(self.embedding["quantizers"], everything)]
                result.update(denoised=features, dense=[d.detach() for d in dense])
        with record_function("decoder_3d"):
            volume = None
            for decoder, x in zip(self.embedding["decoders"], features):
                volume = decoder(x if volume is None else torch.cat([x, volume], dim=1))
        return {"volume": volume, **result}

    def decode(
        self,
        maps: list[torch.Tensor],
        volume: torch.Tensor,
        matrices: torch.Tensor,
        points: torch.Tensor,
        keep: torch.Tensor | None,
    ) -> torch.Tensor:
        """Values [B, 1, points] at points [B, points, 3] of the unit cube; keep [B, views] marks the views to read."""
        coordinates = _detector_coordinates(points, matrices)
        features = [_largest_over_views(scale, coordinates, keep) for scale in maps]
        grid = (2 * points - 1).flip(-1)[:, None, None]  # (z, y, x): the last axis of the volume comes first
        sampled = F.grid_sample(volume, grid, padding_mode="border", align_corners=False)
        features.append(sampled[:, :, 0, 0])
        return self.point_decoder(torch.cat(features, dim=1))

    def _back_project(
        self, maps: list[torch.Tensor], matrices: torch.Tensor, keep: torch.Tensor | None
    ) -> list[torch.Tensor]:
        r = self.low_resolution
        points = centres([r, r, r], torch.arange(r**3, device=matrices.device))
        coordinates = _detector_coordinates(points.expand(len(matrices), -1, -1), matrices)
        return [_largest_over_views(m, coordinates, keep).unflatten(2, (r, r, r)) for m in reversed(maps)]


def centres(shape: Sequence[int], flat: torch.Tensor) -> torch.Tensor:
    """Centres [1, n, 3] in the unit cube of the voxels with flat indices [n] of a grid of the shape (x, y, z)."""
    index = torch.stack(torch.unravel_index(flat, tuple(shape)), dim=-1)
    return ((index + 0.5) / torch.tensor(shape, device=flat.device, dtype=torch.float32))[None]


def _detector_coordinates(points: torch.Tensor, matrices: torch.Tensor) -> list[torch.Tensor]:
    """Coordinates (u, v) [B, points, 2] of points [B, points, 3] in every view; -1 and 1 are the detector's edges."""
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)
    coordinates = []
    for view in range(matrices.shape[1]):
        v, u, w = (homogeneous @ matrices[:, view].transpose(1, 2)).unbind(-1)
        coordinates.append(torch.stack([u / w, v / w], dim=-1))
    return coordinates


def _largest_over_views(maps: torch.Tensor, coordinates: list[torch.Tensor], keep: torch.Tensor | None) -> torch.Tensor:
    """[B, C, points]: the largest sample over the views of maps [B, views, C, rows, columns]."""
    samples = []
    for view, grid in enumerate(coordinates):
        sampled = F.grid_sample(maps[:, view], grid[:, None], padding_mode="zeros", align_corners=False)
        samples.append(sampled[:, :, 0])
    stacked = torch.stack(samples, dim=1)
    if keep is not None:
        stacked = stacked.masked_fill(~keep[:, :, None, None], float("-inf"))
    return stacked.amax(dim=1)
