"""Which views, methods, references and structures a report is about, and finding their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from bundle.metrics.catalogue import DICE
from bundle.report.findings import Findings
from bundle.report.numbers import REFERENCES, number, whole

__all__ = ["MOST_STRUCTURES", "NO_PERTURBATION", "Row", "Selection", "condition", "is_unperturbed"]

MOST_STRUCTURES = 8
"""Structures that are plotted; tables show all."""
NO_PERTURBATION: tuple[str, float | None] = ("none", None)
"""Perturbation and level of the scan as it is."""
Row = dict[str, Any]


def is_unperturbed(row: Row) -> bool:
    """Whether a row is of the scan as it is."""
    return row["perturbation"] == NO_PERTURBATION[0]


def condition(row: Row) -> tuple[str, float | None]:
    """Perturbation and level of a row."""
    return NO_PERTURBATION if is_unperturbed(row) else (row["perturbation"], number(row["level"]))


class Selection:
    """What occurs in the rows, in the order in which it is shown.

    Args:
        findings: the rows.

    Attributes:
        methods: the method in focus first, the others as they come.
        views: numbers of views, from few to many.
        references: what structures are compared with.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        results = [*findings.quality, *findings.structures]
        rows = [*findings.summary, *results]
        named = _unique(row["method"] for row in rows)
        self.methods = sorted(named, key=lambda name: name != findings.method)
        self.views = sorted({whole(row["views"]) for row in rows})
        structured = [row for row in [*findings.structures, *findings.summary] if row["structure"]]
        known = list(REFERENCES)
        self.references = sorted(
            _unique(row["reference"] for row in structured),
            key=lambda name: known.index(name) if name in known else len(known),
        )
        self._structures = {
            name: _unique(row["structure"] for row in structured if row["reference"] == name)
            for name in self.references
        }
        self._case_names: defaultdict[int, set[str]] = defaultdict(set)
        for row in filter(is_unperturbed, results):
            self._case_names[whole(row["views"])].add(row["case"])
        self._summary = {_summary_key(row): row for row in findings.summary}
        self._cases: defaultdict[tuple, list[Row]] = defaultdict(list)
        for row in findings.quality:
            self._cases[(*condition(row), whole(row["views"]), row["method"], "", "")].append(row)
        for row in findings.structures:
            scan = (*condition(row), whole(row["views"]), row["method"])
            self._cases[(*scan, row["reference"], row["structure"])].append(row)

    @property
    def has_several_cases(self) -> bool:
        """Whether there is a number of views with more than one case, of which means and intervals can be told."""
        return any(len(names) > 1 for names in self._case_names.values())

    def case_count(self, views: int) -> int:
        """Cases that any method was tried on at a number of views, without perturbations."""
        return len(self._case_names[views])

    def structures(self, reference: str) -> list[str]:
        """Structures that are compared with a reference."""
        return self._structures.get(reference, [])

    def lowest_structures(self, reference: str, most: int = MOST_STRUCTURES) -> list[str]:
        """The structures themselves if they are few, else those that the method in focus is worst at.

        That are those with the lowest mean Dice over all numbers of views, without perturbations.
        """
        every = self.structures(reference)
        if len(every) <= most:
            return every
        means: dict[str, list[float]] = {name: [] for name in every}
        for name in every:
            rows = [self.summary(DICE.key, views, self.methods[0], reference, name) for views in self.views]
            means[name] = [mean for row in rows if row is not None and (mean := number(row["mean"])) is not None]
        lowest = sorted(every, key=lambda name: sum(means[name]) / len(means[name]) if means[name] else -1.0)[:most]
        return [name for name in every if name in lowest]

    def summary(
        self,
        metric: str,
        views: int,
        method: str,
        reference: str = "",
        structure: str = "",
        condition: tuple[str, float | None] = NO_PERTURBATION,
    ) -> Row | None:
        """The summary row of a metric, if there is one; image quality has neither reference nor structure."""
        return self._summary.get((*condition, views, method, reference, structure, metric))

    def cases(
        self,
        views: int,
        method: str,
        reference: str = "",
        structure: str = "",
        condition: tuple[str, float | None] = NO_PERTURBATION,
    ) -> list[Row]:
        """The cases' rows of a structure, or of image quality, which has neither reference nor structure."""
        return self._cases.get((*condition, views, method, reference, structure), [])


def _summary_key(row: Row) -> tuple:
    structure = row["structure"] or ""
    reference = row["reference"] if structure else ""
    return (*condition(row), whole(row["views"]), row["method"], reference, structure, row["metric"])


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
