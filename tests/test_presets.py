from __future__ import annotations

import json

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.presets import load_preset, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name):
    preset = load_preset(name)
    assert preset.geometry(preset.candidate_angles_rad).num_views == preset.candidate_views


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("luna16", (800, 1200, (2.4, 2.4), (1.6, 1.6, 1.6), (-1000, 1024), 200)),
        ("knee", (1000, 2000, (2.0, 2.0), (0.8, 0.8, 0.8), (-1000, 1024), 50)),
        (
            "toothfairy",
            (350, 300, (0.20859375, 0.542578125), (0.542578125, 0.542578125, 0.20859375), (-1000, 3000), 50),
        ),
    ],
)
def test_published_numbers(name, expected):
    p = load_preset(name)
    found = (p.sod_mm, p.sdd_mm, tuple(p.pixel_mm), tuple(p.voxel_mm), tuple(p.hu_window), p.candidate_views)
    assert found == expected


def test_resizing_keeps_the_fields_of_view():
    full, small = load_preset("toothfairy"), load_preset("toothfairy", (64, 32), (32, 64, 16))
    np.testing.assert_allclose(small.geometry([0]).volume_size_mm, full.geometry([0]).volume_size_mm)
    np.testing.assert_allclose(np.multiply(small.detector_shape, small.pixel_mm), 256 * np.array(full.pixel_mm))


def test_candidates_leave_out_the_end_of_the_arc():
    angles = load_preset("luna16").candidate_angles_rad
    assert angles[0] == 0
    assert angles[-1] == pytest.approx(np.pi * 199 / 200)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(InputError, match="luna16"):
        load_preset("lunar16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour"),
        ({"hu_window": [5, 1]}, "HU window"),
        ({"arc_deg": 0}, "arc"),
        ({"sod_mm": 0}, "sod_mm"),
    ],
)
def test_invalid_preset_files(tmp_path, change, message):
    record = {**json.loads((preset_folder() / "luna16.json").read_text()), **change}
    (tmp_path / "mine.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        load_preset("mine", folder=tmp_path)


def test_incomplete_and_broken_preset_files(tmp_path):
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="incomplete"):
        load_preset("empty", folder=tmp_path)
    with pytest.raises(InputError, match="JSON"):
        load_preset("broken", folder=tmp_path)


def preset_folder():
    from bundle.presets import PRESETS_DIR

    return PRESETS_DIR
