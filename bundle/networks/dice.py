"""DiCE: the reconstruction network of DeepSparse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.profiler import record_function

from bundle.errors import InputError
from bundle.network_settings import check_network_sizes
from bundle.networks.classical_prior import ClassicalPrior, NoPrior
from bundle.networks.embedding import CrossScaleEmbedding
from bundle.networks.encoder import ProjectionEncoder
from bundle.networks.feature_sampling import (
    detector_coordinates,
    grid_points,
    sample_volume,
)
from bundle.networks.grid_decoding import GridTask, decode_planes, grid_task
from bundle.networks.point_decoder import PointDecoder
from bundle.networks.prior_fusion import NoFusion, PriorFusion
from bundle.networks.view_sampling import largest_samples
from bundle.presets import ScanPreset

__all__ = ["DiCE", "Embedding"]

_GRIDS = ("voxel_centre", "corner")
_SAMPLINGS = ("pixel_centre", "corner_aligned")


class Embedding(NamedTuple):
    """What the 3D part makes of the back-projected features; lists hold one entry per scale, coarsest first.

    Args:
        volume: [B, C, r, r, r] decoded features; with a prior of finer resolution.
        latents: [B, C_k, r, r, r] features before quantisation.
        codes: their codes.
        indices: [B, r, r, r] code indices.
        denoised: [B, C_k, r, r, r] sparse-view features after the denoising layers; empty without a dense branch.
        dense: the dense-view features that they should equal; empty without a dense branch.
        prior: [B, 1, R, R, R] what the points' values are added to; None if they are not.
    """

    volume: torch.Tensor
    latents: list[torch.Tensor]
    codes: list[torch.Tensor]
    indices: list[torch.Tensor]
    denoised: list[torch.Tensor]
    dense: list[torch.Tensor]
    prior: Optional[torch.Tensor]


class DiCE(nn.Module):
    """Dual-Dimensional Cross-Scale Embedding (DeepSparse, section 3.2).

    A 2D encoder shared by the views, back-projection of each scale to a low-resolution grid, a 3D decoder over the
    quantised scales, and a decoder for single points that reads both. The default call takes one tensor of
    projections and gives the volume of the default scan.

    Args:
        scan: default scan: geometry of a call that gives angles only, and the volume's shape.
        encoder_channels: channels of the 2D scales, full resolution first.
        encoder_blocks: residual blocks per level of the encoder.
        decoder_channels: channels of the 3D decoder.
        decoder_blocks: residual blocks per scale of the 3D decoder.
        point_channels: hidden channels of the point decoder.
        low_resolution: voxels r per side of the 3D features.
        denoise_blocks: residual blocks of the denoising layers; 2 for view adjustment, else 0.
        quantizer: arguments of FeatureQuantizer (codes, decay, epsilon, data_start, restart_below).
        head: "linear", or "norm_act" (BN and LeakyReLU on the output, as published weights need).
        low_resolution_grid: "voxel_centre", or "corner" (low-resolution points at i / r, read back at i / (r - 1), as
            published weights need).
        output_grid: "voxel_centre", or "corner" (voxel i of n at i / (n - 1), as published weights need).
        projection_sampling: "pixel_centre", or "corner_aligned" (every scale addressed by its corner pixels' centres,
            as published weights need).
        points_per_chunk: points decoded at once by the default call.
        prior: gives the network a classical reconstruction of the sparse views as a further input, and lets it predict
            the difference from it: arguments of ClassicalPrior (size, method, options), and of PriorFusion (channels,
            blocks). The paper's network has none.
    """

    def __init__(
        self,
        scan: ScanPreset,
        encoder_channels: Sequence[int] = (16, 32, 64, 128),
        encoder_blocks: int = 1,
        decoder_channels: int = 128,
        decoder_blocks: int = 2,
        point_channels: Sequence[int] = (184, 128, 64, 16),
        low_resolution: int = 32,
        denoise_blocks: int = 0,
        quantizer: dict[str, Any] | None = None,
        head: str = "linear",
        low_resolution_grid: str = "voxel_centre",
        output_grid: str = "voxel_centre",
        projection_sampling: str = "pixel_centre",
        points_per_chunk: int = 50_000,
        prior: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "encoder_channels": encoder_channels,
            "encoder_blocks": encoder_blocks,
            "decoder_channels": decoder_channels,
            "decoder_blocks": decoder_blocks,
            "point_channels": point_channels,
            "low_resolution": low_resolution,
            "denoise_blocks": denoise_blocks,
        }
        check_network_sizes({**sizes, "codes": (quantizer or {}).get("codes", 1)})
        choices = {
            "head": head,
            "low_resolution_grid": low_resolution_grid,
            "output_grid": output_grid,
            "projection_sampling": projection_sampling,
        }
        check_network_sizes(choices)
        self.low_resolution = low_resolution
        self.decoder_channels = decoder_channels
        self.volume_resolution: int = low_resolution
        self.points_per_chunk = points_per_chunk
        self.corner_low_resolution = _GRIDS.index(low_resolution_grid) == 1
        self.corner_output = _GRIDS.index(output_grid) == 1
        self.corner_aligned = _SAMPLINGS.index(projection_sampling) == 1
        self.encoder = ProjectionEncoder(encoder_channels, encoder_blocks)
        self.prior: NoPrior | ClassicalPrior = NoPrior()
        self.fusion: NoFusion | PriorFusion = NoFusion()
        prior_channels, volume_channels = 0, decoder_channels
        if prior is not None:
            self.prior, self.fusion = self._make_prior(scan, decoder_channels, **prior)
            prior_channels, volume_channels = self.fusion.low_channels, self.fusion.out_channels
            self.volume_resolution = low_resolution * self.fusion.scale
        self.embedding = CrossScaleEmbedding(
            encoder_channels[::-1], decoder_channels, decoder_blocks, denoise_blocks, quantizer, prior_channels
        )
        self.point_decoder = PointDecoder(sum(encoder_channels) + volume_channels, point_channels, head)
        if prior is not None:
            self.point_decoder.start_near_zero()
        self._frozen: list[str] = []
        self.largest_stride: int = 2 ** (len(encoder_channels) - 1)
        if any(n % self.largest_stride for n in scan.detector_shape):
            raise InputError(
                "detector_shape",
                f"is {list(scan.detector_shape)}, which {len(encoder_channels)} scales cannot halve evenly.",
                f"Give multiples of {self.largest_stride}.",
            )

        self.volume_shape: list[int] = [int(n) for n in scan.volume_shape]
        self.row_direction: str = scan.row_direction
        self._register_scan(scan)
        conventions = [
            self.corner_low_resolution,
            self.corner_output,
            self.corner_aligned,
            scan.row_direction == "-z",
        ]
        # Saved with the weights, and compared on loading: weights are only valid with the conventions they learnt.
        self.conventions: torch.Tensor
        self.register_buffer("conventions", torch.tensor(conventions, dtype=torch.uint8))

    def stay_out_of_graphs(self) -> None:
        """Keeps out of torch.compile's graphs what must not or cannot be in them."""
        for quantizer in self.embedding.quantizers:
            quantizer.stay_out_of_graphs()
        if isinstance(self.prior, ClassicalPrior):
            self.prior.stay_out_of_graphs()

    def _make_prior(
        self,
        scan: ScanPreset,
        width: int,
        size: int = 128,
        method: str = "tv",
        options: dict[str, Any] | None = None,
        channels: Sequence[int] = (16, 32, 48),
        blocks: int = 1,
    ) -> tuple[ClassicalPrior, PriorFusion]:
        resolution = self.low_resolution * 2 ** (len(channels) - 1)
        if self.corner_low_resolution or self.corner_output or size % resolution:
            raise InputError(
                "prior",
                f"has a size of {size} and {len(channels)} resolutions, where low_resolution is {self.low_resolution} "
                f"and grids are of {'corners' if self.corner_low_resolution or self.corner_output else 'centres'}.",
                f"Let size be a multiple of {resolution}, and grids be of voxel centres.",
            )
        geometry = scan.geometry([0.0])
        fusion = PriorFusion(width, channels, blocks, pool=size // resolution)
        return ClassicalPrior(geometry.volume_size_mm, size, method, options), fusion

    def _register_scan(self, scan: ScanPreset) -> None:
        """Keeps the default scan in buffers; it belongs to the configuration, so state dicts do not hold it."""
        geometry = scan.geometry([0.0])
        half_detector_mm = [n * d / 2 for n, d in zip(geometry.detector_shape, geometry.pixel_mm)]
        row_sign = 1.0 if scan.row_direction == "+z" else -1.0
        distances = [scan.sod_mm, scan.sdd_mm, scan.arc_rad, row_sign]
        self.scan_orbit: torch.Tensor
        self.scan_half_detector_mm: torch.Tensor
        self.scan_volume_mm: torch.Tensor
        self.register_buffer("scan_orbit", torch.tensor(distances), persistent=False)
        self.register_buffer("scan_half_detector_mm", torch.tensor(half_detector_mm), persistent=False)
        self.register_buffer("scan_volume_mm", torch.tensor(geometry.volume_size_mm), persistent=False)

    def circular_matrices(self, angles_rad: torch.Tensor) -> torch.Tensor:
        """The default scan's projection matrices; equal to ConeBeamGeometry.unit_matrices up to scale.

        Args:
            angles_rad: [B, views] gantry angles.

        Returns:
            [B, views, 3, 4].
        """
        sod, sdd, row_sign = self.scan_orbit[0], self.scan_orbit[1], self.scan_orbit[3]
        half_v, half_u = self.scan_half_detector_mm[0], self.scan_half_detector_mm[1]
        x, y, z = self.scan_volume_mm[0], self.scan_volume_mm[1], self.scan_volume_mm[2]
        cos, sin = torch.cos(angles_rad), torch.sin(angles_rad)
        zero = torch.zeros_like(cos)
        v = torch.stack([zero, zero, zero + row_sign * sdd * z / half_v], dim=-1)
        u = torch.stack([-sin * x, cos * y, zero], dim=-1) * (sdd / half_u)
        w = torch.stack([-cos * x, -sin * y, zero], dim=-1)
        linear = torch.stack([v, u, w], dim=-2)
        constant = -0.5 * linear.sum(dim=-1)  # the unit cube's centre is the isocentre
        constant = constant + torch.stack([zero, zero, zero + sod], dim=-1)
        return torch.cat([linear, constant.unsqueeze(-1)], dim=-1)

    def forward(self, projections: torch.Tensor, angles_rad: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Reconstructs the default scan's volume.

        Args:
            projections: [B, views, V, U] normalised projections.
            angles_rad: [B, views] or [views] gantry angles; equally spaced over the default arc if None.

        Returns:
            [B, 1, X, Y, Z] volume, 0 and 1 at the ends of the HU window.
        """
        batch, views = projections.shape[0], projections.shape[1]
        if angles_rad is None:
            angles_rad = torch.arange(views, device=projections.device) * (self.scan_orbit[2] / views)
        if angles_rad.dim() == 1:
            angles_rad = angles_rad.unsqueeze(0).expand(batch, views)
        matrices = self.circular_matrices(angles_rad.to(self.scan_orbit.dtype))
        features = self.encode(projections)
        embedding = self.embed(features, matrices, None, self.prior(projections, matrices, None))
        volume = embedding.volume
        shape = self.volume_shape
        parts: list[torch.Tensor] = []
        if not self.training:
            for item in range(batch):
                task = self.grid([scale[item] for scale in features], volume[item], matrices[item], shape)
                parts.append(decode_planes(task, 0, shape[0], self.points_per_chunk))
            return self.add_prior(torch.stack(parts).unsqueeze(1), embedding.prior)
        total = shape[0] * shape[1] * shape[2]
        for start in range(0, total, self.points_per_chunk):
            points = self.output_points(shape, start, min(start + self.points_per_chunk, total), volume)
            points = points.expand(batch, -1, -1)
            parts.append(self.decode(features, volume, matrices, points, None, embedding.prior))
        return torch.cat(parts, dim=2).reshape(batch, 1, shape[0], shape[1], shape[2])

    def grid(
        self, maps: list[torch.Tensor], volume: torch.Tensor, matrices: torch.Tensor, shape: list[int]
    ) -> GridTask:
        """One case's regular grid, to be decoded in eval mode by bundle.networks.grid_decoding.

        Args:
            maps: per scale [views, C_k, V_k, U_k] features of the views to read, from :meth:`encode`.
            volume: [C, r, r, r] from :meth:`embed`.
            matrices: [views, 3, 4] of those views.
            shape: output voxels (x, y, z) over the default scan's field of view.
        """
        axes: list[torch.Tensor] = []
        for axis in range(3):
            places = (torch.arange(shape[axis], device=matrices.device) + 0.5) / shape[axis]
            axes.append(self.output_places(places.to(matrices.dtype), axis))
        channels = 0
        for scale in maps:
            channels += scale.shape[1]
        decoder = self.point_decoder.folded(channels)
        return grid_task(maps, volume, matrices, axes, decoder, self.corner_aligned, self.corner_low_resolution)

    def add_prior(self, volume: torch.Tensor, prior: Optional[torch.Tensor]) -> torch.Tensor:
        """Adds a prior [B, 1, R, R, R], if there is one, to decoded grids [B, 1, X, Y, Z]; for points see decode."""
        if prior is None:
            return volume
        return volume + F.interpolate(prior, size=volume.shape[2:], mode="trilinear", align_corners=False)

    def output_points(self, shape: list[int], start: int, stop: int, like: torch.Tensor) -> torch.Tensor:
        """Points at which to ask the network for the voxels start to stop of an output of the given shape.

        A network with the "corner" grid learnt to answer for voxel i of its n at i / (n - 1), whatever the voxel's
        place; an output of another shape is asked for at the points that mean the same places.

        Returns:
            [1, stop - start, 3].
        """
        points = grid_points(shape, start, stop, False, like.float())
        return torch.stack([self.output_places(points[:, axis], axis) for axis in range(3)], dim=-1).unsqueeze(0)

    def output_places(self, places: torch.Tensor, axis: int) -> torch.Tensor:
        """Where to ask the network for what lies at the given places in [0, 1] along an axis."""
        if self.corner_output:
            trained = self.volume_shape[axis]
            places = (places * trained - 0.5) / max(trained - 1, 1)
        return places

    def encode(self, projections: torch.Tensor) -> list[torch.Tensor]:
        """Encodes every view.

        Args:
            projections: [B, views, V, U].

        Returns:
            [B, views, C_k, V / 2^k, U / 2^k] per scale, full resolution first.
        """
        batch, views = projections.shape[0], projections.shape[1]
        if projections.shape[2] % self.largest_stride != 0 or projections.shape[3] % self.largest_stride != 0:
            raise ValueError("rows and columns must be multiples of the encoder's largest stride; resample them")
        maps = self.encoder(projections.flatten(0, 1).unsqueeze(1))
        return [m.reshape(batch, views, m.shape[1], m.shape[2], m.shape[3]) for m in maps]

    def back_project(
        self, features: list[torch.Tensor], matrices: torch.Tensor, view_mask: Optional[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Largest feature over the views at every low-resolution voxel (equation 1).

        Args:
            features: from :meth:`encode`.
            matrices: [B, views, 3, 4].
            view_mask: [B, m], true for the views to use among the first m; None for all.

        Returns:
            [B, C_k, r, r, r] per scale, coarsest first.
        """
        r = self.low_resolution
        if view_mask is not None:
            matrices = matrices[:, : view_mask.shape[1]]
        volumes: list[torch.Tensor] = []
        with record_function("back_projection"):
            points = grid_points([r, r, r], 0, r * r * r, self.corner_low_resolution, matrices)
            coordinates = detector_coordinates(matrices, points.unsqueeze(0).expand(matrices.shape[0], -1, -1))
            for k in range(len(features) - 1, -1, -1):
                samples = largest_samples(features[k], coordinates, view_mask, self.corner_aligned)
                volumes.append(samples.unflatten(2, [r, r, r]))
        return volumes

    def embed(
        self,
        features: list[torch.Tensor],
        matrices: torch.Tensor,
        sparse_mask: Optional[torch.Tensor],
        prior: Optional[torch.Tensor] = None,
    ) -> Embedding:
        """Makes the 3D features.

        Without denoising layers they come from all views. With them, from the sparse views; if there are others, the
        dense features of all views are computed as well, as the denoising layers' goal.

        Args:
            features: from :meth:`encode`.
            matrices: [B, views, 3, 4].
            sparse_mask: [B, m], true for the sparse views among the first m; None if all views are sparse.
            prior: what ``self.prior`` makes of the projections.

        Returns:
            The embedding.
        """
        denoises = self.embedding.denoises
        scales = self.back_project(features, matrices, sparse_mask if denoises else None)
        quantized, latents, codes, indices = self.embedding.quantize(scales)
        denoised: list[torch.Tensor] = []
        dense: list[torch.Tensor] = []
        if denoises:
            quantized = self.embedding.denoise(quantized)
            if sparse_mask is not None:
                denoised = quantized
                with torch.no_grad():
                    everything = self.back_project(features, matrices, None)
                    dense, _, _, indices = self.embedding.quantize(everything)
        fine = self.fusion.encode(prior)
        if len(fine) > 0:
            quantized = [torch.cat([quantized[0], fine[-1]], dim=1)] + quantized[1:]
        volume = self.fusion(self.embedding.decode(quantized), fine)
        return Embedding(volume, latents, codes, indices, denoised, dense, prior)

    def decode(
        self,
        features: list[torch.Tensor],
        volume: torch.Tensor,
        matrices: torch.Tensor,
        points: torch.Tensor,
        sparse_mask: Optional[torch.Tensor],
        prior: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Predicts single points (equations 5 to 7).

        Args:
            features: from :meth:`encode`.
            volume: [B, C, r, r, r] from :meth:`embed`.
            matrices: [B, views, 3, 4].
            points: [B, points, 3] in the unit cube.
            sparse_mask: [B, m], true for the views to read among the first m; None for all.
            prior: of the embedding.

        Returns:
            [B, 1, points].
        """
        if sparse_mask is not None:
            matrices = matrices[:, : sparse_mask.shape[1]]
        coordinates = detector_coordinates(matrices, points)
        parts: list[torch.Tensor] = []
        for scale in features:
            parts.append(largest_samples(scale, coordinates, sparse_mask, self.corner_aligned).transpose(1, 2))
        parts.append(sample_volume(volume, points, self.corner_low_resolution).transpose(1, 2))
        values = self.point_decoder(torch.cat(parts, dim=2).transpose(1, 2))
        return values if prior is None else values + sample_volume(prior, points, False).to(values.dtype)

    @torch.jit.unused
    def freeze(self, parts: Iterable[str]) -> None:
        """Takes modules out of training, batch statistics and codebooks included, until the end of this object.

        Args:
            parts: module names, as in ``named_modules``, such as "encoder" or "embedding.quantizers".

        Raises:
            InputError: when there is no such module.
        """
        for name in parts:
            try:
                module = self.get_submodule(name)
            except AttributeError:
                raise InputError(
                    f"freeze {name!r}", "names no part of the network.", "See DiCE.named_modules()."
                ) from None
            self._frozen.append(name)
            module.requires_grad_(False).eval()

    @torch.jit.unused
    def train(self, mode: bool = True) -> DiCE:
        """Sets the mode; frozen parts stay in eval mode."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        key = f"{prefix}conventions"
        found = state_dict.get(key)
        if found is not None and found.shape == self.conventions.shape:
            names = ("low_resolution_grid", "output_grid", "projection_sampling", "row_direction")
            own = self.conventions.to(found.device)
            wrong = [name for name, a, b in zip(names, found.tolist(), own.tolist()) if a != b]
            if wrong:
                raise InputError(
                    "network_def",
                    f"differs from these weights in {', '.join(wrong)}.",
                    "Append the configuration saved beside the weights, or set these options as they were in training.",
                )
        self._check_whole(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_whole(self, state_dict: dict, prefix: str) -> None:
        """Refuses a state that is partly another's and partly this network's own.

        MONAI's copy_model_state, and with it monai.bundle.load, makes such a state of weights of another network: it
        takes what fits and leaves the rest as it was drawn at random. The conventions always fit, so that they are the
        weights' then; in a state of the network's own, some entries of which were changed, they are its own.
        """
        conventions = state_dict.get(f"{prefix}conventions")
        if conventions is None or conventions.data_ptr() == self.conventions.data_ptr():
            return
        own = {name: value for name, value in self.state_dict(prefix=prefix).items() if value.is_floating_point()}
        kept = [name for name in own if name in state_dict and state_dict[name].data_ptr() == own[name].data_ptr()]
        if 0 < len(kept) < len(own):
            raise InputError(
                "network_def",
                f"is not the network of these weights: {len(kept)} of its {len(own)} entries would stay random.",
                "Take both from one configuration, as monai.bundle.load does of models/model.pt with "
                'workflow_type="inference".',
            )
