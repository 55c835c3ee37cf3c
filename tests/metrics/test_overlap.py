from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from monai.networks import one_hot
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from bundle.errors import InputError
from bundle.metrics import overlap_rows

VOXEL_MM = (0.7, 1.9, 3.1)
SHAPE = (34, 27, 21)


def blobs(seed: int) -> np.ndarray:
    """Labels 1 to 3 of smooth random shapes, many of which touch the volume's border."""
    smooth = gaussian_filter(np.random.RandomState(seed).randn(*SHAPE), 3)
    return np.digitize(smooth, np.quantile(smooth, [0.4, 0.7, 0.9])).astype(np.uint8)


def one_row(labels: np.ndarray, reference: np.ndarray, voxel_mm=VOXEL_MM) -> dict:
    (row,) = overlap_rows(labels, reference, {1: "organ"}, voxel_mm)
    return row


def test_equals_monai_on_the_whole_grid():
    labels, reference = blobs(0), blobs(0)
    reference = np.where(np.roll(blobs(1), 3, axis=1) == 2, 3, np.roll(reference, (2, -1, 1), axis=(0, 1, 2)))
    assert all((one[0] == 1).any() and (one[:, -1] == 3).any() for one in (labels, reference))
    pair = [one_hot(torch.from_numpy(one.astype(np.int64))[None, None], 4) for one in (labels, reference)]
    expected = {
        "dice": compute_dice(*pair, include_background=False)[0],
        "assd_mm": compute_average_surface_distance(*pair, symmetric=True, spacing=VOXEL_MM)[0],
        "hd95_mm": compute_hausdorff_distance(*pair, percentile=95, spacing=VOXEL_MM)[0],
    }
    rows = overlap_rows(labels, reference, {3: "c", 1: "a", 2: "b"}, VOXEL_MM)
    assert [row["structure"] for row in rows] == ["c", "a", "b"]
    for label, row in zip((3, 1, 2), rows):
        for name, values in expected.items():
            assert row[name] == float(values[label - 1])
            assert row[name] > 0


