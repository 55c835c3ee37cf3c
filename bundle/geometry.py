"""Cone-beam geometry: one convention for sources, detectors and volumes.

World coordinates are right-handed, in millimetres, with the origin at the isocentre: x points to the patient's left,
y to the back, z to the head (LPS) and z is the rotation axis. Volume arrays are indexed [x, y, z] and projection
arrays [view, v, u], with samples at voxel and pixel centres. docs/geometry.md draws it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.fixed_tuples import sizes
from bundle.plausible import check_radians

__all__ = ["ROW_DIRECTIONS", "ConeBeamGeometry", "circular"]

ROW_DIRECTIONS = ("+z", "-z")

_PER_VIEW_VECTORS = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")


@dataclass(frozen=True, eq=False)
class ConeBeamGeometry:
    """Where source, detector and volume are, for every view.

    Each view has its own vectors, so offset detectors, tilts, per-view calibration and non-circular orbits need no
    code of their own. :func:`circular` builds the usual orbit.

    Args:
        source_mm: [views, 3] source positions.
        detector_centre_mm: [views, 3] centres of the detector's pixel array.
        u_axis: [views, 3] unit vectors along which the column index grows.
        v_axis: [views, 3] unit vectors along which the row index grows.
        detector_shape: (rows, columns) = (V, U).
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z).
        voxel_mm: voxel size (x, y, z).
        volume_centre_mm: centre of the volume, (0, 0, 0) unless the volume is off the isocentre.
        angles_rad: [views] nominal gantry angles, for display and sampling; the vectors are what counts.

    Raises:
        InputError: when shapes disagree, a size is not positive, a number is not finite, angles are probably in
            degrees, an axis is not a unit vector, a source lies in its own detector plane or is not in front of the
            whole volume.
    """

    source_mm: np.ndarray
    detector_centre_mm: np.ndarray
    u_axis: np.ndarray
    v_axis: np.ndarray
    detector_shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    volume_shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    volume_centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angles_rad: np.ndarray = None  # type: ignore[assignment]  # NaN from then on

    def __post_init__(self) -> None:
        for name in _PER_VIEW_VECTORS:
            self._freeze(name, _vectors(name, getattr(self, name)))
        views = len(self.source_mm)
        for name in _PER_VIEW_VECTORS:
            if len(getattr(self, name)) != views:
                raise InputError(
                    f"geometry.{name}",
                    f"has {len(getattr(self, name))} views where source_mm has {views}.",
                    "Give one vector per view.",
                )
        angles = np.full(views, np.nan) if self.angles_rad is None else _numbers("angles_rad", self.angles_rad)
        if angles.shape != (views,):
            raise InputError(
                "geometry.angles_rad", f"has shape {angles.shape} for {views} views.", "Give one angle per view."
            )
        check_radians("geometry.angles_rad", angles)
        self._freeze("angles_rad", angles)
        object.__setattr__(self, "detector_shape", sizes("geometry.detector_shape", self.detector_shape, 2, int))
        object.__setattr__(self, "pixel_mm", sizes("geometry.pixel_mm", self.pixel_mm, 2, float))
        object.__setattr__(self, "volume_shape", sizes("geometry.volume_shape", self.volume_shape, 3, int))
        object.__setattr__(self, "voxel_mm", sizes("geometry.voxel_mm", self.voxel_mm, 3, float))
        centre = _vectors("volume_centre_mm", [self.volume_centre_mm])[0]
        object.__setattr__(self, "volume_centre_mm", tuple(float(c) for c in centre))
        self._check_axes()

    def _freeze(self, name: str, array: np.ndarray) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _check_axes(self) -> None:
        for name in ("u_axis", "v_axis"):
            length = np.linalg.norm(getattr(self, name), axis=1)
            if not np.allclose(length, 1.0, atol=1e-6):
                raise InputError(f"geometry.{name}", "is not made of unit vectors.", "Divide each by its length.")
        if not np.allclose(np.sum(self.u_axis * self.v_axis, axis=1), 0.0, atol=1e-6):
            raise InputError("geometry.v_axis", "is not perpendicular to u_axis.", "Give an orthogonal detector.")
        distance = np.sum((self.detector_centre_mm - self.source_mm) * self.normal, axis=1)
        if np.any(np.abs(distance) < 1e-6):
            raise InputError(
                "geometry.source_mm", "lies in the detector's plane.", "Check the source and detector positions."
            )
        half = np.array(self.volume_size_mm) / 2
        corners = np.array(self.volume_centre_mm) + np.array(list(itertools.product((-1, 1), repeat=3))) * half
        depth = np.einsum("mcx,mx->mc", corners - self.source_mm[:, None], self.normal * np.sign(distance)[:, None])
        if np.any(depth <= 0):
            view = int(depth.min(axis=1).argmin())
            raise InputError(
                "geometry.source_mm",
                f"of view {view} is not in front of the whole volume.",
                "Check the distances, their unit (mm) and the volume's size.",
            )

    @property
    def num_views(self) -> int:
        """Number of views."""
        return len(self.source_mm)

    @property
    def normal(self) -> np.ndarray:
        """[views, 3] detector normals, u x v."""
        return np.cross(self.u_axis, self.v_axis)

    @property
    def volume_size_mm(self) -> tuple[float, ...]:
        """Side lengths of the volume (x, y, z), from edge to edge of its outer voxels."""
        return tuple(n * d for n, d in zip(self.volume_shape, self.voxel_mm))

    @property
    def volume_affine(self) -> np.ndarray:
        """[4, 4] map from voxel index to world millimetres (LPS)."""
        affine = np.diag([*self.voxel_mm, 1.0])
        half = (np.array(self.volume_shape) - 1) / 2
        affine[:3, 3] = np.array(self.volume_centre_mm) - half * self.voxel_mm
        return affine

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Projects world points to the detector.

        Args:
            points_mm: [points, 3] world coordinates.

        Returns:
            [views, points, 2] detector coordinates (v, u) in millimetres from the detector's centre, v and u growing
            with the row and the column index.
        """
        homogeneous = np.concatenate([points_mm, np.ones((len(points_mm), 1))], axis=1)
        projected = np.einsum("mij,pj->mpi", self.projection_matrices(), homogeneous)
        return projected[..., :2] / projected[..., 2:]

    def projection_matrices(self) -> np.ndarray:
        """[views, 3, 4] homogeneous maps from world millimetres (x, y, z, 1) to detector millimetres (v w, u w, w).

        The ray from the source s through p meets the detector plane at s + t (p - s) with
        t = ((c - s) . n) / ((p - s) . n), n the normal and c the detector's centre; v and u are its components
        from c. Multiplied by w = (p - s) . n all three are linear in p.
        """
        to_plane = np.sum((self.detector_centre_mm - self.source_mm) * self.normal, axis=1)
        rows = []
        for axis in (self.v_axis, self.u_axis):
            offset = np.sum((self.source_mm - self.detector_centre_mm) * axis, axis=1)
            linear = offset[:, None] * self.normal + to_plane[:, None] * axis
            rows.append(linear)
        rows.append(self.normal)
        linear = np.stack(rows, axis=1)
        constant = -np.einsum("mij,mj->mi", linear, self.source_mm)
        return np.concatenate([linear, constant[..., None]], axis=2)

    def unit_matrices(self) -> np.ndarray:
        """[views, 3, 4] maps from the unit cube to detector coordinates that span [-1, 1] from edge to edge.

        A point p in [0, 1]^3 (order x, y, z; 0 and 1 are the outer faces of the volume) goes to (v w, u w, w). This
        is the form the network takes, because it holds the whole scan.
        """
        from_unit = np.diag([*self.volume_size_mm, 1.0])
        from_unit[:3, 3] = np.array(self.volume_centre_mm) - np.array(self.volume_size_mm) / 2
        half_mm = np.array(self.detector_shape) * np.array(self.pixel_mm) / 2
        to_edge = np.diag([1 / half_mm[0], 1 / half_mm[1], 1.0])
        matrices = to_edge @ self.projection_matrices() @ from_unit
        # The sign of w is that of the normal; a positive w keeps "in front of the source" easy to see.
        return matrices * np.where(np.sum(matrices[:, 2:3] * [0.5, 0.5, 0.5, 1.0], axis=2, keepdims=True) < 0, -1, 1)

    def pixel_centres_mm(self) -> np.ndarray:
        """[views, V, U, 3] world positions of the pixel centres."""
        rows, columns = self.detector_shape
        v = (np.arange(rows) - (rows - 1) / 2) * self.pixel_mm[0]
        u = (np.arange(columns) - (columns - 1) / 2) * self.pixel_mm[1]
        return (
            self.detector_centre_mm[:, None, None]
            + v[None, :, None, None] * self.v_axis[:, None, None]
            + u[None, None, :, None] * self.u_axis[:, None, None]
        )

    def select(self, views: Sequence[int] | np.ndarray) -> ConeBeamGeometry:
        """The same scan with only the given views, in the given order."""
        index = np.asarray(views)
        vectors = {name: getattr(self, name)[index] for name in _PER_VIEW_VECTORS}
        return replace(self, **vectors, angles_rad=self.angles_rad[index])

    def with_volume(self, shape: Sequence[int]) -> ConeBeamGeometry:
        """The same scan and field of view with another number of voxels (x, y, z)."""
        shape = sizes("geometry.volume_shape", shape, 3, int)
        voxel_mm = tuple(size / n for size, n in zip(self.volume_size_mm, shape))
        return replace(self, volume_shape=shape, voxel_mm=voxel_mm)

    def with_pixels(self, shape: Sequence[int]) -> ConeBeamGeometry:
        """The same scan and detector area with another number of pixels (v, u)."""
        rows, columns = sizes("geometry.detector_shape", shape, 2, int)
        height_mm, width_mm = (n * size for n, size in zip(self.detector_shape, self.pixel_mm))
        return replace(self, detector_shape=(rows, columns), pixel_mm=(height_mm / rows, width_mm / columns))

    def row_direction(self) -> str:
        """Direction of growing row indices: "+z" towards the head, "-z" towards the feet.

        Raises:
            InputError: when views disagree or the rows run along another axis.
        """
        along_z = self.v_axis[:, 2]
        if np.all(along_z > 0.5):
            return "+z"
        if np.all(along_z < -0.5):
            return "-z"
        raise InputError(
            "geometry.v_axis", "has detector rows that do not run along z.", "Rotate the projections so that they do."
        )

    def flip_rows(self) -> ConeBeamGeometry:
        """The same detector read from the other end: reverse the projections' row axis along with it."""
        return replace(self, v_axis=-self.v_axis)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain lists, ready for JSON."""
        record: dict[str, Any] = {name: getattr(self, name).tolist() for name in _PER_VIEW_VECTORS}
        for name in ("detector_shape", "pixel_mm", "volume_shape", "voxel_mm", "volume_centre_mm"):
            record[name] = list(getattr(self, name))
        record["angles_rad"] = None if np.isnan(self.angles_rad).any() else self.angles_rad.tolist()
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> ConeBeamGeometry:
        """Reads what :meth:`to_dict` wrote.

        Raises:
            InputError: when an entry is missing, unknown or invalid.
        """
        expected = set(cls.__dataclass_fields__)
        missing = sorted(expected - set(record) - {"angles_rad", "volume_centre_mm"})
        unknown = sorted(set(record) - expected)
        if missing or unknown:
            raise InputError(
                "geometry", f"lacks {missing} and has unknown {unknown}.", "See docs/geometry.md for the entries."
            )
        return cls(**record)

    def checksum(self) -> str:
        """SHA-256 over every number but the nominal angles, for provenance records."""
        digest = hashlib.sha256()
        for name in _PER_VIEW_VECTORS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        sizes = (*self.detector_shape, *self.pixel_mm, *self.volume_shape, *self.voxel_mm, *self.volume_centre_mm)
        digest.update(np.array(sizes, dtype=np.float64).tobytes())
        return digest.hexdigest()


def circular(
    angles_rad: Sequence[float] | np.ndarray,
    sod_mm: float,
    sdd_mm: float,
    detector_shape: Sequence[int],
    pixel_mm: Sequence[float] | np.ndarray,
    volume_shape: Sequence[int],
    voxel_mm: Sequence[float] | np.ndarray,
    detector_offset_mm: Sequence[float] = (0.0, 0.0),
    row_direction: str = "+z",
    volume_centre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
) -> ConeBeamGeometry:
    """A circular orbit about the z axis.

    At gantry angle phi the source is at sod (cos phi, sin phi, 0), the detector's centre opposite it at the distance
    sdd from the source, u = (-sin phi, cos phi, 0) and v = (0, 0, 1). A detector between source and isocentre
    (sdd < sod, the virtual detector of some published data) is computed in the same way.

    Args:
        angles_rad: gantry angles, one per view.
        sod_mm: source-to-object distance (source to isocentre).
        sdd_mm: source-to-detector distance.
        detector_shape: (rows, columns).
        pixel_mm: pixel pitch (v, u).
        volume_shape: voxels (x, y, z).
        voxel_mm: voxel size (x, y, z).
        detector_offset_mm: shift (v, u) of the detector's centre along its own axes.
        row_direction: "+z" or "-z", the direction in which the stored row index grows.
        volume_centre_mm: centre of the volume.

    Returns:
        The geometry.

    Raises:
        InputError: when a distance is not positive, angles are probably in degrees or row_direction is unknown.
    """
    sod_mm, sdd_mm = sizes("geometry.sod_mm and sdd_mm", (sod_mm, sdd_mm), 2, float)
    if row_direction not in ROW_DIRECTIONS:
        raise InputError("geometry.row_direction", f"is {row_direction!r}.", f"Use one of {ROW_DIRECTIONS}.")
    angles = np.asarray(angles_rad, dtype=np.float64).reshape(-1)
    outward = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    u_axis = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], axis=1)
    v_axis = np.tile([0.0, 0.0, 1.0 if row_direction == "+z" else -1.0], (len(angles), 1))
    offset_v, offset_u = detector_offset_mm
    return ConeBeamGeometry(
        source_mm=sod_mm * outward,
        detector_centre_mm=(sod_mm - sdd_mm) * outward + offset_u * u_axis + offset_v * v_axis,
        u_axis=u_axis,
        v_axis=v_axis,
        detector_shape=detector_shape,  # type: ignore[arg-type]
        pixel_mm=pixel_mm,  # type: ignore[arg-type]
        volume_shape=volume_shape,  # type: ignore[arg-type]
        voxel_mm=voxel_mm,  # type: ignore[arg-type]
        volume_centre_mm=volume_centre_mm,  # type: ignore[arg-type]
        angles_rad=angles,
    )


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:  # words, or lists of unequal lengths
        raise InputError(f"geometry.{name}", f"has entries of the wrong shape ({error}).", "Give numbers.") from None


def _vectors(name: str, values: Any) -> np.ndarray:
    array = _numbers(name, values)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0:
        raise InputError(f"geometry.{name}", f"has shape {array.shape}.", "Give one (x, y, z) vector per view.")
    if not np.isfinite(array).all():
        raise InputError(f"geometry.{name}", "has a NaN or an infinity.", "Give finite millimetres.")
    return array
