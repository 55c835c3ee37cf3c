from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from bundle.data.projection_file import ProjectionSet, _checksum, read_projections, write_projections
from bundle.errors import InputError
from bundle.physics.attenuation import normalised_to_attenuation

ANGLES = np.deg2rad([3.0, 50.0, 120.0])


@pytest.fixture
def data(scan) -> ProjectionSet:
    u = np.linspace(-1.3, 1.3, 32)
    values = (
        1.5
        * np.sqrt(np.clip(1 - u**2, 0, None))
        * np.linspace(0.5, 1, 24)[:, None]
        * np.array([1, 2, 3])[:, None, None]
    )
    return ProjectionSet(
        values.astype(np.float32),
        scan.geometry(ANGLES),
        world_to_patient=np.diag([1.0, 1, 1, 1]),
        provenance={"by": "test"},
    )


def rewrite(source, target, **changes) -> None:
    """Writes a file's arrays again with changes; None leaves an entry out."""
    with np.load(source) as file:
        arrays = {**{name: file[name] for name in file.files}, **changes}
    np.savez(target, **{name: value for name, value in arrays.items() if value is not None})


def test_round_trip(tmp_path, data):
    write_projections(data, tmp_path / "scan.npz")
    back = read_projections(tmp_path / "scan.npz")
    np.testing.assert_array_equal(back.projections, data.projections)
    assert back.geometry.checksum() == data.geometry.checksum()
    assert (back.quantity, back.hu_window, back.provenance) == (data.quantity, data.hu_window, data.provenance)
    np.testing.assert_array_equal(back.geometry.angles_rad, ANGLES)


def test_no_pickle_inside(tmp_path, data):
    write_projections(data, tmp_path / "scan.npz")
    with np.load(tmp_path / "scan.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_pickled_arrays_are_refused(tmp_path, data):
    write_projections(data, tmp_path / "scan.npz")
    rewrite(tmp_path / "scan.npz", tmp_path / "evil.npz", header=np.array([{"format": "x"}], dtype=object))
    with pytest.raises(InputError, match="not a readable projection file"):
        read_projections(tmp_path / "evil.npz")


def test_both_quantities_give_the_same_network_input(data):
    window = (-1000.0, 1024.0)
    measured = replace(
        data,
        quantity="attenuation",
        mu_water_per_mm=0.018,
        projections=normalised_to_attenuation(data.projections, data.hu_window, 0.018),
    )
    np.testing.assert_allclose(measured.normalised(window), data.normalised(window), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"projections": np.zeros((3, 24, 31), np.float32)}, "checksum"),
        ({"projections": np.zeros((2, 24, 32), np.float32)}, "checksum"),
        ({"angles_rad": ANGLES + 1}, "checksum"),
        ({"header": None}, "lacks header"),
        ({"header": np.array("{}")}, "format None"),
        ({"header": np.array("{")}, "its header: is damaged"),
    ],
)
def test_damaged_files(tmp_path, data, changes, message):
    write_projections(data, tmp_path / "scan.npz")
    rewrite(tmp_path / "scan.npz", tmp_path / "bad.npz", **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_projections(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: replace(d, projections=d.projections[:2]), r"\(2, 24, 32\).*\(3, 24, 32\)"),
        (lambda d: replace(d, projections=d.projections[:, :, :31]), r"\(3, 24, 31\)"),
        (lambda d: replace(d, geometry=replace(d.geometry, angles_rad=np.rad2deg(ANGLES))), "radians"),
        (lambda d: replace(d, projections=d.projections * np.nan), "NaN"),
        (lambda d: replace(d, projections=6e4 * np.exp(-d.projections)), "counts"),
        (lambda d: replace(d, projections=np.exp(-d.projections)), "transmissions"),
        (lambda d: replace(d, quantity="density"), "density"),
        (lambda d: replace(d, hu_window=(5.0, 5.0)), "HU window"),
        (lambda d: replace(d, hu_window=(-1e300, 1e300)), "HU window"),
        (lambda d: replace(d, hu_window=(0.0, 1e-300)), "HU window"),
        (lambda d: replace(d, geometry=replace(d.geometry, pixel_mm=(1e9, 1e9))), "pixel_mm 1e.09 .*in millimetres"),
        (lambda d: replace(d, geometry=replace(d.geometry, voxel_mm=(1e-9,) * 3)), "voxel_mm 1e-09 .too small"),
        (lambda d: replace(d, world_to_patient=shifted_by(1e30)), "isocentre in the patient .world_to_patient. at 1e"),
        (lambda d: replace(d, provenance=["simulate"]), "provenance that is no record"),
        (lambda d: replace(d, projections=-d.projections), "is the minus of -ln"),
        (lambda d: replace(d, projections=d.projections * [[[1]], [[0]], [[1]]]), "nothing but 0 in view 1"),
        (lambda d: replace(d, projections=d.projections.swapaxes(1, 2)), "Exchange rows and columns"),
        (lambda d: replace(d, mu_water_per_mm=0.2), "per millimetre"),
        (lambda d: replace(d, world_to_patient=np.full((4, 4), np.nan)), "world_to_patient"),
        (lambda d: replace(d, world_to_patient=np.diag([2.0, 1, 1, 1])), "world_to_patient"),
        (lambda d: replace(d, world_to_patient=np.diag([-1.0, 1, 1, 1])), "world_to_patient"),
    ],
)
def test_contradictions_are_refused_before_writing(tmp_path, data, change, message):
    with pytest.raises(InputError, match=message):
        write_projections(change(data), tmp_path / "scan.npz")
    assert not list(tmp_path.iterdir())


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_projections(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match="not a readable"):
        read_projections(tmp_path / "text.npz")
    with pytest.raises(InputError, match="cannot be written"):
        write_projections(ProjectionSet(np.zeros((1, 2, 2)), None), tmp_path / "scan.npy")  # type: ignore[arg-type]


