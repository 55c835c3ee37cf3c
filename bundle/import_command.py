"""The commands that bring scans in and take them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bundle.atomic import check_apart, check_output

__all__ = ["export_scan", "import_scan"]


def import_scan(
    projections: str | Sequence[str],
    geometry: str,
    output: str,
    volume_shape: Sequence[int] | None = None,
    voxel_mm: Sequence[float] | None = None,
    quantity: str = "counts",
    i0: float | Sequence[float] | None = None,
    flat: str | Sequence[str] | None = None,
    dark: str | Sequence[str] | float | None = None,
    bad_pixels: str | None = None,
    air_region: Sequence[int] | None = None,
    minimum_counts: float = 1.0,
    inverted: bool | None = None,
    mu_water_per_mm: float | None = None,
    views: Sequence[int] | None = None,
    pixel_mm: Sequence[float] | None = None,
    first_pixel_mm: Sequence[float] | str | None = None,
    volume_centre_mm: Sequence[float] | None = None,
    world_to_patient: Sequence[Sequence[float]] | None = None,
    geometry_options: Mapping[str, Any] | None = None,
    check_projections: bool = True,
    overwrite: bool = False,
) -> None:
    """Imports a scanner's projections and geometry into a projection file; docs/own-scanner.md explains every step.

    Args:
        projections: folder, stack or list of images (.hnd, .hnc, .xim, .his, .mha, .mhd, .tif).
        geometry: geometry file of RTK (.xml), Varian, Elekta, TIGRE's family (.yaml) or this package (.json).
        output: projection file to write (.npz).
        volume_shape: voxels (x, y, z) to reconstruct, as "[256,256,200]".
        voxel_mm: voxel size (x, y, z), as "[1,1,1]".
        quantity: "counts", or "attenuation" if the logarithm was taken already.
        i0: counts without an object, one number or one per view.
        flat: open-field images: file, folder or list.
        dark: images without X-rays: file, folder or list; or one number.
        bad_pixels: image that is not zero at bad pixels, or "find" to look for them in flat, dark and views.
        air_region: pixels "[v0,v1,u0,u1]" that see only air in every view.
        minimum_counts: least counts before the logarithm.
        inverted: true if images hold 65536 - counts, as Elekta's .his do; must be said for .his.
        mu_water_per_mm: attenuation of water; 0.0206 per mm, that at 60 keV, if not given.
        views: views to import, as "[0,1,2]".
        pixel_mm: pixel pitch (v, u) on the detector, where the images do not state it.
        first_pixel_mm: position (v, u) of the first pixel, or "centred".
        volume_centre_mm: centre of the volume.
        world_to_patient: 4 x 4 map from the scan's axes to the patient's (LPS, mm).
        geometry_options: options of the geometry's reader, as "{'row_direction':'+z'}".
        check_projections: refuse values that are probably no scan's, such as equal views or dead rows.
        overwrite: replace an existing output.
    """
    from bundle.data.projection_file import write_projections
    from bundle.scanners.calibration import Calibration
    from bundle.scanners.import_scan import import_scan as import_files

    path = check_output(output, overwrite, (".npz",), inputs=[geometry])
    data = import_files(
        projections=_names(projections) if isinstance(projections, (list, tuple)) else str(projections),
        geometry=str(geometry),
        volume_shape=volume_shape,
        voxel_mm=voxel_mm,
        quantity=quantity,
        calibration=Calibration(i0, _names(flat), _names(dark), bad_pixels, air_region, minimum_counts, inverted),
        mu_water_per_mm=mu_water_per_mm,
        views=views,
        pixel_mm=pixel_mm,
        first_pixel_mm=first_pixel_mm,
        volume_centre_mm=volume_centre_mm,
        world_to_patient=world_to_patient,
        geometry_options=geometry_options,
        check_projections=check_projections,
    )
    write_projections(data, path)
    made, scan = data.provenance, data.geometry
    print(f"wrote {path}: {scan.num_views} views of {scan.detector_shape[0]} x {scan.detector_shape[1]} pixels")
    print(f"attenuation: {data.projections.min():.3f} to {data.projections.max():.3f}")
    if made["counts"] is not None:
        print(f"bad pixels filled in: {made['counts']['bad_pixels']['count']}")
    print(f"first pixel: {made['first_pixel']}")
    print(f"mu_water: {data.mu_water_per_mm} per mm ({made['mu_water']})")
    print(f"patient's axes: {made['world_to_patient']}")


def export_scan(source: str, geometry: str, projections: str | None = None, overwrite: bool = False) -> None:
    """Exports a projection file for RTK's tools: geometry, and attenuation as a stack of images.

    Args:
        source: projection file (.npz).
        geometry: geometry to write: .xml for RTK, or .json.
        projections: stack to write (.mha), if any.
        overwrite: replace existing outputs.
    """
    from bundle.data.projection_file import read_projections
    from bundle.scanners.export_scan import export_scan as export_files

    for written in (geometry, projections):
        if written is not None:
            check_apart(written, [source])
    data = export_files(read_projections(source), geometry, projections, overwrite)
    print(f"wrote {' and '.join(str(file) for file in (geometry, projections) if file is not None)}")
    missing = [f"mu_water_per_mm {data.mu_water_per_mm}"]
    if geometry.lower().endswith(".xml"):
        missing.append(f"volume_shape {list(data.geometry.volume_shape)}")
        missing.append(f"voxel_mm {list(data.geometry.voxel_mm)}")
    print(f"to give on import, since not in them: {', '.join(missing)}")


def _names(value: Any) -> Any:
    """Paths as text where the command line took them for something else, such as a folder named 7; numbers stay."""
    return [str(part) for part in value] if isinstance(value, (list, tuple)) else value
