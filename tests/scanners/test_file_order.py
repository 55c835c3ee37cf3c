from __future__ import annotations

import random
from pathlib import Path

import pytest

from bundle.errors import InputError
from bundle.scanners.file_order import in_order


@pytest.mark.parametrize(
    "names",
    [
        ["view1.tif", "view2.tif", "view10.tif", "view100.tif"],
        ["view-001.tif", "view-002.tif", "view-010.tif"],
        ["2024-01-05_view-9.tif", "2024-01-05_view-11.tif"],
        ["angle_-180.0.tif", "angle_-30.0.tif", "angle_0.0.tif", "angle_0.25.tif", "angle_0.5.tif", "angle_90.0.tif"],
        ["-180.tif", "-90.tif", "-9.tif", "0.tif", "+9.tif", "90.tif"],
        ["p-30.5.tif", "p-4.25.tif", "p0.0.tif", "p4.75.tif"],
        ["deg=-30,5.tif", "deg=-4,25.tif", "deg=1,5.tif"],
        ["a_\u221230.tif", "a_\u22124.tif", "a_5.tif"],
        ["a_-90.0.tif", "a_-6.1e-15.tif", "a_1.5.tif"],
        ["scan1.1.tif", "scan1.9.tif", "scan1.10.tif", "scan1.11.tif"],
        ["1.2.840.9.tif", "1.2.840.10.tif"],
        ["scan1_10.50.tif", "scan1_100.25.tif", "scan2_9.75.tif"],
        ["a.tif", "b.tif"],
        ["proj_0001_angle_-10.0.tif", "proj_0002_angle_-20.0.tif"],
    ],
    ids=lambda names: names[0],
)
def test_numbers_are_sorted_by_their_value(names):
    shuffled = list(map(Path, names))
    random.Random(3).shuffle(shuffled)
    assert [path.name for path in in_order("folder", shuffled)] == names


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["view1.tif", "view01.tif"], "has view01.tif and view1.tif, the order of which is not clear"),
        (
            ["view1.25.tif", "view1.5.tif"],
            "has names with 1.25 and 1.5: are these decimals or counted",
        ),
    ],
)
def test_orders_that_are_not_clear_are_refused(names, told):
    with pytest.raises(InputError, match=f"^folder: {told}.* in the order of the views"):
        in_order("folder", list(map(Path, names)))
