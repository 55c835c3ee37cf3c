from __future__ import annotations

import math

import pytest
import torch

from bundle.classical.ramp import ramp_filter


def test_sine_waves_are_multiplied_by_their_frequency():
    """Away from the row's ends the filter multiplies frequency f by |f|."""
    pitch = 0.7
    x = torch.arange(2048) * pitch
    for frequency in (0.05, 0.2, 0.5):
        wave = torch.sin(2 * math.pi * frequency * x)
        found = ramp_filter(wave, pitch) / pitch * pitch  # value per mm
        middle = slice(900, 1150)
        torch.testing.assert_close(found[middle], frequency * wave[middle], atol=2e-3, rtol=0.0)


def test_hann_window_halves_at_half_its_cut():
    x = torch.arange(2048.0)
    wave = torch.sin(2 * math.pi * 0.2 * x)
    middle = slice(900, 1150)
    plain, windowed = ramp_filter(wave, 1.0)[middle], ramp_filter(wave, 1.0, hann_cut=0.8)[middle]
    torch.testing.assert_close(windowed, 0.5 * plain, atol=2e-3, rtol=0.0)


def test_rows_are_independent_and_symmetric():
    rows = torch.rand(2, 3, 31)
    found = ramp_filter(rows, 1.0)
    torch.testing.assert_close(found[1, 2], ramp_filter(rows[1, 2], 1.0))
    torch.testing.assert_close(ramp_filter(rows.flip(-1), 1.0), found.flip(-1), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("extend", [0.1, 0.5])
def test_continued_constant_rows_lose_their_rim(extend):
    row = torch.ones(64)
    plain, continued = ramp_filter(row, 1.0), ramp_filter(row, 1.0, extend=extend)
    assert continued.shape == plain.shape
    assert float(continued[0]) < 0.3 * float(plain[0])
