from __future__ import annotations

import math

import pytest

from bundle.metrics.catalogue import DICE, PSNR
from bundle.report.headlines import headlines
from bundle.report.means import best_methods, method_means
from bundle.report.page import render_page
from bundle.report.selection import Selection
from tests.report.examples import RIGHT, Page, make_findings, only, quality_row, structure_row

CASES = "abcdefghij"


@pytest.fixture
def subset():
    """Three methods on ten cases, of which one was tried on a single case, where it is the best."""
    psnr = {"deepsparse": 20.0, "sart": 18.0, "fdk": 99.0}
    rows = [(case, method) for method in psnr for case in (CASES if method != "fdk" else "a")]
    quality = [quality_row(case, method, 6, psnr[method]) for case, method in rows]
    structures = [structure_row(case, method, 6, RIGHT, 0.9995 if method == "fdk" else 0.8) for case, method in rows]
    return only(quality, structures)


def test_a_method_on_fewer_cases_is_not_the_best(subset):
    means = method_means(Selection(subset), PSNR, 6, "", "")
    assert [means[method].missing for method in ("deepsparse", "sart", "fdk")] == [0, 0, 9]
    assert best_methods(means, PSNR) == ["deepsparse"]
    (table,) = [rows for name, rows in Page(render_page(subset, 0)).tables.items() if name.startswith("6 views, 10")]
    cells = {row[0]: row[1] for row in table[2:]}
    assert cells["fdk"] == "99.00 in 1 of 10 cases"
    assert "★" in cells["deepsparse"]


def test_headlines_take_the_best_of_those_with_all_cases(subset):
    ((views, line),) = headlines(Selection(subset))
    assert views == "6 views"
    assert "with deepsparse, 0.800 with sart, the best of the others; PSNR" in line


def test_headlines_tell_how_many_cases_the_only_other_has():
    quality = [quality_row(case, "deepsparse", 6, 20.0) for case in CASES] + [quality_row("a", "fdk", 6, 9.0)]
    ((_, line),) = headlines(Selection(only(quality, [])))
    assert line.endswith("with deepsparse, 9.00 dB (in 1 of 10 cases) with fdk.")


def test_equal_volumes_have_an_infinite_mean_that_wins():
    quality = [quality_row(case, "fdk", 6, math.inf if case == "a" else 20.0) for case in "abc"]
    quality += [quality_row(case, "sart", 6, 30.0) for case in "abc"]
    findings = only(quality, [])
    mean = method_means(Selection(findings), PSNR, 6, "", "")["fdk"]
    assert (mean.value, mean.finite, mean.infinite, mean.undefined, mean.n) == (math.inf, 20.0, 1, 0, 3)
    page = Page(render_page(findings, 0))
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("6 views, 3")]
    assert table[2][:2] == ["fdk", "∞ ★ else 20.00 (19.96–20.04) ∞ in 1 of 3 cases"]  # noqa: RUF001


def test_equal_volumes_alone():
    quality = [quality_row("a", "fdk", 6, math.inf)]
    assert headlines(Selection(only(quality, [], method="fdk")))[0][1] == "PSNR ∞ dB (∞ in 1 of 1 case) with fdk."


def test_headlines_name_what_the_method_in_focus_is_worst_at():
    names = [f"structure {i}" for i in range(5)]
    own, other = (0.9, 0.5, 0.8, 0.4, 0.6), (0.1, 0.99, 0.1, 0.99, 0.99)
    structures = [structure_row("a", "deepsparse", 6, name, dice) for name, dice in zip(names, own)]
    structures += [structure_row("a", "fdk", 6, name, dice) for name, dice in zip(names, other)]
    structures += [structure_row("a", "deepsparse", 6, names[0], 0.01, "noise", 1e3)]
    selection = Selection(only([quality_row("a", "deepsparse", 6, 20.0)], structures))
    assert selection.lowest_structures("segmented", 3) == [names[1], names[3], names[4]]
    line = headlines(selection)[0][1]
    assert [line.count(name) for name in names] == [0, 1, 0, 1, 1]
    assert "2 structures with higher Dice in the tables" in line
    assert method_means(selection, DICE, 6, "segmented", names[0])["deepsparse"].value == 0.9


def test_a_single_case_has_no_intervals_to_tell_of():
    text = Page(render_page(only([quality_row("a", "fdk", 6, 20.0)], []), 0)).text
    assert "One case: no intervals" in text
    assert "95 %" not in text.replace("95 % of", "")
    assert "Means over the cases with their 95 % interval" in Page(render_page(make_findings(), 0)).text
