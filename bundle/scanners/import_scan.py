"""From a scanner's images and geometry to projections that can be reconstructed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bundle
from bundle.data.projection_file import ProjectionSet
from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.scanners.calibration import Calibration
from bundle.scanners.field_of_view import field_of_view_mm, suggested_volume
from bundle.scanners.geometry_files import KINDS, PIXEL_TOLERANCE, geometry_kind, read_geometry
from bundle.scanners.header_parts import Header
from bundle.scanners.projection_images import read_projection_headers, read_projection_images
from bundle.scanners.provenance import describe_files

__all__ = ["CENTRED", "QUANTITIES", "import_scan"]

QUANTITIES = ("counts", "attenuation")
"""What images can hold: counts, proportional to the intensity, or line integrals -ln(I / I0)."""

CENTRED = "centred"
"""Value of first_pixel_mm that puts the detector's centre at the origin of RTK's projection coordinates."""

_PROVISIONAL = {"volume_shape": (1, 1, 1), "voxel_mm": (1.0, 1.0, 1.0)}


def import_scan(
    projections: str | os.PathLike | Iterable[str | os.PathLike],
    geometry: str | os.PathLike,
    volume_shape: Sequence[int] | None = None,
    voxel_mm: Sequence[float] | None = None,
    quantity: str = "counts",
    calibration: Calibration | None = None,
    mu_water_per_mm: float | None = None,
    views: Sequence[int] | None = None,
    pixel_mm: Sequence[float] | None = None,
    first_pixel_mm: Sequence[float] | str | None = None,
    volume_centre_mm: Sequence[float] | None = None,
    world_to_patient: Sequence[Sequence[float]] | None = None,
    geometry_options: Mapping[str, Any] | None = None,
    check_projections: bool = True,
) -> ProjectionSet:
    """Reads a scan: images, geometry, and the logarithm of the counts.

    No axis is turned and no view is moved: rows run as the geometry says, and views keep the files' order, in which
    angles may come unsorted or twice.

    Args:
        projections: image files, one stack or a folder, as in
            :func:`bundle.scanners.projection_images.list_projection_files`.
        geometry: file of any kind in :data:`bundle.scanners.geometry_files.KINDS`.
        volume_shape: voxels (x, y, z) of the volume to reconstruct. JSON and YAML bring their own.
        voxel_mm: voxel size (x, y, z).
        quantity: what the images hold, one of :data:`QUANTITIES`.
        calibration: what counts are compared with; needed for counts, and refused for attenuation.
        mu_water_per_mm: attenuation of water at the beam's effective energy; water at 60 keV if None, which the
            provenance then calls a default.
        views: views to import. With an image for each of the geometry's views it picks from both; with fewer images
            it says which of the geometry's views they are, one number per image.
        pixel_mm: pixel pitch (v, u); that of the images' headers if None.
        first_pixel_mm: for RTK's and scanners' geometries (v, u) of pixel (0, 0) from the origin of RTK's projection
            coordinates, or "centred"; the images' own origin if None, and "centred" where they have none.
        volume_centre_mm: centre of the volume.
        world_to_patient: [4, 4] rigid map from the scan's axes to the patient's (both LPS, mm); unknown if None.
        geometry_options: options of the geometry's reader, such as {"row_direction": "+z"} for YAML.
        check_projections: refuse values that are probably no scan's, such as equal views, air that is not near zero,
            and pixels without counts in any view.

    Returns:
        The scan as attenuation, with the inputs' checksums and everything that was applied in its provenance.

    Raises:
        InputError: naming file or argument, when something is missing, damaged or contradicts something else.
        ImportError: when the package that reads a file is missing.
    """
    path = Path(geometry)
    if quantity not in QUANTITIES:
        raise InputError("quantity", f"is {quantity!r}.", f"Use one of {', '.join(QUANTITIES)}.")
    calibration = calibration or Calibration()
    if quantity == "attenuation" and calibration.given():
        raise InputError(
            "quantity", f"is attenuation, but {', '.join(calibration.given())} is given.", "Leave out one of them."
        )
    kind = geometry_kind(path)
    image_format, files, header = read_projection_headers(projections)
    complete = KINDS[kind].complete
    pixel_mm = _pixel(header, pixel_mm, files[0], complete)
    first_mm, first_source = _first_pixel(header, first_pixel_mm, files[0], complete)
    asked = volume_shape is None and voxel_mm is None and not complete
    volume = _PROVISIONAL if asked else {"volume_shape": volume_shape, "voxel_mm": voxel_mm}
    scan = read_geometry(
        path,
        detector_shape=header.shape[1:],
        pixel_mm=pixel_mm,
        **volume,
        first_pixel_mm=first_mm,
        volume_centre_mm=volume_centre_mm,
        projections=files,
        **dict(geometry_options or {}),
    )
    if asked:
        raise _no_volume(scan)
    picked, scan = _match_views(files, header.shape[0], path, scan, views)
    images = read_projection_images(files)
    source = files[0].parent if len(files) > 1 else files[0]
    if quantity == "counts":
        values, applied = calibration.attenuation(images, source, picked, check_projections)
    else:
        values, applied = images.values if picked is None else images.values[picked], None
    provenance = {
        "made_by": "import",
        "version": bundle.__version__,
        "projections": {"format": image_format, "files": describe_files(files)},
        "geometry": {
            "kind": kind,
            "files": describe_files([path]),
            "options": {name: _plain(value) for name, value in (geometry_options or {}).items()},
        },
        "quantity_of_images": quantity,
        "counts": applied,
        "views": None if views is None else [int(view) for view in views],
        "first_pixel": first_source,
        "mu_water": "default for 60 keV, not calibrated" if mu_water_per_mm is None else "given",
        "world_to_patient": "unknown: axes are the scanner's" if world_to_patient is None else "given",
    }
    data = ProjectionSet(
        projections=values,
        geometry=scan,
        quantity="attenuation",
        mu_water_per_mm=MU_WATER_PER_MM if mu_water_per_mm is None else float(mu_water_per_mm),
        world_to_patient=_matrix(world_to_patient),
        provenance=provenance,
        check_projections=check_projections,
    )
    data.check(source)
    return data


def _matrix(given: Sequence[Sequence[float]] | None) -> np.ndarray:
    try:
        return np.eye(4) if given is None else np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("world_to_patient", f"is {given!r}.", "Give four rows of four numbers.") from None


def _pixel(header: Header, given: Sequence[float] | None, file: Path, complete: bool) -> tuple[float, ...] | None:
    """Pixel pitch (v, u) from the headers and the argument, which must agree."""
    stated = header.pixel_mm
    if given is None and stated is None and not complete:
        raise InputError(file, "does not state its pixel size.", "Give pixel_mm as (v, u), on the detector.")
    if given is None:
        return stated
    if stated is not None and not np.allclose(stated, given, rtol=PIXEL_TOLERANCE, atol=0):
        raise InputError(
            file, f"states pixels of {stated} mm (v, u) where pixel_mm is {tuple(given)}.", "Correct pixel_mm."
        )
    return tuple(float(pitch) for pitch in given)


def _first_pixel(
    header: Header, given: Sequence[float] | str | None, file: Path, complete: bool
) -> tuple[Sequence[float] | None, str]:
    """Position (v, u) of pixel (0, 0) for the geometry's reader, None if centred, and where it comes from."""
    if isinstance(given, str) and given != CENTRED:
        raise InputError("first_pixel_mm", f"is {given!r}.", f"Give two numbers (v, u) in mm, or {CENTRED!r}.")
    if complete:
        return (None if isinstance(given, str) else given), "not used: the geometry has the detector's centre"
    if given is not None:
        return (None if isinstance(given, str) else given), "given"
    if header.first_pixel_mm is None:
        return None, "centred: the images state none"
    if not any(header.first_pixel_mm):
        raise InputError(
            file,
            "states that its first pixel is at (0, 0) mm, on the central ray, as files do whose origin nobody set.",
            f"Give first_pixel_mm: (v, u) in mm, {CENTRED!r}, or '[0,0]' if it is meant.",
        )
    return header.first_pixel_mm, "the images' origin"


