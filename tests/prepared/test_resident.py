"""Volumes stay on the device as far as there is room."""

from __future__ import annotations

import shutil

import numpy as np
import torch

from bundle.prepared.resident import ResidentVolumes
from tests.prepared.sets import write_phantom

CPU = torch.device("cpu")


def test_kept_until_there_is_no_room(tmp_path, scan, phantom):
    for name in "abc":
        write_phantom(tmp_path / name, scan)
    bytes_each = 2 * phantom.size
    volumes = ResidentVolumes(gigabytes=2.5 * bytes_each / 1e9)  # room for two
    first = volumes(str(tmp_path / "a"), CPU)
    np.testing.assert_allclose(first[0].numpy(), phantom, atol=1e-5)
    for name in ("b", "a", "c"):  # b is now the one used least recently
        volumes(str(tmp_path / name), CPU)
    kept = [folder for folder, _ in volumes._kept]
    assert kept == [str(tmp_path / "a"), str(tmp_path / "c")]
    assert volumes._bytes == 2 * bytes_each
    shutil.rmtree(tmp_path / "a")
    assert torch.equal(volumes(str(tmp_path / "a"), CPU), first)


def test_none_are_kept_on_a_cpu(tmp_path, scan):
    write_phantom(tmp_path / "a", scan)
    volumes = ResidentVolumes()
    volumes(str(tmp_path / "a"), CPU)
    assert not volumes._kept


def test_one_that_is_larger_than_all_room(tmp_path, scan, phantom):
    write_phantom(tmp_path / "a", scan)
    volumes = ResidentVolumes(gigabytes=1e-9)
    np.testing.assert_allclose(volumes(str(tmp_path / "a"), CPU)[0].numpy(), phantom, atol=1e-5)
    assert not volumes._kept
