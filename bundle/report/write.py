"""Writing the report and its tables."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from bundle.atomic import atomic_path, check_output
from bundle.json_files import write_json
from bundle.report.findings import Findings, check_findings
from bundle.report.numbers import plain
from bundle.report.page import render_page
from bundle.tables import write_rows

__all__ = ["REPORT", "REPORT_FILES", "write_report"]

_DECIMALS = 6
_TABLES = ("quality", "structures", "summary", "comparisons", "agreement")
REPORT = "report.html"
"""Written last, so that where it is, the report is whole; other files without it are a killed run's."""
REPORT_FILES = (REPORT, "report.json", *(f"{name}.csv" for name in _TABLES))
"""What a report consists of."""


def write_report(findings: Findings, output_dir: Path, overwrite: bool = False, max_pictures: int = 12) -> None:
    """Writes report.html, which needs no other file, and the same as report.json and CSV tables.

    Args:
        findings: what the evaluation found.
        output_dir: folder of the files, made if it is not there.
        overwrite: whether an existing report may be replaced. Tables without report.html, as a killed run leaves
            them, are replaced in any case.
        max_pictures: reconstructions that are drawn at most, see :func:`bundle.report.case_pictures.chosen_pictures`.

    Raises:
        InputError: when a report exists and may not be replaced, cannot be written, a row is incomplete, or a picture's
            files cannot be read; before anything is written.
        ImportError: when jinja2 or matplotlib is missing.
    """
    output_dir = Path(output_dir)
    check_output(output_dir / REPORT, overwrite)
    check_findings(findings)
    document = render_page(findings, max_pictures)
    (output_dir / REPORT).unlink(missing_ok=True)
    for name in _TABLES:
        write_rows([_readable(row) for row in getattr(findings, name)], output_dir / f"{name}.csv")
    write_json(_record(findings), output_dir / "report.json")
    with atomic_path(output_dir / REPORT) as temporary:
        temporary.write_text(document, encoding="utf-8")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """A row without digits that no measurement has; report.json keeps them all."""
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in row.items()}


def _record(findings: Findings) -> dict:
    """Everything as plain values; undefined numbers are null, infinite ones "inf"."""
    record = {part.name: getattr(findings, part.name) for part in fields(findings)}
    record["pictures"] = [vars(picture) for picture in findings.pictures]
    return plain(record)
