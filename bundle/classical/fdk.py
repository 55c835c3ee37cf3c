"""Filtered back-projection of cone-beam projections."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from bundle.classical.orbit import Orbit
from bundle.classical.ramp import ramp_filter
from bundle.classical.redundancy import redundancy_weights
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.projector.voxel_driven import weighted_back_projection

__all__ = ["FDK", "fdk_orbit"]

_LEVEL = 0.1  # of the detector's height in the isocentre, which the source may leave its plane by


@dataclass(frozen=True)
class FDK:
    """Feldkamp, Davis and Kress's reconstruction, for full turns, half-fan full turns and short scans.

    L. A. Feldkamp, L. C. Davis and J. W. Kress, "Practical cone-beam algorithm", JOSA A 1(6), 1984. Views may come in
    any order, unevenly spaced or repeated. It is a sum over angles: from few views it shows streaks.

    Args:
        hann_cut: fraction of the Nyquist frequency where a Hann window reaches zero; the plain ramp if None.
        extend: part of the detector's width by which truncated rows are continued before filtering.
    """

    hann_cut: float | None = None
    extend: float = 0.0

    def __post_init__(self) -> None:
        if self.hann_cut is not None and not 0 < self.hann_cut <= 1:
            raise InputError("hann_cut", f"is {self.hann_cut}.", "Give a fraction of the Nyquist frequency, 0 to 1.")
        if not 0 <= self.extend <= 1:
            raise InputError("extend", f"is {self.extend}.", "Give a fraction of the detector's width, 0 to 1.")

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs; arguments and result are those of :class:`bundle.classical.methods.Method`.

        Raises:
            InputError: when the orbit is none that is named above.
        """
        projections = projections.float()
        orbit, redundancy = fdk_orbit(geometry)
        to_ray = geometry.pixel_centres_mm() - geometry.source_mm[:, None, None]
        depth = np.abs(np.sum(to_ray * geometry.normal[:, None, None], axis=-1))
        cosine = depth / np.linalg.norm(to_ray, axis=-1)  # [views, V, U], of the angle to the detector's normal
        weights = cosine * (redundancy * orbit.gap_rad[:, None])[:, None]
        isocentre = np.abs(np.sum(geometry.source_mm * geometry.normal, axis=1))
        pitch_mm = geometry.pixel_mm[1] * isocentre / depth[:, 0, 0]
        weighted = projections * torch.as_tensor(weights).to(projections)
        if orbit.is_full_turn:
            weighted, geometry = _centred(weighted, geometry)
        filtered = ramp_filter(
            weighted, torch.as_tensor(pitch_mm).to(projections)[:, None, None], self.hann_cut, self.extend
        )
        return weighted_back_projection(filtered, geometry)


def fdk_orbit(geometry: ConeBeamGeometry) -> tuple[Orbit, np.ndarray]:
    """The orbit of a scan that filtered back-projection can do, and its [views, U] redundancy weights.

    Raises:
        InputError: when it is none: a source that moves along the axis, whose views a turn apart would count as
            repeated, and what Orbit and redundancy_weights refuse.
    """
    travel_mm = float(np.ptp(geometry.source_mm[:, 2]))
    isocentre_mm = np.linalg.norm(geometry.source_mm[:, :2], axis=1)
    detector_mm = np.linalg.norm((geometry.detector_centre_mm - geometry.source_mm)[:, :2], axis=1)
    height_mm = geometry.detector_shape[0] * geometry.pixel_mm[0] * float((isocentre_mm / detector_mm).mean())
    if travel_mm > _LEVEL * height_mm:
        raise InputError(
            "geometry.source_mm",
            f"moves by {travel_mm:.3g} mm along the axis of rotation.",
            "Filtered back-projection needs a circle; use an iterative method.",
        )
    orbit = Orbit.of(geometry)
    return orbit, redundancy_weights(orbit)


def _centred(projections: torch.Tensor, geometry: ConeBeamGeometry) -> tuple[torch.Tensor, ConeBeamGeometry]:
    """Adds columns of zeros on a half-fan detector's narrow side: filtered rows do not end where the detector does."""
    to_axis = -np.sum(geometry.detector_centre_mm * geometry.u_axis, axis=1) / geometry.pixel_mm[1]
    offset = float(np.median(to_axis))  # in columns, of the axis of rotation from the detector's middle
    extra = math.ceil(2 * abs(offset))
    if extra < 2:
        return projections, geometry
    before, after = (extra, 0) if offset < 0 else (0, extra)
    shift_mm = (after - before) / 2 * geometry.pixel_mm[1]
    rows, columns = geometry.detector_shape
    wider = replace(
        geometry,
        detector_shape=(rows, columns + extra),
        detector_centre_mm=geometry.detector_centre_mm + shift_mm * geometry.u_axis,
    )
    return F.pad(projections, (before, after)), wider
