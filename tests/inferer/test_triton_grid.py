"""The fused kernel against PyTorch: in Triton's interpreter where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.geometry import ConeBeamGeometry
from bundle.inferer import torch_grid, triton_grid
from bundle.networks import DiCE
from bundle.networks.grid_decoding import GridTask
from bundle.presets import load_preset
from tests.conftest import ROOT
from tests.networks.lively import lively

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ANGLES = [0.3, 1.9]
SIZES = {
    "encoder_channels": (5, 24),  # 24 is cut into 16 and, padded, 16
    "decoder_channels": 10,
    "point_channels": (40, 18),
    "low_resolution": 6,
    "quantizer": {"codes": 16, "data_start": False},
}
PUBLISHED = {
    "head": "norm_act",
    "low_resolution_grid": "corner",
    "output_grid": "corner",
    "projection_sampling": "corner_aligned",
}
EXACT = 1e-4 if DEVICE.type == "cpu" else 5e-3  # a GPU multiplies float32 numbers as ones of 11 bits
ROUNDED = 2e-2  # bfloat16 has 8 bits: each of some ten parts of about one is off by up to 1/512


@pytest.fixture(autouse=True)
def _available():
    reason = triton_grid.unavailable(DEVICE)
    if reason is not None:
        pytest.skip(reason)


def task_of(network: DiCE, geometry: ConeBeamGeometry, shape=(1, 2, 70)) -> GridTask:
    """Random projections, encoded; rows along z end within a block of points."""
    network, inputs = network.to(DEVICE), torch.rand(1, geometry.num_views, *geometry.detector_shape, device=DEVICE)
    matrices = torch.tensor(geometry.unit_matrices(), dtype=torch.float32, device=DEVICE)[None]
    with torch.no_grad():
        features = network.encode(inputs)
        volume = network.embed(features, matrices, None).volume
        return network.grid([scale[0] for scale in features], volume[0], matrices[0], list(shape))


def decoded(backend, task: GridTask, points_at_once: int = 10**5, **options) -> torch.Tensor:
    out = torch.full([len(axis) for axis in task.axes], torch.nan, device=DEVICE)
    with torch.no_grad():
        backend.prepare(task, points_at_once, **options)(0, len(out), out)
    return out


def check(task: GridTask, operands: torch.dtype, tolerance: float) -> None:
    expected = decoded(torch_grid, task)
    assert expected.std() > 0.05
    torch.testing.assert_close(decoded(triton_grid, task, operands=operands), expected, atol=tolerance, rtol=0)


def level(geometry: ConeBeamGeometry) -> ConeBeamGeometry:
    return geometry


def turned(geometry: ConeBeamGeometry) -> ConeBeamGeometry:
    """A tilted gantry: rows of voxels along z cross detector columns, and their magnification changes."""
    turn = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    names = ("source_mm", "detector_centre_mm", "u_axis", "v_axis")
    return replace(geometry, **{name: getattr(geometry, name) @ turn.T for name in names})


def missed(geometry: ConeBeamGeometry) -> ConeBeamGeometry:
    """A small detector, shifted: most voxels project beyond one of its edges in some view."""
    centre = geometry.detector_centre_mm + [0.0, 30.0, 90.0]
    return replace(geometry, detector_centre_mm=centre, pixel_mm=(4.0, 3.0))


@pytest.mark.parametrize("change", [level, turned, missed])
@pytest.mark.parametrize("options", [{}, PUBLISHED], ids=["new", "published"])
def test_is_the_same_function(scan, options, change):
    """With operands in float32, nothing but the order of sums differs."""
    network = lively(DiCE(scan, **SIZES, **options))
    check(task_of(network, change(scan.geometry(ANGLES))), torch.float32, EXACT)


@pytest.mark.parametrize(("operands", "tolerance"), [(torch.bfloat16, ROUNDED), (torch.float16, ROUNDED / 8)])
def test_reduced_precision_is_all_that_differs(scan, operands, tolerance):
    network = lively(DiCE(scan, **SIZES))
    check(task_of(network, turned(scan.geometry(ANGLES))), operands, tolerance)


@pytest.mark.parametrize(
    "sizes",
    [
        {"encoder_channels": (16,), "point_channels": ()},
        {"encoder_channels": (4, 6, 8), "point_channels": (3,)},
        {"encoder_channels": (72, 3), "point_channels": (100, 70, 20), "low_resolution": 20},
    ],
    ids=["no hidden layer", "one hidden layer", "several pieces of everything"],
)
def test_any_sizes(scan, sizes):
    network = lively(DiCE(scan, **{**SIZES, **sizes}))
    check(task_of(network, scan.geometry(ANGLES[:1]), (1, 2, 3)), torch.float32, EXACT)


def test_pieces_do_not_matter(scan):
    """Plane by plane or at once, into memory of any strides."""
    network = lively(DiCE(scan, **SIZES))
    task = task_of(network, scan.geometry(ANGLES), (3, 2, 7))
    whole = decoded(triton_grid, task)
    out = torch.full((7, 2, 3), torch.nan, device=DEVICE).transpose(0, 2)
    decode = triton_grid.prepare(task, 1)
    with torch.no_grad():
        for first, last in ((1, 3), (0, 1)):
            decode(first, last, out[first:last])
    torch.testing.assert_close(out, whole, atol=1e-6, rtol=0)


def psnr(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Decibels, of values between 0 and 1."""
    return float(-10 * (found - expected).square().mean().log10())


