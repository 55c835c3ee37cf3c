"""The pictures of the cases with their figures, worst first."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.report.findings import Findings, Picture
from bundle.report.metrics import QUALITY, STRUCTURE
from bundle.report.numbers import number, told, told_level, whole
from bundle.report.pictures import DrawnPlane, draw_picture
from bundle.report.selection import REFERENCES, Row
from bundle.report.tables import Cell, Table
from bundle.report.worst_first import identity, rows_by_reconstruction, worst_first

__all__ = ["CasePictures", "case_pictures"]


@dataclass(frozen=True)
class CasePictures:
    """What is shown of one reconstruction.

    Args:
        heading: case, method, views and perturbation.
        figures: its image quality and lowest Dice in a line.
        caption: what the evaluation says about the pictures.
        window: HU that are black and white.
        planes: the drawn planes.
        table: figures of its structures; None if it has none.
    """

    heading: str
    figures: str
    caption: str
    window: str
    planes: list[DrawnPlane]
    table: Table | None


def case_pictures(findings: Findings, most: int) -> list[CasePictures]:
    """Draws the worst reconstructions, one after another.

    Raises:
        InputError: when a file cannot be read or the grids differ.
    """
    structures, quality = rows_by_reconstruction(findings.structures), rows_by_reconstruction(findings.quality)
    return [
        _case(picture, structures[identity(vars(picture))], quality[identity(vars(picture))])
        for picture in worst_first(findings)[: max(most, 0)]
    ]


def _case(picture: Picture, rows: list[Row], quality: list[Row]) -> CasePictures:
    perturbed = told_level(picture.perturbation, picture.level, picture.unit)
    low, high = picture.hu_window
    return CasePictures(
        heading=", ".join(
            [picture.case, picture.method, f"{whole(picture.views)} views", *([perturbed] if perturbed else [])]
        ),
        figures=_figures(rows, quality),
        caption=picture.caption,
        window=f"{told(low, 0)} to {told(high, 0)} HU",
        planes=draw_picture(picture),
        table=_structures(rows) if rows else None,
    )


def _figures(structures: list[Row], quality: list[Row]) -> str:
    parts = []
    dice = [(value, row["structure"]) for row in structures if (value := number(row["dice"])) is not None]
    if dice:
        value, name = min(dice)
        parts.append(f"lowest Dice {told(value, 3)} ({name})")
    for metric in QUALITY[:2]:
        parts += [
            f"{metric.name} {told(value, metric.decimals)} {metric.unit}".strip()
            for row in quality
            if (value := number(row[metric.key])) is not None
        ]
    return ", ".join(parts)


def _structures(rows: list[Row]) -> Table:
    return Table(
        caption="Structures of this reconstruction",
        corner=["Structure", "Compared with"],
        head=["Found in", *(metric.label for metric in STRUCTURE), "Volume (ml)", "Reference (ml)"],
        rows=[
            (
                [row["structure"], REFERENCES.get(row["reference"], row["reference"])],
                [
                    Cell(row["found"], notes=() if row["found"] == "both" else ("look here",)),
                    *(Cell(told(number(row[metric.key]), metric.decimals)) for metric in STRUCTURE),
                    Cell(told(number(row["volume_ml"]), 1)),
                    Cell(told(number(row["reference_volume_ml"]), 1)),
                ],
            )
            for row in rows
        ],
    )
