from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bundle.errors import InputError
from bundle.scanners.bad_pixels import find_bad_pixels, pixels_without_counts
from bundle.scanners.counts import counts_to_attenuation, elekta_counts

VIEWS, V, U = 4, 30, 44


@pytest.fixture
def attenuation() -> np.ndarray:
    """[view, v, u] line integrals of a lopsided body, with air in at least eight columns at the left."""
    u = np.linspace(-1.4, 1.2, U)
    body = 4.0 * np.sqrt(np.clip(1 - u**2, 0, None)) * np.linspace(0.4, 1.0, V)[:, None]
    return body * np.array([1.0, 0.8, 0.6, 0.9])[:, None, None]


@pytest.fixture
def flat() -> np.ndarray:
    """[v, u] open field with a heel towards one side and pixels of different gain."""
    gain = np.random.default_rng(3).uniform(0.9, 1.1, (V, U))
    return 40000.0 * gain * np.linspace(0.7, 1.0, V)[:, None] * np.linspace(1.0, 0.8, U)


@pytest.fixture
def dark() -> np.ndarray:
    return np.random.default_rng(4).uniform(200.0, 900.0, (V, U))


def test_number_closed_form():
    """A quarter of the photons is ln 4, an e-th is 1."""
    counts = np.full((1, 2, 3), 1000.0)
    counts[0, 0] = (250.0, 1000.0 / np.e, 500.0)
    p = counts_to_attenuation(counts, i0=1000.0)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p[0], [[np.log(4), 1, np.log(2)], [0, 0, 0]], atol=1e-6)


def test_dark_is_part_of_i0_and_of_the_counts():
    p = counts_to_attenuation(np.full((1, 2, 3), 300.0), i0=500.0, dark=100.0)
    np.testing.assert_allclose(p, np.log(2), atol=1e-6)


def test_i0_per_view(attenuation):
    i0 = np.array([20000.0, 30000.0, 40000.0, 50000.0])
    counts = i0[:, None, None] * np.exp(-attenuation)
    np.testing.assert_allclose(counts_to_attenuation(counts, i0=i0), attenuation, atol=1e-5)


def test_flat_and_dark(attenuation, flat, dark):
    counts = dark + (flat - dark) * np.exp(-attenuation)
    np.testing.assert_allclose(counts_to_attenuation(counts, flat=flat, dark=dark), attenuation, atol=1e-5)


def test_air_region_alone(attenuation):
    output = np.array([1.0, 0.5, 2.0, 1.5])
    counts = 10000 * output[:, None, None] * np.exp(-attenuation)
    p = counts_to_attenuation(counts, air_region=(3, 25, 0, 5))
    np.testing.assert_allclose(p, attenuation, atol=1e-5)


def test_air_region_follows_the_tube(attenuation, flat, dark):
    """The open field gives each pixel's gain, the air beside the object each view's exposure."""
    output = np.array([1.0, 0.5, 1.2, 0.9])
    counts = dark + output[:, None, None] * (flat - dark) * np.exp(-attenuation)
    p = counts_to_attenuation(counts, flat=flat, dark=dark, air_region=(3, 25, 0, 5))
    np.testing.assert_allclose(p, attenuation, atol=1e-5)
    unscaled = counts_to_attenuation(counts[1:2], flat=flat, dark=dark)
    np.testing.assert_allclose(unscaled, attenuation[1:2] + np.log(2), atol=1e-5)


