"""The classical methods of the Reconstruction Toolkit, behind the same interface: the independent implementation.

They run on the CPU and need the package itk-rtk. RTK's algebraic methods use its voxel-based back-projection, which is
not the exact adjoint of the projection, so their results are close to this package's, not equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bundle.classical.cgls import CGLS
from bundle.classical.fdk import FDK, fdk_orbit
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.rtk.geometry import faces_source, to_rtk, with_real_detector
from bundle.rtk.images import empty_volume, projections_to_itk, renewable, volume_from_itk, volume_to_itk
from bundle.rtk.toolkit import image_type, itk_and_rtk

__all__ = ["RTKCGLS", "RTKFDK", "RTKSART", "RTKTotalVariation"]

Build = Callable[[Any, Any, Any, Any], Any]


def _reconstruct(
    projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None, build: Build
) -> torch.Tensor:
    """Runs a pipeline for each item.

    Args:
        projections: [B, views, V, U].
        geometry: the scan.
        initial: [B, 1, X, Y, Z] to start from; zeros if None.
        build: makes the last filter from (rtk, volume image, projection stack, RTK's geometry).
    """
    _, rtk = itk_and_rtk("RTK's reconstruction")
    geometry = with_real_detector(geometry)
    values = projections.detach().cpu().float()
    if not faces_source(geometry):
        geometry, values = geometry.flip_rows(), values.flip(2)
    out = []
    for i, item in enumerate(values.numpy()):
        if initial is None:
            source = empty_volume(geometry)
            source.Update()
            volume = source.GetOutput()
        else:
            volume = volume_to_itk(initial[i, 0].detach().cpu().numpy(), geometry)
        stack = renewable(projections_to_itk(item, geometry))  # a name, since an output does not keep its filter alive
        last = build(rtk, volume, stack.GetOutput(), to_rtk(geometry))
        last.Update()
        out.append(torch.from_numpy(volume_from_itk(last.GetOutput())))
    return torch.stack(out)[:, None].to(projections.device)


@dataclass(frozen=True)
class RTKFDK(FDK):
    """RTK's FDK with its displaced-detector and Parker weights; the options are those of FDK."""

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs [B, views, V, U] to [B, 1, X, Y, Z]; initial is not used.

        Raises:
            InputError: as FDK, and when the arc is shorter than half a turn and the fan, which RTK's Parker weights
                need.
        """
        orbit, _ = fdk_orbit(geometry)
        needed = np.pi + 2 * float(np.abs(orbit.fan_rad).max())
        if orbit.arc_rad < needed:
            raise InputError(
                "engine rtk",
                f"needs an arc of {np.rad2deg(needed):.0f} degrees for its Parker weights, and the scan has "
                f"{np.rad2deg(orbit.arc_rad):.0f}.",
                "Use the engine own.",
            )

        def build(rtk: Any, volume: Any, stack: Any, scan: Any) -> Any:
            displaced = rtk.DisplacedDetectorImageFilter[image_type()].New()
            displaced.SetInput(stack)
            displaced.SetGeometry(scan)
            parker = rtk.ParkerShortScanImageFilter[image_type()].New()
            parker.SetInput(displaced.GetOutput())
            parker.SetGeometry(scan)
            parker.InPlaceOff()
            parker.Update()  # now, since an output does not keep its filter alive
            fdk = rtk.FDKConeBeamReconstructionFilter[image_type()].New()
            fdk.SetInput(0, volume)
            fdk.SetInput(1, parker.GetOutput())
            fdk.SetGeometry(scan)
            fdk.GetRampFilter().SetTruncationCorrection(float(self.extend))
            fdk.GetRampFilter().SetHannCutFrequency(float(self.hann_cut or 0.0))
            return fdk

        return _reconstruct(projections, geometry, None, build)


@dataclass(frozen=True)
class RTKSART:
    """RTK's SART and OS-SART.

    Args:
        iterations: passes over all views.
        views_per_subset: views that each step takes.
        relaxation: part of each step that is taken.
        positive: keep the volume from falling below zero.
    """

    iterations: int = 10
    views_per_subset: int = 1
    relaxation: float = 0.3
    positive: bool = True

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.views_per_subset < 1 or not 0 < self.relaxation < 2:
            raise InputError("sart", f"is {self}.", "Give counts of at least one, and a relaxation between 0 and 2.")

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs [B, views, V, U] to [B, 1, X, Y, Z], starting from initial."""

        def build(rtk: Any, volume: Any, stack: Any, scan: Any) -> Any:
            sart = rtk.SARTConeBeamReconstructionFilter[image_type(), image_type()].New()
            sart.SetInput(0, volume)
            sart.SetInput(1, stack)
            sart.SetGeometry(scan)
            sart.SetNumberOfIterations(self.iterations)
            sart.SetNumberOfProjectionsPerSubset(self.views_per_subset)
            sart.SetLambda(self.relaxation)
            sart.SetEnforcePositivity(self.positive)
            sart.SetForwardProjectionFilter(type(sart).ForwardProjectionType_FP_JOSEPH)
            sart.SetBackProjectionFilter(type(sart).BackProjectionType_BP_VOXELBASED)
            return sart

        return _reconstruct(projections, geometry, initial, build)


@dataclass(frozen=True)
class RTKCGLS(CGLS):
    """RTK's conjugate gradients, with its matched pair of Joseph operators; the options are those of CGLS."""

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs [B, views, V, U] to [B, 1, X, Y, Z], starting from initial."""

        def build(rtk: Any, volume: Any, stack: Any, scan: Any) -> Any:
            itk, _ = itk_and_rtk("RTK's reconstruction")
            ones = itk.image_from_array(np.ones_like(itk.array_view_from_image(stack)))
            ones.CopyInformation(stack)
            gradients = rtk.ConjugateGradientConeBeamReconstructionFilter[image_type()].New()
            gradients.SetInputVolume(volume)
            gradients.SetInputProjectionStack(stack)
            gradients.SetInputWeights(ones)
            gradients.SetGeometry(scan)
            gradients.SetNumberOfIterations(self.iterations)
            gradients.SetDisableDisplacedDetectorFilter(True)
            gradients.SetForwardProjectionFilter(type(gradients).ForwardProjectionType_FP_JOSEPH)
            gradients.SetBackProjectionFilter(type(gradients).BackProjectionType_BP_JOSEPH)
            return gradients

        volume = _reconstruct(projections, geometry, initial, build)
        return volume.clamp(min=0.0) if self.positive else volume


@dataclass(frozen=True)
class RTKTotalVariation:
    """RTK's total-variation regularisation by the alternating direction method of multipliers.

    C. Mory et al., "Cardiac C-arm computed tomography using a 3D + time ROI reconstruction method with spatial and
    temporal regularization", Medical Physics 41(2), 2014.

    Args:
        weight: of the total variation (RTK's alpha).
        penalty: of the constraint that ties gradient and volume (RTK's beta).
        iterations: outer steps.
        cg_iterations: conjugate gradient steps within each.
    """

    weight: float = 20.0
    penalty: float = 1000.0
    iterations: int = 10
    cg_iterations: int = 5

    def __post_init__(self) -> None:
        if min(self.weight, self.penalty) <= 0 or min(self.iterations, self.cg_iterations) < 1:
            raise InputError("tv", f"is {self}.", "Give positive weights and at least one iteration.")

    def __call__(
        self, projections: torch.Tensor, geometry: ConeBeamGeometry, initial: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Reconstructs [B, views, V, U] to [B, 1, X, Y, Z], starting from initial."""

        def build(rtk: Any, volume: Any, stack: Any, scan: Any) -> Any:
            admm = rtk.ADMMTotalVariationConeBeamReconstructionFilter[image_type()].New()
            admm.SetInput(0, volume)
            admm.SetInput(1, stack)
            admm.SetGeometry(scan)
            admm.SetAlpha(self.weight)
            admm.SetBeta(self.penalty)
            admm.SetAL_iterations(self.iterations)
            admm.SetCG_iterations(self.cg_iterations)
            admm.SetDisableDisplacedDetectorFilter(True)
            admm.SetForwardProjectionFilter(type(admm).ForwardProjectionType_FP_JOSEPH)
            admm.SetBackProjectionFilter(type(admm).BackProjectionType_BP_JOSEPH)
            return admm

        return _reconstruct(projections, geometry, initial, build)
