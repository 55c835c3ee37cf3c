"""Files that somebody else made: refused with one message, before they take memory, run code or name other folders."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundle.checkpoint import load_network, read_checkpoint, save_checkpoint
from bundle.data.datalist import LISTING, load_datalist, split_checksum
from bundle.data.projection_file import ProjectionSet, _checksum, read_projections, write_projections
from bundle.errors import InputError
from bundle.geometry import circular
from bundle.scanners.geometry_json import read_geometry_json, write_geometry_json

MOST_MB = 20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.text(alphabet="ab./\\\0~ ", max_size=12).map(lambda stem: stem + ".nii.gz") | st.text(max_size=12)
GEOMETRY = circular([0.0, 1.0, 2.0], 500.0, 800.0, (4, 5), (2.0, 3.0), (3, 4, 5), (6.0, 5.0, 4.0))


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails when more than MOST_MB are taken at once; NumPy reports its memory, too."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_MB * 2**20
    finally:
        tracemalloc.stop()


@contextmanager
def sound_or_refused() -> Iterator[None]:
    """Whatever is read is read well, or refused with one line that says what to do."""
    try:
        with little_memory():
            yield
    except InputError as error:
        if "\n" in str(error):
            pytest.fail(f"refused in more than one line: {error}")


# Listings


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases=st.lists(st.fixed_dictionaries({"image": PATHS | JSON}, optional={"label": PATHS, "projections": PATHS})))
@example(cases=[{"image": "../../secret.nii.gz"}])
@example(cases=[{"image": "a/../../secret.nii.gz"}])
@example(cases=[{"image": "...nii.gz"}])
@example(cases=[{"image": "a.nii.gz", "label": "../b.nii.gz"}])
def test_listings_name_nothing_outside(cases):
    with tempfile.TemporaryDirectory() as folder, sound_or_refused():
        (Path(folder) / LISTING).write_text(json.dumps({"training": cases}))
        for item in load_datalist(folder, "training"):
            # A case's name becomes a folder's name.
            assert (Path(folder) / item["case"]).resolve().parent == Path(folder).resolve()
        for case in cases:
            for path in case.values():
                resolved = (Path(folder) / path).resolve()
                assert Path(path).is_absolute() or resolved.is_relative_to(Path(folder).resolve())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=JSON | st.dictionaries(st.sampled_from(["training", "test", "format", "labels"]), JSON))
def test_listings_of_any_other_form(content):
    with tempfile.TemporaryDirectory() as folder, sound_or_refused():
        (Path(folder) / LISTING).write_text(json.dumps(content))
        split_checksum(folder)
        load_datalist(folder, "training")


# Projection files and geometries


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> dict[str, np.ndarray]:
    """A sound projection file's arrays."""
    path = tmp_path_factory.mktemp("sound") / "scan.npz"
    values = np.random.RandomState(2).rand(3, 4, 5).astype(np.float32)
    write_projections(ProjectionSet(values, GEOMETRY), path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(["hu_window", "quantity", "mu_water_per_mm"]), JSON), data=st.data())
def test_headers_of_projections(arrays, changes, data):
    sizes = st.sampled_from(["detector_shape", "volume_shape", "pixel_mm", "voxel_mm", "volume_centre_mm"])
    numbers = st.lists(st.floats() | st.integers(-1, 10**12), min_size=2, max_size=3)
    changes.update(data.draw(st.dictionaries(sizes, numbers | JSON, max_size=2)))
    header = {**json.loads(str(arrays["header"])), **changes}
    changed = {**arrays, "header": np.array(json.dumps(header))}
    changed["checksum"] = np.array(_checksum(changed))
    with tempfile.TemporaryDirectory() as folder, sound_or_refused():
        np.savez(Path(folder) / "scan.npz", **changed)
        found = read_projections(Path(folder) / "scan.npz")
        assert found.projections.shape == (3, *found.geometry.detector_shape)
        assert np.isfinite(found.geometry.volume_affine).all()


