from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib")

from bundle.errors import InputError
from bundle.inspect_command import inspect
from bundle.inspection.contents import read_contents
from bundle.inspection.listing import ListedCase
from bundle.inspection.run import inspect_dataset
from bundle.inspection.sheets import case_sheet, overview_sheet
from bundle.tables import read_rows, write_rows
from bundle.typed_text import text_parsers
from tests.conftest import ROOT
from tests.inspection.sets import write_recorded_set
from tests.prepared.sets import write_phantom

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def prepared(tmp_path, scan):
    return write_recorded_set(tmp_path / "set", scan, {"training": ["good", "flipped"], "test": ["gone", "cut"]})


def test_damaged_and_missing_cases_are_rows_with_their_problem(prepared, tmp_path):
    volume = prepared / "cases" / "flipped" / "volume.npy"
    content = bytearray(volume.read_bytes())
    content[-2] ^= 1
    volume.write_bytes(content)
    for path in (prepared / "cases" / "gone").iterdir():
        path.unlink()
    cut = prepared / "cases" / "cut" / "volume.npy"
    cut.write_bytes(cut.read_bytes()[:-100])

    with pytest.raises(InputError, match=r"has problems with flipped, gone, cut\. See the table"):
        inspect(str(prepared), str(tmp_path / "seen"))
    rows = {row["case"]: row for row in read_rows(tmp_path / "seen" / "table.csv")}
    assert list(rows) == ["good", "flipped", "gone", "cut"]
    assert [row["checksums"] for row in rows.values()] == ["hold", "fail", "fail", "fail"]
    assert [row["section"] for row in rows.values()] == ["training", "training", "test", "test"]
    assert rows["good"]["problem"] == ""
    assert rows["flipped"]["problem"] == "volume.npy does not match its checksum"
    assert "is no prepared case" in rows["gone"]["problem"]
    assert "volume.npy is missing" in rows["gone"]["problem"]
    assert "is not a stored array" in rows["cut"]["problem"]
    assert rows["cut"]["hu_50"] == ""
    drawn = {path.name: path.read_bytes()[:8] for path in (tmp_path / "seen").glob("*.png")}
    assert drawn == dict.fromkeys(("good.png", "flipped.png", "overview.png"), PNG)


def test_cases_that_failed_in_preparation_are_rows(prepared):
    listing = json.loads((prepared / "dataset.json").read_text())
    listing["split"] = {"missing": ["broken", "lost"]}
    (prepared / "dataset.json").write_text(json.dumps(listing))
    report = [{"case": "broken", "patient": "p1", "split": "test", "error": "scan.mhd: is empty. Copy it again."}]
    write_rows(report, prepared / "report.csv")
    broken, lost = inspect_dataset(prepared, prepared / "inspection", ["broken", "lost"])
    assert (broken["section"], broken["patient"], broken["checksums"]) == ("test", "p1", "")
    assert broken["problem"] == "was not prepared: scan.mhd: is empty. Copy it again"
    assert lost["problem"] == "was not prepared: the report does not say why"
    assert [path.name for path in (prepared / "inspection").iterdir()] == ["table.csv"]


def test_rows_have_the_figures_of_the_case(prepared, scan):
    (row,) = inspect_dataset(prepared, prepared / "inspection", ["good"])
    numbers = np.load(prepared / "cases" / "good" / "volume.npy")
    hu = numbers.astype(np.float64) / 65535 * 2000 - 1000
    assert [row["hu_1"], row["hu_50"], row["hu_99"]] == pytest.approx(np.percentile(hu, (1, 50, 99)), abs=0.06)
    assert row["air"] == pytest.approx((hu < -900).mean(), abs=1e-4)
    assert 0.1 < row["air"] < 0.9
    assert (row["voxels"], row["voxel_mm"], row["views"]) == ("20 x 18 x 16", "8 x 9 x 10", 40)
    stored = json.loads((prepared / "cases" / "good" / "case.json").read_text())["projections"]
    assert (row["projection_min"], row["projection_max"]) == (0.0, pytest.approx(65535 * stored["scale"], abs=1e-4))
    assert row["bytes"] == sum(path.stat().st_size for path in (prepared / "cases" / "good").iterdir())
    assert [path.name for path in sorted((prepared / "inspection").iterdir())] == [
        "good.png",
        "overview.png",
        "table.csv",
    ]


def test_what_was_seen_before_is_replaced_only_if_asked_for(prepared):
    inspect(str(prepared), cases="good")
    table = prepared / "inspection" / "table.csv"
    with pytest.raises(InputError, match=r"table.csv: exists already"):
        inspect(str(prepared), cases="flipped")
    assert read_rows(table)[0]["case"] == "good"
    inspect(str(prepared), cases=["flipped"], overwrite=True)
    assert read_rows(table)[0]["case"] == "flipped"


