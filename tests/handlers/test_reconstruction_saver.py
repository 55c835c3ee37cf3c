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


def test_one_of_output_and_folder(scan):
    with pytest.raises(ValueError, match="either"):
        ReconstructionSaver(scan)
    with pytest.raises(ValueError, match="either"):
        ReconstructionSaver(scan, VolumeOutput("a.nii.gz"), "b")
