from __future__ import annotations

import re

import pytest

from bundle.report.page import render_page
from tests.report.examples import (
    RIGHT,
    Page,
    make_findings,
    make_picture,
    only,
    perturbed_findings,
    quality_row,
    save_volumes,
    structure_row,
)

SIX = "6 views, 3 cases; structures compared with the segmentation of the truth"


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> str:
    paths = save_volumes(tmp_path_factory.mktemp("volumes"))
    return render_page(make_findings([make_picture(paths, case, "fdk") for case in "abc"]), max_pictures=2)


@pytest.fixture(scope="module")
def page(document) -> Page:
    return Page(document)


def test_sections_stand_in_order(page):
    assert page.headings == [
        "Lungs of three cases",
        "What the reader must know",
        "Results by number of views",
        "Distributions",
        "Volumetry",
        "Paired comparisons",
        "Cases, worst first",
        "Projection residuals",
        "Provenance",
    ]
    assert "Research only. Not a medical device." in page.text
    assert "Dice is 0 where one mask is empty." in page.text


def test_nothing_is_fetched(document, page):
    assert "http:" not in document
    assert "https:" not in document
    assert "<script" not in document
    assert "@import" not in document
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", document))
    for tag, name, value in page.attributes:
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,"), tag
        if name in ("href", "xlink:href"):
            assert tag == "a" or value.startswith("#")
    links = {value for tag, name, value in page.attributes if tag == "a" and not value.startswith("#")}
    assert links == {f"{n}.csv" for n in ("quality", "structures", "summary", "comparisons", "agreement")} | {
        "report.json"
    }


def test_names_inside_plots_are_unique(document):
    names = re.findall(r'\sid="([^"]+)"', document)
    assert len(names) > 100
    assert len(names) == len(set(names))


def test_headline_compares_the_method_in_focus(page):
    assert "right lung Dice 0.930 (0.890–0.970) with deepsparse, 0.553 with fdk; left lung" in page.text  # noqa: RUF001
    assert "PSNR 27.60 dB (27.56–27.64) with deepsparse, 23.60 dB with fdk." in page.text  # noqa: RUF001


def test_tables_tell_the_rows_numbers(page):
    groups, head, focus, other = page.tables[SIX]
    assert groups[1:] == ["Image quality", "right lung", "left lung"]
    assert head == ["Method", "PSNR (dB)", "SSIM 3D", "SSIM slices", "VIF"] + 2 * ["Dice", "ASSD (mm)", "HD95 (mm)"]
    # (26.6 + 27.6 + 28.6) / 3 and (22.6 + 23.6 + 24.6) / 3
    assert focus[:2] == ["deepsparse", "27.60 ★ (27.56–27.64)"]  # noqa: RUF001
    assert other[:2] == ["fdk", "23.60 (23.56–23.64)"]  # noqa: RUF001
    assert focus[5:8] == ["0.930 ★ (0.890–0.970)", "0.70 ★ (0.66–0.74)", "2.80 ★ (2.76–2.84)"]  # noqa: RUF001
    assert focus[8] == other[8] == "0.875 ★ (0.835–0.915)"  # noqa: RUF001


def test_undefined_and_missed_values_are_told(page):
    other = page.tables[SIX][3]
    assert other[4] == "0.410 (0.370–0.450) 1 undefined"  # noqa: RUF001
    assert other[5].endswith("missed in 1 of 3")
    assert other[6].endswith("1 undefined")


def test_leaving_cases_out_does_not_win():
    quality = [quality_row(case, method, 6, 20.0) for case in "ab" for method in ("fdk", "sart")]
    structures = [structure_row(c, m, 6, RIGHT, d) for c, m, d in _LEFT_OUT]
    page = Page(render_page(only(quality, structures), 0))
    fdk, sart = (
        row
        for row in next(table for name, table in page.tables.items() if name.startswith("6 views, 2"))
        if row[0] in ("fdk", "sart")
    )
    assert "★" not in fdk[6]  # 0.2 mm, but only in one of two cases
    assert "★" in sart[6]


_LEFT_OUT = (("a", "fdk", 0.98), ("b", "fdk", 0.0), ("a", "sart", 0.9), ("b", "sart", 0.9))


