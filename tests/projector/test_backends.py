"""Every backend against the reference, and against the closed form for ellipsoids."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.phantoms import asymmetric_phantom, line_integrals, voxelise
from bundle.presets import load_preset
from bundle.projector import BACKENDS, ConeBeamProjector
from bundle.projector.backends import choose_backend
from tests.conftest import ROOT
from tests.triton_compile import assert_kernels_compile

ANGLES = np.deg2rad([0, 20, 45, 90, 133, 171, 250])
FAST = [name for name in BACKENDS if name != "torch"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def device_for(name: str) -> torch.device:
    """Where the backend's tests run; skips if it cannot."""
    device = torch.device(DEVICE if name == "triton" else "cpu")
    reason = BACKENDS[name].unavailable(device)
    if reason is not None:
        pytest.skip(reason)
    return device


def level(detector=(14, 17), volume=(22, 20, 18)):
    return load_preset("luna16", detector, volume).geometry(ANGLES)


def tilted():
    """A detector turned in its plane and shifted: its columns do not run along z."""
    geometry = level()
    turn = 0.15
    return replace(
        geometry,
        u_axis=np.cos(turn) * geometry.u_axis + np.sin(turn) * geometry.v_axis,
        v_axis=np.cos(turn) * geometry.v_axis - np.sin(turn) * geometry.u_axis,
        detector_centre_mm=geometry.detector_centre_mm + [9.0, -7.0, 31.0],
    )


def steep():
    """A flat, wide cone: the outer rows' rays run mostly along z."""
    return circular(ANGLES, 260, 400, (30, 11), (40.0, 30.0), (12, 14, 9), (20.0, 18.0, 8.0))


def from_above():
    """A source on the z axis."""
    geometry, order = level(), [2, 0, 1]
    vectors = {n: getattr(geometry, n)[:, order] for n in ("source_mm", "detector_centre_mm", "u_axis", "v_axis")}
    return replace(geometry, **vectors, angles_rad=None)


SCANS = {
    "level": level,
    "rows downwards": lambda: level().flip_rows(),
    "virtual detector": lambda: load_preset("toothfairy", (14, 17), (22, 20, 18)).geometry(ANGLES),
    "tilted": tilted,
    "steep": steep,
    "from above": from_above,
}


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.cpu() - expected).norm() / expected.norm())


def padded(*shape: int) -> torch.Tensor:
    """Random values with a margin of zeros: RTK extends the outermost voxels in a way of its own."""
    volume = torch.zeros(shape)
    volume[..., 2:-2, 2:-2, 2:-2] = torch.rand(shape)[..., 2:-2, 2:-2, 2:-2]
    return volume


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("name", FAST)
def test_agrees_with_the_reference(name, scan):
    device, geometry = device_for(name), SCANS[scan]()
    if name == "triton" and device.type == "cpu":
        geometry = geometry.select([0, 2, 6])  # the interpreter is slow
    found, reference = ConeBeamProjector(geometry, name), ConeBeamProjector(geometry, "torch")
    volume = padded(2, 1, *geometry.volume_shape)
    assert difference(found(volume.to(device)), reference(volume)) < 1e-5
    projections = torch.rand(2, geometry.num_views, *geometry.detector_shape)
    inner = (slice(None),) * 2 + (slice(2, -2),) * 3
    smeared, expected = found.adjoint(projections.to(device)), reference.adjoint(projections)
    assert difference(smeared[inner], expected[inner]) < 1e-5
    if name != "rtk":
        volume = torch.rand_like(volume)
        assert difference(found(volume.to(device)), reference(volume)) < 1e-5
        assert difference(smeared, expected) < 1e-5


def test_steep_scan_has_rays_of_every_main_axis():
    """So that the tests above take every path."""
    geometry = steep()
    index_steps = (geometry.pixel_centres_mm() - geometry.source_mm[:, None, None]) / geometry.voxel_mm
    assert set(np.abs(index_steps).argmax(axis=-1).ravel()) == {0, 1, 2}


@pytest.mark.parametrize("name", BACKENDS)
def test_agrees_with_analytic_ellipsoids(name):
    device = device_for(name)
    small = name == "triton" and device.type == "cpu"
    shape = (40, 36, 32) if small else (104, 88, 96)
    geometry = load_preset("knee", (16, 20), shape).geometry(ANGLES[:3])
    ellipsoids = asymmetric_phantom(geometry.volume_size_mm)
    volume = torch.from_numpy(voxelise(ellipsoids, geometry))[None, None].to(device)
    truth = torch.from_numpy(line_integrals(ellipsoids, geometry)).float()
    assert difference(ConeBeamProjector(geometry, name)(volume)[0], truth) < (0.05 if small else 0.015)


