"""Runs of fake cases; workers do without this module, which imports slowly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.preparation.report import Summary
from bundle.preparation.run import prepare_cases
from tests.preparation.fake_case import FakeCase, FakeSettings, sources, work

FRACTIONS = {"training": 0.6, "validation": 0.2, "test": 0.2}


def run(cases: list[FakeCase], source: Path, output: Path, settings: FakeSettings, **options: Any) -> Summary:
    if "scheduler" not in options:
        options = {"workers": 2, **options}
    return prepare_cases(
        cases,
        "fake",
        source,
        output,
        settings,
        work=work,
        sources=sources,
        **{"counts": None, "fractions": FRACTIONS, **options},
    )
