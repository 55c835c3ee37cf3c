from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.presets import load_preset, preset_names
from bundle.scanners.units import check_millimetres, millimetres_per_unit


@pytest.mark.parametrize(("unit", "expected"), [("mm", 1.0), ("cm", 10.0), ("m", 1000.0), (51.2, 51.2), (2, 2.0)])
def test_units(unit, expected):
    assert millimetres_per_unit(unit) == expected


@pytest.mark.parametrize("unit", ["inch", "", 0, -1.0, float("nan"), float("inf"), True, None, [1]])
def test_unknown_units_are_refused(unit):
    with pytest.raises(InputError, match=r"^unit: is .* Use one of mm, cm, m"):
        millimetres_per_unit(unit)


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize(("factor", "told"), [(1.0, None), (1e-3, "look like metres"), (1e3, "look like micrometres")])
def test_every_preset_is_told_from_the_same_in_metres(name, factor, told):
    scan = load_preset(name)
    lengths = [np.multiply(v, factor) for v in (scan.sod_mm, scan.sdd_mm, scan.pixel_mm, scan.voxel_mm)]
    if told is None:
        check_millimetres("scan.yaml", *lengths)
        return
    with pytest.raises(InputError, match=rf"^scan.yaml: is hardly in millimetres.*{told}.*unit="):
        check_millimetres("scan.yaml", *lengths)


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ((1000, 1500, (1.0, 1.2), (0.0008, 0.0009, 0.001)), r"SOD 1000, SDD 1500, pixel .* \(plausible in mm\), voxel"),
        ((1.0, 1.5, (0.4, 0.5), (0.8, 0.8, 0.8)), r"pixel \[0.4, 0.5\], voxel 0.8 \(plausible in mm\), SOD 1, SDD 1.5"),
        ((1000, 1.5, None, None), r"SOD 1000 \(plausible in mm\), SDD 1.5 \(too small\)"),
        ((1000, 1500, (400.0, 400.0), None), r"pixel 400 \(too large\)"),
        ((1000, 1500, None, (0.8, 0.8, 0.0008)), r"voxel \[0.8, 0.0008\] \(too small\)"),
    ],
)
def test_mixed_units_are_told_with_the_values(lengths, told):
    with pytest.raises(InputError, match=told) as caught:
        check_millimetres("scan.yaml", *lengths)
    assert "mixes units" in str(caught.value)


def test_names_and_distances_per_view():
    with pytest.raises(InputError, match=r"has DSO \[1.0, 1.1\], DSD 1.5, which look like metres"):
        check_millimetres("scan.yaml", np.array([1.0, 1.1]), 1.5, names=("DSO", "DSD", "dDetector", "dVoxel"))


@pytest.mark.parametrize("bad", [0.0, -500.0, float("nan"), float("inf")])
def test_lengths_that_are_none_are_refused(bad):
    with pytest.raises(InputError, match=r"has SDD .* Give positive lengths"):
        check_millimetres("scan.yaml", 500.0, bad)