def shifted_by(mm: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = mm
    return matrix


def test_suspected_projections_can_be_kept(tmp_path, data):
    """What is said when they are written holds when they are read, too."""
    odd = replace(data, projections=np.zeros_like(data.projections), check_projections=False)
    write_projections(odd, tmp_path / "scan.npz")
    assert read_projections(tmp_path / "scan.npz").check_projections is False
    write_projections(data, tmp_path / "scan.npz")
    assert read_projections(tmp_path / "scan.npz").check_projections is True


def test_numbers_beyond_single_precision_are_refused(tmp_path, data, recwarn):
    write_projections(data, tmp_path / "scan.npz")
    with np.load(tmp_path / "scan.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["projections"] = arrays["projections"].astype(np.float64) * 1e300
    arrays["checksum"] = np.array(_checksum(arrays))
    np.savez(tmp_path / "large.npz", **arrays)
    with pytest.raises(InputError, match="NaN or infinite"):
        read_projections(tmp_path / "large.npz")
    assert not recwarn.list


def test_archives_that_would_fill_the_memory_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", projections=np.zeros(2**26 + 1, np.float32))
    with pytest.raises(InputError, match=r"bomb.npz: is not a readable .*projections.npy unpacks to 0.3 GiB from"):
        read_projections(tmp_path / "bomb.npz")


def test_arrays_that_are_there_twice_are_refused(tmp_path, data):
    write_projections(data, tmp_path / "scan.npz")
    with zipfile.ZipFile(tmp_path / "scan.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("angles_rad.npy", archive.read("angles_rad.npy"))
    with pytest.raises(InputError, match="holds an array twice"):
        read_projections(tmp_path / "scan.npz")


def test_no_damage_escapes_as_another_exception(tmp_path, data):
    """Any flipped bit is either refused with one message or leaves the contents as they were."""
    write_projections(data, tmp_path / "scan.npz")
    content = (tmp_path / "scan.npz").read_bytes()
    rng = np.random.RandomState(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.randint(len(damaged))] ^= 1 << rng.randint(8)
        (tmp_path / "bad.npz").write_bytes(damaged)
        try:
            back = read_projections(tmp_path / "bad.npz")
            np.testing.assert_array_equal(back.projections, data.projections)
        except InputError:
            refused += 1
    assert refused > 100


def test_geometry_errors_name_the_file(tmp_path, data):
    """Among thousands of files, the one at fault must be found."""
    import hashlib

    write_projections(data, tmp_path / "scan.npz")
    with np.load(tmp_path / "scan.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["u_axis"] = arrays["u_axis"] * 2
    digest = hashlib.sha256()
    for name in sorted(set(arrays) - {"checksum"}):
        digest.update(f"{name}{arrays[name].dtype.str}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    np.savez(tmp_path / "bad.npz", **{**arrays, "checksum": np.array(digest.hexdigest())})
    with pytest.raises(InputError, match=r"bad\.npz: geometry\.u_axis is not made of unit vectors"):
        read_projections(tmp_path / "bad.npz")
