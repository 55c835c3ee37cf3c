from __future__ import annotations

from pathlib import Path

from bundle.report import Picture
from bundle.report.worst_first import worst_first
from tests.report.examples import LEFT, RIGHT, make_findings, quality_row, structure_row


def picture(case: str, *perturbed) -> Picture:
    perturbation, level = perturbed or ("none", None)
    nothing = Path("none.nii.gz")
    return Picture(case, "fdk", 6, perturbation, level, "", nothing, nothing, nothing, nothing, (-1000.0, 1000.0))


def test_missed_structures_come_first_then_dice_then_psnr():
    dice = {
        "good": (0.9, 0.95),
        "bad": (0.5, 0.6),
        "missed": (0.99, 0.0),
        "neither": (0.99, None),
        "bad and dim": (0.6, 0.5),
    }
    psnr = {"good": 20.0, "bad": 30.0, "missed": 30.0, "neither": 30.0, "bad and dim": 25.0}
    structures = [
        structure_row(case, "fdk", 6, name, value)
        for case, values in dice.items()
        for name, value in zip((RIGHT, LEFT), values)
    ]
    quality = [quality_row(case, "fdk", 6, value) for case, value in psnr.items()]
    findings = make_findings([picture(case) for case in dice], structures=structures, quality=quality)
    assert [one.case for one in worst_first(findings)] == ["missed", "neither", "bad and dim", "bad", "good"]


def test_rows_of_the_same_perturbation_count():
    structures = [
        structure_row("a", "fdk", 6, RIGHT, 0.9),
        structure_row("a", "fdk", 6, RIGHT, 0.4, "noise", 1e3),
        structure_row("b", "fdk", 6, RIGHT, 0.8),
    ]
    findings = make_findings([picture("a"), picture("b"), picture("a", "noise", 1000)], structures=structures)
    assert [(one.case, one.perturbation) for one in worst_first(findings)] == [
        ("a", "noise"),
        ("b", "none"),
        ("a", "none"),
    ]
