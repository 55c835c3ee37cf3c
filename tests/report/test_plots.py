from __future__ import annotations

import re

import pytest

from bundle.report.agreement_plots import agreement_plots
from bundle.report.box_plots import quality_plots, structure_plots
from bundle.report.selection import Selection
from bundle.report.vector_drawing import wide_enough
from tests.report.examples import RIGHT, make_findings, only, quality_row, structure_row


def texts(plot: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", plot)


@pytest.fixture(scope="module")
def one_case() -> Selection:
    quality = [quality_row("a", "fdk", 6, 20.123456)]
    structures = [structure_row("a", "fdk", 6, RIGHT, 0.987654)]
    agreed = {**make_findings().agreement[0], "method": "fdk", "n": 1, "bias_ml": -24.7}
    return Selection(only(quality, structures, agreement=[agreed], method="fdk"))


def test_axes_hold_their_values_and_are_not_too_narrow():
    assert wide_enough([5.0], 2.0, 0.0) == (4.0, 6.0)
    assert wide_enough([0.0, 10.0], 2.0, 0.1) == (-1.0, 11.0)


def test_one_case_has_readable_axes(one_case):
    plots = quality_plots(one_case) + structure_plots(one_case, "segmented")
    plots += agreement_plots(one_case, "segmented", ["fdk"], [RIGHT])
    assert len(plots) == 8
    for plot in plots:
        numbers = [text for text in texts(plot) if re.fullmatch(r"[\u2212+]?[\d.,]+", text)]
        assert 2 <= len(numbers) <= 10, texts(plot)
        assert all(len(text) <= 6 for text in numbers), numbers


def test_one_case_has_no_bias_line(one_case):
    (plot,) = agreement_plots(one_case, "segmented", ["fdk"], [RIGHT])
    assert "1 case, compared with the segmentation of the truth: difference \u221225 ml." in plot
    assert not any("bias" in text or "limit" in text for text in texts(plot))


def test_long_names_leave_the_metric_in_the_title():
    structures = [structure_row(case, "fdk", 6, "b" * 70, 0.9) for case in "ab"]
    plots = structure_plots(Selection(only([], structures)), "segmented")
    titles = [text for plot in plots for text in texts(plot) if "bbb" in text]
    assert [title.split(": ")[1] for title in titles] == ["Dice", "ASSD (mm)", "HD95 (mm)"]
    assert all(len(title) < 50 for title in titles)


def test_names_of_close_lines_do_not_overlap():
    dice = {6: 0.9, 8: 0.1}
    structures = [structure_row(case, "fdk", views, RIGHT, dice[views]) for case in "ab" for views in dice]
    figures = {"method": "fdk", "views": 6, "bias_ml": -200.0, "lower_ml": -200.1, "upper_ml": -199.9}
    selection = Selection(only([], structures, agreement=[make_findings().agreement[0] | figures], method="fdk"))
    plot = agreement_plots(selection, "segmented", ["fdk"], [RIGHT])[0]
    names = ("upper limit", "bias", "lower limit")
    upper, bias, lower = (float(re.search(rf'y="([-\d.]+)"[^>]*>{name}', plot)[1]) for name in names)
    assert upper + 8 < bias < lower - 8  # letters are 8 points high, and y grows downwards
