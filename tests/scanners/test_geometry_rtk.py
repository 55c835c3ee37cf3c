from __future__ import annotations

import re

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.scanners.geometry_rtk import read_geometry_rtk, write_geometry_rtk

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)

SIZES = {"detector_shape": (24, 32), "pixel_mm": (1.5, 2.25), "volume_shape": (20, 18, 16), "voxel_mm": (4.0, 5.0, 6.0)}


@pytest.fixture
def path(tmp_path):
    """A file that RTK wrote, with what all views share before them."""
    scan = itk.RTK.ThreeDCircularProjectionGeometry.New()
    for angle, offset in ((10.0, 20.0), (250.0, 20.5), (40.0, 21.0)):
        scan.AddProjection(700.0, 1100.0, angle, offset, -3.0, 1.0, 2.0, 4.0, -5.0)
    itk.RTK.write_geometry(scan, str(tmp_path / "scan.xml"))
    return tmp_path / "scan.xml"


def edit(path, pattern: str, replacement: str, count: int = 1) -> None:
    text = path.read_text()
    changed = re.sub(pattern, replacement, text, count=count, flags=re.DOTALL)
    assert changed != text
    path.write_text(changed)


def test_views_keep_their_order(path):
    geometry = read_geometry_rtk(path, **SIZES)
    np.testing.assert_allclose(np.rad2deg(geometry.angles_rad), [10, -110, 40], atol=1.0)  # moved by the source offset
    assert np.ptp(np.linalg.norm(geometry.source_mm, axis=1)) < 1e-9
    assert np.linalg.norm(geometry.source_mm[0]) == pytest.approx(np.sqrt(700**2 + 4**2 + 5**2))


def test_first_pixel_moves_the_detector(path):
    centred = read_geometry_rtk(path, **SIZES)
    first = (-11.5 * 1.5 + 7.0, -15.5 * 2.25 - 9.0)
    moved = read_geometry_rtk(path, **SIZES, first_pixel_mm=first, volume_centre_mm=(1.0, 2.0, 3.0))
    expected = centred.detector_centre_mm + 7.0 * centred.v_axis - 9.0 * centred.u_axis
    np.testing.assert_allclose(moved.detector_centre_mm, expected, atol=1e-9)
    assert moved.volume_centre_mm == (1.0, 2.0, 3.0)


def test_unit(tmp_path):
    """The same scan written in metres."""
    sizes = {**SIZES, "pixel_mm": (0.0015, 0.00225), "voxel_mm": (0.004, 0.005, 0.006)}
    write_geometry_rtk(circular([0.1, 1.0], 0.7, 1.1, **sizes, detector_offset_mm=(0.002, 0.003)), tmp_path / "m.xml")
    geometry = read_geometry_rtk(tmp_path / "m.xml", **SIZES, first_pixel_mm=(-11.5 * 1.5 + 7.0, -34.875), unit="m")
    expected = circular([0.1, 1.0], 700.0, 1100.0, **SIZES, detector_offset_mm=(9.0, 3.0))
    np.testing.assert_allclose(geometry.pixel_centres_mm(), expected.pixel_centres_mm(), atol=1e-6)
    np.testing.assert_allclose(geometry.source_mm, expected.source_mm, atol=1e-6)
    with pytest.raises(InputError, match=r"m.xml: mixes units .*SourceToIsocenterDistance 0.7.*too small.*unit"):
        read_geometry_rtk(tmp_path / "m.xml", **SIZES)
    with pytest.raises(InputError, match=r"m.xml: is hardly in millimetres.*metres.*unit=\"m\""):
        read_geometry_rtk(tmp_path / "m.xml", **sizes)


