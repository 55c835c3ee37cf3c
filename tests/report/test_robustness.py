from __future__ import annotations

from bundle.report.metrics import PSNR
from bundle.report.page import render_page
from bundle.report.robustness import change, levels_of, perturbations
from bundle.report.selection import Selection
from tests.report.examples import Page, perturbed_findings


def test_changes_are_over_the_same_cases():
    selection = Selection(perturbed_findings())
    assert perturbations(selection) == {"noise": [6]}
    assert levels_of(selection, "noise", 6) == [(1e3, "photons"), (1e5, "photons")]
    found = change(selection, PSNR, "", "", ("noise", 1e3), 6, "fdk")
    # Cases a and b alone: 22.6 and 23.6 dB without noise, 12 and 15 dB with it.
    assert (round(found.before, 6), found.after, found.n, found.undefined) == (23.1, 13.5, 2, 0)
    assert change(selection, PSNR, "", "", ("noise", 1e3), 6, "deepsparse") is None


def test_undefined_values_are_counted():
    findings = perturbed_findings()
    for row in findings.quality:
        if row["perturbation"] == "noise" and row["case"] == "b":
            row["psnr_db"] = None
    found = change(Selection(findings), PSNR, "", "", ("noise", 1e3), 6, "fdk")
    assert (found.after, found.n, found.undefined) == (12.0, 1, 1)


def test_the_section_stands_before_the_cases():
    document = render_page(perturbed_findings(), 0)
    page = Page(document)
    assert page.headings.index("Robustness") == page.headings.index("Cases, worst first") - 1
    table = page.tables["noise, 6 views: means, and their change over the same cases"]
    assert table == [
        ["Metric", "Method", "without", "1000 photons", "100000 photons"],
        ["PSNR (dB)", "fdk", "23.10", "13.50 \u22129.60, n = 2", "21.00 \u22122.10, n = 2"],
        ["left lung Dice", "fdk", "0.875", "0.500 \u22120.375, n = 2", "0.500 \u22120.375, n = 2"],
    ]
    assert 'aria-label="PSNR (dB) at 6 views against the level of noise, by method; dotted: without it."' in document
