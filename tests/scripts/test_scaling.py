from __future__ import annotations

import pytest

from scripts.benchmarks.scaling import fit, told

CASES = [(8**3, 6), (16**3, 6), (32**3, 6), (16**3, 10), (16**3, 24), (32**3, 24)]


def rows(seconds):
    return [{"voxels": voxels, "views": views, "seconds": seconds(voxels, views)} for voxels, views in CASES]


def test_a_law_is_found_again():
    found = fit(rows(lambda voxels, views: 0.5 + 0.1 * views + 3e-4 * voxels + 2e-5 * voxels * views), "seconds")
    expected = {"constant": 0.5, "per view": 0.1, "per voxel": 3e-4, "per voxel and view": 2e-5}
    assert found["coefficients"] == pytest.approx(expected, rel=1e-6)
    assert found["relative_residuals"] == pytest.approx([0] * len(CASES), abs=1e-9)


def test_residuals_are_told_and_no_coefficient_is_negative():
    measured = rows(lambda voxels, views: 1e-4 * voxels)
    measured[2]["seconds"] *= 1.5
    found = fit(measured, "seconds")
    assert min(found["coefficients"].values()) >= 0
    fitted = [row["seconds"] / (1 + residual) for row, residual in zip(measured, found["relative_residuals"])]
    assert fitted == pytest.approx(found["fitted"])
    worst = max(map(abs, found["relative_residuals"]))
    assert worst > 0.05
    assert f"off by {100 * worst:.0f} % at most" in told("seconds", found)
