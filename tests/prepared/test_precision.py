"""Stored numbers are as precise as is said, and floating ones stand for themselves."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.prepared.precision import PRECISIONS, Coding, precise_coding


@pytest.mark.parametrize(
    ("name", "hu_error"), [("uint16", 0.0153), ("float16", 0.5), ("float32", 1e-4), ("legacy_uint8", 3.93)]
)
def test_error_over_2000_hu(name, hu_error):
    values = np.linspace(0, 1, 100_003, dtype=np.float32)
    dtype = PRECISIONS[name]
    coding = precise_coding(dtype, 0.0, 1.0)
    stored = coding.encode(values, dtype)
    assert stored.dtype == dtype
    error = 2000 * np.abs(coding.decode(stored) - values).max()
    assert 0.5 * hu_error < error <= hu_error * 1.01 or name == "float32"
    assert error <= hu_error * 1.01


def test_negative_values_and_ends_are_kept():
    values = np.array([-0.25, 0.0, 3.0], dtype=np.float32)
    dtype = PRECISIONS["uint16"]
    coding = precise_coding(dtype, -0.25, 3.0)
    np.testing.assert_allclose(coding.decode(coding.encode(values, dtype)), values, atol=3.25 / 131070)
    outside = coding.encode(np.array([-9.0, 9.0]), dtype)
    assert outside.tolist() == [0, 65535]


def test_constant_values():
    coding = precise_coding(PRECISIONS["uint16"], 0.0, 0.0)
    assert coding.decode(coding.encode(np.zeros(3), np.dtype(np.uint16))).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "record", [{}, {"scale": 0, "offset": 0}, {"scale": "x", "offset": 0}, {"scale": 1, "offset": float("nan")}]
)
def test_damaged_record(record):
    with pytest.raises(InputError, match=r"case\.json: has .*scale"):
        Coding.of(record, "case.json")
