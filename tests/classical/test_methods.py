"""The methods by name, and this package's against the Reconstruction Toolkit's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.classical import METHODS, make_method
from bundle.errors import InputError
from bundle.geometry import circular
from bundle.projector import ConeBeamProjector
from tests.classical.scans import SCANS, TURN, error, exact, orbit

SPARSE = np.arange(9) * 2 * np.pi / 9


def needs_rtk() -> None:
    itk = pytest.importorskip("itk", reason="needs itk-rtk")
    if not hasattr(itk, "RTK"):
        pytest.skip("needs itk-rtk")


@pytest.mark.parametrize("name", SCANS)
def test_fdk_agrees_with_rtk(name):
    """Same weights, same filter, same back-projection: the difference is far below the error of either."""
    needs_rtk()
    geometry = SCANS[name]()
    volume, projections = exact(geometry)
    ours, theirs = (make_method("fdk", engine)(projections, geometry) for engine in ("own", "rtk"))
    inner = (slice(None),) * 2 + (slice(4, -4),) * 3
    assert error(ours[inner], theirs[inner]) < 0.25 * error(theirs[inner], volume[inner])
    assert abs(error(ours, volume) / error(theirs, volume) - 1) < 0.05


def test_windowed_fdk_agrees_with_rtk():
    needs_rtk()
    geometry = orbit(TURN)
    volume, projections = exact(geometry)
    ours, theirs = (make_method("fdk", e, hann_cut=0.7)(projections, geometry) for e in ("own", "rtk"))
    assert error(ours, theirs) < 0.1 * error(theirs, volume)


@pytest.mark.parametrize(("name", "tolerance"), [("sart", 0.35), ("cgls", 0.15), ("tv", 1.5)])
def test_iterative_methods_agree_with_rtk(name, tolerance):
    """RTK's SART is normalised by another rule, and its total variation weighted by another, so they come near."""
    needs_rtk()
    geometry = orbit(SPARSE)
    volume, projections = exact(geometry)
    options = {"tv": {"iterations": 60}, "sart": {"iterations": 10}}.get(name, {})
    ours = make_method(name, "own", **options)(projections, geometry)
    theirs = make_method(name, "rtk")(projections, geometry)
    for found in (ours, theirs):
        assert error(found, volume) < 0.06
        for axis in (2, 3, 4):
            assert error(found.flip(axis), volume) > 1.1 * error(found, volume)
    assert error(ours, theirs) < tolerance * error(torch.zeros_like(volume), volume) / 4


def test_rtk_total_variation_finds_its_projections_a_second_time():
    """It asks for them again after filters that work in place have consumed them, in this scan for one."""
    needs_rtk()
    geometry = circular(SPARSE, 800, 1200, (40, 48), (14.0, 14.0), (32, 32, 32), (12.8, 12.8, 12.8))
    projections = ConeBeamProjector(geometry)(torch.ones(1, 1, *geometry.volume_shape))
    volume = make_method("tv", "rtk", iterations=2, cg_iterations=2)(projections, geometry)
    assert abs(float(volume[..., 8:-8, 8:-8, 8:-8].mean()) - 1.0) < 0.3


@pytest.mark.parametrize("name", ["sart", "cgls"])
def test_rtk_starts_from_the_given_volume(name):
    needs_rtk()
    geometry = orbit(SPARSE)
    volume, projections = exact(geometry)
    method = make_method(name, "rtk", iterations=1)
    assert error(method(projections, geometry, volume), volume) < 0.5 * error(method(projections, geometry), volume)


def test_rtk_takes_rows_that_run_downwards():
    needs_rtk()
    geometry = orbit(SPARSE)
    projections = exact(geometry)[1]
    method = make_method("sart", "rtk", iterations=2)
    flipped = method(projections.flip(2), geometry.flip_rows())
    torch.testing.assert_close(flipped, method(projections, geometry), atol=1e-4, rtol=1e-3)


def test_rtk_refuses_short_arcs_for_fdk():
    needs_rtk()
    geometry = orbit(np.arange(10) * np.pi / 10)
    with pytest.raises(InputError, match="needs an arc of"):
        make_method("fdk", "rtk")(torch.zeros(1, 10, 76, 96), geometry)


@pytest.mark.parametrize(
    ("name", "engine", "options", "message"),
    [
        ("art", "own", {}, "method: is 'art'"),
        ("fdk", "tigre", {}, "engine: is 'tigre'"),
        ("fdk", "own", {"iterations": 3}, "has no option iterations. It has hann_cut, extend"),
    ],
)
def test_wrong_names_are_refused(name, engine, options, message):
    with pytest.raises(InputError, match=message):
        make_method(name, engine, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sart", {"iterations": 0}),
        ("sart", {"views_per_subset": 0}),
        ("cgls", {"iterations": 0}),
        ("fdk", {"hann_cut": -3.0}),
        ("tv", {"penalty": 0.0}),
        ("sart", {"iterations": 2.5}),
        ("sart", {"iterations": "many"}),
    ],
)
def test_wrong_options_of_rtk_are_refused(name, options):
    with pytest.raises(InputError):
        make_method(name, "rtk", **options)


def test_every_method_has_both_engines():
    assert {tuple(engines) for engines in METHODS.values()} == {("own", "rtk")}
