"""Parity with the published reference implementation (tests/data/tiny_*.npz)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from bundle.convert import convert_state
from bundle.losses import DenoisingLoss, QuantisationLoss, StageLoss
from bundle.networks import PointForward
from bundle.presets import ScanPreset
from tests.conftest import DATA


class Golden:
    """One golden file and our network with its weights."""

    def __init__(self, name: str) -> None:
        self.values = np.load(DATA / f"tiny_{name}.npz", allow_pickle=False)
        scan = json.loads(str(self["geometry_json"]))
        preset = ScanPreset(
            "golden",
            scan["DSO"],
            scan["DSD"],
            scan["nDetector"],
            scan["dDetector"],
            scan["nVoxel"],
            scan["dVoxel"],
            (-1000, 1000),
            50,
        )
        self.preset = preset
        state = {k.removeprefix("state/"): self.tensor(k) for k in self.values.files if k.startswith("state/")}
        self.network = convert_state(state, name, preset, low_resolution=8)[0]
        for quantizer in self.network.embedding.quantizers:
            quantizer.restart_below = 0.0  # the reference lets codes die
        self.finetuned = name == "finetune"
        self.projections = self.tensor("in_projs")[:, :, 0]
        self.points = self.tensor("in_points")
        self.mask = self.tensor("in_view_mask") > 0
        self.matrices = self.network.circular_matrices(self.tensor("in_angles").float())

    def __getitem__(self, key: str) -> np.ndarray:
        return self.values[key]

    def tensor(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.values[key])


@pytest.fixture(params=["pretrain", "finetune"])
def golden(request) -> Golden:
    return Golden(request.param)


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found.detach(), expected, atol=tolerance, rtol=0)


def test_coordinates(golden):
    from bundle.networks.feature_sampling import detector_coordinates, grid_points

    close(detector_coordinates(golden.matrices, golden.points), golden.tensor("in_points_proj"), 1e-5)
    low = grid_points([8, 8, 8], 0, 512, True, golden.points)[::64].expand(2, -1, -1)
    close(detector_coordinates(golden.matrices, low), golden.tensor("in_points_lr_proj_sample"), 1e-5)


@torch.no_grad()
def test_eval_mode(golden):
    network = golden.network.eval()
    features = network.encode(golden.projections)
    embedding = network.embed(features, golden.matrices, golden.mask)
    dense = network.back_project(features, golden.matrices, None)
    for k in range(4):
        close(features[3 - k], golden.tensor(f"eval_feats_2d_{k}"))
        close(dense[k][:, :, ::2, ::2, ::2], golden.tensor(f"eval_backproj_{k}_sample"))
        assert torch.equal(embedding.indices[k].short(), golden.tensor(f"eval_vq_indices_{k}"))
    close(embedding.volume[:, :, ::2, ::2, ::2], golden.tensor("eval_feats_3d_sub2"))
    predicted = network.decode(features, embedding.volume, golden.matrices, golden.points, golden.mask)
    close(predicted, golden.tensor("eval_points_pred"))
    if golden.finetuned:
        loss = DenoisingLoss()(embedding.denoised, embedding.dense)
    else:
        loss = QuantisationLoss()(embedding.latents, embedding.codes)
    assert float(loss) == pytest.approx(float(golden["eval_loss_vq"]), rel=1e-4)


def test_training_step(golden):
    network = golden.network.train()
    if golden.finetuned:
        # The reference freezes these, but leaves the encoder's batch normalisation in training mode.
        network.encoder.requires_grad_(False)
        network.embedding.quantizers.requires_grad_(False).eval()
    weight = float(golden["train_vq_w"])
    loss_function = StageLoss(0.0, weight) if golden.finetuned else StageLoss(weight, 0.0)
    out = PointForward(network)(golden.projections, golden.matrices, golden.points, golden.mask)
    loss_function(out, golden.tensor("train_points_gt")).backward()

    auxiliary = loss_function.terms["denoising" if golden.finetuned else "quantisation"]
    assert float(loss_function.terms["task"]) == pytest.approx(float(golden["train_loss_task"]), rel=1e-4)
    assert float(auxiliary) == pytest.approx(float(golden["train_loss_vq"]), rel=1e-4)
    close(out["points"], golden.tensor("train_points_pred"))
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(float(golden["train_grad_norm"]), rel=1e-3)
    for k, quantizer in enumerate(network.embedding.quantizers):
        close(quantizer.codebook.embedding.weight, golden.tensor(f"train_after_cb{k}_weight"), 1e-5)
        close(quantizer.codebook.ema_cluster_size, golden.tensor(f"train_after_cb{k}_cluster_size"), 1e-5)
    close(network.encoder.stem.adn.N.running_mean, golden.tensor("train_after_stem_bn_running_mean"), 1e-5)


def test_wrong_view_mask_would_show(golden):
    """The tolerance is tight enough to see the smallest mistake worth fearing."""
    network = golden.network.eval()
    with torch.no_grad():
        out = PointForward(network)(golden.projections, golden.matrices, golden.points, ~golden.mask)
    assert float((out["points"] - golden.tensor("eval_points_pred")).abs().max()) > 1e-4