def spread_over_unit_range(task: GridTask) -> tuple[GridTask, torch.Tensor]:
    """Changes the last layer so that the output spans 0 to 1; the task, and the output."""
    out, decoder = decoded(torch_grid, task), task.decoder
    factor = 1 / (out.max() - out.min())
    for part in (decoder.maps[-1], decoder.bias[-1:], decoder.hidden[-1], task.volume_sums[:, -1]):
        part.mul_(factor)
    decoder.bias[-1] -= factor * out.min()
    return task, decoded(torch_grid, task)


def test_agrees_to_60_db(scan):
    """A random network of the paper's form, with a last layer that spreads its output over 0 to 1."""
    sizes = {**SIZES, "encoder_channels": (16, 32), "point_channels": (48, 32, 16), "decoder_channels": 32}
    with torch.no_grad():
        task, expected = spread_over_unit_range(task_of(lively(DiCE(scan, **sizes)), scan.geometry(ANGLES)))
    assert (float(expected.min()), float(expected.max())) == pytest.approx((0, 1), abs=1e-5)
    assert psnr(decoded(triton_grid, task), expected) > 70
    assert psnr(decoded(triton_grid, task, operands=torch.bfloat16), expected) > 55


@pytest.mark.parametrize("large", ["features", "weights", "hidden values"])
def test_numbers_beyond_float16_are_multiplied_in_bfloat16(scan, large):
    task = task_of(lively(DiCE(scan, **SIZES)), scan.geometry(ANGLES[:1]), (1, 1, 5))
    decoder = task.decoder
    with torch.no_grad():
        if large == "features":
            task.maps[1].mul_(1e6)
            decoder.maps[:, 5:].mul_(1e-6)
        elif large == "weights":
            task.maps[1].mul_(1e-6)
            decoder.maps[:, 5:].mul_(1e6)
        else:
            for part in (decoder.maps[:40], decoder.bias[:40], task.volume_sums[:, :40]):
                part.mul_(1e6)
            decoder.hidden[0].mul_(1e-6)
    found, expected = decoded(triton_grid, task), decoded(torch_grid, task)
    torch.testing.assert_close(found, expected, atol=ROUNDED, rtol=0)
    assert torch.equal(found, decoded(triton_grid, task, operands=torch.bfloat16))


COMPILE = """
import json, re, subprocess, sys, tempfile
from pathlib import Path
import torch, triton
from triton.backends.compiler import GPUTarget
from bundle.inferer import triton_grid, triton_kernels
from bundle.networks import DiCE
from bundle.presets import load_preset

class Device:  # what Triton asks a driver for
    def __init__(self, capability):
        self.get_current_device = lambda: capability
        self.get_current_stream = lambda device: 0
        self.get_current_target = lambda: GPUTarget("cuda", capability, 32)

class CompileOnly:
    def __getitem__(self, grid):
        return lambda *given, **constants: made.append(kernel.warmup(*given, grid=grid, **constants))

kernel, made = triton_kernels.decode, []
triton_kernels.decode = CompileOnly()
tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
network = DiCE(load_preset("luna16", (256, 256), (256, 256, 256))).eval()
maps = [torch.zeros(10, c, 32 >> k, 32 >> k) for k, c in enumerate((16, 32, 64, 128))]
matrices = network.circular_matrices(torch.arange(10.0)[None])[0]
with torch.no_grad():
    task = network.grid(maps, torch.zeros(128, 32, 32, 32), matrices, [1, 2, 256])
    triton.runtime.driver.set_active(Device(int(sys.argv[1])))
    triton_grid.prepare(task, 10**6)(0, 1, torch.empty(1, 2, 256))
with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
    Path(file.name).write_bytes(made[0].asm["cubin"])
    told = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True).stdout
registers, stack = re.search(r"REG:(\\d+) STACK:(\\d+)", told).groups()
print(json.dumps({"registers": int(registers), "stack": int(stack), "shared": made[0].metadata.shared}))
"""


@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_for_gpus_within_their_registers(child_env, capability):
    """As it is called for the paper's network; the stack is where registers are spilled to, in bytes per thread."""
    child_env.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILE, str(capability)]
    child = subprocess.run(command, cwd=ROOT, env=child_env, capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stderr[-2000:]
    used = json.loads(child.stdout)
    assert used["stack"] <= (0 if capability == 90 else 128)
    # Two programs at least fit into a multiprocessor of 64 k registers and 164 kB.
    assert used["registers"] * 128 <= 2**16 // 2
    assert used["shared"] <= 80_000


def test_says_why_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert triton_grid.unavailable(torch.device("cpu")) == "it runs on CUDA devices alone"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("bundle.inferer.triton_grid.find_spec", lambda name: None)
    assert triton_grid.unavailable(torch.device("cpu")) == "triton is not installed"


@pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a GPU")
def test_agrees_to_60_db_at_full_size():
    """The paper's network, 256^3 voxels from 10 views of 256 x 256."""
    scan = load_preset("luna16", (256, 256), (256, 256, 256))
    geometry = scan.geometry(np.linspace(0, np.pi, 10, endpoint=False))
    with torch.no_grad():
        task, expected = spread_over_unit_range(task_of(lively(DiCE(scan)), geometry, (256, 256, 256)))
    assert psnr(decoded(triton_grid, task), expected) > 60
