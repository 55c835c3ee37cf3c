from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.report.numbers import counted, number, plain, told, told_interval, told_p_value


@pytest.mark.parametrize("value", [None, "", float("nan"), "nan", np.float32("nan")])
def test_what_is_no_number_is_undefined(value):
    assert number(value) is None


def test_text_from_a_table_is_a_number():
    assert number("0.25") == 0.25
    assert number("inf") == math.inf


def test_other_text_is_refused():
    with pytest.raises(ValueError, match="'high'"):
        number("high")


def test_numbers_are_told_with_their_sign():
    assert told(-1.005, 1) == "\u22121.0"
    assert told(2.345, 1, signed=True) == "+2.3"
    assert told(-0.001, 2, signed=True) == "0.00"
    assert told(None, 2) == told(math.nan, 2) == "undefined"
    assert [told(math.inf, 2), told(-math.inf, 1), told(math.inf, 1, signed=True)] == ["∞", "\u2212∞", "+∞"]


def test_things_are_counted():
    assert [counted(n, "view") for n in (0, 1, 2)] == ["0 views", "1 view", "2 views"]


def test_intervals_of_negative_numbers_are_not_joined_by_a_dash():
    assert told_interval(0.93, 0.97, 2) == "0.93\u20130.97"
    assert told_interval(-3.0, 1.0, 1, signed=True) == "\u22123.0 to +1.0"
    assert told_interval(None, 1.0, 1) == ""


def test_p_values():
    assert [told_p_value(p) for p in (0.0004, 0.0312)] == ["p < 0.001", "p = 0.031"]


def test_plain_values_hold_no_numpy_and_no_infinity():
    found = plain({"a": np.float32(0.5), 2: [np.int64(3), math.inf, -math.inf], "b": np.array([0.0, np.nan])})
    assert found == {"a": 0.5, "2": [3, "inf", "-inf"], "b": [0.0, None]}
    assert type(found["2"][0]) is int