def test_air_region_is_half_open_and_in_v_u_order():
    counts = np.full((1, 6, 9), 100.0)
    counts[0, 1:3, 4:8] = 1000.0
    np.testing.assert_allclose(counts_to_attenuation(counts, air_region=(1, 3, 4, 8))[0, 0], np.log(10), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trip(data):
    """Counts made from any line integrals, gains and dark counts give the line integrals back."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    level = 10.0 ** data.draw(st.floats(4, 7))
    p = rng.uniform(0, np.log(level / 20), shape)
    p[:, 0, 0] = 0
    dark = rng.uniform(0, data.draw(st.floats(0, 5000)), shape[1:])
    way = data.draw(st.sampled_from(["i0", "views", "flat", "air", "both"]))
    field = level * (1 if way in ("i0", "views", "air") else rng.uniform(0.5, 1, shape[1:])) + dark * np.ones(shape[1:])
    output = rng.uniform(0.5, 2, shape[0]) if way in ("air", "both") else np.ones(shape[0])
    options = {
        "i0": {"i0": level},
        "views": {"i0": np.full(shape[0], level)},
        "flat": {"flat": field},
        "air": {"air_region": (0, 1, 0, 1)},
        "both": {"flat": field, "air_region": (0, 1, 0, 1)},
    }[way]
    if way in ("i0", "views"):  # the number holds one dark level for all
        dark = np.zeros(shape[1:])
        field = np.full(shape[1:], level)
    counts = dark + output[:, None, None] * (field - dark) * np.exp(-p)
    back = counts_to_attenuation(counts, dark=dark, minimum_counts=1e-3, **options)
    np.testing.assert_allclose(back, p, atol=2e-5)


def test_integers_of_16_bits(attenuation, flat):
    counts = np.round(flat * np.exp(-attenuation)).astype(np.uint16)
    p = counts_to_attenuation(counts, flat=np.round(flat).astype(np.uint16), dark=np.uint16(0))
    np.testing.assert_allclose(p, attenuation, atol=2e-3)


def test_counts_at_or_below_dark_are_clipped():
    counts = np.full((1, 10, 10), 1000.0)
    counts[0, 0, :3] = (99, 100, 104)
    p = counts_to_attenuation(counts, i0=1000.0, dark=100.0, minimum_counts=2.0)
    np.testing.assert_allclose(p[0, 0, :3], np.log(900 / np.array([2, 2, 4])), atol=1e-6)


def test_noise_passes(attenuation):
    """Photon noise at 200 counts puts many pixels of air above a transmission of 1.05."""
    counts = np.random.default_rng(0).poisson(200 * np.exp(-attenuation / 2))
    assert (counts > 210).mean() > 0.05
    p = counts_to_attenuation(counts, i0=200.0)
    assert abs((p - attenuation / 2)[:, :, :5].mean()) < 0.02


@pytest.mark.parametrize(
    ("hole", "slope_v", "slope_u"),
    [
        (np.s_[5:9, 10:13], 0.03, 0.02),
        (np.s_[:, 20], 0.0, 0.02),  # nothing tells the slope along a whole line
        (np.s_[12:14, :], 0.03, 0.0),
    ],
    ids=["block", "column", "two rows"],
)
def test_bad_pixels_are_filled_as_planes(hole, slope_v, slope_u):
    v, u = np.mgrid[:V, :U]
    plane = 2.5 + np.array([1, -1])[:, None, None] * (slope_v * v + slope_u * u)
    bad = np.zeros((V, U), bool)
    bad[hole] = True
    counts = 50000.0 * np.exp(-plane)
    counts[:, bad] = np.nan
    p = counts_to_attenuation(counts, i0=50000.0, bad_pixels=bad)
    np.testing.assert_allclose(p, plane, atol=1e-5)


def test_bad_pixels_at_the_border_take_the_nearest(attenuation):
    bad = np.zeros((V, U), bool)
    bad[0, 0] = bad[-1, -1] = True
    counts = 50000.0 * np.exp(-attenuation)
    counts[:, bad] = 0
    p = counts_to_attenuation(counts, i0=50000.0, bad_pixels=bad)
    np.testing.assert_allclose(p[:, 0, 0], (attenuation[:, 0, 1] + attenuation[:, 1, 0]) / 2, atol=1e-5)
    np.testing.assert_allclose(p[:, ~bad], attenuation[:, ~bad], atol=1e-5)


def test_bad_pixels_of_flat_do_not_matter(attenuation, flat):
    bad = np.zeros((V, U), bool)
    bad[3, 2] = True
    field = flat.copy()
    counts = flat * np.exp(-attenuation)
    field[bad] = 0
    p = counts_to_attenuation(counts, flat=field, bad_pixels=bad, air_region=(0, V, 0, 5))
    np.testing.assert_allclose(p, attenuation, atol=1e-5)


def counts_like(attenuation: np.ndarray) -> np.ndarray:
    return 30000 * np.exp(-attenuation)


@pytest.mark.parametrize(
    "options",
    [{}, {"i0": 1e5, "flat": np.ones((V, U))}, {"i0": 1e5, "air_region": (0, 1, 0, 1)}],
    ids=["none", "i0 and flat", "i0 and air"],
)
def test_unattenuated_is_said_once(attenuation, options):
    with pytest.raises(InputError, match=r"i0: is .*Say once what unattenuated means: by i0, by flat, by air_region"):
        counts_to_attenuation(counts_like(attenuation), **options)


def test_negative_counts_are_refused(attenuation):
    counts = counts_like(attenuation)
    counts[2, 3, 4] = -7
    with pytest.raises(InputError, match="scan 5: has negative counts, down to -7"):
        counts_to_attenuation(counts, i0=30000.0, source="scan 5")


def test_dark_of_another_scan_is_refused(attenuation):
    with pytest.raises(InputError, match="dark: is above the counts in"):
        counts_to_attenuation(counts_like(attenuation), i0=30000.0, dark=3000.0)


@pytest.mark.parametrize(
    "options", [{"i0": 20000.0}, {"flat": np.full((V, U), 20000.0)}, {"air_region": (25, 30, 20, 24)}]
)
def test_wrong_exposure_is_refused(attenuation, options):
    problem = r"projections: has a transmission above 1.05 in \d+ pixels, up to (1.5|\d\d).* belong to these views"
    with pytest.raises(InputError, match=problem):
        counts_to_attenuation(counts_like(attenuation), **options)


def test_few_bright_pixels_are_tolerated(attenuation):
    counts = counts_like(attenuation)
    counts[0, 0, :5] = 60000  # 5 of 5280 pixels
    assert counts_to_attenuation(counts, i0=30000.0).min() == pytest.approx(-np.log(2), abs=1e-6)
    counts[0, 0, :6] = 60000
    with pytest.raises(InputError, match="in 6 pixels, up to 2"):
        counts_to_attenuation(counts, i0=30000.0)


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan])
def test_dead_flat_is_refused_unless_marked(attenuation, flat, value):
    flat[3, 4] = value
    counts = counts_like(attenuation)
    with pytest.raises(InputError, match=r"flat: (is not above dark in 1 pixels|has NaN).*[Mm]ark"):
        counts_to_attenuation(counts, flat=flat)
    bad = np.zeros((V, U), bool)
    bad[3, 4] = True
    assert np.isfinite(counts_to_attenuation(counts, flat=flat * 1.5, bad_pixels=bad)).all()


def test_starved_view_is_refused(attenuation):
    counts = counts_like(attenuation)
    counts[2, :, 15:] = 1
    with pytest.raises(InputError, match=r"no more than 1 counts in 66 % of view 2 \(photon starvation\)"):
        counts_to_attenuation(counts, i0=30000.0)


@pytest.mark.parametrize("options", [{"i0": 30000.0}, {"flat": np.full((V, U), 30000.0)}, {"air_region": (0, 9, 0, 5)}])
def test_line_integrals_are_refused(attenuation, options):
    noisy = attenuation + np.random.default_rng(0).normal(0, 0.02, attenuation.shape)
    with pytest.raises(InputError, match=r"reaches only 4\.\d+ and is near zero at the sides: it is log-transformed"):
        counts_to_attenuation(noisy.astype(np.float32), **options)


def test_line_integrals_without_air_are_refused(attenuation):
    """The sides do not give them away, but the scale of i0 does."""
    with pytest.raises(InputError, match=r"nowhere brighter than .* not log-transformed already"):
        counts_to_attenuation(attenuation[:, :, 12:30] + 1.5, i0=30000.0, minimum_counts=0.1)


def test_transmissions_are_welcome(attenuation):
    p = counts_to_attenuation(np.exp(-attenuation), i0=1.0, minimum_counts=1e-6)
    np.testing.assert_allclose(p, attenuation, atol=1e-5)
    with pytest.raises(InputError, match=r"photon starvation.*lower minimum_counts"):
        counts_to_attenuation(np.exp(-attenuation), i0=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flat": np.ones((U, V))}, rf"flat: has the shape \({U}, {V}\). Give an image of the detector's \({V}, {U}\)"),
        ({"flat": np.ones((1, V, U))}, "flat: has the shape .* Give one image as"),
        ({"flat": 5.0}, "flat: has the shape .* or i0 for a number"),
        ({"i0": 30000.0, "dark": np.ones((U, V))}, "dark: has the shape"),
        ({"i0": 30000.0, "dark": np.full((V, U), np.inf)}, "dark: has NaN or infinite"),
        ({"i0": [1e5, 1e5]}, r"i0: has the shape \(2,\) for 4 views"),
        ({"i0": np.nan}, "i0: has the shape"),
        ({"i0": 100.0, "dark": 100.0}, "i0: is 100, not above dark"),
        ({"i0": 30000.0, "bad_pixels": np.zeros((U, V), bool)}, "bad_pixels: is bool of the shape"),
        ({"i0": 30000.0, "bad_pixels": np.zeros((V, U), int)}, "bad_pixels: is int64 .* one truth value per pixel"),
        ({"i0": 30000.0, "bad_pixels": np.ones((V, U), bool)}, "bad_pixels: marks every pixel"),
        ({"air_region": (0, V + 1, 0, 3)}, rf"air_region: is .*; the detector has \({V}, {U}\) pixels"),
        ({"air_region": (3, 3, 0, 3)}, "air_region: is"),
        ({"air_region": (0, 3, 0.5, 3)}, "air_region: is"),
        ({"air_region": (0, 3, 3)}, "air_region: is"),
        ({"i0": 30000.0, "minimum_counts": 0.0}, "minimum_counts: is 0"),
    ],
)
def test_other_refusals(attenuation, options, message):
    with pytest.raises(InputError, match=message):
        counts_to_attenuation(counts_like(attenuation), **options)


def test_air_region_must_have_counts_and_good_pixels(attenuation):
    counts = counts_like(attenuation)
    bad = np.zeros((V, U), bool)
    bad[:3, :3] = True
    with pytest.raises(InputError, match="air_region: has only bad pixels"):
        counts_to_attenuation(counts, air_region=(0, 3, 0, 3), bad_pixels=bad)
    counts[1, :3, :3] = 0
    with pytest.raises(InputError, match="air_region: has no counts in view 1"):
        counts_to_attenuation(counts, air_region=(0, 3, 0, 3))


def test_shape_and_finite_counts(attenuation):
    with pytest.raises(InputError, match=r"projections: has the shape \(30, 44\). Give counts as \(view, v, u\)"):
        counts_to_attenuation(counts_like(attenuation)[0], i0=30000.0)
    counts = counts_like(attenuation)
    counts[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"has NaN or infinite values. Mark those pixels in bad_pixels"):
        counts_to_attenuation(counts, i0=30000.0)


def test_input_is_left_alone(attenuation, flat):
    counts, dark = counts_like(attenuation), np.full((V, U), 5.0)
    bad = np.zeros((V, U), bool)
    bad[4, 5] = True
    kept = [a.copy() for a in (counts, flat, dark, bad)]
    counts_to_attenuation(counts, flat=flat * 1.5, dark=dark, bad_pixels=bad)
    for now, before in zip((counts, flat, dark, bad), kept):
        np.testing.assert_array_equal(now, before)


def test_found_and_filled(attenuation, flat):
    """From a defective panel to line integrals; a linear interpolation of scipy's is the witness."""
    counts = flat * np.exp(-attenuation)
    flat[8, 9:11] = counts[:, 8, 9:11] = 0
    bad = find_bad_pixels(flat)
    assert bad.sum() == 2
    p = counts_to_attenuation(counts, flat=flat, bad_pixels=bad)
    between = ndimage.map_coordinates(np.delete(attenuation[0], 8, axis=0), [[7.5, 7.5], [9, 10]], order=1)
    np.testing.assert_allclose(p[0, 8, 9:11], between, atol=0.1)
    np.testing.assert_allclose(p[0, 8, 9:11], attenuation[0, 8, 9:11], atol=0.1)


def test_elekta_counts():
    stored = np.array([[1, 2, 65534], [0, 65535, 40000]], dtype=np.uint16)
    np.testing.assert_array_equal(elekta_counts(stored), [[65535, 65534, 2], [65535, 65535, 25536]])
    assert elekta_counts(stored).dtype == np.float32
    with pytest.raises(InputError, match="stored: has values from -1 to 5"):
        elekta_counts(np.array([-1.0, 5.0]))


@pytest.mark.parametrize(
    ("dead", "told"),
    [
        (np.s_[:, 8], r"44 pixels without counts in any view \(row 8\)"),
        (np.s_[:, :, 17], r"30 pixels without counts in any view \(column 17\)"),
        (np.s_[:, :15, 22:], "330 pixels"),
    ],
    ids=["row", "column", "quadrant"],
)
def test_dead_pixels_are_told(attenuation, dead, told):
    counts = np.round(counts_like(attenuation))
    counts[dead] = 0
    with pytest.raises(InputError, match=rf"^scan: has {told}.*bad_pixels \"find\".*check_projections"):
        counts_to_attenuation(counts, i0=30000.0, source="scan")
    p = counts_to_attenuation(counts, i0=30000.0, check_projections=False)
    np.testing.assert_allclose(p[dead], np.log(30000))
    bad = pixels_without_counts(counts)
    np.testing.assert_array_equal(bad, (counts == 0).all(axis=0))
    assert bad.sum() == counts[0][dead[1:]].size
    counts_to_attenuation(counts, i0=30000.0, bad_pixels=bad)


def test_single_dead_pixels_and_single_views_are_tolerated(attenuation):
    counts = counts_like(attenuation)
    counts[:, 5, 7] = 0
    counts_to_attenuation(counts, i0=30000.0)
    counts[:, 8] = 0
    assert not pixels_without_counts(counts[:1]).any()
    counts_to_attenuation(counts[:1], i0=30000.0)


@pytest.mark.parametrize("options", [{"i0": 30000.0}, {"flat": np.full((V, U), 30000.0)}])
def test_saturated_air_is_told(attenuation, options):
    counts = np.round(counts_like(attenuation))
    counts_to_attenuation(counts, **options)
    with pytest.raises(InputError, match=r"has 25000 counts, its largest, in \d+ % .*is saturated.*less exposure"):
        counts_to_attenuation(counts.clip(max=25000), **options)
    counts_to_attenuation(counts.clip(max=25000), **options, check_projections=False)


def test_a_full_scale_in_the_air_region_is_told(attenuation):
    counts = np.round(2.3 * counts_like(attenuation)).clip(max=65535)
    with pytest.raises(InputError, match="has 65535 counts, its largest"):
        counts_to_attenuation(counts, air_region=(3, 25, 0, 5))


def test_exchanged_flat_and_dark_are_told(attenuation, flat, dark):
    counts = dark + (flat - dark) * np.exp(-attenuation)
    with pytest.raises(InputError, match=r"flat: is not above dark .* Are flat and dark exchanged"):
        counts_to_attenuation(counts, flat=dark, dark=flat)
