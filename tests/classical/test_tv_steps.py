"""The compiled steps of total-variation minimisation against the plain ones, and starting from coarser voxels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.classical import TotalVariation
from bundle.classical.pixel_binning import binned
from bundle.classical.tv_steps import move_edges, move_volume
from bundle.data.fine_grid import averaged
from bundle.errors import InputError
from bundle.physics.noise import DetectorNoise
from tests.classical.scans import error, exact, orbit
from tests.triton_compile import assert_kernels_compile

SHAPE = (2, 1, 7, 5, 6)


def edges() -> torch.Tensor:
    """Zero at the far faces, as the minimisation keeps them."""
    made = torch.randn(2, 3, *SHAPE[2:])
    for axis in range(3):
        made[:, axis : axis + 1].narrow(axis + 2, SHAPE[axis + 2] - 1, 1).zero_()
    return made


def test_compiled_steps_equal_the_plain_ones():
    """Double precision is never compiled."""
    field, ahead, volume = edges(), torch.zeros(2, 3, *SHAPE[2:]), torch.rand(SHAPE)
    spread, step, scales = torch.randn(SHAPE), torch.rand(1, *SHAPE[1:]), (0.8, 1.1, 1.3)
    results = []
    for dtype in (torch.float32, torch.float64):
        f, a, v = (tensor.to(dtype).clone() for tensor in (field, ahead, volume))
        move_edges(f, a, v, 0.5, 0.3, scales)
        move_volume(v, spread.to(dtype), a, step.to(dtype), scales)
        results.append((f, v, a))
    for found, expected in zip(*results):
        torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    assert float(results[0][0].square().sum(dim=1).sqrt().max()) == pytest.approx(0.3, rel=1e-5)
    assert float(results[0][1].min()) == 0.0


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1, 9, 700)])
def test_triton_steps_equal_the_plain_ones(shape):
    """In Triton's interpreter where there is no GPU; more voxels than one program has, and an axis of one."""
    pytest.importorskip("triton", reason="needs triton")
    from bundle.classical import tv_triton

    device = "cuda" if torch.cuda.is_available() else "cpu"
    field, volume, spread = torch.randn(shape[0], 3, *shape[2:]), torch.rand(shape), torch.randn(shape)
    for axis in range(3):
        field[:, axis : axis + 1].narrow(axis + 2, shape[axis + 2] - 1, 1).zero_()
    step, scales = torch.rand(1, *shape[1:]), (0.8, 1.1, 1.3)
    expected = [tensor.double() for tensor in (field, torch.zeros_like(field), volume)]
    move_edges(*expected, 0.5, 0.3, scales)
    move_volume(expected[2], spread.double(), expected[1], step.double(), scales)
    found = [tensor.to(device, copy=True) for tensor in (field, torch.zeros_like(field), volume)]
    tv_triton.move_edges(*found, 0.5, 0.3, scales)
    tv_triton.move_volume(found[2], spread.to(device), found[1], step.to(device), scales)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one.cpu().double(), other, atol=1e-6, rtol=1e-5)


def test_triton_kernels_compile_for_gpus(child_env):
    names = ("edges", "ahead", "volume", "spread")
    kinds = dict.fromkeys(names, "*fp32") | dict.fromkeys(("weight", "scale_x", "scale_y", "scale_z"), "fp32")
    for kernel, step in (("move_edges", "fp32"), ("move_volume", "*fp32")):
        kinds["step"] = step
        assert_kernels_compile("bundle.classical.tv_triton_kernels", [kernel], kinds, {"BLOCK": 512}, child_env)


def test_threads_make_no_difference():
    volume = torch.rand(1, 1, 96, 90, 80)
    results = []
    threads = torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        moved = torch.zeros(1, 3, 96, 90, 80)
        move_edges(moved, moved.clone(), volume, 0.5, 0.1)
        results.append(moved)
    torch.set_num_threads(threads)
    assert torch.equal(*results)


VIEWS = np.arange(6) * np.pi / 6


def test_a_coarse_start_saves_fine_steps():
    geometry = orbit(VIEWS).with_volume((56, 48, 40))
    volume, projections = exact(geometry)
    plain = TotalVariation(0.05, 5, ())(projections, geometry)
    started = TotalVariation(0.05, 5, (20,))(projections, geometry)
    assert error(started, volume) < 0.85 * error(plain, volume)
    for axis in (2, 3, 4):
        assert error(started.flip(axis), volume) > 1.2 * error(started, volume)


@pytest.mark.parametrize("shape", [(55, 47, 41), (37, 48, 33)])
def test_odd_numbers_of_voxels_have_a_coarse_start_too(shape):
    geometry = orbit(VIEWS).with_volume(shape)
    volume, projections = exact(geometry)
    found = TotalVariation(0.05, 8, (20,))(projections[:, :, 1:], replace(geometry, detector_shape=(75, 96)))
    assert found.shape == volume.shape
    assert error(found, volume) < 0.6 * error(torch.zeros_like(volume), volume)


def test_a_given_volume_replaces_the_coarse_start():
    geometry = orbit(np.arange(4)).with_volume((34, 32, 36))
    projections = exact(geometry)[1]
    given = torch.rand(1, 1, 34, 32, 36)
    with_it = TotalVariation(0.05, 3, (5,))(projections, geometry, given)
    torch.testing.assert_close(with_it, TotalVariation(0.05, 3, ())(projections, geometry, given))


