from __future__ import annotations

import pytest
import torch

from bundle.errors import InputError
from bundle.physics.truncation import DetectorTruncation


@pytest.mark.parametrize(
    ("columns", "share", "expected"),
    [
        (8, 0.5, [2, 2, 2, 3, 4, 5, 5, 5]),
        (7, 0.5, [2, 2, 2, 3, 4, 4, 4]),
        (8, 0.8, [1, 1, 2, 3, 4, 5, 6, 6]),
        (5, 0.1, [2, 2, 2, 2, 2]),
        (6, 1.0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_outer_columns_repeat_the_last_measured_ones(columns, share, expected):
    rows = torch.tensor([0.0, 100.0, 200.0])[:, None] + torch.arange(columns)
    projections = torch.stack([rows, rows + 1000])[None]  # [1, views, V, U]
    truncated = DetectorTruncation(share)(projections)
    assert truncated.shape == projections.shape
    assert torch.equal(truncated, projections[..., expected])


def test_rows_are_whole():
    projections = torch.rand(2, 3, 9, 4)
    assert torch.equal(DetectorTruncation(0.5)(projections)[..., 1:3], projections[..., 1:3])


def test_no_column_is_left():
    with pytest.raises(InputError, match="leaves no column of 8"):
        DetectorTruncation(0.1)(torch.zeros(1, 2, 4, 8))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1, float("nan")])
def test_wrong_shares_are_refused(share):
    with pytest.raises(InputError, match=r"truncation\.share"):
        DetectorTruncation(share)
