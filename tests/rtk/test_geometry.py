from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry, circular
from bundle.phantoms import Ellipsoid, line_integrals
from bundle.rtk.geometry import (
    faces_source,
    from_rtk,
    from_rtk_vector,
    to_rtk,
    to_rtk_vector,
    with_real_detector,
)
from bundle.rtk.images import empty_projections
from bundle.scanners.geometry_rtk import read_geometry_rtk, write_geometry_rtk

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)
rtk = itk.RTK

SIZES = {"detector_shape": (24, 32), "pixel_mm": (1.5, 2.25), "volume_shape": (20, 18, 16), "voxel_mm": (4.0, 5.0, 6.0)}
POINTS_MM = np.array([[0.0, 0.0, 0.0], [31.0, 0.0, 0.0], [0.0, -17.0, 0.0], [0.0, 0.0, 23.0], [-12.0, 19.0, -29.0]])


def rotation(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    """Rodrigues's formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def scan_of(angles_deg, tilt_deg: float = 0.0, offset_mm=(0.0, 0.0), seed: int = 0) -> ConeBeamGeometry:
    """A circular scan whose views are each moved and turned at random by up to the given amounts."""
    random = np.random.default_rng(seed)
    level = circular(np.deg2rad(angles_deg), 700.0, 1100.0, **SIZES, detector_offset_mm=offset_mm)
    if not tilt_deg:
        return level
    vectors = {name: [] for name in ("source_mm", "detector_centre_mm", "u_axis", "v_axis")}
    for view in range(level.num_views):
        axis = random.standard_normal(3)
        turn = rotation(axis / np.linalg.norm(axis), np.deg2rad(random.uniform(-tilt_deg, tilt_deg)))
        vectors["u_axis"].append(turn @ level.u_axis[view])
        vectors["v_axis"].append(turn @ level.v_axis[view])
        vectors["source_mm"].append(level.source_mm[view] + random.uniform(-8, 8, 3))
        vectors["detector_centre_mm"].append(level.detector_centre_mm[view] + random.uniform(-30, 30, 3))
    return ConeBeamGeometry(**{name: np.array(values) for name, values in vectors.items()}, **SIZES)


SCANS = {
    "level": scan_of([0, 40, 90, 180, 271]),
    "offset": scan_of([10, 100, 200], offset_mm=(7.5, -12.0)),
    "half-fan": scan_of(np.arange(0, 360, 30), offset_mm=(0.0, 32.0)),
    "tilted": scan_of([5, 95, 185, 300], tilt_deg=25.0),
    "out of order": scan_of([200, 10, -30, 700, 100, 99.99]),
    "twice": scan_of([20, 20, 140, 20], tilt_deg=3.0, offset_mm=(3.0, -4.0)),
}


def assert_same(actual: ConeBeamGeometry, expected: ConeBeamGeometry, atol_mm: float = 1e-6) -> None:
    np.testing.assert_allclose(actual.source_mm, expected.source_mm, atol=atol_mm)
    np.testing.assert_allclose(actual.pixel_centres_mm(), expected.pixel_centres_mm(), atol=atol_mm)
    for name in ("detector_shape", "pixel_mm", "volume_shape", "voxel_mm", "volume_centre_mm"):
        assert getattr(actual, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


@pytest.mark.parametrize("name", SCANS)
def test_there_and_back(name):
    scan = SCANS[name]
    back = from_rtk(to_rtk(scan), **SIZES)
    assert_same(back, scan)
    actual = np.arctan2(scan.source_mm[:, 1], scan.source_mm[:, 0])
    np.testing.assert_allclose(np.exp(1j * back.angles_rad), np.exp(1j * actual), atol=1e-9)


@pytest.mark.parametrize("name", SCANS)
def test_there_and_back_through_a_file(tmp_path, name):
    write_geometry_rtk(SCANS[name], tmp_path / "scan.xml")
    assert_same(read_geometry_rtk(tmp_path / "scan.xml", **SIZES), SCANS[name])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    angles_deg=st.lists(st.integers(-72_000_000, 72_000_000), min_size=1, max_size=6).map(lambda n: np.array(n) / 1e5),
    tilt_deg=st.integers(0, 40_000).map(lambda n: n / 1e3),
    offset_mm=st.tuples(st.integers(-60_000, 60_000), st.integers(-200_000, 200_000)).map(lambda n: np.array(n) / 1e3),
    seed=st.integers(0, 2**32 - 1),
)
def test_there_and_back_whatever_the_scan(angles_deg, tilt_deg, offset_mm, seed):
    """In steps of a micrometre: RTK makes NaN of positions below 1e-300 mm."""
    scan = scan_of(angles_deg, tilt_deg, offset_mm, seed)
    assert_same(from_rtk(to_rtk(scan), **SIZES), scan)


@pytest.mark.parametrize("name", SCANS)
def test_projects_points_where_rtk_matrices_do(name):
    """RTK's 3 x 4 matrix takes its (x, y, z, 1) to (u w, v w, w) in mm from its coordinates' origin."""
    scan = SCANS[name]
    theirs = to_rtk(scan)
    ours = scan.project(POINTS_MM)
    homogeneous = np.concatenate([POINTS_MM[:, [1, 2, 0]], np.ones((len(POINTS_MM), 1))], axis=1)
    for view in range(scan.num_views):
        projected = homogeneous @ itk.array_from_matrix(theirs.GetMatrix(view)).T
        np.testing.assert_allclose(ours[view][:, ::-1], projected[:, :2] / projected[:, 2:], atol=1e-6)


@pytest.mark.parametrize("name", SCANS)
def test_line_integrals_of_rtk_ellipsoids(name):
    """RTK's own closed form of an ellipsoid, through its own geometry."""
    scan = SCANS[name]
    body = Ellipsoid((9.0, -14.0, 11.0), (25.0, 14.0, 8.0), 0.7)
    analytic = rtk.RayEllipsoidIntersectionImageFilter[itk.Image[itk.F, 3], itk.Image[itk.F, 3]].New()
    stack = empty_projections(scan)
    analytic.SetInput(stack.GetOutput())
    analytic.SetGeometry(to_rtk(scan))
    analytic.SetDensity(body.value)
    analytic.SetCenter([float(c) for c in to_rtk_vector(np.array(body.centre_mm))])
    analytic.SetAxis([float(r) for r in to_rtk_vector(np.array(body.radii_mm))])
    analytic.Update()
    expected = line_integrals([body], scan)
    assert expected.max() > 8.0
    np.testing.assert_allclose(itk.array_from_image(analytic.GetOutput()), expected, atol=2e-3)


def test_add_projection_by_hand_at_0_degrees():
    """Source at (source offset x, y, sid), pixel (u, v) at (u + offset x, v + offset y, sid - sdd), RTK's (x, y, z)."""
    scan = rtk.ThreeDCircularProjectionGeometry.New()
    scan.AddProjection(1000.0, 1500.0, 0.0, 10.0, 5.0, 0.0, 0.0, 3.0, -2.0)
    geometry = from_rtk(scan, (3, 4), (2.0, 1.0), (4, 5, 6), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(geometry.source_mm, [[1000.0, 3.0, -2.0]], atol=1e-9)  # left, back, head
    pixels = geometry.pixel_centres_mm()[0]
    np.testing.assert_allclose(pixels[0, 0], [-500.0, -1.5 + 10.0, -2.0 + 5.0], atol=1e-9)
    np.testing.assert_allclose(pixels[2, 3], [-500.0, 1.5 + 10.0, 2.0 + 5.0], atol=1e-9)


def test_add_projection_by_hand_at_90_degrees():
    """RTK's z has turned to its x, and its x to its -z."""
    scan = rtk.ThreeDCircularProjectionGeometry.New()
    scan.AddProjection(1000.0, 1500.0, 90.0, 10.0, 5.0, 0.0, 0.0, 3.0, -2.0)
    geometry = from_rtk(scan, (3, 4), (2.0, 1.0), (4, 5, 6), (1.0, 1.0, 1.0), first_pixel_mm=(-1.0, 6.0))
    np.testing.assert_allclose(geometry.source_mm, [[-3.0, 1000.0, -2.0]], atol=1e-9)
    pixels = geometry.pixel_centres_mm()[0]
    np.testing.assert_allclose(pixels[0, 0], [-(6.0 + 10.0), -500.0, -1.0 + 5.0], atol=1e-9)
    np.testing.assert_allclose(pixels[2, 3], [-(9.0 + 10.0), -500.0, 3.0 + 5.0], atol=1e-9)


def test_axes_are_turned_not_mirrored():
    turn = np.stack([to_rtk_vector(axis) for axis in np.eye(3)], axis=1)
    assert np.linalg.det(turn) == 1.0
    np.testing.assert_array_equal(to_rtk_vector([1.0, 2.0, 3.0]), [2.0, 3.0, 1.0])
    np.testing.assert_array_equal(from_rtk_vector(to_rtk_vector([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])


def test_rows_that_run_downwards():
    scan = circular([0.3, 2.0], 700.0, 1100.0, **SIZES, row_direction="-z")
    assert not faces_source(scan)
    with pytest.raises(InputError, match=r"v_axis: makes u x v point away .*flip_rows"):
        to_rtk(scan)
    assert_same(from_rtk(to_rtk(scan.flip_rows()), **SIZES), scan.flip_rows())
    mixed = ConeBeamGeometry(
        scan.source_mm, scan.detector_centre_mm, scan.u_axis, scan.v_axis * [[1.0], [-1.0]], **SIZES
    )
    with pytest.raises(InputError, match="upwards in some views"):
        faces_source(mixed)


def test_real_detector_keeps_the_rays():
    scan = circular([0.4, 1.9], 350.0, 300.0, **SIZES, detector_offset_mm=(3.0, -8.0))
    moved = with_real_detector(scan)
    half = np.linalg.norm(scan.volume_size_mm) / 2
    depth = np.linalg.norm(moved.detector_centre_mm - moved.source_mm, axis=1)
    assert (depth >= 350.0 + half - 1e-9).all()
    for source, before, after in zip(scan.source_mm, scan.pixel_centres_mm(), moved.pixel_centres_mm()):
        one, other = before - source, after - source
        np.testing.assert_allclose(np.cross(one, other), 0.0, atol=1e-6)
        assert (np.sum(one * other, axis=-1) > 0).all()


def test_what_is_no_cone_beam_is_refused():
    empty = rtk.ThreeDCircularProjectionGeometry.New()
    with pytest.raises(InputError, match="RTK geometry: describes no projection"):
        from_rtk(empty, **SIZES)
    parallel = rtk.ThreeDCircularProjectionGeometry.New()
    parallel.AddProjection(1000.0, 0.0, 0.0)
    with pytest.raises(InputError, match="parallel rays"):
        from_rtk(parallel, **SIZES)
    curved = to_rtk(SCANS["level"])
    curved.SetRadiusCylindricalDetector(1100.0)
    with pytest.raises(InputError, match=r"curved detector of radius 1100 mm\. Resample"):
        from_rtk(curved, **SIZES)