@pytest.mark.parametrize("name", BACKENDS)
def test_adjoint(name):
    """<A x, y> = <x, A^T y>."""
    device, geometry = device_for(name), tilted().select([0, 3])
    projector = ConeBeamProjector(geometry, name)
    x = padded(1, 1, *geometry.volume_shape).to(device)
    y = torch.rand(1, 2, *geometry.detector_shape, device=device)
    left, right = (projector(x).double() * y).sum(), (x.double() * projector.adjoint(y)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_gradient_is_the_adjoint(name):
    device, geometry = device_for(name), level().select([1, 4])
    projector = ConeBeamProjector(geometry, name)
    volume = torch.rand(1, 1, *geometry.volume_shape, device=device, requires_grad=True)
    weights = torch.rand(1, 2, *geometry.detector_shape, device=device)
    (projector(volume) * weights).sum().backward()
    torch.testing.assert_close(volume.grad, projector.adjoint(weights))


@pytest.mark.parametrize("name", ["numba", "torch"])
def test_results_are_the_same_every_time(name):
    device_for(name)
    geometry = tilted()
    projector = ConeBeamProjector(geometry, name)
    y = torch.rand(1, 7, *geometry.detector_shape)
    assert torch.equal(projector.adjoint(y), projector.adjoint(y))


def test_one_thread_gives_the_same():
    device_for("numba")
    geometry = level()
    projector, volume = ConeBeamProjector(geometry, "numba"), torch.rand(1, 1, *geometry.volume_shape)
    many, threads = projector(volume), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(projector(volume), many)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", BACKENDS)
def test_half_precision_is_computed_in_single(name):
    device, geometry = device_for(name), level().select([0, 3])
    projector, volume = ConeBeamProjector(geometry, name), torch.rand(1, 1, *geometry.volume_shape).bfloat16()
    found = projector(volume.to(device))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.cpu(), projector(volume.float().to(device)).bfloat16().cpu())


def test_automatic_choice(monkeypatch):
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    device_for("numba")
    assert choose_backend("auto", single) is BACKENDS["numba"]
    assert choose_backend("auto", double) is BACKENDS["torch"]
    monkeypatch.setattr(BACKENDS["numba"], "unavailable", lambda device: "not installed")
    monkeypatch.setattr(BACKENDS["rtk"], "unavailable", lambda device: "not installed")
    assert choose_backend("auto", single) is BACKENDS["torch"]


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("cuda", torch.zeros(1), "is 'cuda'"),
        ("numba", torch.zeros(1, dtype=torch.float64), "the data is double"),
        ("numba", torch.zeros(1, device="meta"), "not on meta"),
    ],
)
def test_wrong_backends_are_refused(name, tensor, message):
    with pytest.raises(InputError, match=message):
        choose_backend(name, tensor)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(InputError, match="pip install numba"):
        ConeBeamProjector(level(), "numba")(torch.zeros(1, 1, 22, 20, 18))


def test_triton_kernels_compile_for_gpus(child_env):
    kinds = dict.fromkeys(("volume", "projections", "vectors", "out"), "*fp32")
    kinds |= {f"voxel_{axis}": "fp32" for axis in "xyz"}
    kernels = ["project", "back_project"]
    assert_kernels_compile("bundle.projector.triton_kernels", kernels, kinds, {"BLOCK": 256}, child_env)


def test_workers_of_a_data_loader_can_project(child_env):
    """A forked child, after the parent has used its threads."""
    device_for("numba")
    code = (
        "import torch, multiprocessing as mp\n"
        "from bundle.presets import load_preset\n"
        "from bundle.projector import ConeBeamProjector\n"
        "p = ConeBeamProjector(load_preset('luna16', (8, 8), (8, 8, 8)).geometry([0.1, 1.0]), 'numba')\n"
        "def job(q): q.put(float(p(torch.ones(1, 1, 8, 8, 8)).sum()))\n"
        "here = float(p(torch.ones(1, 1, 8, 8, 8)).sum())\n"
        "context = mp.get_context('fork'); q = context.Queue()\n"
        "child = context.Process(target=job, args=(q,)); child.start()\n"
        "print(q.get(timeout=60) == here); child.join(60); print(child.exitcode)\n"
    )
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=child_env, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "0"], done.stderr[-2000:]