@pytest.mark.parametrize(
    ("pattern", "replacement", "problem"),
    [
        (
            r"<GantryAngle>250",
            "<GantryAngle>251",
            "Matrix in view 1 of 3 that does not follow .*Correct the parameters",
        ),
        (r"<Matrix>(.(?!<Matrix>))*?</Matrix>", "", "has no Matrix in view 0"),
        (r"<Matrix>.*?</Matrix>", "<Matrix>1 2 3</Matrix>", "Matrix of 3 entries in view 0"),
        (r"<GantryAngle>250</GantryAngle>", "<GantryAngle>x</GantryAngle>", "GantryAngle = 'x' in view 1"),
        (r"<GantryAngle>250</GantryAngle>", "<GantryAngle>250,0</GantryAngle>", "GantryAngle = '250,0' in view 1"),
        (r"<GantryAngle>250", "<GantryAngle>0</GantryAngle><GantryAngle>250", "GantryAngle more than once in view 1"),
        (
            r"<Projection>",
            "<GantryAngle>1</GantryAngle><GantryAngle>2</GantryAngle><Projection>",
            "GantryAngle more than once before the views",
        ),
        (r"<GantryAngle>250", "<GantryAngle>1e400", "GantryAngle = '1e400' in view 1. Write a finite number"),
        (r"<GantryAngle>250", "<GantryAngle>4e7", "GantryAngle = 4e.07 in view 1. Give degrees"),
        (r"<GantryAngle>250", "<GantryAngle>250<a>1</a>", "GantryAngle = '250' in view 1"),
        (r"<GantryAngle>250", "<a>" * 60 + "</a>" * 60 + "<GantryAngle>250", "more than 50 elements in each other"),
        (r"<GantryAngle>250", "<Helical>3</Helical><GantryAngle>250", "unknown element Helical in view 1"),
        (r"<Projection>.*</Projection>", "", "describes no projection"),
        (r"</Projection>\s*</RTKThreeDCircularGeometry>", "", "not readable as XML"),
        (r"<Projection>", "<RadiusCylindricalDetector>1100</RadiusCylindricalDetector><Projection>", "curved detector"),
        (r"<Projection>", "<CollimationUInf>-50</CollimationUInf><Projection>", "collimator .CollimationUInf.*Crop"),
        (r"RTKThreeDCircularGeometry", "Geometry", "no RTK geometry: its root is Geometry"),
        (r"version=\"3\"", 'version="9"', "cannot be read by RTK .*version"),
        (r"<!DOCTYPE RTKGEOMETRY>", '<!DOCTYPE RTKGEOMETRY [<!ENTITY a "b">]>', "declares XML entities"),
    ],
)
def test_damaged_and_edited_files_are_refused(path, pattern, replacement, problem):
    edit(path, pattern, replacement, count=0 if pattern in ("RTKThreeDCircularGeometry", "<Matrix>.*?</Matrix>") else 1)
    with pytest.raises(InputError, match=f"scan.xml: .*{problem}"):
        read_geometry_rtk(path, **SIZES)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_any_encoding(path, encoding):
    edit(path, r"<!DOCTYPE RTKGEOMETRY>", '<!DOCTYPE RTKGEOMETRY [<!ENTITY a "b">]>')
    text = path.read_text()
    path.write_bytes(
        text.replace('<?xml version="1.0"?>', f'<?xml version="1.0" encoding="{encoding}"?>').encode(encoding)
    )
    with pytest.raises(InputError, match="declares XML entities"):
        read_geometry_rtk(path, **SIZES)


def test_parallel_rays_are_refused(tmp_path):
    scan = itk.RTK.ThreeDCircularProjectionGeometry.New()
    scan.AddProjection(700.0, 0.0, 10.0)
    itk.RTK.write_geometry(scan, str(tmp_path / "scan.xml"))
    with pytest.raises(InputError, match=r"scan.xml: describes parallel rays"):
        read_geometry_rtk(tmp_path / "scan.xml", **SIZES)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00", b'<?xml version="1.0" encoding="nope"?><a/>'])
def test_what_is_no_xml_is_refused(tmp_path, content):
    (tmp_path / "scan.xml").write_bytes(content)
    with pytest.raises(InputError, match=r"scan.xml: is not readable as XML .*another copy"):
        read_geometry_rtk(tmp_path / "scan.xml", **SIZES)


def test_missing_file_and_wrong_ending_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_geometry_rtk(tmp_path / "gone.xml", **SIZES)
    with pytest.raises(InputError, match="suffix"):
        write_geometry_rtk(circular([0.0], 700.0, 1100.0, **SIZES), tmp_path / "scan.txt")
    assert not list(tmp_path.iterdir())