@pytest.mark.parametrize("corner", [(0, 0, 0), (6, 5, 4), (12, 9, 8)])
def test_the_volumes_border_is_an_edge(corner):
    """A box in a corner of the grid gives what it gives far from any border."""
    tight = np.zeros((20, 16, 14), np.uint8)
    reference = tight.copy()
    x, y, z = corner
    tight[x : x + 8, y : y + 7, z : z + 6] = 1
    reference[x : x + 5, y : y + 6, z : z + 4] = 1
    roomy = [np.pad(one, 4) for one in (tight, reference)]
    assert one_row(tight, reference) == one_row(*roomy)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plates_apart(axis):
    """All of two parallel plates, four voxels apart, are at the same distance."""
    labels, reference = np.zeros(SHAPE, np.int16), np.zeros(SHAPE, np.int16)
    for one, at in ((labels, 9), (reference, 13)):
        plate = [slice(2, 11), slice(3, 14), slice(4, 12)]
        plate[axis] = at
        one[tuple(plate)] = 1
    row = one_row(labels, reference)
    assert row["dice"] == 0
    assert row["found"] == "both"
    assert row["assd_mm"] == pytest.approx(4 * VOXEL_MM[axis], rel=1e-6)
    assert row["hd95_mm"] == pytest.approx(4 * VOXEL_MM[axis], rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_rods(axis):
    """Rods of n voxels, shifted by k along themselves: distances are 0, n - k times, and 1 to k voxels."""
    n, k, step = 12, 3, VOXEL_MM[axis]
    labels, reference = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    for one, start in ((labels, 2), (reference, 2 + k)):
        rod = [5, 6, 7]
        rod[axis] = slice(start, start + n)
        one[tuple(rod)] = 1
    row = one_row(labels, reference)
    assert row["dice"] == pytest.approx((n - k) / n)
    assert row["assd_mm"] == pytest.approx(step * k * (k + 1) / (2 * n), rel=1e-6)
    assert row["hd95_mm"] == pytest.approx(np.quantile([0] * (n - k) + [step, 2 * step, 3 * step], 0.95), rel=1e-6)


def test_shifted_boxes_against_all_pairs_of_surface_voxels():
    labels, reference = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    labels[4:15, 3:11, 5:12] = 1
    reference[6:17, 3:12, 4:12] = 1

    def surface_mm(one: np.ndarray) -> np.ndarray:
        padded = np.pad(one, 1)
        inside = np.ones_like(one, bool)
        for axis in range(3):
            for step in (-1, 1):
                inside &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] == 1
        return np.argwhere((one == 1) & ~inside) * VOXEL_MM

    apart = cdist(surface_mm(labels), surface_mm(reference))
    there, back = apart.min(axis=1), apart.min(axis=0)
    row = one_row(labels, reference)
    assert row["dice"] == pytest.approx(2 * (9 * 8 * 7) / (11 * 8 * 7 + 11 * 9 * 8))
    assert row["assd_mm"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    assert row["hd95_mm"] == pytest.approx(max(np.quantile(there, 0.95), np.quantile(back, 0.95)), rel=1e-5)


def test_volumes_in_millilitres():
    labels, reference = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    labels[:10, :20, :5] = 300
    reference[:4, :5, :6] = 300
    (row,) = overlap_rows(labels, reference, {300: "organ"}, VOXEL_MM)
    assert row["volume_ml"] == pytest.approx(1000 * 0.7 * 1.9 * 3.1 / 1000)
    assert row["reference_volume_ml"] == pytest.approx(120 * 0.7 * 1.9 * 3.1 / 1000)


def test_what_is_missing():
    labels, reference = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:4, 3:6] = 1
    reference[1:4, 2:4, 3:6] = 1
    labels[10:12, 10:12, 10:12] = 2
    reference[20:24, 10:12, 10:12] = 3
    names = {1: "both", 2: "invented", 3: "lost", 4: "none"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = {row["structure"]: row for row in overlap_rows(labels, reference, names, VOXEL_MM)}
    assert {name: row["found"] for name, row in rows.items()} == {
        "both": "both",
        "invented": "reconstruction only",
        "lost": "reference only",
        "none": "neither",
    }
    assert {name: row["dice"] for name, row in rows.items()} == {"both": 1, "invented": 0, "lost": 0, "none": None}
    for name in ("assd_mm", "hd95_mm"):
        assert [row[name] for row in rows.values()] == [0, None, None, None]
    assert rows["lost"]["volume_ml"] == rows["invented"]["reference_volume_ml"] == 0
    assert rows["lost"]["reference_volume_ml"] == 2 * rows["invented"]["volume_ml"] > 0
    assert rows["none"]["volume_ml"] == rows["none"]["reference_volume_ml"] == 0


def test_labels_that_are_not_asked_for_do_not_count():
    labels = blobs(0)
    only = np.where(labels == 2, 2, 0).astype(np.uint8)
    assert overlap_rows(labels, labels, {2: "b"}, VOXEL_MM) == overlap_rows(only, only, {2: "b"}, VOXEL_MM)


def test_refusals():
    good = np.zeros(SHAPE, np.uint8)
    for labels, reference, voxel_mm, told in (
        (good.astype(np.float32), good, VOXEL_MM, "^label map: is float32"),
        (good, good[0], VOXEL_MM, "^reference label map: .* three axes"),
        (good[1:], good, VOXEL_MM, r"^label map: has shape \(33, 27, 21\) where its reference has \(34, 27, 21\)"),
        (good, good, (1.0, 0.0, 1.0), "^voxel_mm"),
        (good, good, (1.0, 2.0), "^voxel_mm"),
    ):
        with pytest.raises(InputError, match=told):
            overlap_rows(labels, reference, {1: "organ"}, voxel_mm)
    with pytest.raises(InputError, match=r"^structures: name the label 0"):
        overlap_rows(good, good, {0: "background"}, VOXEL_MM)
