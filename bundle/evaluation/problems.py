"""What a reader of the results has to know first, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["MISSING_POLICY", "missing_structures", "without_counterpart"]

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


def missing_structures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about the structures that were not found, or found where there is nothing.

    Args:
        rows: of structures.
    """
    groups: dict[tuple, Counter] = {}
    for row in rows:
        key = tuple(
            row[name] for name in ("reference", "structure", "method", "views", "perturbation", "level", "unit")
        )
        groups.setdefault(key, Counter())[row["found"]] += 1
    told = []
    for (reference, structure, method, views, perturbation, level, unit), counts in groups.items():
        total, scan = sum(counts.values()), f"from {views} views by {method}"
        if perturbation != "none":
            scan += f" ({perturbation} {level:g} {unit})"
        if counts["reference only"]:
            told.append(
                f"No {structure} was found in {counts['reference only']} of {total} reconstructions {scan}, "
                f"which {_WHERE[reference][0]}."
            )
        if counts["reconstruction only"]:
            told.append(
                f"A {structure} was found in {counts['reconstruction only']} of {total} reconstructions {scan}, "
                f"which {_WHERE[reference][1]}."
            )
    nowhere: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["found"] in ("neither", "reconstruction only"):
            nowhere.setdefault((row["reference"], row["structure"]), set()).add(row["case"])
    for (reference, structure), cases in nowhere.items():
        told.append(f"{_WHERE[reference][0].capitalize()} no {structure} in {_names(sorted(cases))}.")
    return told


def without_counterpart(segmented: Sequence[str], labelled: Sequence[str]) -> list[str]:
    """A sentence where the given labels have none of the segmenter's structures."""
    if not labelled or set(segmented) & set(labelled):
        return []
    return [
        f"The given labels ({', '.join(labelled)}) have none of the segmenter's structures ({', '.join(segmented)}), "
        "so they were not compared; label_structures can name them alike."
    ]


def _names(cases: Sequence[str]) -> str:
    shown = ", ".join(cases[:5])
    return shown if len(cases) <= 5 else f"{shown} and {len(cases) - 5} further cases"
