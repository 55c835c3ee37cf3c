from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from bundle.metrics import quality, visual_information_fidelity


@pytest.fixture
def truth() -> np.ndarray:
    """[43, 52, 6] smooth texture in [0, 1]; only axial slices are large enough."""
    noise = gaussian_filter(np.random.RandomState(0).rand(43, 52, 6), (1.5, 2.5, 0.5))
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.fixture
def noisy(truth) -> np.ndarray:
    return gaussian_filter(truth, (1, 1, 0)) + 0.01 * np.random.RandomState(1).randn(*truth.shape).astype(np.float32)


def information_shares(prediction: np.ndarray, truth: np.ndarray) -> float:
    """VIF of one slice in grey levels, written down again in double precision."""
    reached, possible = 0.0, 0.0
    for scale in range(4):
        width = 2 ** (4 - scale) + 1
        offsets = np.arange(width) - width // 2
        window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (width / 5) ** 2))
        window /= window.sum()
        if scale:
            truth, prediction = (convolve2d(one, window, "valid")[::2, ::2] for one in (truth, prediction))

        def mean(one: np.ndarray, window: np.ndarray = window) -> np.ndarray:
            return convolve2d(one, window, "valid")

        variance = mean(truth**2) - mean(truth) ** 2
        covariance = mean(truth * prediction) - mean(truth) * mean(prediction)
        gain = np.maximum(covariance / variance, 0)
        rest = mean(prediction**2) - mean(prediction) ** 2 - gain * covariance
        reached += np.log(1 + gain**2 * variance / (rest + 2)).sum()
        possible += np.log(1 + variance / 2).sum()
    return reached / possible


def test_agrees_with_the_definition(truth, noisy):
    """Grey levels of 0 to 255, a noise variance of 2, axial slices; and no slice is lost between chunks."""
    pairs = zip(*(np.moveaxis(255.0 * one.astype(np.float64), 2, 0) for one in (noisy, truth)))
    expected = np.mean([information_shares(*pair) for pair in pairs])
    assert 0.2 < expected < 0.8
    assert visual_information_fidelity(noisy, truth, 1.0) == pytest.approx(expected, rel=2e-3)


def test_best_and_better_than_the_truth(truth):
    assert visual_information_fidelity(truth, truth, 1.0) == pytest.approx(1.0, abs=1e-4)
    assert visual_information_fidelity(1.3 * truth, truth, 1.0) > 1.02


def test_scale_is_that_of_the_data_range(truth, noisy):
    value = visual_information_fidelity(noisy, truth, 1.0)
    assert visual_information_fidelity(2000 * noisy, 2000 * truth, 2000.0) == pytest.approx(value, rel=1e-4)
    assert visual_information_fidelity(noisy, truth, 4.0) != pytest.approx(value, rel=1e-2)


def test_constant_slices_are_left_out(truth, noisy):
    value = visual_information_fidelity(noisy, truth, 1.0)
    flat = np.full((43, 52, 2), 0.4, np.float32)
    assert visual_information_fidelity(
        np.concatenate([noisy[:, :, :3], flat + 0.1, noisy[:, :, 3:]], axis=2),
        np.concatenate([truth[:, :, :3], flat, truth[:, :, 3:]], axis=2),
        1.0,
    ) == pytest.approx(value, rel=1e-6)
    assert visual_information_fidelity(noisy, np.full_like(noisy, 0.4), 1.0) is None


def test_slices_with_less_than_the_viewers_noise_are_left_out(truth, noisy):
    """What resampling leaves of a margin must not decide the figure."""
    faint = np.zeros((43, 52, 2), np.float32)
    faint[3, 4] = 1e-5
    value = visual_information_fidelity(noisy, truth, 1.0)
    pair = (np.concatenate([faint + margin, one], axis=2) for one, margin in ((noisy, 1e-6), (truth, 0.0)))
    assert visual_information_fidelity(*pair, 1.0) == pytest.approx(value, rel=1e-6)


def test_small_contrast_on_a_bright_ground_keeps_its_digits():
    dip = np.full((64, 64, 2), 0.5)
    dip[20:40, 20:40] -= 0.05
    found = visual_information_fidelity((0.9 * dip).astype(np.float32), dip.astype(np.float32), 1.0)
    slices = (255.0 * np.float32(one[:, :, 0]).astype(np.float64) for one in (0.9 * dip, dip))
    assert found == pytest.approx(information_shares(*(one - one.mean() for one in slices)), rel=1e-3)


def test_slices_that_are_too_small_have_none(truth, noisy):
    assert visual_information_fidelity(noisy[:41], truth[:41], 1.0) is not None
    assert visual_information_fidelity(noisy[:40], truth[:40], 1.0) is None
    assert visual_information_fidelity(noisy[:, :40], truth[:, :40], 1.0) is None


def test_it_is_among_the_figures_of_quality(truth, noisy):
    volume, target = (np.repeat(one, 2, axis=2) for one in (noisy, truth))  # SSIM wants 7 slices
    assert quality(volume, target)["vif"] == visual_information_fidelity(volume, target, 1.0)
    assert quality(volume[:30], target[:30])["vif"] is None
