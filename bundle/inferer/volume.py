"""Inference of a whole volume: a regular grid of points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from bundle.errors import InputError
from bundle.fixed_tuples import sizes
from bundle.inferer.backends import BACKENDS, choose_backend
from bundle.inferer.memory import plan_memory
from bundle.networks import DiCE
from bundle.optional import require

__all__ = ["VolumeInferer"]

_POINT_WISE = "points"
_PLANES_AT_ONCE = 8  # the 3D features are read once for so many planes
_MOST_POINTS_ON_CPU = 65_536  # more at once leave the processor's caches


class VolumeInferer(Inferer):
    """Encodes the views once and decodes the output's voxels, plane by plane.

    Args:
        output_shape: voxels (x, y, z) over the scan's field of view; the network's default volume if None.
        backend: what decodes: one of bundle.inferer.backends.BACKENDS, "auto" for the fastest that can run, or
            "points" for the network's own point-wise path, the reference.
        memory_gb: most memory to take beyond the weights and the projections, in 10^9 bytes.
        progress: show a progress bar.
    """

    def __init__(
        self,
        output_shape: Sequence[int] | None = None,
        backend: str = "auto",
        memory_gb: float = 2.0,
        progress: bool = False,
    ) -> None:
        if backend not in ("auto", _POINT_WISE, *BACKENDS):
            raise InputError(
                "inferer backend", f"is {backend!r}.", f"Use auto, {', '.join(BACKENDS)} or {_POINT_WISE}."
            )
        self.output_shape = None if output_shape is None else list(sizes("output_shape", output_shape, 3, int))
        self.backend = backend
        self.memory_gb = memory_gb
        self.progress = progress

    @torch.no_grad()
    def __call__(  # type: ignore[override]  # for this network alone
        self,
        inputs: torch.Tensor,
        network: DiCE,
        matrices: torch.Tensor | None = None,
        sparse_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Reconstructs volumes.

        Args:
            inputs: [B, views, V, U] normalised projections.
            network: the network, in eval mode.
            matrices: [B, views, 3, 4] from ConeBeamGeometry.unit_matrices; those of the inputs' metadata, the same
                for the whole batch, if None.
            sparse_mask: [B, m], true for the sparse views among the first m; None if all are. A network with
                denoising layers uses those alone.

        Returns:
            [B, 1, X, Y, Z] clipped to [0, 1].

        Raises:
            InputError: when the backend cannot run here, the memory is too little, or no matrices are given.
        """
        if matrices is None:
            matrices = _matrices_of(inputs)
        if isinstance(inputs, MetaTensor):
            inputs = inputs.as_tensor()
        if network.embedding.denoises and sparse_mask is not None:
            # Only training needs the dense branch.
            count = sparse_mask.shape[1]
            inputs, matrices = inputs[:, :count], matrices[:, :count]
            sparse_mask = None if bool(sparse_mask.all()) else sparse_mask
        shape = self.output_shape or network.volume_shape
        point_wise = self.backend == _POINT_WISE
        plan = plan_memory(network, inputs.shape, shape, self.memory_gb, stacked=point_wise)
        features = _encode(network, inputs, plan.views)
        prior = network.prior(inputs, matrices, sparse_mask)
        volume = network.embed(features, matrices, sparse_mask, prior).volume
        decode = self._decode_points if point_wise else self._decode_grid
        out = decode(network, features, volume, matrices, sparse_mask, shape, plan.points)
        return network.add_prior(out, prior).clamp_(0.0, 1.0)

    def _decode_points(
        self,
        network: DiCE,
        features: list[torch.Tensor],
        volume: torch.Tensor,
        matrices: torch.Tensor,
        sparse_mask: torch.Tensor | None,
        shape: list[int],
        points_at_once: int,
    ) -> torch.Tensor:
        batch, total = len(volume), math.prod(shape)
        out = torch.empty(batch, 1, total, device=volume.device)
        for start in self._steps(range(0, total, points_at_once)):
            stop = min(start + points_at_once, total)
            points = network.output_points(shape, start, stop, volume).expand(batch, -1, -1)
            out[:, :, start:stop] = network.decode(features, volume, matrices, points, sparse_mask)
        return out.reshape(batch, 1, *shape)

    def _decode_grid(
        self,
        network: DiCE,
        features: list[torch.Tensor],
        volume: torch.Tensor,
        matrices: torch.Tensor,
        sparse_mask: torch.Tensor | None,
        shape: list[int],
        points_at_once: int,
    ) -> torch.Tensor:
        backend = choose_backend(self.backend, volume.device)
        if volume.device.type == "cpu":
            points_at_once = min(points_at_once, _MOST_POINTS_ON_CPU)
        out = torch.empty(len(volume), 1, *shape, device=volume.device)
        steps = [(case, first) for case in range(len(volume)) for first in range(0, shape[0], _PLANES_AT_ONCE)]
        with torch.autocast(volume.device.type, enabled=False):
            for case, first in self._steps(steps):
                if first == 0:
                    views = slice(None) if sparse_mask is None else sparse_mask[case].nonzero()[:, 0]
                    maps = [scale[case, views].float() for scale in features]
                    task = network.grid(maps, volume[case].float(), matrices[case, views], shape)
                    decode = backend.prepare(task, points_at_once)
                last = min(first + _PLANES_AT_ONCE, shape[0])
                decode(first, last, out[case, 0, first:last])
        return out

    def _steps(self, steps: Iterable) -> Iterable:
        if not self.progress:
            return steps
        return require("tqdm", "tqdm", "the progress bar").tqdm(steps, desc="reconstruct", unit="step")


def _matrices_of(inputs: torch.Tensor) -> torch.Tensor:
    """[B, views, 3, 4] matrices that LoadReconstructionInputd left in the metadata."""
    found = inputs.meta.get("matrices") if isinstance(inputs, MetaTensor) else None
    if found is None or found.shape[-3] != inputs.shape[1]:
        raise InputError("matrices", "are missing.", "Give one [3, 4] matrix per view, see LoadReconstructionInputd.")
    return found.to(inputs.device).expand(len(inputs), -1, -1, -1)


def _encode(network: DiCE, inputs: torch.Tensor, views_at_once: int) -> list[torch.Tensor]:
    """DiCE.encode, some views at a time."""
    batch, views = inputs.shape[:2]
    groups = [network.encode(group.unsqueeze(0)) for group in inputs.flatten(0, 1).split(views_at_once)]
    if len(groups) == 1:
        joined = groups[0]
    else:
        joined = [torch.cat(scale, dim=1) for scale in zip(*groups)]
    return [scale.reshape(batch, views, *scale.shape[2:]) for scale in joined]