def test_names_that_lead_elsewhere_are_not_written_to(prepared):
    entries = [{"image": "cases/good", "case": name} for name in ("../escaped", "overview", "good")]
    (prepared / "dataset.json").write_text(json.dumps({"training": entries}))
    rows = inspect_dataset(prepared, prepared / "inspection")
    assert ["name cannot be" in row["problem"] for row in rows] == [True, True, False]
    assert not (prepared / "escaped.png").exists()


def test_unrecorded_cases_are_told(prepared):
    (prepared / "records" / "good.json").unlink()
    (row,) = inspect_dataset(prepared, prepared / "inspection", ["good"])
    assert (row["checksums"], row["problem"]) == ("unknown", "no record of its checksums")


def test_command_prints_a_line_per_case(prepared, capsys):
    inspect(str(prepared), cases=["good", "cut"])
    heading, good, cut, last = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["case", "section", "patient", "voxels"]
    assert good.split()[:2] == ["good", "training"]
    assert "20 x 18 x 16" in good
    assert good.endswith("hold")
    assert good.index("hold") == heading.index("checksums") == cut.index("hold")
    assert last.startswith("2 cases, 0 with a problem; look at the sheets in ")


@pytest.mark.parametrize("asked", ["[good,cut]", "[good, cut]", "good"])
def test_cases_as_the_command_line_gives_them(prepared, capsys, asked):
    inspect(str(prepared), cases=text_parsers(inspect)["cases"](asked))
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert shown == (["good"] if asked == "good" else ["good", "cut"])


def test_names_that_are_not_utf8_are_shown_and_found_in_the_report(prepared, child_env):
    listing = json.loads((prepared / "dataset.json").read_text())
    listing["split"] = {"missing": ["bad\udcff"]}
    (prepared / "dataset.json").write_text(json.dumps(listing))
    write_rows([{"case": "bad\udcff", "patient": "p", "split": "test", "error": "is empty."}], prepared / "report.csv")
    command = [sys.executable, "-m", "bundle", "inspect", str(prepared)]
    strict = {**child_env, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, cwd=ROOT, env=strict, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("bad")]
    assert line.startswith("bad\\udcff")
    assert "was not prepared: is empty" in line


def test_sheets_say_what_was_simulated_and_what_is_wrong(tmp_path, scan):
    write_phantom(tmp_path / "case", scan, with_projections=False, provenance={"source": {"file": "raw.mhd"}})
    case = ListedCase("case", "test", "", tmp_path / "case")
    contents = read_contents(case.folder)
    figure = case_sheet(case, contents, "volume.npy does not match its checksum")
    title = figure.get_suptitle()
    assert title.startswith("case (test), from raw.mhd; no projections are stored: those shown are simulated")
    assert title.endswith("volume.npy does not match its checksum")
    assert [axes.get_title() for axes in figure.axes] == [
        "axial, -1000 to 1000 HU",
        "coronal, -1000 to 1000 HU",
        "sagittal, -1000 to 1000 HU",
        "HU histogram",
        *(f"view {view}, {angle}°, 0 to {contents.projections.max():.2f}" for view, angle in ((0, 0), (20, 90))),
        "central detector row",
        "scan from the feet (front at the top)",
    ]


def test_overview_has_a_panel_per_case(tmp_path):
    image = np.arange(12.0).reshape(3, 4) / 12
    names = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.10000000000000000000{number}" for number in range(7)]
    figure = overview_sheet([(ListedCase(name, "test", "", tmp_path), image, 2.0) for name in names])
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 7
    assert len({axes.get_title() for axes in drawn}) == 7  # long names are shortened, and still differ
    assert drawn[0].get_aspect() == 2.0


def test_names_with_dollar_signs_are_no_formulas(tmp_path, scan):
    prepared = write_recorded_set(tmp_path / "set", scan, {"training": ["a$b_$c"], "test": ["d"]})
    inspect(str(prepared), str(tmp_path / "seen"))
    assert {path.name for path in (tmp_path / "seen").glob("*.png")} == {"a$b_$c.png", "d.png", "overview.png"}


def test_no_picture_is_replaced_unasked(prepared, tmp_path):
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "cut.png").write_text("mine")
    with pytest.raises(InputError, match=r"cut\.png: exists already"):
        inspect(str(prepared), str(tmp_path / "seen"))
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["cut.png"]


def test_no_cases_at_all(prepared):
    with pytest.raises(InputError, match="cases: names none"):
        inspect(str(prepared), cases=[])
