"""Reconstruction in Python: arrays in, an array out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bundle.arguments import parse_device
from bundle.classical import DataConsistency, make_method
from bundle.data.load_projections import check_volume_size, network_input, pixels_averaged
from bundle.data.projection_file import ProjectionSet
from bundle.errors import InputError
from bundle.finite import check_reconstruction
from bundle.fixed_tuples import pair, sizes
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import unpack_geometry
from bundle.inference_files import inference_network
from bundle.inferer import VolumeInferer
from bundle.networks import DiCE
from bundle.networks.classical_prior import ClassicalPrior
from bundle.physics.attenuation import MU_WATER_PER_MM, normalised_to_unit_integral, unit_to_hu
from bundle.physics.noise import DetectorNoise
from bundle.presets import ScanPreset
from bundle.reconstruction import at_own_resolution

__all__ = ["reconstruct"]


def reconstruct(
    projections: np.ndarray,
    geometry: ConeBeamGeometry,
    method: str = "deepsparse",
    output_shape: Sequence[int] | None = None,
    checkpoint: str | None = None,
    config: str | Sequence[str] | None = None,
    refine: str | None = None,
    photons: float | None = None,
    options: dict[str, Any] | None = None,
    mu_water_per_mm: float = MU_WATER_PER_MM,
    device: str | None = None,
    check_projections: bool = True,
) -> np.ndarray:
    """Reconstructs a volume from cone-beam projections; what ``python -m bundle reconstruct`` does, without files.

    Args:
        projections: [views, rows, columns] attenuation p = -ln(I / I0), without unit.
        geometry: the scan; its volume is what is reconstructed.
        method: "deepsparse", or without a network "fdk", "sart", "cgls" or "tv".
        output_shape: voxels (x, y, z) over the geometry's volume; the geometry's own if None.
        checkpoint: the network's weights; the shipped ones if None. A configuration of the same name beside it is
            used, too.
        config: further configuration overlays that describe the network.
        refine: "sart" or "cgls" brings the network's volume nearer to the projections; None leaves it.
        photons: incident photons per pixel; refining stops at their noise.
        options: of a method without a network, such as {"iterations": 20}.
        mu_water_per_mm: attenuation of water per mm at the beam's effective energy, which makes HU.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if None.
        check_projections: refuse values that are probably no line integrals of a scan, such as equal views.

    Returns:
        [x, y, z] float32 HU, to the patient's left, back and head; voxel [i, j, k] is at geometry.volume_affine.

    Raises:
        InputError: when projections and geometry disagree, values cannot be line integrals, weights do not fit, an
            option has no effect on the method, or the volume is not finite.
    """
    learned = method == "deepsparse"
    unused = {"options": options} if learned else {"checkpoint": checkpoint, "config": config, "refine": refine}
    for name, value in unused.items():
        if value is not None:
            raise InputError(name, f"has no effect on {method}.", "Leave it out.")
    if photons is not None and refine is None:
        raise InputError("photons", "has no effect by itself.", "Give it with refine, or leave it out.")
    values = np.ascontiguousarray(projections, dtype=np.float32)
    data = ProjectionSet(
        values,
        geometry,
        quantity="attenuation",
        mu_water_per_mm=mu_water_per_mm,
        check_projections=check_projections,
    )
    data.check("projections")
    shape = geometry.volume_shape if output_shape is None else sizes("output_shape", output_shape, 3, int)
    where = parse_device(device)
    with torch.no_grad():
        if not learned:
            integrals, measured, window = at_own_resolution(data, shape, where)
            volume = make_method(method, **(options or {}))(integrals, measured)
        else:
            network, scan = inference_network(checkpoint, config)
            volume, window = _by_network(data, shape, network, scan, refine, photons, where)
    check_reconstruction(volume, method)
    return unit_to_hu(volume[0, 0].float().cpu().numpy(), window)


def _by_network(
    data: ProjectionSet,
    shape: Sequence[int],
    network: DiCE,
    scan: ScanPreset,
    refine: str | None,
    photons: float | None,
    device: torch.device,
) -> tuple[torch.Tensor, tuple[float, float]]:
    """The network's volume [1, 1, X, Y, Z], and the HU at its 0 and 1."""
    if isinstance(network.prior, ClassicalPrior):
        check_volume_size(data, scan, "geometry")
    inputs = network_input(data, scan)
    image, matrices = (inputs[name][None].to(device) for name in ("projections", "matrices"))
    volume = VolumeInferer(output_shape=shape)(image, network.to(device).eval(), matrices)
    window = pair(scan.hu_window)
    if refine is not None:
        noise = None if photons is None else DetectorNoise(photons).averaged(pixels_averaged(data, scan))
        consistency = DataConsistency(refine, noise=noise, hu_window=window, mu_water_per_mm=data.mu_water_per_mm)
        geometry = unpack_geometry(inputs["geometry"]).with_volume(shape)
        volume = consistency(normalised_to_unit_integral(image), geometry, volume.float())
    return volume, window
