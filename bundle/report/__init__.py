"""The report of an evaluation: one page that a person reads, and the same as tables."""

from bundle.report.findings import Findings, Picture
from bundle.report.write import REPORT, write_report

__all__ = ["REPORT", "Findings", "Picture", "write_report"]
