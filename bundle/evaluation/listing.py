"""Reconstructions that exist already: a folder of them, or a table that names each."""

from __future__ import annotations

import re
from pathlib import Path

from bundle.errors import InputError
from bundle.evaluation.perturbations import Perturbation
from bundle.evaluation.reconstruction import Reconstruction
from bundle.tables import read_rows

__all__ = ["list_reconstructions", "measured_quality"]

_NAME = re.compile(r"_(?P<views>\d+)views(?:_(?P<method>.+?))?\.nii(?:\.gz)?")
_COLUMNS = ("case", "method", "views", "volume", "truth")


def list_reconstructions(source: str | Path, method: str) -> list[Reconstruction]:
    """Finds reconstructions and their truths.

    Args:
        source: folder with <case>/<case>_truth.nii.gz and <case>/<case>_<n>views[_<method>].nii.gz, as the evaluation
            writes it with its metrics.csv; or a CSV file with the columns case, method, views, volume, truth, and
            labels, perturbation, level and unit where there are any (paths from the file's folder).
        method: name of those without a method in their file's name.

    Raises:
        InputError: when there are none, a truth is missing, or the table lacks something.
    """
    path = Path(source)
    if path.is_dir():
        found = _in_folder(path, method)
    elif path.suffix.lower() == ".csv" and path.is_file():
        found = [_of_row(path, number, row) for number, row in enumerate(read_rows(path), start=2)]
    else:
        raise InputError(f"volumes {path}", "is neither a folder nor a CSV file.", "Check the path.")
    if not found:
        raise InputError(
            f"volumes {path}",
            "has no reconstructions.",
            "Let it hold CASE/CASE_truth.nii.gz and CASE/CASE_6views_METHOD.nii.gz, or give a CSV file of them.",
        )
    stems = [one.stem for one in found]
    repeated = sorted({stem for stem in stems if stems.count(stem) > 1})
    if repeated:
        raise InputError(f"volumes {path}", f"has {repeated[0]} twice.", "Name every reconstruction once.")
    return found


def measured_quality(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of a folder's metrics.csv by case, method and number of views; the newest of each."""
    return {(row["case"], row["method"], row["views"]): row for row in read_rows(folder / "metrics.csv")}


def _in_folder(folder: Path, method: str) -> list[Reconstruction]:
    found = []
    measured = measured_quality(folder)
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [path for path in sorted(case.iterdir()) if path.name.startswith(case.name)]
        matches = {path: _NAME.fullmatch(path.name, len(case.name)) for path in files}
        named = {path: match for path, match in matches.items() if match}
        if not named:
            continue
        truths = sorted(case.glob(f"{case.name}_truth.nii*"))
        if not truths:
            raise InputError(case / f"{case.name}_truth.nii.gz", "does not exist.", "Put the case's true volume there.")
        for path, match in named.items():
            views, name = int(match["views"]), match["method"] or method
            quality = measured.get((case.name, name, str(views)), {})
            found.append(Reconstruction(case.name, name, views, path, truths[0], quality=quality))
    return sorted(found, key=lambda one: (one.case, one.views))


def _of_row(table: Path, number: int, row: dict[str, str]) -> Reconstruction:
    missing = [name for name in _COLUMNS if not row.get(name)]
    if missing:
        raise InputError(
            f"{table}, line {number}", f"lacks {', '.join(missing)}.", f"Give the columns {', '.join(_COLUMNS)}."
        )
    try:
        views = int(row["views"])
        level = float(row["level"]) if row.get("level") else None
    except ValueError as error:
        raise InputError(f"{table}, line {number}", f"has no number ({error}).", "Correct views or level.") from error
    files = {name: table.parent / row[name] for name in ("volume", "truth", "labels") if row.get(name)}
    for name, file in files.items():
        if not file.exists():
            raise InputError(file, f"does not exist, but line {number} of {table} names it.", f"Correct its {name}.")
    perturbation = Perturbation(row.get("perturbation") or "none", level, row.get("unit") or "")
    return Reconstruction(row["case"], row["method"], views, perturbation=perturbation, **files)
