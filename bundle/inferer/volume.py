"""Point-wise inference of a regular grid, in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from bundle.networks import DiCE
from bundle.optional import require

__all__ = ["VolumeInferer"]


class VolumeInferer(Inferer):
    """Encodes the views once and predicts the output's voxels chunk by chunk.

    Args:
        output_shape: voxels (x, y, z) over the scan's field of view; the network's default volume if None.
        points_per_chunk: voxels predicted at once, which bounds the memory.
        progress: show a progress bar.
    """

    def __init__(
        self, output_shape: Sequence[int] | None = None, points_per_chunk: int = 50_000, progress: bool = False
    ) -> None:
        self.output_shape = None if output_shape is None else [int(n) for n in output_shape]
        self.points_per_chunk = points_per_chunk
        self.progress = progress

    @torch.no_grad()
    def __call__(
        self,
        inputs: torch.Tensor,
        network: DiCE,
        matrices: torch.Tensor,
        sparse_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Reconstructs volumes.

        Args:
            inputs: [B, views, V, U] normalised projections.
            network: the network, in eval mode.
            matrices: [B, views, 3, 4] from ConeBeamGeometry.unit_matrices.
            sparse_mask: [B, m], true for the sparse views among the first m; None if all are. A network with
                denoising layers uses those alone.

        Returns:
            [B, 1, X, Y, Z] clipped to [0, 1].
        """
        if network.embedding.denoises and sparse_mask is not None:
            # Only training needs the dense branch.
            count = sparse_mask.shape[1]
            inputs, matrices = inputs[:, :count], matrices[:, :count]
            sparse_mask = None if bool(sparse_mask.all()) else sparse_mask
        shape = self.output_shape or network.volume_shape
        features = network.encode(inputs)
        volume = network.embed(features, matrices, sparse_mask).volume
        total = shape[0] * shape[1] * shape[2]
        starts: Any = range(0, total, self.points_per_chunk)
        if self.progress:
            starts = require("tqdm", "tqdm", "the progress bar").tqdm(starts, desc="reconstruct", unit="chunk")
        out = torch.empty(len(inputs), 1, total, dtype=torch.float32, device=inputs.device)
        for start in starts:
            stop = min(start + self.points_per_chunk, total)
            points = network.output_points(shape, start, stop, volume).expand(len(inputs), -1, -1)
            out[:, :, start:stop] = network.decode(features, volume, matrices, points, sparse_mask)
        return out.clamp_(0.0, 1.0).reshape(len(inputs), 1, *shape)
