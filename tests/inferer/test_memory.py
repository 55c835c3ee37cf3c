from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bundle.errors import InputError
from bundle.inferer.memory import plan_memory
from bundle.networks import DiCE
from bundle.presets import load_preset
from tests.conftest import ROOT
from tests.networks.test_dice import TINY

MEASURE = """
import json, sys
from pathlib import Path
import numpy as np, torch
from bundle.inferer import VolumeInferer
from bundle.inferer.memory import plan_memory
from bundle.networks import DiCE
from bundle.presets import load_preset

def status(entry):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(entry))

backend, limit_gb, prior = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
scan = load_preset("luna16", detector_shape=[192, 128])
sizes = {"decoder_channels": 16, "point_channels": (96, 16), "low_resolution": 8, "quantizer": {"codes": 32}}
network = DiCE(scan, **sizes, prior=prior).eval()
views, shape = 12, [20, 120, 100]
matrices = torch.tensor(scan.geometry(np.linspace(0, 3, views)).unit_matrices(), dtype=torch.float32)[None]
inputs = torch.rand(1, views, 192, 128)
VolumeInferer([2, 2, 2], backend)(inputs[:, :1, :16, :16], network, matrices[:, :1])  # libraries' own memory
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
VolumeInferer(shape, backend, limit_gb)(inputs, network, matrices)
plan = plan_memory(network, inputs.shape, shape, limit_gb, backend == "points")
print(json.dumps({"taken": status("VmHWM") - before, "views": plan.views, "points": plan.points}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(
    ("backend", "prior"),
    [("auto", None), ("points", None), ("auto", {"size": 32, "channels": [8, 12], "options": {"iterations": 2}})],
    ids=["auto", "points", "prior"],
)
def test_limit_holds(backend, prior):
    """In a process of its own: with little memory it takes little, and with much it takes more at once."""
    figures = {}
    for limit_gb in (0.2, 1.0):
        command = [sys.executable, "-c", MEASURE, backend, str(limit_gb), json.dumps(prior)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        figures[limit_gb] = json.loads(done.stdout)
        assert figures[limit_gb]["taken"] < limit_gb
    assert figures[1.0]["points"] > 2 * figures[0.2]["points"]


def test_more_of_everything_needs_more():
    network = DiCE(load_preset("luna16"), **TINY)

    def least(views: int, detector: tuple[int, int], shape: tuple[int, int, int]) -> float:
        with pytest.raises(InputError, match="memory_gb") as error:
            plan_memory(network, (1, views, *detector), shape, 0.0, False)
        return float(str(error.value).split("at least ")[1].split(".  ")[0].split(". ")[0])

    small = least(6, (512, 256), (128, 128, 128))
    assert least(24, (512, 256), (128, 128, 128)) > small
    assert least(6, (1024, 512), (128, 128, 128)) > small
    assert least(6, (512, 256), (512, 512, 512)) > small


def test_paper_size_fits_the_default():
    """512 voxels a side from 24 views of 256 pixels, within the least that a laptop has."""
    network = DiCE(load_preset("luna16"), denoise_blocks=2)
    plan = plan_memory(network, (1, 24, 256, 256), (256, 256, 256), 2.0, False)
    assert plan.views == 24
    assert plan.points > 65_536
    assert plan_memory(network, (1, 24, 256, 256), (512, 512, 512), 4.0, False).points > 65_536