def comparison(structure: str, difference: float | None, p_value: float | None, test: str, other: str = "fdk") -> dict:
    row = {"perturbation": "none", "level": None, "unit": "", "views": 6, "reference": "segmented", "metric": "dice"}
    row |= {"structure": structure, "method": "deepsparse", "other": other, "difference": difference}
    return row | {"low": None, "high": None, "p_value": p_value, "n": 9, "test": test}


def test_comparisons_tell_the_usual_test_once_and_others_beside_their_row():
    rows = [comparison(f"lobe {i}", 0.1, 0.031, "Wilcoxon signed-rank, exact") for i in range(3)]
    rows.append(comparison("liver", 0.0, None, "none: only 0 of 9 pairs differ, 6 are needed"))
    page = Page(render_page(make_findings(comparisons=rows), 0))
    name = "6 views, differences over the same cases; Wilcoxon signed-rank, exact unless stated"
    assert page.tables[name][1:] == [
        *(["Dice", f"lobe {i}", "the segmentation of the truth", "+0.100 p = 0.031, n = 9"] for i in range(3)),
        ["Dice", "liver", "the segmentation of the truth", "0.000 n = 9 only 0 of 9 pairs differ, 6 are needed"],
    ]
    assert page.text.count("pairs differ") == 1


def test_comparisons_without_any_test_say_why_once():
    rows = [comparison(f"lobe {i}", 0.1, None, "none: only 1 pair, 6 are needed") for i in range(3)]
    page = Page(render_page(make_findings(comparisons=rows), 0))
    name = "6 views, differences over the same cases; no test (only 1 pair, 6 are needed)"
    assert [row[3] for row in page.tables[name][1:]] == 3 * ["+0.100 n = 9"]


def test_comparisons_with_many_methods_are_split():
    rows = [comparison("liver", 0.1, 0.031, "Wilcoxon", f"method {i}") for i in range(7)]
    tables = [
        rows for name, rows in Page(render_page(make_findings(comparisons=rows), 0)).tables.items() if "same" in name
    ]
    assert [table[0][3:] for table in tables] == [
        [f"deepsparse minus method {i}" for i in range(4)],
        [f"deepsparse minus method {i}" for i in range(4, 7)],
    ]


def test_volumes_agreement(page, document):
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("Volumes compared")]
    assert table[1] == [
        "6",
        "right lung",
        "deepsparse",
        "\u2212140.0 (\u2212239.4 to \u221240.6)",
        "\u2212218.4 to \u221261.6",
        "3",
    ]
    label = "Bland-Altman plot: right lung, 6 views, deepsparse, 3 cases, compared with the segmentation of the truth: "
    assert label + "upper limit \u221262 ml, bias \u2212140 ml, lower limit \u2212218 ml." in document


