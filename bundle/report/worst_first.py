"""Putting the pictures in order, those that need a look first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bundle.report.findings import Findings, Picture
from bundle.report.numbers import number, whole
from bundle.report.selection import Row, condition

__all__ = ["identity", "rows_by_reconstruction", "worst_first"]


def worst_first(findings: Findings) -> list[Picture]:
    """Pictures with structures that are not found first, then by the mean Dice of their structures, then by PSNR."""
    structures, quality = rows_by_reconstruction(findings.structures), rows_by_reconstruction(findings.quality)
    return sorted(
        findings.pictures,
        key=lambda picture: _merit(picture, structures[identity(vars(picture))], quality[identity(vars(picture))]),
    )


def rows_by_reconstruction(rows: Sequence[Row]) -> defaultdict[tuple, list[Row]]:
    """Result rows by the reconstruction that they are about, as :func:`identity` tells it."""
    found: defaultdict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        found[identity(row)].append(row)
    return found


def identity(row: Row) -> tuple:
    """Case, method, views, perturbation and level of a row or a picture."""
    return (row["case"], row["method"], whole(row["views"]), *condition(row))


def _merit(picture: Picture, rows: list[Row], quality_rows: list[Row]) -> tuple:
    quality = [value for row in quality_rows if (value := number(row["psnr_db"])) is not None]
    dice = [value for row in rows if (value := number(row["dice"])) is not None]
    complete = bool(rows) and all(row["found"] == "both" for row in rows)
    return (
        complete,
        float(np.mean(dice)) if dice else -1.0,
        float(np.mean(quality)) if quality else -np.inf,
        picture.case,
        whole(picture.views),
        picture.method,
    )
