"""Reconstructions that exist already: a folder of them, or a table that names each."""

from __future__ import annotations

import math
import re
from pathlib import Path

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.evaluation.perturbations import UNPERTURBED, Perturbation
from bundle.evaluation.reconstruction import Reconstruction
from bundle.tables import read_rows

__all__ = ["list_reconstructions", "measured_quality"]

_NAME = re.compile(r"_(?P<views>\d+)views(?:_(?P<method>.+?))?\.nii(?:\.gz)?")
_KEYS = ("case", "method", "views")
_COLUMNS = (*_KEYS, "volume", "truth")
_FILE_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}")


def list_reconstructions(source: str | Path, method: str) -> list[Reconstruction]:
    """Finds reconstructions and their truths.

    Args:
        source: folder with <case>/<case>_truth.nii.gz and <case>/<case>_<n>views[_<method>].nii.gz, as the evaluation
            writes it with its metrics.csv; or a CSV file with the columns case, method, views, volume, truth, and
            labels, perturbation, level and unit where there are any (paths from the file's folder).
        method: name of those without a method in their file's name.

    Raises:
        InputError: when there are none, a truth is missing, a case has two, or the table is wrong somewhere.
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
    _check_truths(found, path)
    return found


def measured_quality(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of a folder's metrics.csv by case, method and number of views; the newest of each."""
    rows = [row for row in read_rows(folder / "metrics.csv") if all(row.get(name) for name in _KEYS)]
    return {(row["case"], row["method"], row["views"]): row for row in rows}


def _in_folder(folder: Path, method: str) -> list[Reconstruction]:
    found = []
    measured = measured_quality(folder)
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [path for path in sorted(case.iterdir()) if path.name.startswith(case.name)]
        matches = {path: _NAME.fullmatch(path.name, len(case.name)) for path in files}
        named = {path: match for path, match in matches.items() if match}
        if not named:
            continue
        truths = [path for path in files if path.name.removeprefix(case.name) in ("_truth.nii", "_truth.nii.gz")]
        if not truths:
            raise InputError(case / f"{case.name}_truth.nii.gz", "does not exist.", "Put the case's true volume there.")
        for path, match in named.items():
            views, name = int(match["views"]), match["method"] or method
            if views < 1:
                raise InputError(path, "is of 0 views.", "Let its name say the number of views.")
            quality = measured.get((case.name, name, str(views)), {})
            found.append(Reconstruction(case.name, name, views, path, truths[0], quality=quality))
    return sorted(found, key=lambda one: (one.case, one.views))


def _of_row(table: Path, number: int, row: dict[str, str]) -> Reconstruction:
    where = f"{table}, line {number}"
    missing = [name for name in _COLUMNS if not row.get(name)]
    if missing:
        raise InputError(where, f"lacks {', '.join(missing)}.", f"Give the columns {', '.join(_COLUMNS)}.")
    perturbation = row.get("perturbation") or UNPERTURBED.name
    for name, value in (("case", row["case"]), ("method", row["method"]), ("perturbation", perturbation)):
        if not _FILE_NAME.fullmatch(value):
            raise InputError(where, f"has the {name} {value!r}, which names no file.", "Leave out slashes and such.")
    views, level = _number(row["views"]), _number(row.get("level") or "0")
    if views is None or views < 1 or views != int(views) or level is None:
        raise InputError(where, "has views or a level that is no number.", "Correct it.")
    if row.get("level") and perturbation == UNPERTURBED.name:
        raise InputError(where, "has a level but no perturbation.", "Name it, or leave the level out.")
    files = {name: table.parent / row[name] for name in ("volume", "truth", "labels") if row.get(name)}
    for name, file in files.items():
        if not file.exists():
            raise InputError(file, f"does not exist, but line {number} of {table} names it.", f"Correct its {name}.")
    scan = Perturbation(perturbation, level if row.get("level") else None, row.get("unit") or "")
    labels = files.get("labels")
    return Reconstruction(row["case"], row["method"], int(views), files["volume"], files["truth"], labels, scan)


def _number(text: str) -> float | None:
    """The finite number that a text is."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check_truths(found: list[Reconstruction], source: Path) -> None:
    """Refuses one case with two truths, whose results would be taken for each other's."""
    truths: dict[str, dict[Path, str]] = {}
    for one in found:
        truths.setdefault(one.case, {})[one.truth.resolve()] = ""
    for case, files in truths.items():
        if len(files) > 1 and len({file_sha256(file) if file.is_file() else str(file) for file in files}) > 1:
            raise InputError(
                f"volumes {source}",
                f"has several truths of case {case}: {', '.join(str(file) for file in files)}.",
                "Give each case a name of its own.",
            )
