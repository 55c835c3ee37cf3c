from __future__ import annotations

import json
import math

import nibabel as nib
import numpy as np
import pytest

from bundle.errors import InputError
from bundle.evaluation.labels import LabelStructures
from bundle.evaluation.reconstruction import Reconstruction
from bundle.evaluation.score import Scorer
from tests.evaluation.volumes import LEFT, RIGHT, VOXEL_ML, BoxLungs, chest, labels, save

WINDOW = (-1000.0, 1000.0)


def size(box) -> int:
    return math.prod(part.stop - part.start for part in box)


@pytest.fixture
def make(tmp_path):
    """Writes a truth, its labels and a reconstruction, and gives the latter."""

    def made(volume: np.ndarray, axcodes: str = "LPS", method: str = "sart") -> Reconstruction:
        truth = save(chest(), tmp_path / "one" / "one_truth.nii.gz")
        marks = save(labels(chest()), tmp_path / "one_labels.nii.gz")
        path = save(volume, tmp_path / "one" / f"one_6views_{method}.nii.gz", axcodes)
        return Reconstruction("one", method, 6, path, truth, marks)

    return made


@pytest.fixture
def scorer(tmp_path):
    return Scorer(BoxLungs(), tmp_path / "out", WINDOW, LabelStructures({"left lung": [2], "right lung": [1]}))


def row(score, reference: str, structure: str) -> dict:
    (found,) = [r for r in score.structures if (r["reference"], r["structure"]) == (reference, structure)]
    return found


def test_a_perfect_reconstruction(make, scorer):
    score = scorer(make(chest()))
    assert len(score.structures) == 4  # two lungs, against the truth's segmentation and the given labels
    for found in score.structures:
        assert (found["found"], found["dice"], found["assd_mm"], found["hd95_mm"]) == ("both", 1.0, 0.0, 0.0)
    for structure, box in (("right lung", RIGHT), ("left lung", LEFT)):
        found = row(score, "labels", structure)
        assert found["volume_ml"] == pytest.approx(size(box) * VOXEL_ML)
        assert found["reference_volume_ml"] == pytest.approx(size(box) * VOXEL_ML)
    assert score.quality["psnr_db"] == math.inf
    assert score.quality["ssim_3d"] == pytest.approx(1)
    assert {"case": "one", "method": "sart", "views": 6, "perturbation": "none"}.items() <= score.quality.items()


@pytest.mark.parametrize("reference", ["segmented", "labels"])
def test_a_shifted_lung(make, scorer, reference):
    """The left lung is two voxels of 6 mm too far back; its right neighbour is not touched."""
    score = scorer(make(chest(shift=2)))
    left, right = (row(score, reference, f"{side} lung") for side in ("left", "right"))
    depth = LEFT[1].stop - LEFT[1].start
    assert left["dice"] == pytest.approx((depth - 2) / depth)
    assert left["hd95_mm"] == pytest.approx(12.0)
    assert 0 < left["assd_mm"] < 12.0
    assert right["dice"] == 1.0


def test_a_lung_that_is_not_found_is_told_and_has_no_distances(make, scorer):
    found = row(scorer(make(chest(left=False))), "segmented", "left lung")
    assert (found["found"], found["dice"], found["assd_mm"], found["hd95_mm"]) == ("reference only", 0.0, None, None)
    assert (found["volume_ml"], found["reference_volume_ml"]) == (0.0, pytest.approx(size(LEFT) * VOXEL_ML))


def test_another_grid_is_refused_or_resampled(make, scorer, tmp_path):
    turned = make(chest(shift=2), "RAS")
    with pytest.raises(InputError, match=r"one_6views_sart.nii.gz: is on another grid than .*one_truth.nii.gz"):
        scorer(turned)
    score = Scorer(BoxLungs(), tmp_path / "again", WINDOW, resample=True)(turned)
    wanted = scorer(make(chest(shift=2), method="same"))
    assert row(score, "segmented", "left lung")["dice"] == row(wanted, "segmented", "left lung")["dice"]
    assert score.quality["psnr_db"] == pytest.approx(wanted.quality["psnr_db"], abs=1e-6)
    # What is drawn lies on the truth's grid.
    truth, drawn = nib.load(turned.truth), nib.load(score.volume)
    np.testing.assert_allclose(drawn.affine, truth.affine)
    np.testing.assert_allclose(drawn.get_fdata(), chest(shift=2), atol=1)


