"""The witnesses are TIGRE's, NAF's and DIF-Net's own formulas, written out as plain arithmetic."""

from __future__ import annotations

from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.presets import load_preset
from bundle.scanners.geometry_yaml import read_geometry_yaml
from bundle.scanners.yaml_dialects import DIALECTS

pytest.importorskip("yaml", reason="reads the files")
DATA = Path(__file__).parent / "data"
STEP = radians(160) / 5
HALF_OPEN = [radians(15) + k * STEP for k in range(5)]
"""160 degrees from 15 in five views, without the end."""


def changed(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A copy of an example in which pieces of text are replaced."""
    text = (DATA / name).read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / name
    path.write_text(text)
    return path


# The numbers of the examples in TIGRE's own names; all tools describe this scan, or a part of it.
DSO, DSD = 500.0, 800.0
ROWS, COLUMNS, PIXEL_V, PIXEL_U = 24, 32, 2.5, 2.0
OFF_V, OFF_U = 7.0, -9.0
VOXELS, VOXEL, OFF_ORIGIN = (20, 18, 16), (4.0, 5.0, 6.0), (3.0, -4.0, 5.0)


def tigre_pixel(angle, row, column):
    """World position of a pixel of TIGRE's projections, for which it counts rows from the top and stores them turned.

    At angle 0 pixel (row, column) is at y = du (column - nu/2 + 1/2) + off_u and
    z = dv (nv/2 - 1/2 - (nv - row - 1)) + off_v in the plane x = DSO - DSD; then everything turns about z.
    """
    x = -(DSD - DSO)
    y = PIXEL_U * (column - COLUMNS / 2 + 0.5) + OFF_U
    z = PIXEL_V * (ROWS / 2 - 0.5 - (ROWS - row - 1)) + OFF_V
    return cos(angle) * x - sin(angle) * y, sin(angle) * x + cos(angle) * y, z


def tigre_voxel(index):
    """World position of a voxel's centre: the volume's first corner is at offOrigin minus half its size."""
    return tuple(o - n * d / 2 + (i + 0.5) * d for i, n, d, o in zip(index, VOXELS, VOXEL, OFF_ORIGIN))


def check_against_tigre(geometry, angles, turned_rows):
    """Compares all source, pixel and voxel positions; tools other than TIGRE store its rows the other way round."""
    assert geometry.detector_shape == (ROWS, COLUMNS)
    assert geometry.volume_shape == VOXELS
    np.testing.assert_allclose(geometry.angles_rad, angles, atol=1e-12)
    np.testing.assert_allclose(geometry.source_mm, [(DSO * cos(a), DSO * sin(a), 0.0) for a in angles], atol=1e-9)
    pixels = np.array(
        [[[tigre_pixel(a, row, column) for column in range(COLUMNS)] for row in range(ROWS)] for a in angles]
    )
    np.testing.assert_allclose(geometry.pixel_centres_mm(), pixels[:, ::-1] if turned_rows else pixels, atol=1e-9)
    for index in ((0, 0, 0), (19, 0, 0), (0, 17, 0), (0, 0, 15), (3, 5, 11)):
        np.testing.assert_allclose((geometry.volume_affine @ (*index, 1))[:3], tigre_voxel(index), atol=1e-9)


def test_tigre():
    geometry = read_geometry_yaml(DATA / "tigre.yaml", dialect="tigre")
    check_against_tigre(geometry, [0.0, 0.4, 1.7, 3.9], turned_rows=False)


def test_tigre_angles_as_euler_angles(tmp_path):
    path = changed(tmp_path, "tigre.yaml", ("[0.0, 0.4, 1.7, 3.9]", "[[0.5, 0, 0], [2.5, 0, 0]]"))
    check_against_tigre(read_geometry_yaml(path, dialect="tigre"), [0.5, 2.5], turned_rows=False)


@pytest.mark.parametrize("dialect", [None, "c2rv", "deepsparse"])
def test_c2rv_and_deepsparse(dialect):
    geometry = read_geometry_yaml(DATA / "c2rv.yaml", dialect=dialect)
    check_against_tigre(geometry, HALF_OPEN, turned_rows=True)


@pytest.mark.parametrize("order", ["vu", "uv"])
def test_difnet_with_the_order_of_the_detector_stated(tmp_path, order):
    rows_first = order == "vu"
    path = changed(
        tmp_path,
        "naf.yaml",
        ("- 32\n- 32\n", "- 24\n- 32\n" if rows_first else "- 32\n- 24\n"),
        ("- 2.0\n- 2.0\n", "- 2.5\n- 2.0\n" if rows_first else "- 2.0\n- 2.5\n"),
        ("- 0 # v", "- 7 # v"),
    )
    geometry = read_geometry_yaml(path, dialect="difnet", detector_order=order)
    check_against_tigre(geometry, HALF_OPEN, turned_rows=True)


def test_r2gaussian_in_units_of_its_own():
    """Half the longest side is one unit: here 100 mm."""
    angles = [0.3, 2.0]
    geometry = read_geometry_yaml(DATA / "r2gaussian.yaml", angles_rad=angles, unit=100)
    check_against_tigre(geometry, angles, turned_rows=True)


def test_whole_file_in_metres(tmp_path):
    lengths = [("[2.5, 2.0]", "[0.0025, 0.002]"), ("DSD: 800", "DSD: 0.8"), ("DSO: 500", "DSO: 0.5")]
    lengths += [("dVoxel: [4.0, 5.0, 6.0]", "dVoxel: [0.004, 0.005, 0.006]"), ("[3, -4, 5]", "[0.003, -0.004, 0.005]")]
    lengths += [("[-9, 7]", "[-0.009, 0.007]"), ("spacing: [4.0, 5.0, 6.0]", "spacing: [0.004, 0.005, 0.006]")]
    path = changed(tmp_path, "c2rv.yaml", *lengths)
    check_against_tigre(read_geometry_yaml(path, unit="m"), HALF_OPEN, turned_rows=True)
    with pytest.raises(InputError, match=r"DSO 0.5, DSD 0.8, dDetector .*, dVoxel .*, which look like metres.*unit="):
        read_geometry_yaml(path)
    with pytest.raises(InputError, match="which look like micrometres"):
        read_geometry_yaml(DATA / "c2rv.yaml", unit="m")


@pytest.mark.parametrize("dialect", [None, "naf", "saxnerf"])
def test_naf_pixels_lie_on_nafs_rays(dialect):
    """NAF's ray through pixel (j, i) starts at the source, in camera axes (u, down, forward) with direction
    (uu / DSD, vv / DSD, 1), uu = (i + 1/2 - W/2) du + off_u and vv = (j + 1/2 - H/2) dv. Its camera has
    u = (-sin a, cos a, 0), down = -z and forward = (-cos a, -sin a, 0).
    """
    geometry = read_geometry_yaml(DATA / "naf.yaml", dialect=dialect)
    pixels = geometry.pixel_centres_mm()
    assert pixels.shape == (5, 32, 32, 3)
    for view, a in enumerate(HALF_OPEN):
        for j, i in ((0, 0), (0, 31), (31, 0), (4, 23)):
            uu, vv = (i + 0.5 - 16) * 2.0 - 9.0, (j + 0.5 - 16) * 2.0
            on_ray = (
                500 * cos(a) - sin(a) * uu - cos(a) * 800,
                500 * sin(a) + cos(a) * uu - sin(a) * 800,
                -vv,
            )
            np.testing.assert_allclose(pixels[view, j, i], on_ray, atol=1e-9)
    np.testing.assert_allclose(geometry.volume_centre_mm, (3, -4, 5))


def difnet_projection(point, angle, sod, sdd, volume_mm, detector_mm):
    """Detector coordinates (first image axis, second) in [-1, 1] of a point in [0, 1]^3, as DIF-Net computes them.

    The point is centred, its z turned round; it is rotated by minus the angle and magnified by DSD / (DSO - x').
    """
    x, y, z = (point[0] - 0.5) * volume_mm[0], (point[1] - 0.5) * volume_mm[1], (0.5 - point[2]) * volume_mm[2]
    along = cos(-angle) * x - sin(-angle) * y
    across = sin(-angle) * x + cos(-angle) * y
    k = sdd / (sod - along)
    return 2 * z * k / detector_mm[0], 2 * across * k / detector_mm[1]


@pytest.mark.parametrize(
    ("name", "sod", "sdd", "volume_mm", "detector_mm"),
    [
        ("difnet_knee.yaml", 1000, 2000, (256 * 0.8,) * 3, (512, 512)),
        # The network's formula with a length per axis.
        ("c2rv_toothfairy.yaml", 1000, 900, (256 * 0.54257813,) * 2 + (53.4,), (53.4, 256 * 0.54257813)),
        ("deepsparse_toothfairy.yaml", 350, 300, (256 * 0.54257813,) * 2 + (53.4,), (53.4, 256 * 0.54257813)),
    ],
)
def test_points_fall_where_the_networks_look_for_them(name, sod, sdd, volume_mm, detector_mm):
    geometry = read_geometry_yaml(DATA / name)
    np.testing.assert_allclose(geometry.angles_rad, [k * pi / 50 for k in range(50)], atol=1e-12)
    points = np.random.default_rng(2).uniform(0, 1, (30, 3))
    points[:2] = [(0.9, 0.2, 0.7), (0.5, 0.5, 0.0)]
    half_mm = np.multiply(geometry.detector_shape, geometry.pixel_mm) / 2
    found = geometry.project((points - 0.5) * geometry.volume_size_mm) / half_mm
    expected = [
        [difnet_projection(p, a, sod, sdd, volume_mm, detector_mm) for p in points] for a in geometry.angles_rad
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("difnet_knee.yaml", "knee"),
        ("c2rv_toothfairy.yaml", "toothfairy_c2rv"),
        ("deepsparse_toothfairy.yaml", "toothfairy"),
    ],
)
def test_released_scanners_are_the_presets(name, preset):
    """The files round 0.542578125 to 0.54257813; the tools store rows towards -z."""
    scan = load_preset(preset, row_direction="-z")
    expected = scan.geometry(scan.candidate_angles_rad).to_dict()
    found = read_geometry_yaml(DATA / name).to_dict()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-7, atol=1e-9, err_msg=key)


def test_rows_read_from_the_other_end_are_the_same_pixels():
    stored, turned = (read_geometry_yaml(DATA / "c2rv.yaml", row_direction=rows) for rows in ("-z", "+z"))
    assert turned.row_direction() == "+z"
    np.testing.assert_allclose(turned.pixel_centres_mm(), stored.pixel_centres_mm()[:, ::-1], atol=1e-9)


def test_given_angles_and_offset_have_precedence(tmp_path):
    path = changed(tmp_path, "naf.yaml", ("- 0 # v", "- 7 # v"), ("randomAngle: False", "randomAngle: True"))
    geometry = read_geometry_yaml(path, angles_rad=[0.0], detector_offset_mm=(-7, -9))
    np.testing.assert_allclose(geometry.detector_centre_mm, [[-300, -9, 7]], atol=1e-9)


def test_sizes_of_the_whole_alone_give_the_steps(tmp_path):
    path = changed(tmp_path, "tigre.yaml", ("dDetector: [2.5, 2.0]\n", ""), ("dVoxel: [6.0, 5.0, 4.0]\n", ""))
    check_against_tigre(read_geometry_yaml(path, dialect="tigre"), [0.0, 0.4, 1.7, 3.9], turned_rows=False)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        # questions
        ("tigre.yaml", ("mode: cone", "mode: cone"), "dialect cannot be told from the keys: which tool"),
        ("r2gaussian.yaml", ("DSD: 8.0", "DSD: 9.0"), "mixes units of length"),
        ("naf.yaml", ("- 0 # v", "- 7 # v"), "which way was yours shifted? Give detector_offset_mm"),
        ("naf.yaml", ("- 2.0\n- 2.0\n", "- 2.5\n- 2.0\n"), "which comes first, rows (v, along z) or columns (u)?"),
        ("difnet_knee.yaml", ("[256, 256]", "[256, 128]"), 'Give detector_order="vu"'),
        ("naf.yaml", ("numTrain: 5\n", ""), "at which angles were the views taken? Give angles_rad"),
        ("naf.yaml", ("randomAngle: False", "randomAngle: True"), "randomAngle is true: which angles were drawn"),
        ("naf.yaml", ("totalAngle: 160.0", "totalAngle: 3.14159"), "is it in radians, or a spiral? Give angles_rad"),
        ("c2rv.yaml", ("total_angle: 160", "total_angle: 720"), "is it in radians, or a spiral?"),
        ("c2rv.yaml", ("  mode: cone", "  mode: cone\n  curvature: 1"), "curvature is not known from C2RV: does it"),
        ("c2rv.yaml", ("dataset:", "gantry: 1\ndataset:"), "give ignore=['gantry']"),
        ("c2rv.yaml", ("spacing: [4.0", "spacing: [8.0"), "dataset describes a volume of [160.0, 90.0, 96.0], but"),
        ("c2rv.yaml", ("dVoxel: [4.0, 5.0, 6.0]", "dVoxel: [0.004, 0.005, 0.006]"), "which one was projected?"),
        ("naf.yaml", ("- 4.0\n- 5.0\n- 6.0", "- 0.004\n- 0.005\n- 0.006"), "dVoxel [0.004, 0.005, 0.006] (too small)"),
        # what cannot be read
        ("naf.yaml", ("mode: cone", "mode: parallel"), "mode is 'parallel'. Only cone beams"),
        ("naf.yaml", ("DSD: 800.0\n", ""), "DSD is missing"),
        ("naf.yaml", ("DSD: 800.0", "DSD: 0800"), "DSD holds the text '0800'"),
        ("naf.yaml", ("DSD: 800.0", "DSD: 13:20"), "DSD holds the text '13:20'"),
        ("naf.yaml", ("DSD: 800.0", "DSD: 8_00"), "DSD holds the text '8_00'"),
        ("naf.yaml", ("DSD: 800.0", "DSD: .nan"), "DSD is nan. Give 1 positive number."),
        ("naf.yaml", ("DSD: 800.0", "DSD: true"), "DSD is True"),
        ("naf.yaml", ("DSD: 800.0", "DSD: -800.0"), "DSD is -800.0"),
        ("naf.yaml", ("DSD: 800.0", "DSD: [800.0, 801.0]"), "DSD is [800.0, 801.0]"),
        ("naf.yaml", ("DSD: 800.0", "DSD: 800.0\nDSD: 900.0"), "DSD is given more than once"),
        ("c2rv.yaml", ("  DSD: 800", "  DSD: 800\n  DSD: 900"), "DSD is given more than once"),
        ("naf.yaml", ("DSO: 500.0", "DSO: 20.0"), "is not in front of the whole volume"),
        ("naf.yaml", ("- 4.0\n- 5.0\n- 6.0", "- 4.0\n- 5.0"), "dVoxel is [4.0, 5.0]. Give 3 positive numbers."),
        ("naf.yaml", ("- 20\n", "- 20.5\n"), "nVoxel is [20.5, 18.0, 16.0]. Give whole numbers"),
        ("naf.yaml", ("- 20\n", "- 0\n"), "nVoxel is [0, 18, 16]"),
        ("naf.yaml", ("dVoxel:\n- 4.0\n- 5.0\n- 6.0\n", ""), "dVoxel is missing. Give it, or sVoxel"),
        ("naf.yaml", ("numTrain: 5", "numTrain: 5.5"), "numTrain is 5.5"),
        ("naf.yaml", ("numTrain: 5", "numTrain: 5000000000"), "numTrain is 5000000000. Give the number of views"),
        ("naf.yaml", ("DSD: 800.0", f"DSD: 1{'0' * 400}"), "a whole number of 401 digits"),
        ("naf.yaml", ("totalAngle: 160.0", "totalAngle: .inf"), "totalAngle is inf. Give 1 finite number."),
        (
            "c2rv.yaml",
            ("n_porjections: 5", "n_porjections: 5\n  n_projections: 6"),
            "n_porjections, n_projections disagr",
        ),
        ("r2gaussian.yaml", ("mode: cone", "dVoxel: [1, 1, 1]"), "sVoxel is [0.8, 0.9, 0.96], but nVoxel times dVoxel"),
    ],
)
def test_what_is_open_is_asked_and_what_is_wrong_is_told(tmp_path, name, change, told):
    path = changed(tmp_path, name, change)
    with pytest.raises(InputError) as caught:
        read_geometry_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("rotDetector: [0, 0, 0]", "rotDetector: [0, 0, 0.1]"), "rotDetector is [0, 0, 0.1], but turned or shifted"),
        (("COR: 0", "COR: 1.5"), "COR is 1.5"),
        (("angles: [0.0, 0.4, 1.7, 3.9]", ""), "at which angles were the views taken?"),
        (("[0.0, 0.4, 1.7, 3.9]", "[0, 45, 90]"), "angles reaches 90: are these degrees?"),
        (("[0.0, 0.4, 1.7, 3.9]", "[[0.4, 0.1, 0]]"), "about z alone"),
        (("[0.0, 0.4, 1.7, 3.9]", "[]"), "angles is []"),
        (("[0.0, 0.4, 1.7, 3.9]", "['0.0', '0.4']"), "Give one number per view, in radians"),
        (("COR: 0", "COR: little"), "COR is 'little'"),
        (("[0.0, 0.4, 1.7, 3.9]", "[0.0, .nan]"), "angles is [0.0, nan]"),
        (("[0.0, 0.4, 1.7, 3.9]", "[0.0, [1.0]]"), "Give one number per view, in radians"),
        (("sVoxel: [96.0", "sVoxel: [48.0"), "sVoxel is [48.0, 90.0, 80.0], but nVoxel times dVoxel is [96.0, 90.0"),
    ],
)
def test_what_is_wrong_with_tigres_own(tmp_path, change, told):
    path = changed(tmp_path, "tigre.yaml", change)
    with pytest.raises(InputError) as caught:
        read_geometry_yaml(path, dialect="tigre")
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"dialect": "astra"}, f"dialect is 'astra'. Use one of {', '.join(DIALECTS)}"),
        ({"dialect": "naf"}, "dialect is 'naf', but the file has a section 'projector'"),
        ({"unit": "inch"}, "unit is 'inch'"),
        ({"unit": 0.001}, "which look like metres"),
        ({"row_direction": "up"}, "geometry.row_direction is 'up'"),
        ({"detector_order": "xy"}, "detector_order is 'xy'"),
        ({"detector_offset_mm": (1, 2, 3)}, "detector_offset_mm is (1, 2, 3)"),
        ({"angles_rad": [0, 90, 180]}, "angles_rad reaches 180: are these degrees?"),
        ({"angles_rad": []}, "angles_rad is []"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments, told):
    with pytest.raises(InputError) as caught:
        read_geometry_yaml(DATA / "c2rv.yaml", **arguments)
    assert told in str(caught.value)


def test_nested_dialect_needs_its_section():
    with pytest.raises(InputError, match="dialect is 'c2rv', but the file has no section 'projector'"):
        read_geometry_yaml(DATA / "naf.yaml", dialect="c2rv")


def test_unknown_keys_can_be_ignored(tmp_path):
    path = changed(tmp_path, "c2rv.yaml", ("  mode: cone", "  operator: me"), ("spacing: [4.0", "spacing: [8.0"))
    check_against_tigre(read_geometry_yaml(path, ignore=("operator", "dataset")), HALF_OPEN, turned_rows=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"DSD: [1", "not valid YAML"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"", "does not hold named entries"),
        (b"&a {totalAngle: *a}", "not valid YAML: too many aliases, or one within what another stands for"),
        (b"- 1\n- 2\n", "does not hold named entries"),
        (b"exp:\n  expname: chest\ntotalAngle: 180\n", "exp is not known from R2-Gaussian"),
        (b"!!python/object/apply:os.system ['touch evil']", "not valid YAML"),
    ],
)
def test_other_files_are_refused_and_nothing_is_executed(tmp_path, monkeypatch, content, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.yaml").write_bytes(content)
    with pytest.raises(InputError, match=f"scan.yaml: .*{told}"):
        read_geometry_yaml(tmp_path / "scan.yaml")
    assert not (tmp_path / "evil").exists()


def test_absent_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: does not exist"):
        read_geometry_yaml(tmp_path / "none.yaml")
