from __future__ import annotations

import json

import torch
from monai.data import load_net_with_metadata

from tests.deployment.alone import check_alone, check_description


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
