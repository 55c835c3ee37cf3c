from __future__ import annotations

from pathlib import Path

from bundle.report import Picture
from bundle.report.case_pictures import case_pictures, chosen_pictures
from bundle.report.selection import Selection
from tests.report.examples import (
    LEFT,
    RIGHT,
    make_findings,
    make_picture,
    only,
    quality_row,
    save_volumes,
    structure_row,
)


def picture(case: str, method: str = "fdk", *perturbed) -> Picture:
    perturbation, level = perturbed or ("none", None)
    files = 4 * (Path("none.nii.gz"),)
    return Picture(case, method, 6, perturbation, level, "", *files, (-1000.0, 1000.0))


def chosen(findings, most: int = 99) -> list[tuple]:
    return [(one.case, one.method, one.perturbation) for one in chosen_pictures(Selection(findings), most)]


def test_structures_in_one_segmentation_come_first_then_dice_then_psnr():
    dice = {
        "good": (0.9, 0.95),
        "bad": (0.5, 0.6),
        "missed": (0.99, 0.0),
        "in neither": (0.99, None),
        "bad and dim": (0.6, 0.5),
    }
    psnr = {"good": 20.0, "bad": 30.0, "missed": 30.0, "in neither": 30.0, "bad and dim": 25.0}
    structures = [
        structure_row(case, "fdk", 6, name, value)
        for case, values in dice.items()
        for name, value in zip((RIGHT, LEFT), values)
    ]
    structures.append({**structure_row("good", "fdk", 6, RIGHT, 0.01), "reference": "labels"})  # the second reference
    quality = [quality_row(case, "fdk", 6, value) for case, value in psnr.items()]
    findings = only(quality, structures, pictures=[picture(case) for case in dice])
    assert [case for case, *_ in chosen(findings)] == ["missed", "bad and dim", "bad", "good", "in neither"]


def test_every_method_is_shown_unperturbed_before_the_worst_of_all():
    methods = {"deepsparse": 0.9, "fdk": 0.2, "sart": 0.3}
    scans = {(): 0.0, ("noise", 1e3): 0.15}
    rows = [
        (case, method, scan, dice - loss - i / 100)
        for method, dice in methods.items()
        for scan, loss in scans.items()
        for i, case in enumerate("abc")
    ]
    findings = only(
        [quality_row(case, method, 6, 20.0, *scan) for case, method, scan, _ in rows],
        [structure_row(case, method, 6, RIGHT, dice, *scan) for case, method, scan, dice in rows],
        pictures=[picture(case, method, *scan) for case, method, scan, _ in rows],
    )
    assert chosen(findings, 6) == [
        ("c", "deepsparse", "none"),
        ("b", "deepsparse", "none"),
        ("a", "deepsparse", "none"),
        ("c", "fdk", "none"),
        ("c", "sart", "none"),
        ("c", "fdk", "noise"),
    ]
    assert chosen(findings, 2) == [("c", "deepsparse", "none"), ("c", "fdk", "none")]
    assert chosen(findings, 0) == []
    every = chosen(findings)
    assert len(every) == len(set(every)) == 18


def test_structures_are_named_in_their_colours(tmp_path):
    (shown,) = case_pictures(Selection(make_findings([make_picture(save_volumes(tmp_path))])), 12)
    assert [name for _, name in shown.structures] == [RIGHT]
    assert shown.heading == "a, fdk, 6 views"
    assert shown.figures.startswith("lowest Dice 0.850 (right lung, compared with the segmentation of the truth), PSNR")
    assert [row[1][0].notes for row in shown.table.rows] == [(), ()]
