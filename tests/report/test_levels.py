from __future__ import annotations

import pytest

from bundle.report.levels import mild_to_strong, told_amount, told_level


@pytest.mark.parametrize(
    ("level", "unit", "expected"),
    [
        (1.0, "degrees", "1 degree"),
        (0.25, "degrees", "0.25 degrees"),
        (1.0, "mm", "1 mm"),
        (1, "photons per pixel", "1 photon per pixel"),
        (1e4, "photons per pixel", "10,000 photons per pixel"),
        (1e6, "", "1,000,000"),
        (None, "mm", ""),
    ],
)
def test_amounts(level, unit, expected):
    assert told_amount(level, unit) == expected


def test_units_that_the_name_has_are_not_said_again():
    assert told_level("missing_views", 2.0, "views") == "missing views: 2"
    assert told_level("detector_shift", -1.5, "mm") == "detector shift: -1.5 mm"
    assert told_level("blur", None, "") == "blur"
    assert told_level("none", None, "") == ""


@pytest.mark.parametrize(("name", "expected"), [("noise", [1e6, 1e5, 1e4]), ("metal", [1e4, 1e5, 1e6])])
def test_levels_run_from_mild_to_strong(name, expected):
    assert [level for level, _ in mild_to_strong(name, {(1e5, ""), (1e6, ""), (1e4, "")})] == expected
