from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle.errors import InputError
from bundle.geometry_rows import ROW_LENGTH, pack_geometry, unpack_geometry
from tests.projector.test_backends import tilted


def test_comes_back_bit_for_bit():
    geometry = replace(tilted(), volume_centre_mm=(0.1, -0.2, 1 / 3))
    rows = pack_geometry(geometry)
    assert rows.shape == (7, ROW_LENGTH) == (7, 26)
    back = unpack_geometry(rows)
    assert back.checksum() == geometry.checksum()
    np.testing.assert_array_equal(back.angles_rad, geometry.angles_rad)


def test_rows_are_chosen_like_views():
    geometry = tilted()
    chosen = unpack_geometry(torch.stack([pack_geometry(geometry)] * 2)[1][[4, 1, 1]])
    assert chosen.checksum() == geometry.select([4, 1, 1]).checksum()


def test_impossible_rows_are_refused():
    with pytest.raises(InputError):
        unpack_geometry(torch.zeros(2, ROW_LENGTH))
