from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("zarr", reason="needs zarr")

from scripts.benchmark_storage import compare, files_of, rounded
from scripts.range_server import RangeFileSystem, RangeServer, parse_range
from scripts.storage_case import Case, draw_items, prepare, read_item
from scripts.storage_formats import STORAGES


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.RandomState(0)
    volume = rng.randint(0, 65536, (8, 4, 5, 6)).astype(np.uint16)
    projections = rng.randint(0, 65536, (30, 7, 9)).astype(np.uint16)
    return Case(volume, projections, (2, 2, 2), np.arange(30) * np.pi / 30)


@pytest.mark.parametrize("name", STORAGES)
def test_storages_give_back_what_was_stored(case, tmp_path, name):
    storage = STORAGES[name]()
    storage.write(tmp_path / "case", case.volume, case.projections)
    views = np.array([29, 0, 7])
    with RangeServer(tmp_path) as server:
        opened = [storage.open(tmp_path / "case")]
        if storage.open_remote is not None:
            opened.append(storage.open_remote(RangeFileSystem(server.server_port), "case"))
        for stored in opened:
            np.testing.assert_array_equal(stored.block(5), case.volume[5])
            np.testing.assert_array_equal(stored.views(views), case.projections[views])
            np.testing.assert_array_equal(stored.blocks(), case.volume)


def test_items_are_float32_of_the_drawn_block_views_and_points(case, tmp_path):
    storage = STORAGES[".npy, mapped"]()
    storage.write(tmp_path / "case", case.volume, case.projections)
    item = draw_items(case, 3, 12, 50)[2]
    assert len(set(item.views)) == 12
    block, views, values = read_item(storage.open(tmp_path / "case"), item)
    expected = torch.from_numpy(case.volume[item.block].astype(np.float32) / np.float32(65535))
    torch.testing.assert_close(block, expected)
    torch.testing.assert_close(values, expected.flatten()[item.points])
    torch.testing.assert_close(views, torch.from_numpy(case.projections[item.views].astype(np.float32)) / 65535)


def test_comparison_counts_files_and_requests(case, tmp_path):
    results = compare(case, tmp_path, items=4, repeats=1, views=12, points=50, delay_s=0.0)
    local = {row["storage"]: row for row in results["local"]}
    assert list(local) == list(STORAGES)
    assert {name: row["files per case"] for name, row in local.items()} == {
        ".npy, mapped": 2,
        ".npy, by ranges": 2,
        "zarr, sharded": 5,  # the group, and a description and a shard of each array
        "zarr, sharded, zstd": 5,
        "zarr, unsharded": 3 + 8 + 30,
        "zarr, unsharded, zstd": 3 + 8 + 30,
    }
    stored = (8 * 4 * 5 * 6 + 30 * 7 * 9) * 2
    assert local[".npy, mapped"]["MB per case"] == pytest.approx((stored + 2 * 128) / 1e6)
    remote = {row["storage"]: row for row in results["object storage"]}
    assert remote[".npy, by ranges"]["requests per item"] == 1 + 12
    assert remote[".npy, by ranges"]["MB per item"] == pytest.approx((4 * 5 * 6 + 12 * 7 * 9) * 2 / 1e6)
    assert remote["zarr, sharded"]["requests per item"] == 2 * (1 + 12)  # the index of the shard, every time
    assert len(files_of(tmp_path)) == 2 + 2 + 5 + 5 + 41 + 41
    assert rounded([{"storage": "a", "item, ms": 1.2345, "files per case": 5}]) == [
        {"storage": "a", "item, ms": "1.23", "files per case": "5"}
    ]


def test_the_sample_is_prepared(tmp_path):
    from scripts.benchmark_storage import SAMPLE

    prepared = prepare(SAMPLE, 16, 5)
    assert prepared.volume.shape == (64, 4, 4, 4)
    assert prepared.volume.dtype == prepared.projections.dtype == np.uint16
    assert prepared.projections.shape == (5, 16, 16)
    assert prepared.projections.max() == 65535


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-200", (90, 100)),
        ("bytes=-8", (92, 100)),
        ("bytes=40-", (40, 100)),
    ],
)
def test_ranges_are_those_of_http(header, expected):
    assert parse_range(header, 100) == expected
