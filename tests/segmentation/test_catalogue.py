from __future__ import annotations

import subprocess
import sys

import pytest

from bundle.errors import InputError
from bundle.segmentation.catalogue import SEGMENTERS, make_segmenter
from bundle.segmentation.threshold_lungs import ThresholdLungs
from tests.conftest import ROOT


def test_makes_a_segmenter_with_its_options():
    made = make_segmenter("lung_threshold", {"threshold_hu": -500})
    assert isinstance(made, ThresholdLungs)
    assert made.threshold_hu == -500.0


def test_hu_are_checked_unless_told_otherwise():
    assert make_segmenter("lung_threshold").check_hu
    assert not make_segmenter("lung_threshold", {}, check_hu=False).check_hu
    assert make_segmenter("lung_threshold", {"check_hu": True}, check_hu=False).check_hu


def test_names_what_there_is():
    for options in ("threshold_hu=-500", ["a"], 3):
        with pytest.raises(InputError, match=r"segmenter_options: is .*Give names and values"):
            make_segmenter("lung_threshold", options)
    with pytest.raises(InputError, match="segmenter: is None"):
        make_segmenter(None)
    with pytest.raises(InputError, match=r"segmenter: is 'lungs'.*lung_threshold, lungmask, nnunet, monai_bundle"):
        make_segmenter("lungs")
    with pytest.raises(InputError, match=r"has thershold, which lung_threshold does not take.*threshold_hu"):
        make_segmenter("lung_threshold", {"thershold": -500})
    with pytest.raises(InputError, match=r"segmenter_options threshold_hu: is 'dark'.*Give a number"):
        make_segmenter("lung_threshold", {"threshold_hu": "dark"})
    with pytest.raises(InputError, match=r"lacks folder, which monai_bundle needs.*segmenter_options\.folder"):
        make_segmenter("monai_bundle")


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import bundle.segmentation.catalogue, sys; print([m for m in ('lungmask', 'nnunetv2', 'scipy.ndimage')"
    code += " if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert {"lung_threshold", "lungmask", "nnunet", "monai_bundle"} == set(SEGMENTERS)