def _no_volume(scan: ConeBeamGeometry) -> InputError:
    radius, height = field_of_view_mm(scan)
    shape, voxel = suggested_volume(scan)
    return InputError(
        "volume_shape and voxel_mm",
        "are missing, and the geometry file does not say what to reconstruct.",
        f"The scan sees a cylinder of radius {radius:.0f} and height {height:.0f} mm: volume_shape {list(shape)} with "
        f"voxel_mm {[voxel] * 3} covers it with about one voxel per pixel.",
    )


def _match_views(
    files: Sequence[Path], images: int, path: Path, scan: ConeBeamGeometry, views: Sequence[int] | None
) -> tuple[list[int] | None, ConeBeamGeometry]:
    """Images to take, None for all, and the geometry of their views."""
    if views is None:
        if images != scan.num_views:
            raise InputError(
                files[0].parent if len(files) > 1 else files[0],
                f"holds {images} images where {path.name} describes {scan.num_views} views.",
                "Add or remove what is missing or too much, or say with views which views the images are.",
            )
        return None, scan
    numbers = np.asarray(views)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or numbers.size == 0:
        raise InputError("views", f"is {views!r}.", "Give a list of whole numbers.")
    if numbers.min() < 0 or numbers.max() >= scan.num_views:
        raise InputError(
            "views",
            f"reaches from {numbers.min()} to {numbers.max()}.",
            f"{path.name} has the views 0 to {scan.num_views - 1}.",
        )
    chosen = scan.select(numbers)
    if images == scan.num_views:
        return numbers.tolist(), chosen
    if images != len(numbers):
        raise InputError(
            "views",
            f"names {len(numbers)} views for {images} images, and {path.name} describes {scan.num_views}.",
            "Name one view per image, or give an image for every view of the geometry.",
        )
    return None, chosen


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    return value.tolist() if isinstance(value, np.ndarray) else value
