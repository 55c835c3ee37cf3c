from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from bundle.data.sample_views import SampleViewsd
from bundle.errors import InputError
from bundle.geometry_rows import pack_geometry, unpack_geometry
from bundle.sampling.missing_views import DropViewsd


def sampled(scan, sparse: int = 6, total: int | None = None, case: str = "a") -> dict:
    return SampleViewsd(scan, sparse, total, random=False)({"case": case})


def test_everything_of_a_view_goes_with_it(scan):
    geometry = scan.geometry(scan.candidate_angles_rad)
    stored = {
        "case": "a",
        "num_sparse": 6,
        "projections": torch.arange(40.0)[:, None, None].expand(40, 24, 32),
        "angles_rad": torch.tensor(np.array(geometry.angles_rad)),
        "matrices": torch.tensor(geometry.unit_matrices()),
        "geometry": pack_geometry(geometry),
    }
    item = SampleViewsd(scan, 3, random=False)(stored)
    left = DropViewsd(2, seed=3)(item)
    views = left["views"]
    assert len(views) == 4
    assert set(views.tolist()) < set(item["views"].tolist())
    assert views.tolist() == sorted(views.tolist())
    assert left["sparse_mask"].tolist() == [True] * 4
    assert left["projections"][:, 0, 0].tolist() == views.tolist()
    assert torch.equal(left["matrices"], stored["matrices"][views])
    assert torch.equal(left["angles_rad"], stored["angles_rad"][views])
    np.testing.assert_allclose(unpack_geometry(left["geometry"]).source_mm, geometry.source_mm[views])
    assert left["num_sparse"] == 6
    assert len(item["views"]) == 6  # the item that came in is as it was


def test_planned_number_is_noted_where_the_item_has_none(scan):
    assert DropViewsd(2)(sampled(scan))["num_sparse"] == 6


def test_same_views_for_a_case_and_others_for_others(scan):
    def lost(case: str, seed: int = 0) -> tuple[int, ...]:
        item = sampled(scan, case=case)
        return tuple(sorted(set(item["views"].tolist()) - set(DropViewsd(1, seed)(item)["views"].tolist())))

    cases = [f"case {number}" for number in range(120)]
    first = [lost(case) for case in cases]
    assert first == [lost(case) for case in cases]
    assert first != [lost(case, seed=1) for case in cases]
    counts = Counter(first)
    assert len(counts) == 6  # every view can be lost
    assert max(counts.values()) < 40


def test_auxiliary_views_stay(scan):
    item = sampled(scan, 4, 12)
    left = DropViewsd(3)(item)
    assert left["sparse_mask"].tolist() == [True] + [False] * 8
    assert left["views"][1:].tolist() == item["views"][4:].tolist()
    assert left["num_sparse"] == 4


def test_repeated_views_go_together(scan):
    item = sampled(scan, 3)
    order = [0, 1, 2, 0, 1]
    for key in ("views", "sparse_mask", "angles_rad", "matrices", "geometry"):
        item[key] = item[key][order]
    left = DropViewsd(1)(item)
    assert len(set(left["views"].tolist())) == 2
    assert left["num_sparse"] == 3


def test_none_missing(scan):
    item = sampled(scan)
    left = DropViewsd(0)(item)
    assert all(torch.equal(left[key], item[key]) for key in ("views", "geometry", "matrices"))


def test_one_view_is_left(scan):
    assert len(DropViewsd(5)(sampled(scan))["views"]) == 1
    with pytest.raises(InputError, match="missing views: are 6, but case a has 6 sparse views"):
        DropViewsd(6)(sampled(scan))


@pytest.mark.parametrize("count", [-1, 1.5])
def test_wrong_counts_are_refused(count):
    with pytest.raises(InputError, match="missing views"):
        DropViewsd(count)
