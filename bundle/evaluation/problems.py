"""What a reader of the results has to know first, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bundle.evaluation.perturbations import UNPERTURBED
from bundle.simulation import OWN_VOXELS, SCANNED_FROM

__all__ = ["MISSING_POLICY", "labels_left_out", "missing_structures", "own_voxel_scans"]

MISSING_POLICY = (
    "A structure that only one of the two segmentations has scores a Dice of 0; one that neither has is left "
    "undefined. Surface distances are undefined unless both have it. Means are of the defined values, and the number "
    "of undefined ones stands beside them."
)

_WHERE = {
    # reference: what has, and lacks, a structure
    "segmented": ("the segmentation of the truth has", "the segmentation of the truth lacks"),
    "labels": ("the given labels have", "the given labels lack"),
}
_OUTCOMES = {
    # outcome: how a sentence begins, and which half of _WHERE ends it
    "reference only": ("No {structure} was found", 0),
    "reconstruction only": ("A {structure} was found", 1),
}


def missing_structures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about the structures that were not found, or found where there is nothing; perturbed scans last.

    Args:
        rows: of structures.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        perturbed = row["perturbation"] != UNPERTURBED.name
        groups.setdefault((perturbed, row["reference"], row["structure"], row["method"]), []).append(row)
    told = []
    for (perturbed, reference, structure, method), members in sorted(groups.items(), key=lambda group: group[0][0]):
        for outcome, (beginning, half) in _OUTCOMES.items():
            places = Counter(_place(row, perturbed) for row in members if row["found"] == outcome)
            if places:
                where = ", ".join(f"{count} {place}" for place, count in places.items())
                told.append(
                    f"{beginning.format(structure=structure)} in {sum(places.values())} of {len(members)} "
                    f"reconstructions {'of perturbed scans ' if perturbed else ''}by {method} ({where}), "
                    f"which {_WHERE[reference][half]}."
                )
    nowhere: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["found"] in ("neither", "reconstruction only"):
            nowhere.setdefault((row["reference"], row["structure"]), set()).add(row["case"])
    for (reference, structure), cases in nowhere.items():
        told.append(f"{_WHERE[reference][0].capitalize()} no {structure} in {_names(sorted(cases))}.")
    return told


def own_voxel_scans(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about scans that were simulated of the very voxels that were reconstructed.

    Args:
        rows: of image quality.
    """
    made = [row for row in rows if row.get(SCANNED_FROM) == OWN_VOXELS]
    if not made:
        return []
    return [
        f"{len(made)} of {len(rows)} reconstructions are of scans of their own voxels, which flatters every method "
        "that fits its volume to the projections."
    ]


def labels_left_out(labelled: Mapping[str, bool], named: Sequence[str] | None, segmented: Sequence[str]) -> list[str]:
    """Sentences about given labels that were not compared.

    Args:
        labelled: whether there is a label map, by case.
        named: structures of the label maps; None if nothing says what their values mean.
        segmented: structures of the segmenter.
    """
    if not any(labelled.values()):
        return []
    if named is None:
        return ["The given label maps were not compared: nothing names their values. label_structures can."]
    told = []
    without = [case for case, has_labels in labelled.items() if not has_labels]
    if without:
        told.append(f"There are no given labels of {_names(without)}.")
    if not set(named) & set(segmented):
        told.append(
            f"The given labels ({', '.join(named)}) have none of the segmenter's structures ({', '.join(segmented)}), "
            "so they were not compared; label_structures can name them alike."
        )
    else:
        told += [f"The given labels do not name the segmenter's {name}." for name in segmented if name not in named]
    return told


def _place(row: Mapping[str, Any], perturbed: bool) -> str:
    return f"with {row['perturbation'].replace('_', ' ')}" if perturbed else f"from {row['views']} views"


def _names(cases: Sequence[str]) -> str:
    shown = ", ".join(cases[:5])
    return shown if len(cases) <= 5 else f"{shown} and {len(cases) - 5} further cases"
