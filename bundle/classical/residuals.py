"""How well a volume explains its projections, view by view."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from bundle.geometry import ConeBeamGeometry
from bundle.projector import ConeBeamProjector

__all__ = ["ViewResidual", "view_residuals"]


@dataclass(frozen=True)
class ViewResidual:
    """The difference between the volume's projection and the measured one, in one view.

    Args:
        view: index of the view.
        angle_deg: gantry angle.
        rms_mm: root mean square difference of the line integrals, in value times mm.
        relative: the same divided by the root mean square of the measured integrals.
        bias_mm: mean difference, projected minus measured.
        noise_ratio: rms divided by the noise's expected rms; about one for a volume that explains all but the noise.
            None when the noise is not known.
    """

    view: int
    angle_deg: float
    rms_mm: float
    relative: float
    bias_mm: float
    noise_ratio: float | None

    def row(self) -> dict[str, float | int | None]:
        """As a table's row."""
        return asdict(self)


def view_residuals(
    volume: torch.Tensor,
    projections: torch.Tensor,
    geometry: ConeBeamGeometry,
    noise_variance: torch.Tensor | None = None,
) -> list[ViewResidual]:
    """Compares a volume's projections with measured ones.

    Args:
        volume: [1, X, Y, Z].
        projections: [views, V, U] measured line integrals in value times mm.
        geometry: the scan.
        noise_variance: [views, V, U] of the projections' noise, if known.

    Returns:
        One entry for each view.
    """
    measured = projections.double()
    difference = ConeBeamProjector(geometry)(volume.float()[None])[0].double() - measured
    rms = difference.square().mean(dim=(1, 2)).sqrt()
    relative = rms / measured.square().mean(dim=(1, 2)).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
    bias = difference.mean(dim=(1, 2))
    expected = None if noise_variance is None else noise_variance.double().mean(dim=(1, 2)).sqrt()
    angles = torch.rad2deg(torch.as_tensor(geometry.angles_rad.copy()))
    return [
        ViewResidual(
            view=i,
            angle_deg=float(angles[i]),
            rms_mm=float(rms[i]),
            relative=float(relative[i]),
            bias_mm=float(bias[i]),
            noise_ratio=None if expected is None else float(rms[i] / expected[i]),
        )
        for i in range(len(rms))
    ]