def test_cases_come_worst_first_and_say_how_many_are_hidden(page):
    assert page.text.index("b, fdk, 6 views") < page.text.index("c, fdk, 6 views")
    assert "a, fdk, 6 views" not in page.text
    assert "1 more reconstruction is not shown" in page.text
    assert "lowest Dice 0.000 (right lung, compared with the segmentation of the truth)" in page.text
    first = next(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    assert first.startswith("axial slice 11 of 20 of b: truth at the left")


def test_provenance(page):
    assert page.tables["Settings"] == [["segmenter / name", "threshold lungs"], ["segmenter / sha256", "ab" * 32]]
    assert page.tables["Versions"] == [["monai", "1.6.1"]]


def test_headings_of_tables_have_scopes(page):
    headings = [value for tag, name, value in page.attributes if tag == "th" and name == "scope"]
    assert set(headings) == {"col", "row", "colgroup"}
    assert ("html", "lang", "en") in page.attributes


def test_many_problems_unfold():
    problems = [f"problem {i}" for i in range(10)]
    document = render_page(make_findings(problems=problems), 0)
    inside = document[document.index('id="problems"') : document.index("Research only")]
    shown, hidden = inside.split("<details>")
    assert [shown.count(f"<li>{problem}</li>") for problem in problems] == 8 * [1] + 2 * [0]
    assert [hidden.count(f"<li>{problem}</li>") for problem in problems] == 8 * [0] + 2 * [1]
    assert "<summary>2 more</summary>" in hidden


def test_residuals_of_what_was_not_evaluated_are_left_out():
    findings = make_findings()
    strange = {"case": "a", "method": "ghost", "views": 24, "view": 0, "angle_deg": 0.0, "relative": 0.5}
    old_case = {**findings.residuals[0], "case": "old", "relative": 99.0}
    assert render_page(make_findings(residuals=[*findings.residuals, strange, old_case]), 0) == render_page(findings, 0)


def test_other_methods_plots_are_few():
    methods = ["deepsparse", *(f"method {i}" for i in range(6))]
    names = [f"structure {i}" for i in range(9)]
    structures = [structure_row(c, m, 6, name, 0.9) for c in "ab" for m in methods for name in names]
    document = render_page(only([quality_row("a", m, 6, 20.0) for m in methods], structures), 0)
    assert document.count('aria-label="Bland-Altman plot: ') == 8 + 6 * 6


def test_the_page_is_the_same_again():
    assert render_page(make_findings(), 0) == render_page(make_findings(), 0)


def test_rows_from_csv_files_give_the_same_page():
    def as_text(rows):
        return [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]

    findings = perturbed_findings()
    tables = ("quality", "structures", "summary", "comparisons", "agreement", "residuals")
    texts = {name: as_text(getattr(findings, name)) for name in tables}
    assert render_page(make_findings(**texts), 0) == render_page(findings, 0)


def test_no_cases_at_all():
    tables = ("quality", "structures", "summary", "comparisons", "agreement", "residuals", "problems")
    empty = {name: [] for name in tables}
    page = Page(render_page(make_findings(**empty, settings={}, versions={}), 12))
    assert "No cases were evaluated." in page.text
    assert page.headings[1:] == [
        "Results by number of views",
        "Distributions",
        "Volumetry",
        "Paired comparisons",
        "Cases, worst first",
        "Provenance",
    ]
    assert page.tables == {}


def test_a_single_case_with_one_method_has_no_best():
    page = Page(render_page(only([quality_row("a", "fdk", 6, 21.5)], [structure_row("a", "fdk", 6, RIGHT, 0.8)]), 0))
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("6 views, 1 case;")]
    assert table[2] == ["fdk", "21.50", "0.537", "0.524", "0.410", "0.800", "2.00", "8.00"]


def test_a_structure_in_neither_mask_is_undefined():
    quality = [quality_row("a", "fdk", 6, 21.5)]
    page = Page(render_page(only(quality, [structure_row("a", "fdk", 6, RIGHT, None)]), 0))
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("6 views, 1 case;")]
    assert table[2][5:] == 3 * ["undefined"]
    assert "right lung Dice undefined with fdk" in page.text


def test_names_that_are_no_characters_are_escaped_everywhere(tmp_path):
    case, method, structure = "a\udce9", "m\udce9", "lobe\udce9"
    quality = [quality_row(case, method, 6, 21.5), quality_row(case, method, 6, 20.5, "noise\udce9", 1e3)]
    structures = [
        structure_row(case, method, 6, structure, 0.8),
        structure_row(case, method, 6, structure, 0.7, "n", 2),
    ]
    residual = {"case": case, "method": method, "views": 6, "view": 0, "angle_deg": 0.0, "relative": 0.1}
    picture = make_picture(save_volumes(tmp_path), case, method)
    findings = only(quality, structures, residuals=[residual], pictures=[picture], method=method)
    document = render_page(findings, 1)
    document.encode("utf-8")
    assert document.count("lobe\\udce9") >= 5


def test_names_are_escaped(tmp_path):
    case, method = "<script>alert(1)</script>&\udce9$x$", '"><img src=x> $\\frac$'
    quality = [quality_row(case, method, 6, 21.5), quality_row(case, "fdk", 6, 20.5)]
    structures = [structure_row(case, name, 6, "<b>lobe</b>", 0.8) for name in (method, "fdk")]
    picture = make_picture(save_volumes(tmp_path), case, method)
    findings = only(quality, structures, pictures=[picture], problems=[case], title=case, method=method)
    document = render_page(findings, 1)
    page = Page(document)
    assert "<script" not in document
    assert "<b>" not in document
    assert 'src="x' not in document
    assert "<script>alert(1)</script>&\\udce9$x$" in page.text
    assert any(row[0] == method for rows in page.tables.values() for row in rows)
    document.encode("utf-8")
