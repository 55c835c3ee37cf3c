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

__all__ = ["REPORT_FILES", "write_report"]

_DECIMALS = 6
_TABLES = ("quality", "structures", "summary", "comparisons", "agreement")
REPORT_FILES = ("report.html", "report.json", *(f"{name}.csv" for name in _TABLES))
"""What a report consists of."""


def write_report(findings: Findings, output_dir: Path, overwrite: bool = False, max_pictures: int = 12) -> None:
    """Writes report.html, which needs no other file, and the same as report.json and CSV tables.

    Args:
        findings: what the evaluation found.
        output_dir: folder of the files, made if it is not there.
        overwrite: whether existing files may be replaced.
        max_pictures: reconstructions that are drawn at most, worst first.

    Raises:
        InputError: when a file exists and may not be replaced, cannot be written, a row is incomplete, or a picture's
            files cannot be read; before anything is written.
        ImportError: when jinja2 or matplotlib is missing.
    """
    output_dir = Path(output_dir)
    for name in REPORT_FILES:
        check_output(output_dir / name, overwrite)
    check_findings(findings)
    document = render_page(findings, max_pictures)
    for name in _TABLES:
        write_rows([_readable(row) for row in getattr(findings, name)], output_dir / f"{name}.csv")
    write_json(_record(findings), output_dir / "report.json")
    with atomic_path(output_dir / "report.html") as temporary:
        temporary.write_text(document, encoding="utf-8")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """A row without digits that no measurement has; report.json keeps them all."""
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in row.items()}


def _record(findings: Findings) -> dict:
    """Everything as plain values; numbers that are undefined or infinite are null."""
    record = {part.name: getattr(findings, part.name) for part in fields(findings)}
    record["pictures"] = [vars(picture) for picture in findings.pictures]
    return plain(record)
