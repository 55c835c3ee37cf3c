"""What a run of many cases leaves behind: a row for each case, and the list of those that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.data.datalist import PREPARED as PREPARED_SET
from bundle.data.datalist import sections_checksum
from bundle.preparation.job import FAILED, PREPARED, SKIPPED, Outcome, failed
from bundle.preparation.splits import SECTIONS, Split

__all__ = ["LEFT_OUT", "Summary", "datalist", "refuse_shared_items", "report_rows", "summarise"]

LEFT_OUT = "left out"


@dataclass(frozen=True)
class Summary:
    """How a run went.

    Args:
        output: folder of the prepared set.
        counts: number of cases by status: prepared, skipped, failed and left out.
        sections: number of items in each section of the dataset.json.
        checksum: of the split of the finished cases.
        failures: name and error of the failed cases.
    """

    output: Path
    counts: Mapping[str, int]
    sections: Mapping[str, int]
    checksum: str
    failures: Sequence[tuple[str, str]]

    @property
    def report(self) -> Path:
        """Table with a row for each case."""
        return self.output / "report.csv"

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.counts.items())
        sections = ", ".join(f"{number} {name}" for name, number in self.sections.items())
        return f"cases: {counts}\nitems: {sections} (split {self.checksum})\nreport: {self.report}"


def summarise(output: Path, outcomes: Sequence[Outcome], listed: Mapping[str, Any]) -> Summary:
    """Counts what became of the cases.

    Args:
        output: folder of the prepared set.
        outcomes: of all cases.
        listed: contents of the dataset.json.
    """
    counts = Counter(outcome.status for outcome in outcomes)
    return Summary(
        output=output,
        counts={status: counts[status] for status in (PREPARED, SKIPPED, FAILED, LEFT_OUT)},
        sections={name: len(listed[name]) for name in SECTIONS},
        checksum=listed["split"]["checksum"],
        failures=[(outcome.case, outcome.error) for outcome in outcomes if outcome.status == FAILED],
    )


def report_rows(outcomes: Sequence[Outcome], patients: Sequence[str], split: Split) -> list[dict[str, Any]]:
    """A row of report.csv for each case.

    Args:
        outcomes: of all cases.
        patients: theirs, in the same order.
        split: sections of the cases.
    """
    section_by_case = split.section_by_case()
    return [
        {
            "case": outcome.case,
            "patient": patient,
            "split": section_by_case.get(outcome.case, ""),
            "status": outcome.status,
            "items": len(outcome.items),
            "seconds": outcome.seconds,
            "bytes": outcome.bytes,
            "peak_rss_mb": outcome.peak_rss_mb,
            "error": outcome.error,
        }
        for outcome, patient in zip(outcomes, patients)
    ]


def datalist(name: str, outcomes: Sequence[Outcome], patients: Mapping[str, str], split: Split) -> dict[str, Any]:
    """The dataset.json: the items of the finished cases in MONAI's datalist form.

    Its split's checksum is that of the items that are listed, as result rows have it; planned_checksum is that of all
    cases, and missing names those which failed.

    Args:
        name: of the data set.
        outcomes: of all cases.
        patients: the patient of each case.
        split: sections of the cases.
    """
    items_of = {outcome.case: outcome.items for outcome in outcomes if outcome.status in (PREPARED, SKIPPED)}
    listed = split.only(items_of)
    sections = {
        section: [
            {"image": f"cases/{item}", "case": item, "patient": patients[case]}
            for case in listed.sections[section]
            for item in items_of[case]
        ]
        for section in SECTIONS
    }
    return {
        "format": PREPARED_SET,
        "name": name,
        "split": {
            "checksum": sections_checksum({name: [item["case"] for item in items] for name, items in sections.items()}),
            "planned_checksum": split.checksum,
            "rule": split.rule,
            "missing": sorted(split.section_by_case().keys() - items_of.keys()),
        },
        **sections,
    }


def refuse_shared_items(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes with those made failures whose items have the name of another case's.

    A part of one case may be named as another case is, and then one has overwritten the other.
    """
    owners: dict[str, list[str]] = {}
    for outcome in outcomes:
        for item in outcome.items:
            owners.setdefault(item, []).append(outcome.case)
    clashes = {
        case: f"its item {item} has the name of one of {', '.join(sorted({*cases} - {case}))}. Rename one of the cases."
        for item, cases in owners.items()
        if len(cases) > 1
        for case in cases
    }
    return [failed(outcome.case, clashes[outcome.case]) if outcome.case in clashes else outcome for outcome in outcomes]
