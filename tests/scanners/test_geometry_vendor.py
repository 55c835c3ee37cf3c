"""Distances, angles and shifts of the fixtures, carried to the world by hand.

In RTK the source of a view at angle t is at sid (sin t, 0, cos t) and the detector's centre at
(sid - sdd) (sin t, 0, cos t) + offset x (cos t, 0, -sin t) + offset y (0, 1, 0); our (x, y, z) are its (z, x, y).
"""

from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.scanners.geometry_vendor import read_geometry_vendor, vendor_of_xml
from bundle.scanners.xml_elements import parse_xml
from tests.scanners.vendor_files import write_hnc, write_hnd, write_mha_stack, write_xim
from tests.scanners.vendor_geometries import write_dbase, write_obi, write_probeam, write_synergy, write_xvi

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)

PIXEL_MM = (0.388, 0.776)
SIZES = ((9, 14), PIXEL_MM, (10, 11, 12), (1.0, 2.0, 3.0))
IMAGE = np.arange(9 * 14).reshape(9, 14) + 100
ANGLES_DEG = (10.0, 350.5, 190.25)


def by_hand(sid: float, sdd: float, angles_deg, offset_u, offset_v) -> tuple[np.ndarray, np.ndarray]:
    """Source and detector's centre of each view in our axes."""
    t = np.deg2rad(angles_deg)
    outward = np.stack([np.cos(t), np.sin(t), 0 * t], axis=1)
    u_axis = np.stack([-np.sin(t), np.cos(t), 0 * t], axis=1)
    shift = np.broadcast_to(offset_u, t.shape)[:, None] * u_axis
    shift = shift + np.broadcast_to(offset_v, t.shape)[:, None] * np.array([0.0, 0.0, 1.0])
    return sid * outward, (sid - sdd) * outward + shift


def assert_is(geometry, source_mm, centre_mm, atol_mm=1e-9) -> None:
    np.testing.assert_allclose(geometry.source_mm, source_mm, atol=atol_mm)
    np.testing.assert_allclose(geometry.detector_centre_mm, centre_mm, atol=atol_mm)
    assert geometry.detector_shape == (9, 14)
    assert geometry.pixel_mm == PIXEL_MM
    assert geometry.row_direction() == "+z"


def write_images(folder, ending: str) -> list:
    files = [folder / f"{number}.{ending}" for number in range(3)]
    for path, angle in zip(files, ANGLES_DEG):
        if ending == "xim":
            entries = {"KVSourceRtn": angle, "KVDetectorLat": -14.8 + angle / 1000, "KVDetectorLng": 0.25}
            write_xim(path, IMAGE, PIXEL_MM, entries)
        else:
            (write_hnd if ending == "hnd" else write_hnc)(path, IMAGE, PIXEL_MM, angle)
    return files


@pytest.mark.parametrize("ending", ["hnd", "hnc"])
@pytest.mark.parametrize(("fan", "offset_u"), [("HalfFan", 1.5 - 148.0), ("FullFan", 1.5)])
def test_varian_obi(tmp_path, ending, fan, offset_u):
    write_obi(tmp_path / "ProjectionInfo.xml", FanType=fan)
    files = write_images(tmp_path, ending)
    geometry = read_geometry_vendor(tmp_path / "ProjectionInfo.xml", "varian-obi", *SIZES, projections=files)
    assert_is(geometry, *by_hand(1000.5, 1500.25, ANGLES_DEG, offset_u, -2.5))
    turned = read_geometry_vendor(tmp_path / "ProjectionInfo.xml", "varian-obi", *SIZES, projections=files[::-1])
    np.testing.assert_array_equal(turned.source_mm, geometry.source_mm[::-1])


def test_varian_probeam(tmp_path):
    """The scanner's angles run the other way from RTK's, from the opposite side; shifts are in cm."""
    write_probeam(tmp_path / "Scan.xml")
    write_images(tmp_path, "xim")
    geometry = read_geometry_vendor(tmp_path / "Scan.xml", "varian-probeam", *SIZES, projections=tmp_path)
    offset_u = [-148.0 + angle / 100 for angle in ANGLES_DEG]
    assert_is(geometry, *by_hand(1000.5, 1500.25, [180 - angle for angle in ANGLES_DEG], offset_u, 2.5))


@pytest.mark.parametrize("names", [("GantryAngle", "UCentre", "VCentre"), ("antryAngle", "Uentre", "Ventre")])
def test_elekta_xvi(tmp_path, names):
    """The file has the centre where RTK has the shift, which is its negative."""
    write_xvi(tmp_path / "_Frames.xml", [(-10.5, 1.0, 2.0), (20.0, -115.0, 3.0)], names)
    geometry = read_geometry_vendor(tmp_path / "_Frames.xml", "elekta-xvi", *SIZES)
    assert_is(geometry, *by_hand(1000.0, 1536.0, [-10.5, 20.0], [-1.0, 115.0], [-2.0, -3.0]))
    np.testing.assert_allclose(np.rad2deg(geometry.angles_rad), [-10.5, 20.0])


def test_elekta_synergy(tmp_path):
    frames = write_synergy(tmp_path, [("8", 10.25, 1.5, -2.5), ("7", 1.0, 1.0, 1.0), ("8", -20.5, 2.5, -3.5)])
    geometry = read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.4")
    assert_is(geometry, *by_hand(1000.0, 1536.0, [10.25, -20.5], [-1.5, -2.5], [2.5, 3.5]), atol_mm=1e-3)  # float32
    (other,) = read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.3").angles_rad
    assert other == pytest.approx(np.deg2rad(1.0), abs=1e-6)


