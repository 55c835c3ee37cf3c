from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.scanners.field_of_view import field_of_view_mm, suggested_volume
from bundle.scanners.geometry_files import KINDS, geometry_kind, read_geometry
from bundle.scanners.geometry_json import write_geometry_json
from bundle.scanners.geometry_rtk import write_geometry_rtk
from tests.scanners.test_geometry_yaml import DATA
from tests.scanners.vendor_files import write_hnd
from tests.scanners.vendor_geometries import write_obi, write_probeam, write_synergy, write_xvi

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)

DETECTOR = {"detector_shape": (9, 14), "pixel_mm": (0.388, 0.776)}
VOLUME = {"volume_shape": (10, 11, 12), "voxel_mm": (1.0, 2.0, 3.0)}
SCAN = circular([0.0, 2.0], 1000.0, 1536.0, **DETECTOR, **VOLUME, volume_centre_mm=(1.0, 2.0, 3.0))


@pytest.fixture
def folder(tmp_path):
    """A file of every kind."""
    write_geometry_json(SCAN, tmp_path / "json.json")
    (tmp_path / "yaml.yaml").write_bytes((DATA / "c2rv.yaml").read_bytes())
    write_geometry_rtk(SCAN, tmp_path / "rtk.xml")
    write_obi(tmp_path / "varian-obi.xml")
    write_probeam(tmp_path / "varian-probeam.XML")
    write_xvi(tmp_path / "elekta-xvi.xml", [(1.0, 2.0, 3.0)])
    write_synergy(tmp_path, [("8", 1.0, 2.0, 3.0)]).rename(tmp_path / "elekta-synergy.DBF")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_found(folder, kind):
    (path,) = (path for path in folder.iterdir() if path.stem == kind)
    assert geometry_kind(path) == kind


def test_every_kind_is_read(folder):
    write_hnd(folder / "1.hnd", np.arange(9 * 14).reshape(9, 14), (0.388, 0.776), 30.0)
    for name, options, source in (
        ("json.json", {}, (1000.0, 0.0, 0.0)),
        ("rtk.xml", {}, (1000.0, 0.0, 0.0)),
        ("varian-obi.xml", {"projections": folder / "1.hnd"}, (1000.5 * np.cos(np.pi / 6), 1000.5 / 2, 0.0)),
        ("elekta-xvi.xml", {}, (1000 * np.cos(np.deg2rad(1)), 1000 * np.sin(np.deg2rad(1)), 0.0)),
        ("elekta-synergy.DBF", {"dicom_uid": "1.2.4"}, (999.8477, 17.4524, 0.0)),
    ):
        geometry = read_geometry(folder / name, **DETECTOR, **VOLUME, **options)
        np.testing.assert_allclose(geometry.source_mm[0], source, atol=1e-4)
        assert geometry.detector_shape == (9, 14)
        assert geometry.volume_shape == (10, 11, 12)


def test_yaml_gets_its_options(folder):
    upwards = read_geometry(folder / "yaml.yaml", row_direction="+z")
    downwards = read_geometry(folder / "yaml.yaml", row_direction="-z")
    assert (upwards.row_direction(), downwards.row_direction()) == ("+z", "-z")


def test_complete_files_are_compared_and_their_volume_replaced(folder):
    path = folder / "json.json"
    assert read_geometry(path).volume_shape == (10, 11, 12)
    other = read_geometry(
        path, **DETECTOR, volume_shape=(3, 4, 5), voxel_mm=(6.0, 7.0, 8.0), volume_centre_mm=(0, 0, 9)
    )
    assert (other.volume_shape, other.voxel_mm) == ((3, 4, 5), (6.0, 7.0, 8.0))
    assert other.volume_centre_mm == (0.0, 0.0, 9.0)
    np.testing.assert_array_equal(other.source_mm, SCAN.source_mm)
    with pytest.raises(InputError, match=r"json.json: describes a detector of \(9, 14\).*\(14, 9\)"):
        read_geometry(path, detector_shape=(14, 9))
    with pytest.raises(InputError, match=r"json.json: has pixels of \(0.388, 0.776\).*\(0.776, 0.388\)"):
        read_geometry(path, pixel_mm=(0.776, 0.388))
    with pytest.raises(InputError, match="not both given"):
        read_geometry(path, volume_shape=(3, 4, 5))


def test_what_is_left_open_is_asked_for(folder):
    with pytest.raises(InputError, match=r"rtk.xml: is RTK's XML, which does not say detector_shape, pixel_mm, volume"):
        read_geometry(folder / "rtk.xml")
    with pytest.raises(InputError, match=r"elekta-synergy.DBF: .*no option unit. It has dicom_uid"):
        read_geometry(folder / "elekta-synergy.DBF", **DETECTOR, **VOLUME, unit="m")
    with pytest.raises(InputError, match=r"json.json: .*no option row_direction. It has none"):
        read_geometry(folder / "json.json", row_direction="+z")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"a.txt: is no geometry file.*\.json, \.yaml, \.yml, \.xml, \.dbf"):
        geometry_kind(tmp_path / "a.txt")
    (tmp_path / "a.xml").write_text("<a/>")
    with pytest.raises(InputError, match=r"a.xml: is XML of an unknown kind.*RTK's XML, Varian OBI"):
        geometry_kind(tmp_path / "a.xml")
    with pytest.raises(InputError, match="does not exist"):
        geometry_kind(tmp_path)


def test_field_of_view_by_hand():
    """A detector of 400 x 300 mm at twice the distance: 200 mm half width as seen at atan(200 / 1000)."""
    sizes = {"detector_shape": (30, 80), "pixel_mm": (10.0, 5.0), **VOLUME}
    scan = circular([0.3, 1.0, 4.0], 500.0, 1000.0, **sizes)
    radius, height = field_of_view_mm(scan)
    assert radius == pytest.approx(500.0 * np.sin(np.arctan(200 / 1000)))
    assert height == pytest.approx(150.0)
    half_fan = circular([0.3, 1.0, 4.0], 500.0, 1000.0, **sizes, detector_offset_mm=(0.0, -150.0))
    assert field_of_view_mm(half_fan)[0] == pytest.approx(500.0 * np.sin(np.arctan(350 / 1000)))
    shape, voxel = suggested_volume(scan)
    assert voxel == 2.5  # the finer pitch at the isocentre
    assert shape == (79, 79, 60)
