"""The whole way: counts, references and geometry on disk to line integrals and HU."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.classical.fdk import FDK
from bundle.data.projection_file import read_projections, write_projections
from bundle.errors import InputError
from bundle.geometry import circular
from bundle.phantoms import voxelise
from bundle.physics.attenuation import MU_WATER_PER_MM as DEFAULT_MU_WATER_PER_MM
from bundle.scanners.calibration import Calibration
from bundle.scanners.geometry_json import write_geometry_json
from bundle.scanners.geometry_rtk import write_geometry_rtk
from bundle.scanners.hounsfield import mu_to_hu
from bundle.scanners.import_scan import import_scan
from tests.scanners.raw_scan import (
    MU_WATER_PER_MM,
    VOLUME,
    phantom,
    raw_scan,
    scan_geometry,
    write_scan,
    write_stack,
    write_views,
)
from tests.scanners.vendor_geometries import write_obi, write_xvi

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)


@pytest.fixture(scope="module")
def scan():
    """Three views of an asymmetric phantom, on a detector that is shifted along both axes."""
    return raw_scan(scan_geometry(offset_mm=(5.0, -12.0)))


def references(folder) -> Calibration:
    return Calibration(flat=folder / "flat.mha", dark=folder / "dark.mha", bad_pixels=folder / "bad.mha")


def assert_same_rays(actual, expected, atol_mm: float = 1e-6) -> None:
    np.testing.assert_allclose(actual.source_mm, expected.source_mm, atol=atol_mm)
    np.testing.assert_allclose(actual.pixel_centres_mm(), expected.pixel_centres_mm(), atol=atol_mm)


def assert_truth(values: np.ndarray, scan, views=slice(None)) -> None:
    """Within the rounding of the counts, and of what filling in a bad pixel costs."""
    truth = scan.truth[views]
    np.testing.assert_allclose(values[:, ~scan.bad], truth[:, ~scan.bad], atol=2e-4)
    np.testing.assert_allclose(values[:, scan.bad], truth[:, scan.bad], atol=0.12)


@pytest.mark.parametrize("ending", ["xim", "hnd", "hnc", "mha", "tif"])
def test_counts_become_the_phantoms_line_integrals(tmp_path, scan, ending):
    arguments = write_scan(tmp_path, scan, ending)
    pixel_mm = scan.geometry.pixel_mm if ending == "tif" else None
    data = import_scan(**arguments, calibration=references(tmp_path), pixel_mm=pixel_mm)
    assert_truth(data.projections, scan)
    assert_same_rays(data.geometry, scan.geometry)
    assert (data.geometry.volume_shape, data.geometry.voxel_mm) == tuple(VOLUME.values())
    assert data.quantity == "attenuation"


def test_inverted_elekta_images(tmp_path, scan):
    arguments = write_scan(tmp_path, scan, "his")
    for folder in ("views", "flat", "dark"):
        images = {"views": scan.counts, "flat": scan.flat[None], "dark": scan.dark[None]}[folder]
        write_views(tmp_path / folder, (65536 - np.maximum(images, 1).astype(np.int64)).astype(np.uint16), "his", ())
    calibration = {"flat": tmp_path / "flat", "dark": tmp_path / "dark", "bad_pixels": scan.bad}
    arguments["pixel_mm"] = scan.geometry.pixel_mm
    data = import_scan(**arguments, calibration=Calibration(**calibration, inverted=True))
    assert_truth(data.projections, scan)
    with pytest.raises(InputError, match=r"inverted: is not said.*Elekta"):
        import_scan(**arguments, calibration=Calibration(**calibration))


def test_his_that_is_not_inverted(tmp_path, scan):
    arguments = write_scan(tmp_path, scan, "his")
    calibration = Calibration(flat=scan.flat, dark=scan.dark, bad_pixels=scan.bad, inverted=False)
    data = import_scan(**arguments, calibration=calibration, pixel_mm=scan.geometry.pixel_mm)
    assert_truth(data.projections, scan)


def test_bad_pixels_are_found(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    calibration = Calibration(flat=tmp_path / "flat.mha", dark=tmp_path / "dark.mha", bad_pixels="find")
    data = import_scan(**arguments, calibration=calibration)
    assert_truth(data.projections, scan)
    assert data.provenance["counts"]["bad_pixels"] == {"source": "found in the open field and the views", "count": 3}


def test_rows_that_run_downwards_stay_so(tmp_path, scan):
    """JSON says how rows run; nothing is turned."""
    arguments = write_scan(tmp_path, scan)
    downwards = circular(
        np.deg2rad([10.0, 130.0, 250.0]), 500.0, 800.0, (28, 40), (8.0, 7.5), **VOLUME, row_direction="-z"
    )
    write_geometry_json(downwards, tmp_path / "scan.json")
    data = import_scan(**arguments | {"geometry": tmp_path / "scan.json"}, calibration=references(tmp_path))
    assert data.geometry.row_direction() == "-z"
    assert_truth(data.projections, scan)
    assert_same_rays(data.geometry, downwards, atol_mm=0.0)
    assert data.provenance["first_pixel"].startswith("not used")


def test_attenuation_is_taken_as_it_is(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    write_stack(tmp_path / "log.mha", scan.truth.astype(np.float32), scan.geometry.pixel_mm)
    arguments["projections"] = tmp_path / "log.mha"
    data = import_scan(**arguments, quantity="attenuation")
    np.testing.assert_array_equal(data.projections, scan.truth.astype(np.float32))
    assert data.provenance["counts"] is None
    with pytest.raises(InputError, match="quantity: is attenuation, but i0, inverted is given"):
        import_scan(**arguments, quantity="attenuation", calibration=Calibration(i0=5.0, inverted=False))
    with pytest.raises(InputError, match=r"log.mha: .*log-transformed already"):
        import_scan(**arguments, calibration=Calibration(i0=4.0))
    with pytest.raises(InputError, match=r"views: .*counts, not line integrals"):
        import_scan(
            **arguments | {"projections": write_views(tmp_path / "views", scan.counts, "hnc", (8.0, 7.5))},
            quantity="attenuation",
        )
    with pytest.raises(InputError, match=r"quantity: is 'log'"):
        import_scan(**arguments, quantity="log")


def test_provenance(tmp_path, scan):
    arguments = write_scan(tmp_path, scan, "xim")
    data = import_scan(**arguments, calibration=references(tmp_path), mu_water_per_mm=MU_WATER_PER_MM)
    write_projections(data, tmp_path / "scan.npz")
    stored = read_projections(tmp_path / "scan.npz")
    made = stored.provenance
    assert made == json.loads(json.dumps(data.provenance))
    files = made["projections"]["files"]
    assert [file["name"] for file in files] == ["view1.xim", "view2.xim", "view3.xim"]
    assert files[1]["sha256"] == hashlib.sha256((tmp_path / "views" / "view2.xim").read_bytes()).hexdigest()
    assert made["geometry"]["kind"] == "rtk"
    assert made["geometry"]["files"][0]["sha256"] == hashlib.sha256((tmp_path / "scan.xml").read_bytes()).hexdigest()
    assert made["counts"]["flat"]["images"] == 2
    assert made["counts"]["bad_pixels"]["count"] == 3
    assert made["counts"]["i0"] is None
    assert str(tmp_path) not in json.dumps(made)
    assert (stored.mu_water_per_mm, made["mu_water"]) == (MU_WATER_PER_MM, "given")
    data = import_scan(**arguments, calibration=references(tmp_path))
    assert (data.mu_water_per_mm, data.provenance["mu_water"]) == (
        DEFAULT_MU_WATER_PER_MM,
        "default for 60 keV, not calibrated",
    )


def test_first_pixel_is_the_stacks_origin(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    cut = scan.counts[:, 4:, 6:]  # a cropped stack says so by its origin
    first = (-13.5 * 8.0 + 32.0, -19.5 * 7.5 + 45.0)
    arguments["projections"] = write_stack(tmp_path / "cut.mha", cut, (8.0, 7.5), first)
    calibration = Calibration(flat=scan.flat[4:, 6:], dark=scan.dark[4:, 6:], bad_pixels=scan.bad[4:, 6:])
    data = import_scan(**arguments, calibration=calibration)
    expected = scan.geometry.pixel_centres_mm()[:, 4:, 6:]
    np.testing.assert_allclose(data.geometry.pixel_centres_mm(), expected, atol=1e-6)
    assert data.provenance["first_pixel"] == "the images' origin"
    given = import_scan(**arguments, calibration=calibration, first_pixel_mm=(first[0] + 1.0, first[1] - 2.0))
    moved = given.geometry.detector_centre_mm - data.geometry.detector_centre_mm
    np.testing.assert_allclose(moved, 1.0 * data.geometry.v_axis - 2.0 * data.geometry.u_axis, atol=1e-9)
    arguments["projections"] = write_stack(tmp_path / "cut.mha", cut, (8.0, 7.5), (0.0, 0.0))
    with pytest.raises(InputError, match=r"cut.mha: states that its first pixel is at \(0, 0\) mm.*centred"):
        import_scan(**arguments, calibration=calibration)
    centred = import_scan(**arguments, calibration=calibration, first_pixel_mm="centred")
    moved = centred.geometry.detector_centre_mm - data.geometry.detector_centre_mm
    np.testing.assert_allclose(moved, -16.0 * data.geometry.v_axis - 22.5 * data.geometry.u_axis, atol=1e-6)


def test_views(tmp_path, scan):
    arguments = write_scan(tmp_path, scan, "xim") | {"calibration": references(tmp_path)}
    picked = import_scan(**arguments, views=[2, 0])
    assert_truth(picked.projections, scan, [2, 0])
    assert_same_rays(picked.geometry, scan.geometry.select([2, 0]))
    (tmp_path / "views" / "view2.xim").unlink()
    with pytest.raises(InputError, match=r"views: holds 2 images where scan.xml describes 3 views.*views"):
        import_scan(**arguments)
    told = import_scan(**arguments, views=[0, 2])
    assert_truth(told.projections, scan, [0, 2])
    assert_same_rays(told.geometry, scan.geometry.select([0, 2]))
    assert told.provenance["views"] == [0, 2]
    for views, problem in (
        ([0], "names 1 views for 2 images, and scan.xml describes 3"),
        ([0, 3], "reaches from 0 to 3.*views 0 to 2"),
        ([-1, 0], "reaches from -1"),
        ([0.0, 1.0], "whole numbers"),
        ([], "whole numbers"),
    ):
        with pytest.raises(InputError, match=f"^views: .*{problem}"):
            import_scan(**arguments, views=views)


def test_scanners_geometry(tmp_path, scan):
    """Angles from the images' headers; the scanner's geometry file and images name each other's mistakes."""
    arguments = write_scan(tmp_path, scan, "hnd") | {"calibration": references(tmp_path)}
    write_obi(tmp_path / "info.xml", CalibratedDetectorOffsetX=-12.0, CalibratedDetectorOffsetY=5.0, FanType="FullFan")
    data = import_scan(**arguments | {"geometry": tmp_path / "info.xml"})
    assert data.provenance["geometry"]["kind"] == "varian-obi"
    np.testing.assert_allclose(data.geometry.source_mm, [[1000.5, 0, 0]] * 3, atol=1e-9)
    write_xvi(tmp_path / "_Frames.xml", [(10.0, 0.0, 0.0)] * 4)
    with pytest.raises(InputError, match=r"holds 3 images where _Frames.xml describes 4 views"):
        import_scan(**arguments | {"geometry": tmp_path / "_Frames.xml"})


