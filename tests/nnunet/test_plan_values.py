from __future__ import annotations

import copy
from pathlib import Path

import pytest

from bundle.errors import InputError
from bundle.nnunet.plan_values import check_channel, check_mirror_axes, check_plans, label_names

SOURCE = Path("plans.json")
PLANS = {
    "transpose_forward": [2, 0, 1],
    "transpose_backward": [1, 2, 0],
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 481.5, "std": 586.9, "percentile_00_5": -600.0, "percentile_99_5": 800.0}
    },
}
CONFIGURATION = {
    "patch_size": [40, 24, 32],
    "spacing": [4.0, 3.0, 3.5],
    "use_mask_for_norm": [False],
    "resampling_fn_data_kwargs": {},
    "resampling_fn_seg_kwargs": {},
    "resampling_fn_probabilities_kwargs": {},
}


def test_whole_plans_pass():
    check_plans(PLANS, CONFIGURATION, SOURCE)
    check_plans(PLANS, {**CONFIGURATION, "patch_size": [24, 32], "spacing": [3.0, 3.5]}, SOURCE)  # of a 2D network


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("transpose_forward", None, "has the axes None"),
        ("transpose_forward", [0, 1, 1], "has the axes"),
        ("transpose_forward", [1, 2, 0], "has the axes"),  # not the way back
        ("transpose_backward", [0, 1], "has the axes"),
        ("spacing", None, "has the spacing None"),
        ("spacing", [3.0, 3.5], "has the spacing"),
        ("spacing", [4.0, 0, 3.5], "has the spacing"),
        ("spacing", [4.0, float("nan"), 3.5], "has the spacing"),
        ("patch_size", ["a", 1, 2], "has the patch_size"),
        ("use_mask_for_norm", None, "has use_mask_for_norm None"),
        ("resampling_fn_seg_kwargs", None, "has the resampling_fn_seg_kwargs None"),
        ("foreground_intensity_properties_per_channel", None, "has no mean, std"),
        ("foreground_intensity_properties_per_channel", {"0": {"mean": 3}}, "has no mean, std"),
        ("foreground_intensity_properties_per_channel", [], "has no mean, std"),
    ],
)
def test_damaged_plans_are_refused(entry, value, told):
    plans, configuration = copy.deepcopy(PLANS), copy.deepcopy(CONFIGURATION)
    (plans if entry in plans else configuration)[entry] = value
    with pytest.raises(InputError, match=rf"^plans\.json: {told}"):
        check_plans(plans, configuration, SOURCE)


def test_axes_to_mirror_are_those_of_the_image():
    for axes in (None, (0, 1, 2), [0], ()):
        check_mirror_axes(axes, 3, SOURCE)
    for axes in ((0, 1, 7), (0, 0), 3, ["x"]):
        with pytest.raises(InputError, match="mirrors the axes"):
            check_mirror_axes(axes, 3, SOURCE)
    with pytest.raises(InputError, match="mirrors the axes"):
        check_mirror_axes((0, 1, 2), 2, SOURCE)


def test_channels_are_ct():
    for dataset in ({"channel_names": {"0": "CT"}}, {"modality": {"0": "ct"}}, {"channel_names": {"0": "zscore"}}):
        check_channel(dataset, SOURCE)
    for channels in ({"0": "MRI"}, {"0": None}, {"0": "CT", "1": "PET"}, ["CT"], None, {}):
        with pytest.raises(InputError, match="has the channels"):
            check_channel({"channel_names": channels}, SOURCE)


def test_labels_name_the_structures():
    labels = {"background": 0, "right_lung": [1], "left lung": 2, "ignore": 3}
    assert label_names({"labels": labels}, SOURCE) == {1: "right lung", 2: "left lung"}


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"background": 0, "a": "x"}, "has the label a: 'x'"),
        ({"background": 0, "a": None}, "has the label a: None"),
        ({"background": 0, "a": []}, r"has the label a: \[\]"),
        ({"background": 0, "a": True}, "has the label a: True"),
        ({"background": 0, "whole": [1, 2], "core": 2}, r"overlapping regions, such as whole \[1, 2\]"),
        ({"background": 0, "a": 1, "b": 7}, "background 0, and then 1, 2"),
        ({"background": 0, "a": 1, "b": 1}, "background 0, and then 1, 2"),
        ({"a": 0, "background": 1}, "background 0, and then 1, 2"),
        ({"background": 0, "ignore": 1, "a": 2}, "background 0, and then 1, 2"),
        ({"background": 0}, "does not name each structure"),
        ({"background": 0, "a_b": 1, "a b": 2}, "does not name each structure"),
        ({}, "background 0, and then 1, 2"),
        (None, "background 0, and then 1, 2"),
    ],
)
def test_labels_that_make_no_label_map_are_refused(labels, told):
    with pytest.raises(InputError, match=told):
        label_names({"labels": labels}, SOURCE)
