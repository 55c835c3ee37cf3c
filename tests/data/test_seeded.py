from __future__ import annotations

import pickle

import pytest
import torch
from monai.transforms import Randomizable, Transform

from bundle.data.seeded import SeededCompose
from bundle.errors import InputError


class AddNoised(Randomizable, Transform):
    def __call__(self, data):
        return {**data, "drawn": [*data.get("drawn", ()), self.R.uniform()]}


def test_results_follow_from_the_items_seed_alone():
    compose = SeededCompose([AddNoised(), AddNoised()])
    first = compose({"seed": 3})
    torch.rand(1)
    other = compose({"seed": 4})
    assert compose({"seed": 3}) == first != other
    assert pickle.loads(pickle.dumps(compose))({"seed": 3}) == first  # as data-loading workers get it
    assert first["drawn"][0] != first["drawn"][1]


def test_items_without_a_seed_are_refused():
    with pytest.raises(InputError, match="case a: has no seed"):
        SeededCompose([AddNoised()])({"case": "a"})