def test_volume_is_asked_for(tmp_path, scan):
    arguments = write_scan(tmp_path, scan) | {"calibration": references(tmp_path)}
    half = {"volume_shape": None, "voxel_mm": (1.0, 1.0, 1.0)}
    with pytest.raises(InputError, match="volume_shape and voxel_mm: are not both given"):
        import_scan(**arguments | half)
    with pytest.raises(InputError, match=r"volume_shape and voxel_mm: are missing.*radius 99 and height 140 mm: .*\["):
        import_scan(**arguments | {"volume_shape": None, "voxel_mm": None})


def test_world_to_patient(tmp_path, scan):
    """Half a turn about the axis, and a shift."""
    arguments = write_scan(tmp_path, scan) | {"calibration": references(tmp_path)}
    turned = [[-1, 0, 0, 5], [0, -1, 0, 0], [0, 0, 1, -7], [0, 0, 0, 1]]
    data = import_scan(**arguments, world_to_patient=turned)
    np.testing.assert_array_equal(data.world_to_patient, turned)
    assert data.provenance["world_to_patient"] == "given"
    assert import_scan(**arguments).provenance["world_to_patient"].startswith("unknown")
    with pytest.raises(InputError, match="not a rotation and a shift"):
        import_scan(**arguments, world_to_patient=np.diag([1.0, 1.0, -1.0, 1.0]))
    with pytest.raises(InputError, match=r"world_to_patient: is .*Give four rows"):
        import_scan(**arguments, world_to_patient=[[1, 0], [0]])


