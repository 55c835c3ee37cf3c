"""A scanner for tests: an asymmetric phantom's exact line integrals as counts, references and geometry on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import Ellipsoid, asymmetric_phantom, line_integrals
from bundle.scanners.geometry_rtk import write_geometry_rtk
from tests.scanners.vendor_files import write_his, write_hnc, write_hnd, write_mha_stack, write_tiffs, write_xim

__all__ = ["MU_WATER_PER_MM", "VOLUME", "RawScan", "phantom", "raw_scan", "scan_geometry", "write_stack", "write_views"]

MU_WATER_PER_MM = 0.0195  # not the default
VOLUME = {"volume_shape": (32, 34, 24), "voxel_mm": (5.0, 4.5, 6.0)}
BAD = ((3, 5), (3, 6), (20, 31))  # (v, u)


@dataclass(frozen=True)
class RawScan:
    """counts [view, v, u], flat and dark [v, u], all uint16; bad [v, u] bool; truth [view, v, u] line integrals."""

    geometry: ConeBeamGeometry
    counts: np.ndarray
    flat: np.ndarray
    dark: np.ndarray
    bad: np.ndarray
    truth: np.ndarray


def phantom() -> list[Ellipsoid]:
    """Attenuation per mm: water is 1, since the body is 0.4 of it and the markers add to that."""
    size = [n * d for n, d in zip(VOLUME["volume_shape"], VOLUME["voxel_mm"])]
    return [Ellipsoid(e.centre_mm, e.radii_mm, e.value * MU_WATER_PER_MM) for e in asymmetric_phantom(size)]


def scan_geometry(
    angles_deg: Sequence[float] = (10.0, 130.0, 250.0), offset_mm: Sequence[float] = (0.0, 0.0)
) -> ConeBeamGeometry:
    """A circular scan with rows that run upwards, in which every size differs from every other."""
    return circular(np.deg2rad(angles_deg), 500.0, 800.0, (28, 40), (8.0, 7.5), **VOLUME, detector_offset_mm=offset_mm)


def raw_scan(geometry: ConeBeamGeometry) -> RawScan:
    """What the detector of a scan stores: dark + (flat - dark) exp(-p), rounded, and nonsense in bad pixels."""
    random = np.random.default_rng(11)
    rows, columns = geometry.detector_shape
    gain = random.uniform(0.95, 1.05, (rows, columns)) * np.linspace(0.8, 1.0, rows)[:, None]
    dark = random.integers(80, 220, (rows, columns))
    flat = np.round(dark + 58_000 * gain * np.linspace(1.0, 0.9, columns)).astype(np.uint16)
    truth = line_integrals(phantom(), geometry)
    counts = np.round(dark + (flat.astype(float) - dark) * np.exp(-truth)).astype(np.uint16)
    bad = np.zeros((rows, columns), bool)
    bad[tuple(zip(*BAD))] = True
    counts[:, bad], flat[bad] = (7, 65535, 60000), (5, 65533, 3)
    return RawScan(geometry, counts, flat, dark.astype(np.uint16), bad, truth)


def write_views(folder: Path, counts: np.ndarray, ending: str, pixel_mm: Sequence[float]) -> list[Path]:
    """Writes [view, v, u] counts as one file a view, as scanners number them; "mha" is one stack."""
    folder.mkdir(exist_ok=True)
    if ending == "mha":
        return [write_stack(folder / "stack.mha", counts, pixel_mm)]
    files = [folder / f"view{number}.{ending}" for number in range(1, len(counts) + 1)]
    if ending in ("tif", "tiff"):
        return write_tiffs(folder, counts, [path.name for path in files])
    writers = {"hnd": write_hnd, "hnc": write_hnc, "xim": write_xim}
    for path, image in zip(files, counts):
        if ending == "his":
            write_his(path, image)
        else:
            writers[ending](path, image, tuple(pixel_mm))
    return files


def write_stack(
    path: Path, stack: np.ndarray, pixel_mm: Sequence[float], first_mm: Sequence[float] | None = None
) -> Path:
    """Writes [view, v, u] as a stack with its pitch and the position (v, u) of its first pixel, centred if None."""
    first = [-(n - 1) / 2 * pitch for n, pitch in zip(stack.shape[-2:], pixel_mm)] if first_mm is None else first_mm
    write_mha_stack(
        path,
        stack,
        ElementSpacing=" ".join(str(number) for number in (pixel_mm[1], pixel_mm[0], 1)[: stack.ndim]),
        Offset=" ".join(str(number) for number in (first[1], first[0], 0)[: stack.ndim]),
    )
    return path


def write_scan(folder: Path, scan: RawScan, ending: str = "mha") -> dict:
    """Writes a scan with its references; gives the arguments of the importer that name them."""
    pixel_mm = scan.geometry.pixel_mm
    write_geometry_rtk(scan.geometry, folder / "scan.xml")
    flats = np.stack([scan.flat.astype(int) - 40, scan.flat.astype(int) + 40]).clip(
        0, 65535
    )  # only their mean is right
    write_stack(folder / "flat.mha", flats.astype(np.uint16), pixel_mm)
    write_stack(folder / "dark.mha", scan.dark, pixel_mm)
    write_stack(folder / "bad.mha", scan.bad.astype(np.uint8), pixel_mm)
    write_views(folder / "views", scan.counts, ending, pixel_mm)
    return {"projections": folder / "views", "geometry": folder / "scan.xml", **VOLUME}
