"""Times projection and its adjoint by every backend."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.projector import BACKENDS, ConeBeamProjector
from scripts.benchmarks.measuring import DEVICE, fastest
from scripts.benchmarks.result import Column, PartResult, Settings, Table, mb_text, seconds_text

__all__ = ["measure_projector", "scan"]


def scan(views: int, size: int, arc_rad: float = np.pi) -> ConeBeamGeometry:
    """The paper's scan with size^2 pixels and size^3 voxels over the same fields of view."""
    pixel, voxel = 614.4 / size, 409.6 / size
    angles = np.arange(views) * arc_rad / views
    return circular(angles, 800, 1200, (size, size), (pixel, pixel), (size, size, size), (voxel, voxel, voxel))


def measure_projector(settings: Settings) -> PartResult:
    """Projection and its adjoint by every backend that this machine has."""
    usable = [name for name, backend in BACKENDS.items() if backend.unavailable(DEVICE) is None]
    for name in usable:  # loading RTK takes longer than projecting with it
        small = ConeBeamProjector(scan(2, 8), name)
        small.adjoint(small(torch.zeros(1, 1, 8, 8, 8, device=DEVICE)))
    reference, size = "rtk" if "rtk" in usable else "torch", settings.size
    rows = []
    for views, direction in itertools.product(settings.views, ("forward", "adjoint")):
        timed = fastest(_cases(usable, views, size, direction), settings.repeats)
        for name, cost in timed.items():
            row = {"case": f"{direction}, {views} views of {size}² through {size}³", "backend": name}
            ratio = cost.seconds / timed[reference].seconds
            rows.append({**row, **cost._asdict(), "reference": reference, "time_to_reference_ratio": ratio})
    columns = [
        Column("case", "case"),
        Column("backend", "backend"),
        Column("time", "seconds", seconds_text),
        Column(f"time / {reference}", "time_to_reference_ratio", "{:.2f}".format),
        Column("extra memory", "extra_memory_mb", mb_text),
    ]
    used = {"views": settings.views, "size": size, "repeats": settings.repeats}
    return PartResult(used, {"projector": Table(rows, columns)})


def _cases(usable: list[str], views: int, size: int, direction: str) -> dict[str, Callable[[], object]]:
    geometry = scan(views, size)
    volume = torch.from_numpy(voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry, 1))[None, None]
    volume, projections = volume.to(DEVICE), torch.rand(1, views, size, size, device=DEVICE)
    cases: dict[str, Callable[[], object]] = {}
    for name in usable:
        projector = ConeBeamProjector(geometry, name)
        operator, data = (projector, volume) if direction == "forward" else (projector.adjoint, projections)
        cases[name] = partial(operator, data)
    if direction == "forward":
        cases.update(_astra_case(geometry, volume))
    return cases


def _astra_case(geometry: ConeBeamGeometry, volume: torch.Tensor) -> dict[str, Callable[[], object]]:
    """astra-toolbox's FP3D, where it has a GPU; without one its 3D algorithms end the process."""
    try:
        import astra
    except ImportError:
        return {}
    if DEVICE.type != "cuda" or not astra.use_cuda():
        return {}
    # Its vectors: source, detector's centre, steps from column to column and row to row; volumes are [z, y, x].
    vectors = np.concatenate(
        [
            geometry.source_mm,
            geometry.detector_centre_mm,
            geometry.u_axis * geometry.pixel_mm[1],
            geometry.v_axis * geometry.pixel_mm[0],
        ],
        axis=1,
    )
    half = np.array(geometry.volume_size_mm) / 2
    x, y, z = geometry.volume_shape
    grid = astra.create_vol_geom(y, x, z, -half[0], half[0], -half[1], half[1], -half[2], half[2])
    detector = astra.create_proj_geom("cone_vec", *geometry.detector_shape, vectors)
    data = volume[0, 0].permute(2, 1, 0).contiguous()
    out = torch.empty(geometry.detector_shape[0], geometry.num_views, geometry.detector_shape[1], device=DEVICE)
    projector = astra.create_projector("cuda3d", detector, grid)
    return {"astra FP3D": lambda: astra.experimental.direct_FP3D(projector, data, out)}