def test_bad_pixels_from_a_folder(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad.mha").rename(tmp_path / "bad" / "mask.mha")
    calibration = replace(references(tmp_path), bad_pixels=tmp_path / "bad")
    data = import_scan(**arguments, calibration=calibration)
    assert_truth(data.projections, scan)
    (source,) = data.provenance["counts"]["bad_pixels"]["source"]
    assert source["name"] == "mask.mha"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"calibration": Calibration()}, "i0: is missing, as are flat and air_region"),
        ({"calibration": None}, "i0: is missing"),
        ({"calibration": Calibration(i0=9000.0)}, "stack.mha: has a transmission above 1.05 .*Check that i0"),
        ({"calibration": Calibration(i0=60000.0, flat="flat.mha")}, "i0: is given beside flat"),
        ({"calibration": Calibration(flat=58000.0)}, "flat: is 58000.0.* a number of counts is i0"),
        ({"calibration": Calibration(i0=60000.0, bad_pixels=np.zeros((3, 4), bool))}, r"shape \(3, 4\).*\(28, 40\)"),
        ({"calibration": Calibration(i0=60000.0, bad_pixels="flat.mha")}, "flat.mha: holds 2 images"),
        ({"pixel_mm": (8.0, 7.0)}, r"stack.mha: states pixels of \(8.0, 7.5\) mm .*where pixel_mm is \(8.0, 7.0\)"),
        ({"first_pixel_mm": "middle"}, "first_pixel_mm: is 'middle'.*centred"),
        ({"mu_water_per_mm": 0.2}, "mu_water_per_mm 0.2"),
        ({"geometry_options": {"dialect": "naf"}}, "scan.xml: is RTK's XML.*no option dialect.*unit"),
        ({"geometry_options": {"unit": "m"}}, "scan.xml: .*units of length.*SourceToIsocenterDistance"),
    ],
)
def test_what_contradicts_is_refused(tmp_path, monkeypatch, scan, changes, problem):
    monkeypatch.chdir(tmp_path)
    arguments = write_scan(tmp_path, scan) | {"calibration": references(tmp_path)}
    with pytest.raises(InputError, match=problem):
        import_scan(**arguments | changes)


