from __future__ import annotations

import pytest

from bundle.metrics import bootstrap_interval
from bundle.metrics.catalogue import PSNR
from bundle.report.page import render_page
from bundle.report.robustness import experiments
from bundle.report.selection import Selection
from tests.report.examples import Page, only, perturbed_findings, quality_row


def test_changes_are_over_the_same_cases():
    (experiment,) = experiments(Selection(perturbed_findings()))
    assert (experiment.name, experiment.views) == ("noise", 6)
    assert experiment.levels == [(1e5, "photons"), (1e3, "photons")]
    changes = experiment.changes[PSNR, "", ""]
    assert list(changes) == ["fdk"]
    found = changes["fdk"][1]
    # Cases a and b alone: 22.6 and 23.6 dB without noise, 12 and 15 dB with it.
    assert (round(found.before, 6), found.after, found.n, found.undefined) == (23.1, 13.5, 2, 0)


def test_undefined_values_are_counted():
    findings = perturbed_findings()
    for row in findings.quality:
        if row["perturbation"] == "noise" and row["case"] == "b":
            row["psnr_db"] = None
    (experiment,) = experiments(Selection(findings))
    found = experiment.changes[PSNR, "", ""]["fdk"][1]
    assert (found.after, found.n, found.undefined, found.interval) == (12.0, 1, 1, None)


def test_intervals_are_of_the_paired_cases():
    quality = [quality_row(case, "fdk", 6, 30.0) for case in "ab"]
    noisy = {"a": 20.0, "b": 20.5, "c": 2.0, "d": 2.5}
    quality += [
        quality_row(case, "fdk", 6, psnr, "noise", level) for level in (1e3, 1e4) for case, psnr in noisy.items()
    ]
    (experiment,) = experiments(Selection(only(quality, [])))
    for found in experiment.changes[PSNR, "", ""]["fdk"]:
        assert found.after == 20.25
        assert found.interval == pytest.approx(bootstrap_interval([20.0, 20.5]))


def test_the_section_stands_before_the_cases():
    document = render_page(perturbed_findings(), 0)
    page = Page(document)
    assert page.headings.index("Robustness") == page.headings.index("Cases, worst first") - 1
    table = page.tables["noise, 6 views: means, and their change over the same cases"]
    assert table == [
        ["Metric", "Method", "without", "100,000 photons", "1,000 photons"],
        ["PSNR (dB)", "fdk", "23.10", "21.00 \u22122.10, n = 2", "13.50 \u22129.60, n = 2"],
        ["left lung Dice", "fdk", "0.875", "0.500 \u22120.375, n = 2", "0.500 \u22120.375, n = 2"],
    ]
    label = "PSNR (dB) with 6 views against the level of noise, from mild to strong, by method; dotted: without it."
    assert f'aria-label="{label}"' in document
