from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from bundle.scanners.geometry_json import read_geometry_json, write_geometry_json


def tilted_scan(views: int, seed: int, scale: float = 1.0) -> ConeBeamGeometry:
    """A scan in which every view has its own distances, offsets and tilts about three axes."""
    random = np.random.default_rng(seed)
    vectors = []
    for angle in random.uniform(-7, 7, views):
        tilt = np.linalg.qr(np.eye(3) + 0.05 * scale * random.standard_normal((3, 3)))[0]
        tilt *= np.sign(np.diag(tilt))
        outward = np.array([np.cos(angle), np.sin(angle), 0.0])
        u, v = np.array([-np.sin(angle), np.cos(angle), 0.0]), np.array([0.0, 0.0, random.choice([-1.0, 1.0])])
        source = random.uniform(450, 550) * outward + random.uniform(-5, 5, 3) * scale
        detector = -random.uniform(100, 300) * outward + random.uniform(-40, 40, 3) * scale
        vectors.append((source, detector, tilt @ u, tilt @ v))
    source, detector, u_axis, v_axis = (np.array(part) for part in zip(*vectors))
    return ConeBeamGeometry(
        source,
        detector,
        u_axis,
        v_axis,
        detector_shape=(24, 32),
        pixel_mm=tuple(random.uniform(0.1, 3, 2)),
        volume_shape=(20, 18, 16),
        voxel_mm=tuple(random.uniform(0.1, 7, 3)),
        volume_centre_mm=tuple(random.uniform(-20, 20, 3)),
        angles_rad=random.uniform(-7, 7, views),
    )


def assert_identical(actual: ConeBeamGeometry, expected: ConeBeamGeometry) -> None:
    """Equal to the last bit, the sign of zero included."""
    for name in ("source_mm", "detector_centre_mm", "u_axis", "v_axis", "angles_rad"):
        assert getattr(actual, name).tobytes() == getattr(expected, name).tobytes(), name
    for name in ("detector_shape", "pixel_mm", "volume_shape", "voxel_mm", "volume_centre_mm"):
        assert getattr(actual, name) == getattr(expected, name), name


@pytest.fixture
def path(tmp_path) -> Path:
    write_geometry_json(tilted_scan(3, seed=1), tmp_path / "scan.json")
    return tmp_path / "scan.json"


def edit(path: Path, **changes) -> None:
    """Changes entries of a written file; an ellipsis removes one."""
    record = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not ...}))


def test_any_scan_comes_back_to_the_last_bit():
    hypothesis = pytest.importorskip("hypothesis", reason="draws the scans")
    numbers = hypothesis.strategies

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
    @hypothesis.given(numbers.integers(1, 9), numbers.integers(0, 2**32 - 1), numbers.floats(0.0, 1.0))
    def check(views, seed, scale):
        geometry = tilted_scan(views, seed, scale)
        with tempfile.TemporaryDirectory() as folder:
            write_geometry_json(geometry, Path(folder) / "scan.json")
            assert_identical(read_geometry_json(Path(folder) / "scan.json"), geometry)

    check()


def test_awkward_numbers_come_back(tmp_path):
    geometry = ConeBeamGeometry(
        source_mm=[[1e3 + 2**-40, -0.0, 5e-324]],
        detector_centre_mm=[[-1 / 3, 1e-17, 0.1 + 0.2]],
        u_axis=[[0.0, 1.0, -0.0]],
        v_axis=[[0.0, 0.0, -1.0]],
        detector_shape=(3, 5),
        pixel_mm=(0.1, 1 / 7),
        volume_shape=(2, 4, 6),
        voxel_mm=(0.20859375, 1e-3, np.pi),
        volume_centre_mm=(-0.0, 1e-300, 2.5),
        angles_rad=[-0.0],
    )
    write_geometry_json(geometry, tmp_path / "scan.json")
    assert_identical(read_geometry_json(tmp_path / "scan.json"), geometry)


def test_scan_without_nominal_angles(tmp_path):
    geometry = ConeBeamGeometry(**{**tilted_scan(2, seed=5).to_dict(), "angles_rad": None})
    write_geometry_json(geometry, tmp_path / "scan.json")
    assert json.loads((tmp_path / "scan.json").read_text())["angles_rad"] is None
    assert np.isnan(read_geometry_json(tmp_path / "scan.json").angles_rad).all()


def test_the_file_says_what_it_is_and_has_a_vector_on_each_line(path):
    text = path.read_text()
    record = json.loads(text)
    assert (record["format"], record["version"], record["units"]) == ("deepsparse-geometry", 1, "mm")
    assert list(record)[:4] == ["format", "version", "units", "source_mm"]
    assert f"\n    {json.dumps(record['u_axis'][1])},\n" in text
    assert len(text.splitlines()) == 2 + 13 + 4 * (3 + 1)  # braces, entries, four lists of three vectors


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "other"}, 'format is "other". Expected "deepsparse-geometry"'),
        ({"version": 2}, "version is 2. Expected 1"),
        ({"version": True}, "version is true. Expected 1"),
        ({"version": ...}, "version is missing"),
        ({"units": "m"}, 'units is "m". Expected "mm"'),
        ({"units": ...}, "units is missing"),
        ({"u_axis": ..., "voxel_mm": ...}, "lacks u_axis, voxel_mm"),
        ({"volume_centre_mm": ...}, "lacks volume_centre_mm"),
        ({"tilt_deg": 3}, 'has the unknown "tilt_deg"'),
        ({"pixel_mm": [float("nan"), 1.0]}, "holds NaN, which is no number"),
        ({"angles_rad": [0.0, float("inf"), 1.0]}, "holds Infinity, which is no number"),
        ({"pixel_mm": [10**400, 1]}, "holds a whole number of 401 digits"),
        ({"pixel_mm": ["1.0", 2.0]}, 'pixel_mm holds "1.0"'),
        ({"pixel_mm": [True, 2.0]}, "pixel_mm holds true"),
        ({"pixel_mm": 2.0}, "pixel_mm is 2.0. Give a list"),
        ({"detector_shape": [24.0, 32]}, "detector_shape holds 24.0. Give whole numbers"),
        ({"detector_shape": [24, 32, 8]}, "geometry.detector_shape is [24, 32, 8]"),
        ({"source_mm": [[1.0, 2.0], [1.0, 2.0, 3.0], [1.0]]}, "wrong shape"),
        ({"source_mm": [[500.0, 0.0, 0.0]]}, "where source_mm has 1"),
        ({"u_axis": [[0.0, 2.0, 0.0]] * 3}, "geometry.u_axis is not made of unit vectors"),
        ({"angles_rad": [0.0]}, "geometry.angles_rad has shape (1,)"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_entry(path, changes, told):
    edit(path, **changes)
    with pytest.raises(InputError) as caught:
        read_geometry_json(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "no valid JSON"),
        (b"", "no valid JSON"),
        (b"\xff\xfe{", "no text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"version": 1, "version": 2}', "version is given more than once"),
    ],
)
def test_files_that_are_not_json_are_refused(tmp_path, content, told):
    (tmp_path / "scan.json").write_bytes(content)
    with pytest.raises(InputError, match=f"scan.json: .*{told}"):
        read_geometry_json(tmp_path / "scan.json")


def test_absent_files_and_other_names_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: does not exist"):
        read_geometry_json(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"\.json"):
        write_geometry_json(tilted_scan(1, seed=0), tmp_path / "scan.txt")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(*_args, **_kwargs):
        raise RuntimeError("power cut")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        write_geometry_json(tilted_scan(2, seed=9), path)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1
