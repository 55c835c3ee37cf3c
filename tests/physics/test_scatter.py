from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.errors import InputError
from bundle.phantoms import Ellipsoid, line_integrals
from bundle.physics.scatter import SHADOW_ATTENUATION, SmoothScatter

PIXEL_MM = (14.0, 12.0)


@pytest.fixture
def attenuation(scan) -> torch.Tensor:
    """[1, view, v, u] exact p of an off-centre ellipsoid of water with air around it."""
    ellipsoid = Ellipsoid((15.0, -9.0, 7.0), (50.0, 40.0, 30.0), 0.0206)
    return torch.from_numpy(line_integrals([ellipsoid], scan.geometry([0.2, 1.1, 2.5])))[None]


def test_none_leaves_projections_as_they_are(attenuation):
    assert SmoothScatter(0.0, 30.0)(attenuation, PIXEL_MM) is attenuation


@pytest.mark.parametrize("ratio", [0.1, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ratio_in_the_shadow(attenuation, ratio, dtype):
    p = attenuation.to(dtype)
    measured = SmoothScatter(ratio, 30.0)(p, PIXEL_MM)
    assert measured.dtype == dtype
    added = torch.exp(-measured) - torch.exp(-p)
    in_shadow = (added * torch.exp(p))[p > SHADOW_ATTENUATION]
    assert float(in_shadow.median()) == pytest.approx(ratio, rel=1e-4)
    assert float(in_shadow.mean()) == pytest.approx(ratio, rel=0.25)


def test_metal_does_not_set_the_ratio(attenuation):
    """Two opaque pixels leave the scatter of all others much as it was."""
    metal = attenuation.clone()
    metal[..., 11:12, 16:18] = 60.0
    scatter = SmoothScatter(0.5, 30.0)
    before, after = (scatter.intensity(p, PIXEL_MM) for p in (attenuation, metal))
    torch.testing.assert_close(after, before, rtol=0.3, atol=0)


def test_scatter_only_adds(attenuation):
    scatter = SmoothScatter(0.5, 30.0)
    assert float(scatter.intensity(attenuation, PIXEL_MM).min()) >= 0
    assert bool((scatter(attenuation, PIXEL_MM) <= attenuation).all())


def test_each_item_and_no_view_has_its_own_amplitude(attenuation):
    """Items of a batch do not touch one another; a view through more of the object gets more scatter."""
    scatter = SmoothScatter(0.5, 30.0)
    together = scatter(torch.cat([attenuation, 2.0 * attenuation]), PIXEL_MM)
    torch.testing.assert_close(together[1:], scatter(2.0 * attenuation, PIXEL_MM))
    views = torch.cat([0.5 * attenuation[:, :1], attenuation[:, :1]], dim=1)
    ratios = scatter.intensity(views, PIXEL_MM)[0] / torch.exp(-views[0])
    thin, thick = (float(ratio[attenuation[0, 0] > 0.5].mean()) for ratio in ratios)
    assert thick > 1.5 * thin


def test_blur_agrees_with_scipy(attenuation):
    """The same shape as scipy's Gaussian filter with nothing beyond the edge, on unequal pixels."""
    width_mm = 26.0
    source = (attenuation * torch.exp(-attenuation)).numpy()[0]
    expected = np.stack(
        [
            gaussian_filter(view, (width_mm / PIXEL_MM[0], width_mm / PIXEL_MM[1]), mode="constant", truncate=12.0)
            for view in source
        ]
    )
    scatter = SmoothScatter(0.5, width_mm).intensity(attenuation, PIXEL_MM).numpy()[0]
    np.testing.assert_allclose(scatter / scatter.max(), expected / expected.max(), atol=1e-3)


def test_scatter_is_smooth():
    """A noisy, fine-structured source leaves nothing above the frequencies that a Gaussian lets through."""
    width_mm, pixel_mm = 20.0, (2.0, 2.5)
    p = torch.zeros(1, 1, 160, 144, dtype=torch.float64)
    p[..., 60:100, 57:87] = 0.2 + 3 * torch.rand(40, 30, dtype=torch.float64)
    scatter = SmoothScatter(1.0, width_mm).intensity(p, pixel_mm)[0, 0]
    power = torch.fft.fft2(scatter).abs() ** 2
    frequency_v = torch.fft.fftfreq(160, pixel_mm[0]).abs()[:, None]
    frequency_u = torch.fft.fftfreq(144, pixel_mm[1]).abs()[None]
    cut = 3.0 / (2 * math.pi * width_mm)  # three standard deviations of the Gaussian's transform
    assert float(power[(frequency_v > cut) | (frequency_u > cut)].sum() / power.sum()) < 1e-4
    source_power = torch.fft.fft2(p[0, 0] * torch.exp(-p[0, 0])).abs() ** 2
    assert float(source_power[(frequency_v > cut) | (frequency_u > cut)].sum() / source_power.sum()) > 0.1


def test_air_does_not_scatter():
    air = torch.zeros(1, 2, 6, 5)
    assert torch.equal(SmoothScatter(0.5, 30.0)(air, PIXEL_MM), air)
    with_object = torch.cat([air[None], torch.full_like(air, 1.5)[None]])
    measured = SmoothScatter(0.5, 30.0)(with_object, PIXEL_MM)
    assert torch.equal(measured[0], air[None][0])
    assert bool((measured[1] < 1.5).all())


def test_metal_is_filled_by_scatter():
    """Behind an opaque object only scatter is seen, even where exp(-p) is zero in single precision."""
    p = torch.full((1, 1, 12, 10), 2.0)
    p[..., 5:7, 4:6] = 300.0
    scatter = SmoothScatter(0.5, 40.0)
    measured = scatter(p, PIXEL_MM)
    seen = scatter.intensity(p, PIXEL_MM)[..., 5:7, 4:6]
    torch.testing.assert_close(measured[..., 5:7, 4:6], -torch.log(seen))
    assert torch.isfinite(measured).all()
    only_metal = torch.full((1, 1, 12, 10), 300.0)
    assert torch.equal(scatter(only_metal, PIXEL_MM), only_metal)


@pytest.mark.parametrize("arguments", [(-0.1, 30.0), (math.nan, 30.0), (0.5, 0.0), (0.5, math.inf)])
def test_impossible_scatter_is_refused(arguments):
    with pytest.raises(InputError, match="scatter"):
        SmoothScatter(*arguments)
