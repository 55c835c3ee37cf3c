from __future__ import annotations

from bundle.evaluation.problems import labels_left_out, missing_structures


def row(case: str, found: str, **changes) -> dict:
    keys = {"case": case, "method": "fdk", "views": 6, "perturbation": "none", "level": None, "unit": ""}
    return {**keys, "reference": "segmented", "structure": "left lung", "found": found, **changes}


def test_nothing_to_tell():
    assert missing_structures([row("a", "both"), row("b", "both")]) == []


def test_what_was_not_found_is_counted_over_the_numbers_of_views():
    rows = [row("a", "both"), row("b", "reference only"), row("c", "reference only")]
    rows += [row("a", "reference only", views=8), row("a", "both", method="sart")]
    assert missing_structures(rows) == [
        "No left lung was found in 3 of 4 reconstructions by fdk (2 from 6 views, 1 from 8 views), which the "
        "segmentation of the truth has."
    ]


def test_perturbed_scans_come_last_in_a_sentence_for_all():
    rows = [
        row("a", "reference only", perturbation="metal", level=2.0, unit="mm radius"),
        row("a", "reference only", perturbation="metal", level=4.0, unit="mm radius"),
        row("a", "reference only", perturbation="missing_views", level=None),
        row("a", "both", perturbation="noise", level=1e4, unit="photons"),
        row("a", "reference only", method="sart"),
    ]
    assert missing_structures(rows) == [
        "No left lung was found in 1 of 1 reconstructions by sart (1 from 6 views), which the segmentation of the "
        "truth has.",
        "No left lung was found in 3 of 4 reconstructions of perturbed scans by fdk (2 with metal, 1 with missing "
        "views), which the segmentation of the truth has.",
    ]


def test_what_was_invented_and_what_is_nowhere():
    labels = {"reference": "labels"}
    told = missing_structures([row("a", "reconstruction only", **labels), row("b", "neither", **labels)])
    assert told == [
        "A left lung was found in 1 of 2 reconstructions by fdk (1 from 6 views), which the given labels lack.",
        "The given labels have no left lung in a, b.",
    ]


def test_labels_that_were_not_compared():
    both, lungs = {"a": True, "b": True}, ["right lung", "left lung"]
    assert labels_left_out({"a": False}, None, lungs) == []
    assert labels_left_out(both, lungs, lungs) == []
    assert labels_left_out(both, ["right lung", "liver"], lungs) == [
        "The given labels do not name the segmenter's left lung."
    ]
    assert labels_left_out({"a": True, "b": False}, lungs, lungs) == ["There are no given labels of b."]
    (told,) = labels_left_out(both, None, lungs)
    assert "were not compared: nothing names their values" in told
    (told,) = labels_left_out(both, ["liver"], ["right lung"])
    assert "The given labels (liver) have none of the segmenter's structures (right lung)" in told
