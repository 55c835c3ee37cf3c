from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bundle.metrics import psnr, quality, ssim_3d, ssim_slices


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    truth = rng.rand(12, 14, 16).astype(np.float32)
    return truth + 0.1 * rng.randn(12, 14, 16).astype(np.float32), truth


def test_agrees_with_scikit_image(pair):
    prediction, truth = pair
    assert psnr(prediction, truth, 1.0) == pytest.approx(peak_signal_noise_ratio(truth, prediction, data_range=1.0))
    assert ssim_3d(prediction, truth, 1.0) == pytest.approx(structural_similarity(truth, prediction, data_range=1.0))


def test_known_psnr():
    truth = np.zeros((8, 8, 8))
    assert psnr(truth + 0.1, truth, 1.0) == pytest.approx(20.0)
    assert psnr(truth + 0.1, truth, 2.0) == pytest.approx(20 + 20 * np.log10(2))
    assert psnr(truth, truth, 1.0) == float("inf")


def test_slices_are_averaged_over_all_three_axes(pair):
    """A defect in one axial slice weighs differently in each axis' mean; all three count."""
    _, truth = pair
    prediction = truth.copy()
    prediction[:, :, 5] = 0
    per_axis = [
        np.mean(
            [
                structural_similarity(np.take(truth, i, a), np.take(prediction, i, a), data_range=1.0)
                for i in range(truth.shape[a])
            ]
        )
        for a in range(3)
    ]
    assert ssim_slices(prediction, truth, 1.0) == pytest.approx(np.mean(per_axis))
    assert len({round(float(v), 6) for v in per_axis}) == 3


def test_data_range_matters(pair):
    prediction, truth = pair
    assert ssim_3d(prediction, truth, 4.0) > ssim_3d(prediction, truth, 1.0)


def test_volumes_thinner_than_the_windows_have_no_ssim(pair):
    thin = quality(pair[0][..., :6], pair[1][..., :6])
    assert thin["ssim_3d"] is thin["ssim_slices"] is None
    assert thin["psnr_db"] == psnr(pair[0][..., :6], pair[1][..., :6], 1.0)


def test_all_figures(pair):
    assert set(quality(*pair)) == {"psnr_db", "ssim_3d", "ssim_slices", "vif"}
    with pytest.raises(ValueError, match="differ in shape"):
        quality(pair[0][1:], pair[1])
