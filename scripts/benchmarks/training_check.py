"""Whether a training step of the package's network equals one of the straightforward network."""

from __future__ import annotations

from typing import Any

import torch

from bundle.losses import StageLoss
from bundle.networks import PointForward
from bundle.presets import load_preset
from scripts.benchmarks.result import Check
from scripts.benchmarks.straightforward import Straightforward
from scripts.benchmarks.subject import SMALL, equal_angles, make_network, phantom_projections
from scripts.benchmarks.training_runs import STAGES, stage_parser

__all__ = ["TOLERANCES", "check_stages", "compare_step"]

TOLERANCES = {"loss": 1e-5, "gradient": 1e-4, "state": 1e-4}
"""Largest relative difference: of the loss, of the whole gradient, and of a statistic or codebook after the step."""

_SEEDS = (2, 3, 4)


def check_stages() -> list[Check]:
    """Compares a small step of every stage."""
    checks = []
    for stage in STAGES:
        parser = stage_parser(stage, SMALL, 32)
        loss = parser.get_parsed_content("loss")
        draws = [compare_step(loss, parser["denoise_blocks"], parser["freeze"], seed=seed) for seed in _SEEDS]
        # A rounding error may turn a LeakyReLU's sign or a view's maximum in some, another function differs in all.
        for name, found in min(draws, key=lambda draw: draw["gradient"]).items():
            text = f"{stage}, small: {name} after a step, relative difference"
            checks.append(Check(text, found <= TOLERANCES[name], found, TOLERANCES[name]))
    return checks


def compare_step(
    loss: StageLoss, denoise_blocks: int, freeze: list[str], sizes: dict[str, Any] | None = None, seed: int = 2
) -> dict[str, float]:
    """Runs both networks forward and backward in training mode.

    Args:
        loss: the stage's loss.
        denoise_blocks: residual blocks of the denoising layers.
        freeze: parts that are not trained.
        sizes: the network's sizes; SMALL if None.
        seed: seed of its weights.

    Returns:
        Relative differences by the names of TOLERANCES.
    """
    sizes = {**(sizes or SMALL), "denoise_blocks": denoise_blocks}
    scan = load_preset("abdomenatlas", (32, 48), (20, 16, 24))
    network = make_network(scan, sizes, seed)
    ours = PointForward(network, freeze)
    plain = Straightforward(network.state_dict(), sizes, freeze)
    angles = torch.tensor([equal_angles(scan, 9), [a + 0.1 for a in equal_angles(scan, 9)]])
    matrices = torch.stack([torch.from_numpy(scan.geometry(a.tolist()).unit_matrices()).float() for a in angles])
    projections = torch.cat([phantom_projections(scan, a.tolist()) for a in angles])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])  # of 9 views, 5 and 3 are sparse
    generator = torch.Generator().manual_seed(0)
    points, target = torch.rand(2, 300, 3, generator=generator), torch.rand(2, 1, 300, generator=generator)
    results = [_step(module, loss, (projections, matrices, points, mask), target) for module in (ours, plain)]
    (loss_a, gradients_a), (loss_b, gradients_b) = results
    state = plain.state_dict()
    return {
        "loss": abs(loss_a / loss_b - 1),
        "gradient": _relative(_joined(gradients_a, gradients_b), _joined(gradients_b, gradients_b)),
        "state": max(_relative(value, state[n]) for n, value in network.state_dict().items() if _is_statistic(n)),
    }


def _step(
    module: torch.nn.Module, loss: StageLoss, arguments: tuple, target: torch.Tensor
) -> tuple[float, dict[str, torch.Tensor]]:
    value = loss(module.train()(*arguments), target)
    value.backward()
    gradients = {name.removeprefix("network."): p.grad for name, p in module.named_parameters() if p.grad is not None}
    return value.item(), gradients


def _joined(gradients: dict[str, torch.Tensor], names: dict[str, torch.Tensor]) -> torch.Tensor:
    if gradients.keys() != names.keys():
        raise ValueError(f"gradients of different parameters: {sorted(gradients.keys() ^ names.keys())}")
    return torch.cat([gradients[name].flatten() for name in names])


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _is_statistic(name: str) -> bool:
    return "running_" in name or "codebook" in name
