"""The demo configuration really learns the sample, measured on voxels that training never sees."""

from __future__ import annotations

import numpy as np
import torch

from bundle.inferer import VolumeInferer
from bundle.projector import ConeBeamProjector
from bundle.sampling.points import is_held_out
from tests.conftest import ROOT
from tests.workflows import DEMO, TRAIN, workflow

STEPS_PER_EPOCH, EPOCHS = 25, 4


def back_projection(projections: torch.Tensor, projector: ConeBeamProjector, truth: torch.Tensor) -> torch.Tensor:
    """A^T p, brought to the truth's scale by the best affine map: kinder than any back-projection in practice."""
    smeared = projector.adjoint(projections)
    design = torch.stack([smeared.flatten(), torch.ones_like(smeared.flatten())], dim=1)
    scale = torch.linalg.lstsq(design, truth.flatten()[:, None]).solution
    return (design @ scale).reshape(truth.shape)


def test_held_out_error_falls_below_simple_estimates(tmp_path):
    prepared = workflow(
        [TRAIN, DEMO],
        bundle_root=str(ROOT),
        output_dir=str(tmp_path / "out"),
        models_dir=str(tmp_path / "models"),
        max_epochs=EPOCHS,
        val_interval=100,
    )
    trainer, network = prepared.trainer, prepared.network_def
    assert len(trainer.data_loader) == STEPS_PER_EPOCH
    case = prepared.val_dataset[0]
    truth = case["image"].as_tensor()[None]
    shape = truth.shape[2:]
    index = np.stack(np.meshgrid(*map(range, shape), indexing="ij"), -1).reshape(-1, 3)
    held_out = torch.from_numpy(is_held_out(index, 8)).reshape(shape)

    def error(volume: torch.Tensor) -> float:
        return float(((volume - truth)[0, 0][held_out] ** 2).mean())

    def reconstruct() -> torch.Tensor:
        mask = case["sparse_mask"][None, : int(case["sparse_mask"].sum())]
        return VolumeInferer()(case["projections"][None], network.eval(), case["matrices"][None], mask)

    untrained = error(reconstruct())
    prepared.run()
    trained = error(reconstruct())

    scan = prepared.parser.get_parsed_content("scan")
    projector = ConeBeamProjector(scan.geometry(case["angles_rad"].double().numpy()))
    mean = error(torch.full_like(truth, float(truth.mean())))
    smeared = error(back_projection(case["projections"][None], projector, truth))
    print(f"held-out MSE: untrained {untrained:.5f}, mean {mean:.5f}, back-projection {smeared:.5f}, {trained:.5f}")
    assert smeared < mean < untrained
    assert trained < 0.7 * smeared
