"""Training on stored items."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bundle.checkpoint import read_checkpoint
from bundle.items import ItemRecipe, make_items
from tests.workflows import TRAIN, refused, run, small

FILES = [TRAIN, "configs/generated.json", "configs/demo.json", "configs/items.json"]
RECIPE = ItemRecipe(preset="luna16", volume_shape=(16, 16, 16))


def trained(folder, **changes) -> dict:
    """The weights after an epoch on four items of a network with a prior."""
    prior = {"size": 16, "method": "tv", "options": {}, "channels": [4, 6]}
    changes = {"num_sparse": [6, 10], "cached_items": 3, "replaced_per_epoch": 1, "items": 4, **changes}
    changes |= {"prior": prior, "low_resolution": 8}
    run(FILES, **small(folder, **{"cases_repeated": 1, "val_interval": 2, "num_workers": 0, **changes}))
    return read_checkpoint(folder / "models" / "checkpoints" / "pretrain" / "checkpoint_epoch=1.pt")["network"]


@pytest.fixture
def items(tmp_path):
    make_items(RECIPE, tmp_path / "items", 4, progress=lambda _: None)
    return tmp_path / "items"


def test_read_or_made_trains_the_same(tmp_path, items):
    read, made = trained(tmp_path / "a", items_dir=str(items)), trained(tmp_path / "b")
    assert all(torch.equal(read[name], made[name]) for name in read)


def test_items_of_another_recipe_are_refused(tmp_path, items):
    with refused(r"holds items of another recipe: seed"):
        trained(tmp_path, items_dir=str(items), seed=1)
    assert replace(RECIPE, seed=1).digest != RECIPE.digest
