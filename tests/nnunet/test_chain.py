"""nnU-Net's own programs and the segmenter agree, and labels come out in the frame that they went in."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from bundle.nnunet.segmenter import NNUNetSegmenter
from tests.datasets.formats import reoriented
from tests.nnunet.toy import AFFINE_RAS, TRAINERS


@pytest.fixture(autouse=True)
def _external_trainers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(TRAINERS))


def values(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def moved_bone(labels: np.ndarray) -> np.ndarray:
    """What the drifting model finds in a volume that runs left, back and head: a voxel to the right and back."""
    return np.roll(labels == 1, (-1, 1, 0), axis=(0, 1, 2)).astype(np.uint8)


def test_training_used_the_prepared_split(trained):
    log = next((trained.model / "fold_0").glob("training_log_*.txt")).read_text()
    assert "This split has 2 training and 1 validation cases" in log
    assert [path.name for path in (trained.model / "fold_0" / "validation").glob("*.nii.gz")] == ["three.nii.gz"]
    assert json.loads((trained.model / "dataset.json").read_text())["orientation"] == "LPS"


def test_segmenter_gives_the_labels_of_nnunets_own_program(trained, tmp_path):
    trained.run(
        *("nnUNetv2_predict", "-i", trained.raw / "imagesTs", "-o", tmp_path, "-d", 517, "-c", "3d_fullres", "-f", 0),
        *("-tr", "ShortTrainer", "-npp", 1, "-nps", 1, "-device", "cpu"),
    )
    segmenter = NNUNetSegmenter(str(trained.model), device="cpu")
    for name in ("four", "five"):
        image = nib.load(trained.raw / "imagesTs" / f"{name}_0000.nii.gz")
        labels = segmenter(image.get_fdata(dtype=np.float32), image.affine)
        expected = values(tmp_path / f"{name}.nii.gz")
        assert len(np.unique(expected)) > 1  # else any frame would do
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, expected)


def test_labels_of_nnunets_own_program_lie_where_the_structure_does(trained, drifting_model, tmp_path):
    trained.run(
        *("nnUNetv2_predict_from_modelfolder", "-i", trained.raw / "imagesTs", "-o", tmp_path, "-m", drifting_model),
        *("-f", 0, "--disable_tta", "-npp", 1, "-nps", 1, "-device", "cpu"),
    )
    for name in ("four", "five"):
        truth = nib.load(trained.raw / "labelsTs" / f"{name}.nii.gz")
        np.testing.assert_array_equal(values(tmp_path / f"{name}.nii.gz"), moved_bone(np.asarray(truth.dataobj)))
        np.testing.assert_allclose(nib.load(tmp_path / f"{name}.nii.gz").affine, AFFINE_RAS, atol=1e-4)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SRA", "PIL"])
def test_segmenter_finds_the_structure_however_the_volume_runs(trained, drifting_model, axcodes):
    segmenter = NNUNetSegmenter(str(drifting_model), device="cpu", mirroring=False)
    image, truth = (trained.raw / name for name in ("imagesTs/five_0000.nii.gz", "labelsTs/five.nii.gz"))
    hu, affine = reoriented(values(image).astype(np.float32), AFFINE_RAS, axcodes)
    expected, _ = reoriented(moved_bone(values(truth)), AFFINE_RAS, axcodes)
    before = hu.copy()
    np.testing.assert_array_equal(segmenter(hu, affine), expected)
    np.testing.assert_array_equal(hu, before)


def test_orientation_decides_what_the_network_sees(trained, drifting_model, tmp_path):
    """A model of right-to-left images drifts the other way: the test above can fail."""
    dataset = json.loads((drifting_model / "dataset.json").read_text())
    other = tmp_path / "model"
    other.mkdir()
    (other / "fold_0").symlink_to(drifting_model / "fold_0")
    (other / "plans.json").symlink_to(drifting_model / "plans.json")
    del dataset["orientation"]
    (other / "dataset.json").write_text(json.dumps(dataset))
    segmenter = NNUNetSegmenter(str(other), orientation="ras", device="cpu", mirroring=False)
    hu = values(trained.raw / "imagesTs" / "five_0000.nii.gz").astype(np.float32)
    bone = values(trained.raw / "labelsTs" / "five.nii.gz") == 1
    np.testing.assert_array_equal(segmenter(hu, AFFINE_RAS), np.roll(bone, (1, -1, 0), axis=(0, 1, 2)))
