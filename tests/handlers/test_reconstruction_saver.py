from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bundle.data.load_projections import grid_affine
from bundle.data.volume_output import VolumeOutput
from bundle.handlers import ReconstructionSaver
from tests.handlers.test_metrics_table import EVALUATE
from tests.workflows import refused, run, small


def test_grid_affine_puts_voxel_centres_into_the_field_of_view():
    unit_to_patient = np.diag([-160.0, -162.0, 160.0, 1.0])
    unit_to_patient[:3, 3] = (80, 81, -80)
    affine = grid_affine(unit_to_patient, (20, 18, 8))
    np.testing.assert_allclose(affine @ [9.5, 8.5, 3.5, 1], [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(np.abs(np.diag(affine)[:3]), [8, 9, 20])


def test_evaluation_writes_truth_and_reconstructions_in_place(tmp_path):
    """The truth overlays the CT that it came from: same HU at the same place in the patient."""
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, view_counts=[3], volume_shape=[64, 64, 64])
    run(EVALUATE, "evaluating", **changes)
    folder = tmp_path / "out" / "chest"
    methods = ["", "_cgls", "_deepsparse+sart", "_fdk", "_sart", "_tv"]
    expected = [f"chest_3views{name}.nii.gz" for name in methods] + ["chest_truth.nii.gz"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(expected)
    truth = nib.load(folder / "chest_truth.nii.gz")
    ct = nib.load("sample_data/chest.nii.gz")
    assert nib.aff2axcodes(truth.affine) == ("L", "P", "S")
    rng = np.random.RandomState(0)
    voxels = rng.randint(20, 44, (300, 3))
    world = nib.affines.apply_affine(truth.affine, voxels)
    nearest = np.rint(nib.affines.apply_affine(np.linalg.inv(ct.affine), world)).astype(int)
    inside = ((nearest >= 0) & (nearest < ct.shape)).all(axis=1)
    ours = truth.get_fdata()[tuple(voxels[inside].T)]
    theirs = ct.get_fdata()[tuple(nearest[inside].T)].clip(-1000, 1024)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    refused_again = refused("exists already")
    with refused_again:
        run(EVALUATE, "evaluating", **changes)


def test_more_views_go_beside_the_earlier_ones(tmp_path):
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, methods={}, refinements={})
    run(EVALUATE, "evaluating", **changes, view_counts=[3])
    truth = tmp_path / "out" / "chest" / "chest_truth.nii.gz"
    written = truth.stat().st_mtime_ns
    run(EVALUATE, "evaluating", **changes, view_counts=[5])
    assert sorted(p.name for p in truth.parent.iterdir()) == [
        "chest_3views.nii.gz",
        "chest_5views.nii.gz",
        "chest_truth.nii.gz",
    ]
    assert truth.stat().st_mtime_ns == written


@pytest.mark.parametrize("difference", ["shape", "place", "value"])
def test_another_truth_is_refused_before_the_reconstruction(tmp_path, difference):
    changes = small(tmp_path, denoise_blocks=0, checkpoint=None, methods={}, refinements={})
    run(EVALUATE, "evaluating", **changes, view_counts=[3])
    truth = tmp_path / "out" / "chest" / "chest_truth.nii.gz"
    there = nib.load(truth)
    values, affine = np.asarray(there.dataobj).copy(), there.affine.copy()
    if difference == "shape":
        values = values[:-1]
    elif difference == "place":
        affine[2, 3] += 1
    else:
        values[3, 4, 5] += 2
    nib.save(nib.Nifti1Image(values, affine), truth)
    table = tmp_path / "out" / "metrics.csv"
    rows = table.read_bytes()
    with refused("chest_truth.nii.gz.*another truth than the chest"):
        run(EVALUATE, "evaluating", **changes, view_counts=[5])
    assert table.read_bytes() == rows
    run(EVALUATE, "evaluating", **changes, view_counts=[5], overwrite=True)
    assert nib.load(truth).shape == (16, 16, 16)


def test_one_of_output_and_folder(scan):
    with pytest.raises(ValueError, match="either"):
        ReconstructionSaver(scan)
    with pytest.raises(ValueError, match="either"):
        ReconstructionSaver(scan, VolumeOutput("a.nii.gz"), "b")
