from __future__ import annotations

import pytest
import torch

from bundle.data.cut_field import CutFieldd
from bundle.data.fine_grid import averaged
from bundle.errors import InputError


def cut(seed: int = 0, **options) -> torch.Tensor:
    transform = CutFieldd(**options)
    transform.set_random_state(seed)
    return transform({"image": torch.rand(1, 20, 30, 40) + 0.1})["image"][0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_remains_and_the_rest_is_air(axis):
    probability = [float(axis == other) for other in range(3)]
    lengths = []
    for seed in range(10):
        volume = cut(seed, probability=probability, kept=(0.3, 0.8))
        present = (volume > 0).movedim(axis, 0).flatten(1)
        assert ((present.all(dim=1)) | (~present.any(dim=1))).all()  # whole slices across the axis alone
        kept = present.all(dim=1).nonzero()[:, 0]
        assert int(kept[-1] - kept[0]) + 1 == len(kept)
        lengths.append(len(kept) / len(present))
    assert 0.28 <= min(lengths) < max(lengths) <= 0.82


def test_the_finer_volume_is_cut_alike():
    fine = torch.rand(1, 40, 60, 80) + 0.1
    transform = CutFieldd(probability=(1, 1, 1), kept=(0.3, 0.8))
    transform.set_random_state(3)
    made = transform({"image": averaged(fine, (20, 30, 40)), "fine": fine})
    assert (made["fine"] == 0).any()
    torch.testing.assert_close(averaged(made["fine"], (20, 30, 40)), made["image"])


def test_nothing_is_cut_without_a_chance():
    volume = torch.rand(1, 4, 5, 6)
    assert CutFieldd(probability=(0, 0, 0))({"image": volume})["image"] is volume


def test_the_given_volume_is_left_alone():
    volume = torch.rand(1, 8, 8, 8) + 0.1
    CutFieldd(probability=(1, 1, 1), kept=(0.2, 0.5))({"image": volume})
    assert (volume > 0).all()


@pytest.mark.parametrize("options", [{"probability": (1, 2, 0)}, {"probability": (1, 1)}, {"kept": (0.0, 0.5)}])
def test_refuses(options):
    with pytest.raises(InputError):
        CutFieldd(**options)