def _archive(arrays: dict[str, np.ndarray], shape: tuple[int, ...], content: bytes) -> bytes:
    """The file, its projections replaced by an array of any shape and bytes, well compressed."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                if name == "projections":
                    file.write(header.getvalue() + content)
                else:
                    np.lib.format.write_array(file, values)
    return out.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6, 10**6), (2**31, 4, 5), (3, 4, 6), (3, 4, 4)])
def test_arrays_that_say_another_size(tmp_path, arrays, shape):
    """The array of a few bytes that says to be exabytes would otherwise be given memory first."""
    path = tmp_path / "scan.npz"
    path.write_bytes(_archive(arrays, shape, np.ones((3, 4, 5), np.float32).tobytes()))
    with little_memory(), pytest.raises(InputError, match=r"scan\.npz: is not a readable projection file"):
        read_projections(path)


def test_archives_that_say_another_size(tmp_path, arrays):
    """Header and directory agree about 12 GiB, which a kilobyte cannot hold."""
    path = tmp_path / "scan.npz"
    count = 3 * 2**30
    content = bytearray(_archive(arrays, (count,), b"\0" * 60))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        said = archive.getinfo("projections.npy").file_size
    actual, claimed = said.to_bytes(4, "little"), (said - 60 + 4 * count).to_bytes(5, "little")[:4]
    path.write_bytes(bytes(content).replace(actual, claimed))
    with little_memory(), pytest.raises(InputError, match="not a readable projection file"):
        read_projections(path)


def test_objects_in_a_projection_file_are_not_loaded(tmp_path, arrays):
    marker = tmp_path / "executed"
    np.savez(tmp_path / "scan.npz", **{**arrays, "projections": np.array([_Hostile(marker)], dtype=object)})
    with pytest.raises(InputError, match="not a readable projection file"):
        read_projections(tmp_path / "scan.npz")
    assert not marker.exists()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    changes=st.dictionaries(
        st.sampled_from(["detector_shape", "volume_shape", "voxel_mm", "source_mm", "u_axis", "angles_rad"]),
        JSON | st.lists(st.integers(-1, 10**9) | st.floats(), max_size=4),
        min_size=1,
    )
)
@example(changes={"volume_shape": [10**6, 10**6, 10**6]})
@example(changes={"detector_shape": [2**20, 2**20]})
def test_geometry_files(changes):
    with tempfile.TemporaryDirectory() as folder, sound_or_refused():
        path = Path(folder) / "scan.json"
        write_geometry_json(GEOMETRY, path)
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        found = read_geometry_json(path)
        assert np.prod(found.volume_shape, dtype=float) < 1e10
        assert np.prod(found.detector_shape, dtype=float) < 1e10


# Checkpoints


class _Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"network": _Hostile(tmp_path / "executed")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="would run code"):
        read_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path, value):
    network = torch.nn.Linear(2, 3)
    save_checkpoint({**network.state_dict(), "bias": torch.full((3,), value)}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="NaN or infinite weights: bias"):
        load_network(network, tmp_path / "model.pt")


def test_giant_weights(tmp_path):
    """One stored number that says to be a million million."""
    network = torch.nn.Linear(2, 3)
    giant = torch.zeros(1).expand(10**12)
    save_checkpoint({**network.state_dict(), "bias": giant}, tmp_path / "model.pt")
    with little_memory(), pytest.raises(InputError, match="holds fewer numbers as bias"):
        load_network(network, tmp_path / "model.pt")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_checkpoints(data):
    """Bytes changed anywhere: the weights of the network's shape, or a refusal."""
    network = torch.nn.Linear(2, 3)
    with tempfile.TemporaryDirectory() as folder, sound_or_refused():
        path = Path(folder) / "model.pt"
        save_checkpoint(network.state_dict(), path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        load_network(network, path)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
