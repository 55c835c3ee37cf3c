from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.scanners.bad_pixels import detector_image, find_bad_pixels, good_pixels, inpainting

pytest.importorskip("scipy", reason="needs scipy")

V, U = 30, 44


def test_finds_bad_pixels():
    """Dead, hot, weak and dark-saturated pixels, a dead column and block, in a noisy open field with a slope."""
    dark = np.random.default_rng(4).uniform(200.0, 900.0, (V, U))
    rng = np.random.default_rng(8)
    field = 20000 * np.linspace(0.5, 1.0, U) * np.linspace(1.0, 0.9, V)[:, None]
    flat = rng.poisson(field) + dark
    expected = np.zeros((V, U), bool)
    for (v, u), value in {(2, 3): 0.0, (9, 20): 60000.0, (17, 30): 0.7 * field[17, 30] + dark[17, 30]}.items():
        flat[v, u], expected[v, u] = value, True
    dark[25, 8], expected[25, 8] = flat[25, 8], True
    flat[:, 36], expected[:, 36] = dark[:, 36], True
    flat[12, 15], expected[12, 15] = np.nan, True
    flat[20:27, 12:19], expected[20:27, 12:19] = 0, True  # wider than its surroundings can tell
    np.testing.assert_array_equal(find_bad_pixels(flat, dark), expected)


def test_gain_is_no_defect():
    flat = np.random.default_rng(1).normal(10000, 300, (V, U))
    assert not find_bad_pixels(flat).any()
    assert not find_bad_pixels(np.full((V, U), 777.0)).any()
    assert not find_bad_pixels(np.linspace(9000, 6000, U) * np.linspace(1.0, 0.7, V)[:, None]).any()
    assert find_bad_pixels(flat, threshold=2.0).mean() == pytest.approx(0.05, abs=0.03)


def test_refusals():
    flat = np.random.default_rng(1).normal(10000, 300, (V, U))
    with pytest.raises(InputError, match=r"flat: has the shape \(2, 30, 44\)"):
        find_bad_pixels(np.stack([flat, flat]))
    with pytest.raises(InputError, match="dark: has the shape"):
        find_bad_pixels(flat, flat.T)
    with pytest.raises(InputError, match="threshold: is 0"):
        find_bad_pixels(flat, threshold=0)
    with pytest.raises(InputError, match="flat: is nowhere above dark"):
        find_bad_pixels(flat, flat)


def test_marks_are_turned_into_good_pixels():
    bad = np.zeros((V, U), bool)
    bad[3, 4] = True
    np.testing.assert_array_equal(good_pixels(bad, (V, U)), ~bad)
    assert good_pixels(None, (V, U)).all()


def test_a_plane_fills_its_gaps_exactly():
    plane = 3.0 + 0.25 * np.arange(V)[:, None] - 0.5 * np.arange(U)
    bad = np.zeros((V, U), bool)
    bad[5:9, 10:17] = bad[20, 30] = True
    image = np.where(bad, 1e6, plane)
    inpainting(bad)(image)
    np.testing.assert_allclose(image, plane, atol=1e-9)


def test_number_or_image():
    image = detector_image("dark", 3, (2, 5), np.ones((2, 5), bool))
    np.testing.assert_array_equal(image, np.full((2, 5), 3.0))
    with pytest.raises(InputError, match=r"dark: has NaN or infinite values. Mark those pixels"):
        detector_image("dark", np.full((2, 5), np.nan), (2, 5), np.ones((2, 5), bool))
