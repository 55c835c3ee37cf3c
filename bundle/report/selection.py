"""Which views, methods, references and structures a report is about, and finding their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from bundle.report.findings import Findings
from bundle.report.metrics import DICE
from bundle.report.numbers import number, whole

__all__ = ["MOST_STRUCTURES", "REFERENCES", "UNPERTURBED", "Selection", "condition", "is_unperturbed"]

MOST_STRUCTURES = 8
"""Structures that are plotted; tables show all."""
REFERENCES = {"segmented": "the segmenter on the truth", "labels": "the given labels"}
UNPERTURBED: tuple[str, float | None] = ("none", None)
"""Perturbation and level of the scan as it is."""
Row = dict[str, Any]


def is_unperturbed(row: Row) -> bool:
    """Whether a row is of the scan as it is."""
    return row["perturbation"] == "none"


def condition(row: Row) -> tuple[str, float | None]:
    """Perturbation and level of a row."""
    return UNPERTURBED if is_unperturbed(row) else (row["perturbation"], number(row["level"]))


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
        rows = [*findings.summary, *findings.quality, *findings.structures]
        named = _unique(row["method"] for row in rows)
        self.methods = [name for name in named if name == findings.method] + [
            name for name in named if name != findings.method
        ]
        self.views = sorted({whole(row["views"]) for row in rows})
        known = list(REFERENCES)
        self.references = sorted(
            _unique(row["reference"] for row in [*findings.structures, *findings.summary] if row["structure"]),
            key=lambda name: known.index(name) if name in known else len(known),
        )
        self._summary = {_summary_key(row): row for row in findings.summary}
        self._cases: defaultdict[tuple, list[Row]] = defaultdict(list)
        for row in findings.quality:
            self._cases[(*condition(row), whole(row["views"]), row["method"], "", "")].append(row)
        for row in findings.structures:
            scan = (*condition(row), whole(row["views"]), row["method"])
            self._cases[(*scan, row["reference"], row["structure"])].append(row)

    def structures(self, reference: str) -> list[str]:
        """Structures that are compared with a reference."""
        rows = [*self.findings.structures, *self.findings.summary]
        return _unique(row["structure"] for row in rows if row["structure"] and row["reference"] == reference)

    def plotted_structures(self, reference: str) -> list[str]:
        """The structures themselves if they are few, else those with the lowest Dice of the method in focus."""
        every = self.structures(reference)
        if len(every) <= MOST_STRUCTURES:
            return every
        means: dict[str, list[float]] = {name: [] for name in every}
        for row in self.findings.summary:
            mean = number(row["mean"])
            if row["metric"] == DICE.key and row["reference"] == reference and mean is not None:
                means[row["structure"]].append(mean)
        lowest = sorted(every, key=lambda name: sum(means[name]) / len(means[name]) if means[name] else -1.0)
        return [name for name in every if name in lowest[:MOST_STRUCTURES]]

    def summary(
        self,
        metric: str,
        views: int,
        method: str,
        reference: str = "",
        structure: str = "",
        condition: tuple[str, float | None] = UNPERTURBED,
    ) -> Row | None:
        """The summary row of a metric, if there is one; image quality has neither reference nor structure."""
        return self._summary.get((*condition, views, method, reference, structure, metric))

    def cases(
        self,
        views: int,
        method: str,
        reference: str = "",
        structure: str = "",
        condition: tuple[str, float | None] = UNPERTURBED,
    ) -> list[Row]:
        """The cases' rows of a structure, or of image quality, which has neither reference nor structure."""
        return self._cases.get((*condition, views, method, reference, structure), [])


def _summary_key(row: Row) -> tuple:
    structure = row["structure"] or ""
    reference = row["reference"] if structure else ""
    return (*condition(row), whole(row["views"]), row["method"], reference, structure, row["metric"])


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
