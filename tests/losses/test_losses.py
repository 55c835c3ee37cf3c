from __future__ import annotations

import pytest
import torch
from torch.nn.modules.loss import _Loss

from bundle.losses import DenoisingLoss, QuantisationLoss, StageLoss


def scales(value: float, requires_grad: bool = False) -> list[torch.Tensor]:
    return [torch.full((2, c, 3, 3, 3), value * c, requires_grad=requires_grad) for c in (1, 2)]


@pytest.mark.parametrize(("loss", "expected"), [(QuantisationLoss(), (1 + 4) / 2), (DenoisingLoss(), (1 + 2) / 2)])
def test_mean_over_elements_and_scales(loss, expected):
    assert isinstance(loss, _Loss)
    assert float(loss(scales(1.0), scales(0.0))) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [QuantisationLoss, DenoisingLoss])
def test_no_gradient_to_the_target(kind):
    prediction, target = scales(1.0, True), scales(0.5, True)
    kind()(prediction, target).backward()
    assert all(p.grad is not None for p in prediction)
    assert all(t.grad is None for t in target)


def test_sum_reduction_and_bad_arguments():
    assert float(QuantisationLoss("sum")(scales(1.0), scales(0.0))) == pytest.approx((54 + 4 * 108) / 2)
    with pytest.raises(ValueError, match="reduction"):
        QuantisationLoss("none")
    with pytest.raises(ValueError, match="scales"):
        DenoisingLoss()(scales(1.0), scales(1.0)[:1])
    with pytest.raises(ValueError, match="scales"):
        DenoisingLoss()([], [])


@pytest.mark.parametrize(
    ("weights", "expected", "terms"),
    [
        ((0.0, 0.0), 0.25, {"task"}),
        ((0.1, 0.0), 0.25 + 0.1 * 2.5, {"task", "quantisation"}),
        ((0.0, 1.0), 0.25 + 1.5, {"task", "denoising"}),
    ],
)
def test_stage_loss_adds_weighted_terms(weights, expected, terms):
    out = {
        "points": torch.full((2, 1, 5), 0.5),
        "latents": scales(1.0),
        "codes": scales(0.0),
        "denoised": scales(1.0),
        "dense": scales(0.0),
    }
    loss = StageLoss(*weights)
    assert float(loss(out, torch.zeros(2, 1, 5))) == pytest.approx(expected)
    assert set(loss.terms) == terms


def test_gradient_term_is_of_the_pairs_errors():
    """An offset of all points is no error of it; half the points come first, their neighbours after them."""
    target = torch.tensor([[[0.1, 0.2, 0.5, 0.9]], [[0.3, 0.1, 0.0, 0.4]]])
    loss = StageLoss(0.0, 0.0, gradient_weight=2.0)
    assert float(loss({"points": target + 0.5}, target)) == pytest.approx(0.25)
    error = torch.tensor([[[0.0, 0.0, 0.3, 0.1]], [[0.1, 0.0, 0.1, 0.0]]])
    found = float(loss({"points": target + error}, target))
    task, gradient = (0.09 + 0.01 + 0.01 + 0.01) / 8, (0.09 + 0.01) / 4
    assert found == pytest.approx(task + 2 * gradient)
    assert float(loss.terms["gradient"]) == pytest.approx(gradient)
