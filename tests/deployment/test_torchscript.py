from __future__ import annotations

import json

import pytest
import torch
from monai.data import load_net_with_metadata

from bundle.deployment.export import export_network
from bundle.errors import InputError
from bundle.networks import DiCE
from bundle.presets import load_preset
from tests.deployment.alone import check_alone, check_description
from tests.networks.lively import lively
from tests.networks.test_dice import TINY


def test_runs_where_only_torch_is(exported):
    check_alone(*exported("torchscript"), "torch", "torch.jit.load(model)", 1e-5)


def test_says_what_it_is(exported):
    """To MONAI, and to PyTorch alone."""
    _, metadata, _ = load_net_with_metadata(str(exported("torchscript")[1]))
    check_description(json.dumps(metadata))
    files = {"metadata.json": ""}
    torch.jit.load(exported("torchscript")[1], _extra_files=files)
    check_description(files["metadata.json"])


def test_other_angles_and_detectors(exported):
    network, path = exported("torchscript")
    projections, angles_rad = torch.rand(1, 3, 16, 20), torch.tensor([0.3, 1.1, 2.7])
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(path)(projections, angles_rad), network(projections, angles_rad))


def test_a_prior_goes_with_the_network(tmp_path):
    scan = load_preset("luna16", (48, 48), (24, 24, 24))
    prior = {"size": 24, "channels": (4, 6), "options": {"iterations": 10}}
    network = lively(DiCE(scan, **TINY, prior=prior))
    export_network(network, scan, tmp_path / "network.ts", "torchscript")
    assert (tmp_path / "network.ts").is_file()
    for format, name in (("onnx", "network.onnx"), ("pt2", "network.pt2")):
        with pytest.raises(InputError, match=f"{format} cannot hold a network with a classical prior"):
            export_network(network, scan, tmp_path / name, format)