def test_kinds_are_told_apart(tmp_path):
    write_obi(tmp_path / "a.xml")
    write_probeam(tmp_path / "b.xml")
    write_xvi(tmp_path / "c.xml", [(1.0, 2.0, 3.0)])
    (tmp_path / "d.xml").write_text("<Frame><SAD>1</SAD></Frame>")
    found = [vendor_of_xml(parse_xml(tmp_path / f"{name}.xml")) for name in "abcd"]
    assert found == ["varian-obi", "varian-probeam", "elekta-xvi", None]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"CalibratedSID": None}, "CalibratedSID 0 times"),
        ({"CalibratedSAD": "1,000"}, "CalibratedSAD = '1,000'.*point before decimals"),
        ({"CalibratedDetectorOffsetY": "nan"}, "CalibratedDetectorOffsetY = 'nan'"),
        ({"FanType": "Quarter"}, "FanType = 'Quarter'"),
        ({"DetectorPosLat": None}, "DetectorPosLat 0 times"),
        ({"CalibratedSAD": 1.0, "CalibratedSID": 1.5}, "mixes units of length.*1.*Scanners write mm"),
    ],
)
def test_obi_without_what_it_needs_is_refused(tmp_path, changes, problem):
    write_obi(tmp_path / "ProjectionInfo.xml", **changes)
    files = write_images(tmp_path, "hnd")
    with pytest.raises(InputError, match=f"ProjectionInfo.xml: .*{problem}"):
        read_geometry_vendor(tmp_path / "ProjectionInfo.xml", "varian-obi", *SIZES, projections=files)


def test_images_without_what_they_need_are_refused(tmp_path):
    write_probeam(tmp_path / "Scan.xml")
    files = write_images(tmp_path, "xim")
    write_xim(files[1], IMAGE, PIXEL_MM, {"KVSourceRtn": 5.0})
    with pytest.raises(InputError, match=r"1\.xim: lacks KVDetectorLat, KVDetectorLng"):
        read_geometry_vendor(tmp_path / "Scan.xml", "varian-probeam", *SIZES, projections=files)
    files[1].write_bytes(files[1].read_bytes()[:60])
    with pytest.raises(InputError, match=r"1\.xim: is damaged"):
        read_geometry_vendor(tmp_path / "Scan.xml", "varian-probeam", *SIZES, projections=files)
    with pytest.raises(InputError, match=r"projections: is missing.*angles"):
        read_geometry_vendor(tmp_path / "Scan.xml", "varian-probeam", *SIZES)
    write_mha_stack(tmp_path / "a.mha", IMAGE.astype(np.uint16))
    with pytest.raises(InputError, match=r"are mha images. varian-probeam goes with xim"):
        read_geometry_vendor(tmp_path / "Scan.xml", "varian-probeam", *SIZES, projections=tmp_path / "a.mha")


@pytest.mark.parametrize("frame", [(None, 1.0, 2.0), (5.0, None, 2.0), (5.0, 1.0, None)])
def test_frame_without_an_entry_is_refused(tmp_path, frame):
    """RTK would take the frame before."""
    write_xvi(tmp_path / "_Frames.xml", [(1.0, 2.0, 3.0), frame])
    with pytest.raises(InputError, match=r"_Frames.xml: has (GantryAngle|UCentre|VCentre) 0 times in Frame 1"):
        read_geometry_vendor(tmp_path / "_Frames.xml", "elekta-xvi", *SIZES)


def test_synergy_without_what_it_needs_is_refused(tmp_path):
    frames = write_synergy(tmp_path, [("8", 10.25, 1.5, -2.5)])
    with pytest.raises(InputError, match="dicom_uid: is missing"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES)
    with pytest.raises(InputError, match=r"FRAME\.DBF: cannot be read by RTK .*DICOM_UID 9\.9"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="9.9")
    with pytest.raises(InputError, match=r"FRAME\.DBF: describes no projection"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.3")
    write_dbase(frames, {"IMA_DBID": 4, "PROJ_ANG": 8, "V_CENTRE": 8}, [("8", 1, 2)])
    with pytest.raises(InputError, match=r"FRAME\.DBF: lacks the columns U_CENTRE. It has IMA_DBID, PROJ_ANG"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.4")
    frames.write_bytes(frames.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"FRAME\.DBF: is damaged or no dBase file"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.4")
    content = bytearray(write_synergy(tmp_path, [("8", 1.0, 2.0, 3.0)]).read_bytes())
    content[32 + 16] = 200
    frames.write_bytes(content)
    with pytest.raises(InputError, match=r"FRAME\.DBF: has rows of 53 bytes for columns of 246"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.4")
    (tmp_path / "IMAGE.DBF").unlink()
    with pytest.raises(InputError, match=r"has no IMAGE\.DBF"):
        read_geometry_vendor(frames, "elekta-synergy", *SIZES, dicom_uid="1.2.4")


def test_unknown_vendor_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"vendor: is 'ora'.*varian-obi"):
        read_geometry_vendor(tmp_path / "a.xml", "ora", *SIZES)
