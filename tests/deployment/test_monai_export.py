"""MONAI's own export of a bundle, with this bundle's configuration."""

from __future__ import annotations

import json

import pytest
import torch
from monai.bundle import ckpt_export

from bundle.checkpoint import save_checkpoint
from bundle.networks import DiCE
from bundle.presets import load_preset
from tests.conftest import ROOT
from tests.deployment.alone import run_alone

SIZES = {
    "preset": "luna16",
    "detector_shape": [24, 32],
    "volume_shape": [7, 9, 11],
    "encoder_channels": [4, 6],
    "decoder_channels": 8,
    "decoder_blocks": 1,
    "denoise_blocks": 1,
    "point_channels": [8, 5],
    "low_resolution": 6,
    "prior": None,
}


@pytest.mark.parametrize("key", ["", "network"])
def test_ckpt_export(tmp_path, monkeypatch, key):
    """Of weights alone and of a training checkpoint; loaded where only torch is."""
    monkeypatch.chdir(ROOT)
    shapes = {name: SIZES[name] for name in ("detector_shape", "volume_shape")}
    others = {name: value for name, value in SIZES.items() if name not in (*shapes, "preset")}
    network = DiCE(load_preset(SIZES["preset"], **shapes), **others, quantizer={"codes": 16}).eval()
    state = network.state_dict()
    save_checkpoint({key: state} if key else state, tmp_path / "model.pt")
    overlay = tmp_path / "small.json"
    overlay.write_text(json.dumps({**SIZES, "codes": 16}))
    ckpt_export(
        config_file=["configs/inference.json", str(overlay)],
        ckpt_file=str(tmp_path / "model.pt"),
        key_in_ckpt=key,
        filepath=str(tmp_path / "model.ts"),
    )
    projections = torch.rand(1, 4, 24, 32)
    with torch.no_grad():
        expected = network(projections)
    load = "(lambda network: lambda x: network(x).detach())(torch.jit.load(model))"
    found = run_alone(tmp_path / "model.ts", "torch", load, [projections])[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    files = dict.fromkeys(("metadata.json", "inference.json", "small.json"), "")
    torch.jit.load(tmp_path / "model.ts", _extra_files=files)
    assert "not a medical device" in json.loads(files["metadata.json"])["intended_use"]
    assert json.loads(files["inference.json"])["preset"] == "abdomenatlas"
    assert json.loads(files["small.json"])["volume_shape"] == [7, 9, 11]
