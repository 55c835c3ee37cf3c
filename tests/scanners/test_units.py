from __future__ import annotations

import pytest

from bundle.errors import InputError
from bundle.scanners.units import millimetres_per_unit


@pytest.mark.parametrize(("unit", "expected"), [("mm", 1.0), ("cm", 10.0), ("m", 1000.0), (51.2, 51.2), (2, 2.0)])
def test_units(unit, expected):
    assert millimetres_per_unit(unit) == expected


@pytest.mark.parametrize("unit", ["inch", "", 0, -1.0, float("nan"), float("inf"), True, None, [1]])
def test_unknown_units_are_refused(unit):
    with pytest.raises(InputError, match=r"^unit: is .* Use one of mm, cm, m"):
        millimetres_per_unit(unit)
