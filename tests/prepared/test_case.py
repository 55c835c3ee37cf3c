"""A prepared case gives back what was written, in parts, and refuses what was damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.prepared.case import DESCRIPTION, PreparedCase
from tests.prepared.sets import AFFINE_RAS, write_phantom


@pytest.fixture
def folder(tmp_path, scan):
    labels = np.arange(np.prod(scan.volume_shape)).reshape(scan.volume_shape) % 7
    write_phantom(tmp_path / "one", scan, labels=labels.astype(np.uint8), provenance={"source": "phantom"})
    return tmp_path / "one"


def test_everything_comes_back(folder, scan, phantom):
    case = PreparedCase.open(folder)
    assert case.name == "one"
    assert case.hu_window == scan.hu_window
    assert case.voxel_mm == scan.voxel_mm
    assert case.provenance == {"source": "phantom"}
    np.testing.assert_array_equal(case.affine_ras, AFFINE_RAS)
    assert case.volume.shape == scan.volume_shape
    np.testing.assert_allclose(case.volume.read().numpy(), phantom, atol=1 / 131070 + 1e-7)
    geometry = scan.geometry(scan.candidate_angles_rad)
    assert case.geometry.checksum() == geometry.checksum()
    assert len(case.projections) == scan.candidate_views
    assert case.labels[1, 2, 3] == (1 * 18 * 16 + 2 * 16 + 3) % 7


def test_no_pickle_and_nothing_that_is_not_described(folder):
    files = {path.name for path in folder.iterdir()}
    assert files == {DESCRIPTION, "volume.npy", "geometry.npy", "projections.npy", "labels.npy"}
    for name in files - {DESCRIPTION}:
        np.load(folder / name, allow_pickle=False)


def test_a_block_alone(folder, phantom):
    volume = PreparedCase.open(folder).volume
    index = np.array([[0, 1, 2], [4, 8, 3]])
    for block in range(len(volume.array)):
        there = volume.voxels(block, index)
        np.testing.assert_allclose(volume.values(block, index), phantom[tuple(there.T)], atol=1e-5)


def test_decoded_on_a_device_as_on_disk(folder):
    volume = PreparedCase.open(folder).volume
    stored = torch.from_numpy(volume.read_stored())
    assert stored.dtype == torch.uint16
    torch.testing.assert_close(volume.decode(stored), volume.read(), rtol=0, atol=1e-7)


def test_views_alone_and_turned_round(folder):
    case = PreparedCase.open(folder)
    views = torch.tensor([3, 0, 3])
    chosen = case.projections.values(views)
    assert chosen.shape == (3, 24, 32)
    assert chosen.dtype == torch.float32
    assert torch.equal(chosen[0], case.projections.values(3))
    assert not torch.equal(chosen[0], chosen[1])
    assert torch.equal(case.open_projections(flip_rows=True).values(views), chosen.flip(1))
    stored = case.projections[views]
    assert stored.dtype == torch.uint16
    coding = case.projections.coding
    torch.testing.assert_close(stored.float() * coding.scale + coding.offset, chosen)


def test_without_projections(tmp_path, scan):
    write_phantom(tmp_path / "bare", scan, with_projections=False)
    case = PreparedCase.open(tmp_path / "bare")
    assert not case.has_projections
    assert case.projections is None
    assert case.labels is None


def test_refused(folder, tmp_path):
    with pytest.raises(InputError, match="nowhere: is no prepared case"):
        PreparedCase.open(tmp_path / "nowhere")
    description = json.loads((folder / DESCRIPTION).read_text())
    for change, message in [
        ({"format": "other"}, "is of format 'other'"),
        ({"version": 2}, "version 2"),
    ]:
        (folder / DESCRIPTION).write_text(json.dumps({**description, **change}))
        with pytest.raises(InputError, match=message):
            PreparedCase.open(folder)
    (folder / DESCRIPTION).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        PreparedCase.open(folder)
    del description["volume"]
    (folder / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(InputError, match="lacks volume"):
        PreparedCase.open(folder)


def test_array_of_another_case(folder, tmp_path, scan):
    other = scan.resized(volume_shape=(8, 8, 8))
    write_phantom(tmp_path / "other", other)
    (tmp_path / "other" / "volume.npy").replace(folder / "volume.npy")
    with pytest.raises(InputError, match=r"volume\.npy: holds uint16 of shape \[64, 2, 2, 2\]"):
        _ = PreparedCase.open(folder).volume


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("name", "../../outside", "is damaged: its name '../../outside' holds a path separator"),
        ("name", "..", "is damaged: its name '..' leads elsewhere"),
        ("name", 7, "is damaged: its name is 7"),
        ("hu_window", None, "is damaged: hu_window is None"),
        ("affine_ras", [[1.0]], "is damaged: affine_ras is"),
        ("voxel_mm", [1.0, "x", 1.0], "is damaged: voxel_mm is"),
        ("volume", {"shape": []}, "is damaged: volume lacks file, dtype"),
        (
            "labels",
            {"file": "../../secret.npy", "shape": [], "dtype": ""},
            "is damaged: labels is in '../../secret.npy'",
        ),
        ("projections", {"file": "a.npy"}, "is damaged: projections lacks shape"),
    ],
)
def test_damaged_entries(folder, entry, value, message):
    description = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**description, entry: value}))
    with pytest.raises(InputError, match=message):
        PreparedCase.open(folder)


def test_fewer_projections_than_views(folder):
    description = json.loads((folder / DESCRIPTION).read_text())
    np.save(folder / "projections.npy", np.load(folder / "projections.npy")[:5])
    description["projections"]["shape"][0] = 5
    (folder / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"has shape \(5, 24, 32\) where the geometry has 40 views"):
        _ = PreparedCase.open(folder).projections
