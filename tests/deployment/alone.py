"""Exported files of a small network, run in a new process in which nothing but their runtime can be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from bundle.networks import DiCE
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.presets import ScanPreset
from bundle.simulation import project_own_voxels
from tests.networks.lively import lively

SCAN = ScanPreset(
    name="small",
    sod_mm=500.0,
    sdd_mm=800.0,
    detector_shape=(24, 32),
    pixel_mm=(14.0, 12.0),
    volume_shape=(7, 9, 11),
    voxel_mm=(22.0, 18.0, 15.0),
    hu_window=(-1000.0, 1500.0),
    candidate_views=40,
    arc_deg=200.0,
    row_direction="-z",
)

RUNTIMES = {
    "torch": {
        "imports": "torch torchgen functorch numpy sympy mpmath networkx jinja2 markupsafe filelock fsspec "
        "typing_extensions",
        "preparation": "import torch; to_input, to_array = torch.from_numpy, lambda volume: volume.numpy()",
    },
    "onnxruntime": {
        "imports": "onnxruntime numpy",
        "preparation": "import onnxruntime; to_input = to_array = lambda array: array",
    },
}

_PROGRAM = '''
import sys
model, inputs, outputs, allowed, preparation, load = sys.argv[1:]
allowed = {*allowed.split(), *sys.stdlib_module_names}

class Allowed:
    """Finds what may be imported, as if nothing else were installed."""

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in allowed or name.startswith("_sysconfigdata"):
            found = (finder.find_spec(name, path, target) for finder in self.finders)
            return next(filter(None, found), None)

sys.meta_path[:] = [Allowed(sys.meta_path[:])]
import numpy as np
exec(preparation)
run = eval(load)
with np.load(inputs) as arrays:
    np.savez(outputs, **{name: to_array(run(to_input(arrays[name]))) for name in arrays})
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"bundle", "monai", "ignite", "numba", "onnx"}, loaded
assert "torch" in allowed or "torch" not in loaded
'''


def small_network() -> DiCE:
    """Different sizes along every axis, batch statistics that matter, denoising layers."""
    torch.manual_seed(3)
    sizes = {"encoder_channels": (4, 6), "decoder_channels": 8, "decoder_blocks": 1, "point_channels": (8, 5)}
    network = DiCE(SCAN, **sizes, denoise_blocks=1, low_resolution=6, quantizer={"codes": 16})
    network.points_per_chunk = 60  # 5 rows of a plane's 9
    return lively(network)


def phantom_projections(views: int) -> torch.Tensor:
    """[1, views, V, U] of the asymmetric phantom, equally spaced over the arc."""
    geometry = SCAN.geometry(np.arange(views) * SCAN.arc_rad / views)
    volume = torch.from_numpy(voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry))[None, None]
    return project_own_voxels(volume, geometry, SCAN.hu_window)


def run_alone(path: Path, runtime: str, load: str, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Volumes that a file gives in a process of its own.

    Args:
        path: the file.
        runtime: the one package that may be imported, besides those that it needs itself.
        load: expression that makes a function of the file, called model.
        inputs: projections.
    """
    given, made = path.with_name("inputs.npz"), path.with_name("outputs.npz")
    np.savez(given, **{str(i): array.numpy() for i, array in enumerate(inputs)})
    kind = RUNTIMES[runtime]
    arguments = [str(path), str(given), str(made), kind["imports"], kind["preparation"], load]
    done = subprocess.run([sys.executable, "-I", "-c", _PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(made) as arrays:
        return [torch.from_numpy(arrays[str(i)]) for i in range(len(inputs))]


def check_alone(network: DiCE, path: Path, runtime: str, load: str, tolerance: float) -> None:
    """Compares a file with its network: 6 and 8 views of the phantom, and two cases of one random view."""
    inputs = [phantom_projections(6), phantom_projections(8), torch.rand(2, 1, *SCAN.detector_shape)]
    for projections, found in zip(inputs, run_alone(path, runtime, load, inputs)):
        with torch.no_grad():
            expected = network(projections)
            assert found.shape == (len(projections), 1, *SCAN.volume_shape)
            torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)
            for axis in (2, 3, 4):  # what is turned round must not pass
                assert (expected.flip(axis) - expected).abs().max() > 100 * tolerance
                turned = projections.flip(axis) if axis < 4 else projections.flip(1)
                assert projections.shape[1] == 1 or (network(turned) - expected).abs().max() > 100 * tolerance


def check_description(text: str) -> None:
    """What a file says about itself is what the scan is."""
    description = json.loads(text)
    assert description["name"] == "a small one"
    assert description["input"]["shape"] == ["any", "any", 24, 32]
    assert description["output"]["shape"] == ["any", 1, 7, 9, 11]
    assert description["output"]["hu_window"] == [-1000.0, 1500.0]
    assert description["scan"]["arc_deg"] == 200.0
