from __future__ import annotations

import sys

import pytest

from bundle.errors import InputError
from bundle.evaluation.perturbations import FAMILIES, list_perturbations
from tests.conftest import ROOT
from tests.workflows import DEMO, TRAIN, small, workflow

LEVELS = {
    "metal": [2, 8],
    "noise": [1e5],
    "angle_jitter": [0.5],
    "detector_shift": [1],
    "missing_views": [1, 2],
    "truncation": [0.75],
}


def test_the_unperturbed_scan_comes_first_and_every_level_has_a_folder_of_its_own():
    listed = list_perturbations(LEVELS)
    assert [one.folder for one in listed] == [
        "none",
        *("metal_2", "metal_8", "noise_100000", "angle_jitter_0.5", "detector_shift_1"),
        *("missing_views_1", "missing_views_2", "truncation_0.75"),
    ]
    assert listed[1].keys == {"perturbation": "metal", "level": 2.0, "unit": "mm radius"}


def test_every_family_has_a_level_here():
    assert set(LEVELS) == set(FAMILIES)


def test_every_change_is_a_setting_of_the_evaluation(tmp_path):
    """A misspelt setting would be ignored in silence."""
    files = [TRAIN, "configs/evaluate.json", DEMO]
    for perturbation in list_perturbations(LEVELS):
        parsed = workflow(files, "evaluating", **small(tmp_path)).parser
        assert set(perturbation.changes) <= set(parsed.get())


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"fog": [1]}, "perturbations.fog: is unknown. Use some of metal, noise"),
        ({"noise": 1e5}, "Give its levels, in photons per pixel"),
        ({"noise": []}, "Give its levels"),
        ({"noise": ["much"]}, "Give its levels"),
        ({"missing_views": [0.5]}, "Give whole numbers from 1"),
        ({"noise": [-1]}, "Give a positive photon count"),
        ({"metal": [-1]}, "Give a positive radius"),
        ({"truncation": [1.5]}, "truncation"),
    ],
)
def test_refused(levels, message):
    with pytest.raises(InputError, match=message):
        list_perturbations(levels)


def test_missing_packages_are_told_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraydb", None)
    assert list_perturbations({"noise": [1e5]})
    with pytest.raises(ImportError, match="pip install xraydb"):
        list_perturbations({"noise": [1e5], "metal": [2]})


def test_the_suite_names_known_perturbations():
    import json

    suite = json.loads((ROOT / "configs" / "robustness.json").read_text())["perturbations"]
    assert {one.name for one in list_perturbations(suite)} == {"none", *FAMILIES}