def test_detector_of_another_size_is_refused(tmp_path, scan):
    arguments = write_scan(tmp_path, scan) | {"calibration": references(tmp_path), "geometry": tmp_path / "scan.json"}
    for shape, pixel_mm, problem in (
        ((28, 41), (8.0, 7.5), r"detector of \(28, 41\) pixels \(v, u\) where the images have \(28, 40\)"),
        ((14, 20), (16.0, 15.0), r"detector of \(14, 20\) pixels"),
        ((28, 40), (8.0, 7.3), r"pixels of \(8.0, 7.3\) mm \(v, u\) where the images have \(8.0, 7.5\)"),
    ):
        write_geometry_json(circular([0.0, 1.0, 2.0], 500.0, 800.0, shape, pixel_mm, **VOLUME), tmp_path / "scan.json")
        with pytest.raises(InputError, match=f"scan.json: .*{problem}"):
            import_scan(**arguments)
    rounded = circular([0.0, 1.0, 2.0], 500.0, 800.0, (28, 40), (8.01, 7.49), **VOLUME)
    write_geometry_json(rounded, tmp_path / "scan.json")
    assert import_scan(**arguments).geometry.pixel_mm == (8.01, 7.49)
    with pytest.raises(InputError, match=r"first_pixel_mm: is given, but scan.json says where"):
        import_scan(**arguments, first_pixel_mm=(1.0, 2.0))