def test_what_is_not_hu_is_refused_by_name(make, scorer):
    one = make(chest())
    image = nib.load(one.volume)
    nib.save(nib.Nifti1Image(((image.get_fdata() + 1000) / 2000).astype(np.float32), image.affine), one.volume)
    with pytest.raises(InputError, match=r"one_6views_sart.nii.gz: .*no air, so these are not HU"):
        scorer(one)


def test_nothing_is_computed_twice(make, scorer, tmp_path):
    first = scorer(make(chest(shift=1)))
    calls = scorer.masks.segmenter.calls
    assert calls == 2
    again = Scorer(scorer.masks.segmenter, tmp_path / "out", WINDOW, scorer.label_structures)
    repeated = again(make(chest(shift=1)))
    assert scorer.masks.segmenter.calls == calls
    assert repeated == first
    # Another volume under the same name is another reconstruction.
    changed = again(make(chest(shift=3)))
    assert scorer.masks.segmenter.calls == calls + 1
    assert changed.structures != first.structures


def test_scores_of_killed_runs_are_made_again(make, scorer, tmp_path):
    first = scorer(make(chest(shift=1)))
    (record,) = (tmp_path / "out" / "scores").rglob("*.json")
    record.unlink()
    (mask,) = list((tmp_path / "out" / "masks" / "none").rglob("*.nii.gz"))
    mask.unlink()
    assert scorer(make(chest(shift=1))) == first


@pytest.mark.parametrize("axcodes", ["PIR", "RSA"])
def test_quality_does_not_depend_on_how_files_are_stored(make, tmp_path, axcodes):
    """VIF is that of axial slices."""
    found = []
    for axes in ("LPS", axcodes):
        truth, volume = (chest(shift).repeat(2, 0).repeat(2, 1).repeat(2, 2) for shift in (0, 1))
        one = make(volume, axes)
        save(truth, one.truth, axes)
        found.append(Scorer(BoxLungs(), tmp_path / axes, WINDOW)(one).quality["vif"])
    assert 0 < found[0] < 1
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_figures_that_were_measured_at_the_reconstruction_are_kept(make, tmp_path):
    """With their provenance, unless they are of another volume, as the figures of the files themselves tell."""
    from dataclasses import replace

    plain = make(chest(shift=1))
    scorer = Scorer(BoxLungs(), tmp_path / "out", WINDOW)
    own = scorer(plain).quality
    row = {"case": "one", "method": "sart", "views": "6", "psnr_db": f"{own['psnr_db'] + 0.01:.5f}", "ssim_3d": "0.75"}
    row |= {"ssim_slices": "0.5", "vif": "", "weights": "abc", "geometry": "def"}
    kept = scorer(replace(plain, quality=row)).quality
    assert kept["psnr_db"] == pytest.approx(own["psnr_db"] + 0.01, abs=1e-4)
    assert (kept["ssim_3d"], kept["ssim_slices"], kept["vif"]) == (0.75, 0.5, None)
    assert (kept["weights"], kept["geometry"], kept["views"]) == ("abc", "def", 6)
    stale = scorer(replace(plain, quality={**row, "psnr_db": "30"})).quality
    assert stale["psnr_db"] == own["psnr_db"]
    assert "weights" not in stale


def test_records_are_plain_json(make, scorer, tmp_path):
    scorer(make(chest()))
    (record,) = (tmp_path / "out" / "scores").rglob("*.json")
    assert json.loads(record.read_text())["quality"]["psnr_db"] == "inf"
