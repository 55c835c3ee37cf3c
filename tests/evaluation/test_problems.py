from __future__ import annotations

from bundle.evaluation.problems import missing_structures, without_counterpart


def row(case: str, found: str, **changes) -> dict:
    keys = {"case": case, "method": "fdk", "views": 6, "perturbation": "none", "level": None, "unit": ""}
    return {**keys, "reference": "segmented", "structure": "left lung", "found": found, **changes}


def test_nothing_to_tell():
    assert missing_structures([row("a", "both"), row("b", "both")]) == []


def test_what_was_not_found_is_counted():
    rows = [row("a", "both"), row("b", "reference only"), row("c", "reference only")]
    assert missing_structures(rows) == [
        "No left lung was found in 2 of 3 reconstructions from 6 views by fdk, which the segmentation of the truth has."
    ]


def test_what_was_invented_and_what_is_nowhere():
    noisy = {"perturbation": "noise", "level": 1e4, "unit": "photons", "reference": "labels"}
    told = missing_structures([row("a", "reconstruction only", **noisy), row("b", "neither", **noisy)])
    assert told == [
        "A left lung was found in 1 of 2 reconstructions from 6 views by fdk (noise 10000 photons), which the given "
        "labels lack.",
        "The given labels have no left lung in a, b.",
    ]


def test_labels_without_the_segmenters_structures():
    assert without_counterpart(["right lung"], []) == []
    assert without_counterpart(["right lung", "left lung"], ["left lung", "liver"]) == []
    (told,) = without_counterpart(["right lung"], ["liver"])
    assert "The given labels (liver) have none of the segmenter's structures (right lung)" in told
