from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.plausible import check_hu_window, check_millimetres, check_positions, check_radians, check_scan
from bundle.presets import load_preset, preset_names

SCAN = {
    "sod_mm": 800.0,
    "sdd_mm": 1200.0,
    "detector_shape": (24, 32),
    "pixel_mm": (16.0, 14.0),
    "volume_shape": (20, 18, 16),
    "voxel_mm": (12.0, 11.0, 10.0),
}


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize(("factor", "told"), [(1.0, None), (1e-3, "look like metres"), (1e3, "look like micrometres")])
def test_every_preset_is_told_from_the_same_in_metres(name, factor, told):
    scan = load_preset(name)
    lengths = [np.multiply(v, factor) for v in (scan.sod_mm, scan.sdd_mm, scan.pixel_mm, scan.voxel_mm)]
    if told is None:
        check_millimetres("scan.yaml", *lengths)
        return
    with pytest.raises(InputError, match=rf"^scan.yaml: is hardly in millimetres.*{told}.*unit="):
        check_millimetres("scan.yaml", *lengths)


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ((1000, 1500, (1.0, 1.2), (0.0008, 0.0009, 0.001)), r"SOD 1000, SDD 1500, pixel .* \(plausible in mm\), voxel"),
        ((1.0, 1.5, (0.4, 0.5), (0.8, 0.8, 0.8)), r"pixel \[0.4, 0.5\], voxel 0.8 \(plausible in mm\), SOD 1, SDD 1.5"),
        ((1000, 1.5, None, None), r"SOD 1000 \(plausible in mm\), SDD 1.5 \(too small\)"),
        ((1000, 1500, (400.0, 400.0), None), r"pixel 400 \(too large\)"),
        ((1000, 1500, None, (0.8, 0.8, 0.0008)), r"voxel \[0.8, 0.0008\] \(too small\)"),
    ],
)
def test_mixed_units_are_told_with_the_values(lengths, told):
    with pytest.raises(InputError, match=told) as caught:
        check_millimetres("scan.yaml", *lengths)
    assert "mixes units" in str(caught.value)


def test_names_and_distances_per_view():
    with pytest.raises(InputError, match=r"has DSO \[1.0, 1.1\], DSD 1.5, which look like metres"):
        check_millimetres("scan.yaml", np.array([1.0, 1.1]), 1.5, names=("DSO", "DSD", "dDetector", "dVoxel"))


@pytest.mark.parametrize("bad", [0.0, -500.0, float("nan"), float("inf")])
def test_lengths_that_are_none_are_refused(bad):
    with pytest.raises(InputError, match=r"has SDD .* Give positive lengths"):
        check_millimetres("scan.yaml", 500.0, bad)


@pytest.mark.parametrize(
    "angles",
    [np.arange(0.0, 360, 60), np.arange(360.0), np.arange(0, 360, 0.1), [-180.0, 0.25, 90.0], [15.0], [1e300, 0.0]],
    ids=["sparse", "dense", "fine", "negative", "one", "huge"],
)
def test_degrees_are_asked_about(angles):
    with pytest.raises(InputError, match=r"^geometry.angles_rad: reaches .*: are these degrees\? Give radians, as np"):
        circular(angles, **SCAN)
    with pytest.raises(InputError, match="are these degrees"):
        load_preset(preset_names()[0]).geometry(angles)


@pytest.mark.parametrize(
    "angles",
    [
        np.deg2rad([-180.0, 0.25, 90.0, 350.0]),
        np.deg2rad(np.arange(0.0, 720, 111.2)),
        np.deg2rad(np.arange(0.0, 20 * 360, 5)),
        [np.nan, np.nan],
        [],
    ],
    ids=["a turn", "two turns", "many turns swept", "none stated", "empty"],
)
def test_radians_stay_legal(angles):
    check_radians("angles_rad", angles)


def test_wrapped_turns_are_the_same_scan():
    many = np.deg2rad(np.arange(10) * 111.2 * 5)
    with pytest.raises(InputError, match=r"np.mod\(angles, 2 \* np.pi\)"):
        circular(many, **SCAN)
    wrapped = circular(np.mod(many, 2 * np.pi), **SCAN)
    np.testing.assert_allclose(wrapped.source_mm[:, 0], 800 * np.cos(many), atol=1e-9)


@pytest.mark.parametrize("window", [(-1000, 1000), (-1024, 3071), (-160.0, 240.0), (-1000, 40000)])
def test_hu_windows_of_ct_pass(window):
    check_hu_window("scan", window)


@pytest.mark.parametrize(
    "window", [(1000, -1000), (0, 0), (0, 1e-300), (-1e300, 1e300), (float("nan"), 1), (0, 1), (0, 1, 2), "ab", 5, None]
)
def test_other_hu_windows_are_refused(window):
    with pytest.raises(InputError, match=r"^scan: has the HU window .*the lower first and 10 HU or more apart"):
        check_hu_window("scan", window)


@pytest.mark.parametrize("position", [1e30, -3e6, float("inf"), float("nan")])
def test_positions_far_away_are_refused(position):
    check_positions("scan.npz", "a corner", [[3.2, -1999.0, 0.0]])
    with pytest.raises(InputError, match=r"^scan.npz: has a corner at .* mm, .* km away. Give coordinates in mm"):
        check_positions("scan.npz", "a corner", [[0.0, position, 3.2]])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pixel_mm": (1e9, 14.0)}, "pixel_mm .*too large"),
        ({"voxel_mm": (12.0, 1e-9, 10.0)}, "voxel_mm .*too small"),
        ({"volume_centre_mm": (0.0, 0.0, 1e6)}, "the volume's centre at 1e\\+06 mm, 1 km away"),
        ({"detector_centre_mm": np.tile([-400.0, 0.0, 5e7], (2, 1))}, "a detector at 5e\\+07 mm"),
        ({"source_mm": np.tile([8e5, 0.0, 0.0], (2, 1))}, "source to isocentre 800000, .*too large"),
    ],
)
def test_scans_of_another_size_are_refused(changes, told):
    scan = circular([0.0, 0.0], **SCAN)
    check_scan("scan.npz", scan)
    with pytest.raises(InputError, match=f"^scan.npz: .*{told}"):
        check_scan("scan.npz", replace(scan, **changes))


def test_a_scan_in_metres_is_told_to_be_written_in_millimetres():
    lengths = {name: np.multiply(value, 1e-3) for name, value in SCAN.items() if name.endswith("_mm")}
    with pytest.raises(InputError, match=r"look like metres.* write all lengths in millimetres"):
        check_scan("scan.json", circular([0.0], **{**SCAN, **lengths}))
