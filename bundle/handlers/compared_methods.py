"""Other reconstructions from the same projections, beside the network's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from bundle.classical.methods import Method
from bundle.errors import InputError
from bundle.finite import check_reconstruction
from bundle.geometry import ConeBeamGeometry
from bundle.geometry_rows import unpack_geometry
from bundle.physics.attenuation import normalised_to_unit_integral
from bundle.simulation import MEASURED

__all__ = ["UNTRAINED", "VOLUMES", "ComparedMethods", "items_and_outputs", "measured_scan", "planned_views"]

VOLUMES = "volumes"
"""Entry of an engine's output: [1, X, Y, Z] volumes by name of the method."""

UNTRAINED = "untrained"
"""Entry of an engine's output: names of the methods that no network had a part in."""


def measured_scan(item: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[torch.Tensor, ConeBeamGeometry]:
    """The projections that an item's reconstruction was made from.

    Args:
        item: of an engine's decollated batch, with "geometry".
        output: the engine's output for it.

    Returns:
        [1, views, V, U] unit integrals in mm of the detector as it is where the item has them ("measured"), else of
        the network's pixels, and the scan with the prediction's voxels.
    """
    projections, rows = item.get(MEASURED, output[CommonKeys.IMAGE]), item["geometry"]
    if "sparse_mask" in item:
        sparse = torch.as_tensor(item["sparse_mask"]).cpu().bool()
        projections, rows = projections[sparse.to(projections.device)], rows[sparse.to(rows.device)]
    geometry = unpack_geometry(torch.as_tensor(rows)).with_volume(output[CommonKeys.PRED].shape[1:])
    geometry = geometry.with_pixels(projections.shape[1:])
    return normalised_to_unit_integral(torch.as_tensor(projections).float())[None], geometry


def items_and_outputs(engine: Engine) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every item of an engine's decollated batch, with the engine's output for it."""
    state: Any = engine.state  # ignite calls batch and output numbers
    return zip(state.batch, state.output)


def planned_views(item: Mapping[str, Any]) -> int:
    """The number of views that an item's scan was to have; some may be missing."""
    return int(item["num_sparse"]) if "num_sparse" in item else int(item["sparse_mask"].sum())


class ComparedMethods:
    """Reconstructs every item of the evaluation by further methods, from the very projections that the network saw.

    Results are clipped to [0, 1], as the network's are, and found by name in each output's "volumes".

    Args:
        methods: by name; they know nothing of the network's volume. None leaves one out, for overlays.
        refinements: by name; they start from it. None leaves one out.

    Raises:
        ValueError: when a name occurs in both.
        InputError: when one is no method.
    """

    def __init__(
        self,
        methods: Mapping[str, Method | None] | None = None,
        refinements: Mapping[str, Method | None] | None = None,
    ) -> None:
        self.methods = {name: method for name, method in (methods or {}).items() if method is not None}
        self.refinements = {name: method for name, method in (refinements or {}).items() if method is not None}
        if set(self.methods) & set(self.refinements):
            raise ValueError("a method and a refinement have the same name.")
        for name, method in {**self.methods, **self.refinements}.items():
            if not callable(method):
                raise InputError(f"methods.{name}", f"is {method!r}.", "Give its class as _target_, or null.")

    def attach(self, engine: Engine) -> None:
        """Reconstructs after every iteration; attach it before the handlers that use the results."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Adds the volumes to the iteration's outputs."""
        for item, output in items_and_outputs(engine):
            projections, geometry = measured_scan(item, output)
            initial = output[CommonKeys.PRED][None].float()
            volumes = {name: method(projections, geometry) for name, method in self.methods.items()}
            volumes |= {name: refine(projections, geometry, initial) for name, refine in self.refinements.items()}
            for name, volume in volumes.items():
                check_reconstruction(volume, name, item.get("case", ""))
            output[VOLUMES] = {name: volume[0].clamp(0.0, 1.0) for name, volume in volumes.items()}
            output[UNTRAINED] = list(self.methods)
