from __future__ import annotations

import re

import pytest

from bundle.report.page import render_page
from tests.report.examples import (
    RIGHT,
    Page,
    make_findings,
    make_picture,
    perturbed_findings,
    quality_row,
    save_volumes,
    structure_row,
    summarised,
)

SIX = "6 views, 3 cases; structures compared with the segmenter on the truth"


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
    assert "right lung Dice 0.93 (0.89–0.97) with deepsparse, 0.55 with fdk; left lung" in page.text  # noqa: RUF001
    assert "PSNR 27.6 dB (27.6–27.6) with deepsparse, 23.6 dB with fdk." in page.text  # noqa: RUF001


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
    page = Page(render_page(_only(quality, structures), 0))
    fdk, sart = (
        row
        for row in next(table for name, table in page.tables.items() if name.startswith("6 views, 2"))
        if row[0] in ("fdk", "sart")
    )
    assert "★" not in fdk[6]  # 0.2 mm, but only in one of two cases
    assert "★" in sart[6]


_LEFT_OUT = (("a", "fdk", 0.98), ("b", "fdk", 0.0), ("a", "sart", 0.9), ("b", "sart", 0.9))


def _only(quality, structures, **changes):
    empty = {"comparisons": [], "agreement": [], "residuals": [], "problems": []}
    content = {"quality": quality, "structures": structures, "summary": summarised(quality, structures)}
    return make_findings(**(empty | content | changes))


def test_comparisons_say_where_cases_are_too_few(page):
    (table,) = [rows for name, rows in page.tables.items() if name.endswith("same cases; Wilcoxon signed-rank")]
    assert table[0] == ["Metric", "Structure", "Compared with", "deepsparse minus fdk"]
    assert table[1][1:] == [
        "right lung",
        "the segmenter on the truth",
        "+0.377 (+0.101 to +0.930) too few cases, n = 3",
    ]
    assert table[2][0] == "PSNR (dB)"
    assert table[2][3].endswith("p < 0.001, n = 3")


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
    label = "Bland-Altman plot: right lung, 6 views, deepsparse, 3 cases, against the segmenter on the truth: "
    assert label + "upper limit \u221262 ml, bias \u2212140 ml, lower limit \u2212218 ml." in document


def test_cases_come_worst_first_and_say_how_many_are_hidden(page):
    assert page.text.index("b, fdk, 6 views") < page.text.index("c, fdk, 6 views")
    assert "a, fdk, 6 views" not in page.text
    assert "1 more reconstruction is not shown" in page.text
    first = next(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    assert first.startswith("axial slice 11 of 20 of b: truth at the left")


def test_provenance(page):
    assert page.tables["Settings"] == [["segmenter / name", "threshold lungs"], ["segmenter / sha256", "ab" * 32]]
    assert page.tables["Versions"] == [["monai", "1.6.1"]]


def test_headings_of_tables_have_scopes(page):
    headings = [value for tag, name, value in page.attributes if tag == "th" and name == "scope"]
    assert set(headings) == {"col", "row", "colgroup"}
    assert ("html", "lang", "en") in page.attributes


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
    page = Page(render_page(_only([quality_row("a", "fdk", 6, 21.5)], [structure_row("a", "fdk", 6, RIGHT, 0.8)]), 0))
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("6 views, 1 case;")]
    assert table[2] == ["fdk", "21.50", "0.537", "0.524", "0.410", "0.800", "2.00", "8.00"]


def test_a_structure_in_neither_mask_is_undefined():
    quality = [quality_row("a", "fdk", 6, 21.5)]
    page = Page(render_page(_only(quality, [structure_row("a", "fdk", 6, RIGHT, None)]), 0))
    (table,) = [rows for name, rows in page.tables.items() if name.startswith("6 views, 1 case;")]
    assert table[2][5:] == 3 * ["undefined 1 undefined"]
    assert "right lung Dice undefined (1 undefined) with fdk" in page.text


def test_names_are_escaped(tmp_path):
    case, method = "<script>alert(1)</script>&\udce9$x$", '"><img src=x> $\\frac$'
    quality = [quality_row(case, method, 6, 21.5), quality_row(case, "fdk", 6, 20.5)]
    structures = [structure_row(case, name, 6, "<b>lobe</b>", 0.8) for name in (method, "fdk")]
    picture = make_picture(save_volumes(tmp_path), case, method)
    findings = _only(quality, structures, pictures=[picture], problems=[case], title=case, method=method)
    document = render_page(findings, 1)
    page = Page(document)
    assert "<script" not in document
    assert "<b>" not in document
    assert 'src="x' not in document
    assert "<script>alert(1)</script>&\\udce9$x$" in page.text
    assert any(row[0] == method for rows in page.tables.values() for row in rows)
    document.encode("utf-8")