def test_wrong_numbers_are_refused():
    with pytest.raises(InputError, match=r"\[3, 0\] iterations"):
        TotalVariation(0.05, 3, (0,))
    with pytest.raises(InputError, match="weight of -1 mm"):
        TotalVariation(-1)


def test_the_weight_means_the_same_at_any_detector():
    """Of pixels finer than a voxel's shadow the same is fitted; of coarser ones the misfit is the same integral."""
    finest = orbit(VIEWS).with_pixels((160, 192)).with_volume((28, 25, 25))
    _, projections = exact(finest)
    method = TotalVariation(0.5, 80, ())
    found = method(projections, finest)
    assert binned(projections, finest)[1].detector_shape == (40, 48)
    means = torch.nn.functional.avg_pool2d(projections, 2)
    torch.testing.assert_close(method(means, finest.with_pixels((80, 96))), found, atol=1e-4, rtol=0)
    nothing = torch.zeros_like(found)
    misfit = method.objective(nothing, projections, finest)
    for size in (8, 16):
        coarser = finest.with_pixels((160 // size, 192 // size))
        averages = torch.nn.functional.avg_pool2d(projections, size)
        assert method.objective(nothing, averages, coarser) == pytest.approx(misfit, rel=0.1)


@pytest.mark.parametrize("shape", [(28, 50, 44), (56, 25, 44), (56, 50, 22), (28, 25, 22)])
def test_the_weight_means_the_same_for_any_voxels(shape):
    """Also for anisotropic ones: of a smooth body, the two terms of the objective are the same integrals."""
    geometry = orbit(VIEWS)
    x, y, z = (np.linspace(-1, 1, 2 * n + 1)[1::2] for n in (224, 200, 176))
    body = np.exp(-6 * (x[:, None, None] ** 2 + 0.7 * (y[:, None] - 0.1) ** 2 + 1.3 * (z + 0.2) ** 2))
    body = torch.from_numpy(body).float()[None, None]
    projections = torch.zeros(1, 6, 76, 96)
    values = []
    for voxels in (geometry.volume_shape, shape):
        scan, volume = geometry.with_volume(voxels), averaged(body, voxels)
        misfit = TotalVariation(0.0).objective(volume, projections, scan)
        values.append((misfit, TotalVariation(1.0).objective(volume, projections, scan) - misfit))
    np.testing.assert_allclose(values[1], values[0], rtol=0.05)


def test_the_objective_falls_and_its_change_is_told(caplog):
    geometry = orbit(VIEWS)
    projections = exact(geometry)[1]
    caplog.set_level("INFO", "bundle.classical.total_variation")
    values = []
    for iterations in (5, 20, 80, 160):
        method = TotalVariation(0.2, iterations)
        values.append(method.objective(method(projections, geometry), projections, geometry))
        assert f"total variation of 56 x 50 x 44 voxels: objective {values[-1]:.5g} mm^3" in caplog.messages[-1]
    assert values == sorted(values, reverse=True)
    assert values[2] < 1.05 * values[3]
    told = [
        float(re.search(r", (.*)% from that 5", line)[1]) for line in caplog.messages if "56 x" in line and "%" in line
    ]
    assert told[-1] < 0.5 < told[0]


def test_results_are_the_same_every_time():
    geometry = orbit(VIEWS)
    projections = exact(geometry)[1]
    first, again = (TotalVariation(0.1, 6)(projections, geometry) for _ in range(2))
    assert torch.equal(first, again)


def test_the_chosen_weight_grows_with_the_noise_and_the_voxels():
    geometry = orbit(VIEWS)
    _, projections = exact(geometry)
    plain = TotalVariation().weight_for(geometry)
    side_mm = (6.0 * 6.5 * 7.0) ** (1 / 3)
    assert plain == pytest.approx(0.003 * (side_mm / 3.2) ** 0.7)
    assert TotalVariation(0.5).weight_for(geometry) == 0.5
    assert TotalVariation().weight_for(orbit(np.linspace(0, 3, 50))) == pytest.approx(2.5 * plain)
    assert TotalVariation().weight_for(geometry.with_volume((28, 25, 22))) == pytest.approx(plain * 2**0.7)
    weights = [
        TotalVariation(noise=DetectorNoise(photons)).weight_for(geometry, projections) for photons in (1e8, 1e5, 1e3)
    ]
    assert plain < weights[0] < 1.01 * plain < weights[1] < 0.5 * weights[2]
    finer = TotalVariation(noise=DetectorNoise(2.5e4)).weight_for(
        geometry.with_pixels((152, 192)), projections.repeat_interleave(2, -1).repeat_interleave(2, -2)
    )
    assert finer == pytest.approx(weights[1], rel=0.05)  # four pixels of a quarter of the photons make one
    with pytest.raises(InputError, match="is the range"):
        TotalVariation(noise=DetectorNoise((1e4, 1e5)))


def test_noise_is_met_by_a_larger_weight():
    geometry = orbit(VIEWS)
    volume, projections = exact(geometry)
    noise = DetectorNoise(3e3)
    attenuation = noise(projections * 0.0412, torch.Generator().manual_seed(0))
    noisy = attenuation / 0.0412
    known, unknown = TotalVariation(noise=noise)(noisy, geometry), TotalVariation()(noisy, geometry)
    assert error(known, volume) < error(unknown, volume)