def test_references_of_another_detector_are_refused(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    write_stack(tmp_path / "flat.mha", scan.flat[:-2], (8.0, 7.5))
    with pytest.raises(InputError, match=r"flat: has the shape \(26, 40\).*\(28, 40\)"):
        import_scan(**arguments, calibration=references(tmp_path))


def test_negative_counts_are_refused(tmp_path, scan):
    arguments = write_scan(tmp_path, scan)
    counts = scan.counts.astype(np.int64).clip(0, 32000) - 40
    counts[1, 2, 3] = -17
    write_stack(tmp_path / "views" / "stack.mha", counts.astype(np.int16), (8.0, 7.5))
    with pytest.raises(InputError, match=r"stack.mha: has negative counts, down to -"):
        import_scan(**arguments, calibration=Calibration(i0=60000.0))


def test_images_without_pixel_size_are_refused(tmp_path, scan):
    arguments = write_scan(tmp_path, scan, "tif")
    with pytest.raises(InputError, match=r"view1.tif: does not state its pixel size. Give pixel_mm"):
        import_scan(**arguments, calibration=references(tmp_path))


FULL = np.arange(0.0, 360.0, 3.0)
SHORT = np.arange(20.0, 20.0 + 180.0 + 46.0, 2.0)
ORBITS = {
    "full turn": (FULL, (0.0, 0.0)),
    "short scan": (SHORT, (0.0, 0.0)),
    "half-fan": (FULL, (0.0, 90.0)),
    "shuffled": (np.random.default_rng(4).permutation(FULL), (0.0, 0.0)),
    "duplicated": (np.concatenate([FULL[:40], FULL]), (0.0, 0.0)),
}


@pytest.mark.parametrize("name", ORBITS)
def test_reconstruction_is_in_place_and_in_hu(tmp_path, name):
    """FDK of the imported scan shows each part of the phantom where it is, with its HU."""
    angles_deg, offset_mm = ORBITS[name]
    raw = raw_scan(scan_geometry(angles_deg, offset_mm))
    arguments = write_scan(tmp_path, raw)
    data = import_scan(**arguments, calibration=references(tmp_path), mu_water_per_mm=MU_WATER_PER_MM)
    assert data.geometry.num_views == len(angles_deg)
    mu_per_mm = FDK()(torch.from_numpy(data.projections)[None], data.geometry)[0, 0].numpy()
    hu = mu_to_hu(mu_per_mm, data.mu_water_per_mm)
    expected = mu_to_hu(voxelise(phantom(), data.geometry), MU_WATER_PER_MM)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in data.geometry.volume_shape), indexing="ij"), axis=-1)
    place_mm = grid @ data.geometry.volume_affine[:3, :3].T + data.geometry.volume_affine[:3, 3]
    for number, part in enumerate(phantom()[1:]):
        inside = np.sum(((place_mm - part.centre_mm) / (0.6 * np.array(part.radii_mm))) ** 2, axis=-1) <= 1
        assert inside.sum() >= 3
        assert hu[inside].mean() == pytest.approx(expected[inside].mean(), abs=15.0), number
    near_axis = np.abs(place_mm[..., 2]) < 20.0
    assert np.sqrt(np.mean((hu - expected)[near_axis] ** 2)) < 30.0


def test_shuffled_views_reconstruct_to_the_same_volume(tmp_path):
    order = np.random.default_rng(6).permutation(len(FULL))
    volumes = []
    for number, angles_deg in enumerate((FULL, FULL[order])):
        (tmp_path / str(number)).mkdir()
        arguments = write_scan(tmp_path / str(number), raw_scan(scan_geometry(angles_deg)))
        data = import_scan(**arguments, calibration=references(tmp_path / str(number)))
        volumes.append(FDK()(torch.from_numpy(data.projections)[None], data.geometry))
    torch.testing.assert_close(volumes[1], volumes[0], atol=1e-6, rtol=1e-4)


def test_rtk_xml_of_metres_is_refused(tmp_path, scan):
    arguments = write_scan(tmp_path, scan) | {"calibration": references(tmp_path)}
    sizes = {"volume_shape": (4, 5, 6), "voxel_mm": (0.001, 0.001, 0.001)}
    write_geometry_rtk(circular([0.0, 1.0, 2.0], 0.5, 0.8, (28, 40), (0.008, 0.0075), **sizes), tmp_path / "scan.xml")
    with pytest.raises(InputError, match=r"scan.xml: mixes units of length.*SourceToIsocenterDistance 0.5"):
        import_scan(**arguments)
    data = import_scan(**arguments, geometry_options={"unit": "m"})
    np.testing.assert_allclose(np.linalg.norm(data.geometry.source_mm, axis=1), 500.0)
    assert data.provenance["geometry"]["options"] == {"unit": "m"}
