"""From figures of single cases to means, differences between methods, and agreement of volumes.

Tables are lists of plain dictionaries. Every row of a case begins with "case", "method", "views" (int), "perturbation"
("none" or a name), "level" (float or None) and "unit".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.metrics.agreement import bland_altman
from bundle.metrics.catalogue import METRICS, QUALITY, STRUCTURE
from bundle.metrics.statistics import bootstrap_interval, paired_test

__all__ = ["agree", "compare", "summarise"]

Row = dict[str, Any]
_GROUP = ("perturbation", "level", "unit", "views", "method", "reference", "structure")
_PAIRED = tuple(name for name in _GROUP if name != "method")


def summarise(quality_rows: Sequence[Row], structure_rows: Sequence[Row]) -> list[Row]:
    """Means over the cases, with their uncertainty.

    What is None, infinite or NaN has no place in a mean and is counted as undefined: distances of structures that are
    not found in both maps, the Dice of what is in neither, the PSNR of equal volumes.

    Args:
        quality_rows: rows of cases with the figures of bundle.metrics.catalogue.QUALITY.
        structure_rows: rows of cases with "reference", "structure" and the figures of STRUCTURE.

    Returns:
        A row for each metric of each "perturbation", "level", "unit", "views", "method", "reference" and "structure"
        (both empty for image quality), with "metric", "mean", "low" and "high" (95 % bootstrap interval of the mean,
        None for fewer than two values), "median", "worst", "n" and "undefined". Without a defined value all but the
        counts are None.

    Raises:
        InputError: when a case occurs twice in a group.
    """
    rows = []
    for key, metric, values in _figures(quality_rows, structure_rows, _GROUP):
        defined = _defined(values.values())
        low, high = bootstrap_interval(defined) or (None, None)
        rows.append(
            {
                **dict(zip(_GROUP, key)),
                "metric": metric,
                "mean": float(np.mean(defined)) if defined else None,
                "low": low,
                "high": high,
                "median": float(np.median(defined)) if defined else None,
                "worst": METRICS[metric].worst(defined) if defined else None,
                "n": len(defined),
                "undefined": len(values) - len(defined),
            }
        )
    return rows


def compare(
    quality_rows: Sequence[Row], structure_rows: Sequence[Row], method: str, others: Sequence[str]
) -> list[Row]:
    """Differences between one method and others on the same cases.

    Cases in which a figure is undefined, or missing, for one of the two cannot be paired, and are counted.

    Args:
        quality_rows: as for summarise.
        structure_rows: as for summarise.
        method: the method.
        others: methods to compare it with.

    Returns:
        A row for each other method and each metric of each "perturbation", "level", "unit", "views", "reference" and
        "structure", with "metric", "method", "other", "difference" (mean of method - other), "low" and "high" (its
        95 % bootstrap interval, None for fewer than two pairs), "p_value" (None where the test says nothing), "n"
        (pairs), "undefined" (cases that could not be paired) and "test" (what was computed, or why nothing was).

    Raises:
        InputError: when a method is in no row, or a case occurs twice in a group.
    """
    known = list(dict.fromkeys(row["method"] for row in [*quality_rows, *structure_rows]))
    for name in (method, *others):
        if name not in known:
            raise InputError(f"method {name!r}", "has no results.", f"Use one of {', '.join(map(repr, known))}.")
    figures: dict[tuple, dict[str, dict[str, Any]]] = {}
    for key, metric, values in _figures(quality_rows, structure_rows, _GROUP):
        named = dict(zip(_GROUP, key))
        scene = (*(named[name] for name in _PAIRED), metric)
        figures.setdefault(scene, {})[named["method"]] = values
    rows = []
    for scene, of_methods in figures.items():
        for other in others:
            pair = [of_methods.get(name, {}) for name in (method, other)]
            if any(pair):
                named = dict(zip((*_PAIRED, "metric"), scene))
                rows.append({**named, "method": method, "other": other, **_difference(*pair)})
    return rows


def agree(structure_rows: Sequence[Row]) -> list[Row]:
    """Bland-Altman figures of volumes, see bundle.metrics.agreement.bland_altman.

    A structure that only one of the two maps has is a pair, whose other volume is 0 ml: it widens the limits, as a
    segmenter that finds nothing must. What neither has is no pair and is counted as undefined.

    Args:
        structure_rows: as for summarise, with "found", "volume_ml" and "reference_volume_ml".

    Returns:
        A row for each "perturbation", "level", "unit", "views", "method", "reference" and "structure", with "n",
        "found_in_one" (those of the n pairs with a volume of 0 ml), "undefined", and in ml, of volume_ml -
        reference_volume_ml: "bias_ml", "lower_ml" and "upper_ml" (95 % limits of agreement), and the ends of the 95 %
        confidence intervals of these, "bias_low_ml", "bias_high_ml", "lower_low_ml", "lower_high_ml", "upper_low_ml"
        and "upper_high_ml". The bias needs a pair, all else two; None where there are fewer.

    Raises:
        InputError: when a case occurs twice in a group.
    """
    rows = []
    for key, cases in _grouped(structure_rows, _GROUP):
        pairs = [row for row in cases.values() if row["found"] != "neither"]
        found = bland_altman([row["volume_ml"] for row in pairs], [row["reference_volume_ml"] for row in pairs])
        none = (None, None)
        figures = {
            ("bias_ml",): (found.bias,),
            ("lower_ml", "upper_ml"): found.limits or none,
            ("bias_low_ml", "bias_high_ml"): found.bias_interval or none,
            ("lower_low_ml", "lower_high_ml"): found.lower_interval or none,
            ("upper_low_ml", "upper_high_ml"): found.upper_interval or none,
        }
        rows.append(
            {
                **dict(zip(_GROUP, key)),
                "n": found.n,
                "found_in_one": sum(row["found"] != "both" for row in pairs),
                "undefined": len(cases) - len(pairs),
                **{name: value for names, values in figures.items() for name, value in zip(names, values)},
            }
        )
    return rows


def _figures(
    quality_rows: Sequence[Row], structure_rows: Sequence[Row], columns: Sequence[str]
) -> Iterator[tuple[tuple, str, dict[str, Any]]]:
    """Of each group: its key, a metric, and the metric's values by case."""
    for rows, metrics in ((quality_rows, QUALITY), (structure_rows, STRUCTURE)):
        for key, cases in _grouped(rows, columns):
            for metric in metrics:
                yield key, metric.key, {case: row.get(metric.key) for case, row in cases.items()}


def _grouped(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[tuple[tuple, dict[str, Row]]]:
    """Groups of rows that are equal in some columns, in the order of their first rows, each by case."""
    groups: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        cases = groups.setdefault(tuple(row.get(name, "") for name in columns), {})
        if row["case"] in cases:
            raise InputError(
                f"case {row['case']}",
                f"occurs twice with {row['views']} views and method {row['method']!r}.",
                "Give each result once.",
            )
        cases[row["case"]] = row
    yield from groups.items()


def _defined(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def _difference(own: Mapping[str, Any], other: Mapping[str, Any]) -> Row:
    """What can be said of two methods' values by case."""
    cases = list(dict.fromkeys([*own, *other]))
    pairs = [pair for case in cases if len(pair := _defined([own.get(case), other.get(case)])) == 2]
    first, second = zip(*pairs) if pairs else ((), ())
    differences = np.subtract(first, second)
    low, high = bootstrap_interval(differences) or (None, None)
    found = paired_test(first, second)
    return {
        "difference": float(differences.mean()) if pairs else None,
        "low": low,
        "high": high,
        "p_value": found.p_value,
        "n": len(pairs),
        "undefined": len(cases) - len(pairs),
        "test": found.test,
    }
