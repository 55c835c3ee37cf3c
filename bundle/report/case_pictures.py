"""The pictures of the cases with their figures, those first that need a look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundle.metrics.catalogue import QUALITY, STRUCTURE
from bundle.report.findings import Picture
from bundle.report.levels import told_level
from bundle.report.numbers import counted, number, told, told_reference, whole
from bundle.report.pictures import DrawnPlane, draw_plane, structure_colour
from bundle.report.selection import Row, Selection, condition, is_unperturbed
from bundle.report.slices import SliceReader
from bundle.report.tables import Cell, Table

__all__ = ["CasePictures", "case_pictures", "chosen_pictures"]

_FOUND_IN_ONE = ("reference only", "reconstruction only")


@dataclass(frozen=True)
class CasePictures:
    """What is shown of one reconstruction.

    Args:
        heading: case, method, views and perturbation.
        figures: its image quality and lowest Dice in a line.
        caption: what the evaluation says about the pictures.
        window: HU that are black and white.
        planes: the drawn planes.
        structures: colours and names of the structures in them.
        table: figures of its structures; None if it has none.
    """

    heading: str
    figures: str
    caption: str
    window: str
    planes: list[DrawnPlane]
    structures: list[tuple[str, str]]
    table: Table | None


def case_pictures(selection: Selection, most: int) -> list[CasePictures]:
    """Draws the chosen reconstructions, one after another.

    Raises:
        InputError: when a file cannot be read or the grids differ.
    """
    structures = _by_reconstruction(selection.findings.structures)
    quality = _by_reconstruction(selection.findings.quality)
    read = SliceReader()
    made = []
    for picture in chosen_pictures(selection, most):
        key = _identity(vars(picture))
        planes = [draw_plane(part, picture) for part in read(picture)]
        made.append(_case(picture, planes, structures[key], quality[key], selection))
    return made


def chosen_pictures(selection: Selection, most: int) -> list[Picture]:
    """The pictures that are shown, in their order.

    Without perturbations the worst of the method in focus, up to half of all, and the worst of each other method; then
    the worst of all. A reconstruction is worse where a structure is found in one of the two volumes alone, then where
    the mean Dice of its structures is lower, then where its PSNR is lower; structures count as compared with the first
    reference.
    """
    structures = _by_reconstruction(selection.findings.structures)
    quality = _by_reconstruction(selection.findings.quality)
    reference = next(iter(selection.references), "")

    def merit(picture: Picture) -> tuple:
        key = _identity(vars(picture))
        rows = [row for row in structures[key] if row["reference"] == reference]
        dice = [value for row in rows if (value := number(row["dice"])) is not None]
        psnr = [value for row in quality[key] if (value := number(row["psnr_db"])) is not None]
        return (
            not any(row["found"] in _FOUND_IN_ONE for row in rows),
            float(np.mean(dice)) if dice else np.inf,
            float(np.mean(psnr)) if psnr else np.inf,
            *(picture.case, whole(picture.views), picture.method),
        )

    ranked = sorted(selection.findings.pictures, key=merit)
    unperturbed = [picture for picture in ranked if is_unperturbed(vars(picture))]
    chosen: list[Picture] = []
    for position, method in enumerate(selection.methods):
        those = [picture for picture in unperturbed if picture.method == method]
        chosen += those[: 1 if position else -(-most // 2)]
    taken = {id(picture) for picture in chosen}
    return [*chosen, *(picture for picture in ranked if id(picture) not in taken)][: max(most, 0)]


def _by_reconstruction(rows: Sequence[Row]) -> defaultdict[tuple, list[Row]]:
    """Result rows by the reconstruction that they are about."""
    found: defaultdict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        found[_identity(row)].append(row)
    return found


def _identity(row: Row) -> tuple:
    """Case, method, views, perturbation and level of a row or a picture."""
    return (row["case"], row["method"], whole(row["views"]), *condition(row))


def _case(
    picture: Picture, planes: list[DrawnPlane], rows: list[Row], quality: list[Row], selection: Selection
) -> CasePictures:
    perturbed = told_level(picture.perturbation, picture.level, picture.unit)
    low, high = picture.hu_window
    labels = sorted(frozenset[int]().union(*(part.labels for part in planes)))
    return CasePictures(
        heading=", ".join(
            [
                picture.case,
                picture.method,
                counted(whole(picture.views), "view"),
                *([perturbed] if perturbed else []),
            ]
        ),
        figures=_figures(rows, quality, selection),
        caption=picture.caption,
        window=f"{told(low, 0)} to {told(high, 0)} HU",
        planes=planes,
        structures=[(structure_colour(label), picture.structures.get(label, f"structure {label}")) for label in labels],
        table=_structures(rows) if rows else None,
    )


def _figures(structures: list[Row], quality: list[Row], selection: Selection) -> str:
    parts = []
    for reference in selection.references[:1]:
        rows = [row for row in structures if row["reference"] == reference]
        dice = [(value, row["structure"]) for row in rows if (value := number(row["dice"])) is not None]
        if dice:
            value, name = min(dice)
            parts.append(f"lowest Dice {told(value, 3)} ({name}, compared with {told_reference(reference)})")
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
                [row["structure"], told_reference(row["reference"])],
                [
                    Cell(row["found"], notes=("look here",) if row["found"] in _FOUND_IN_ONE else ()),
                    *(Cell(told(number(row[metric.key]), metric.decimals)) for metric in STRUCTURE),
                    Cell(told(number(row["volume_ml"]), 1)),
                    Cell(told(number(row["reference_volume_ml"]), 1)),
                ],
            )
            for row in rows
        ],
    )
