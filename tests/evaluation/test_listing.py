from __future__ import annotations

import pytest

from bundle.errors import InputError
from bundle.evaluation.listing import list_reconstructions
from tests.evaluation.volumes import chest, save


@pytest.fixture
def folder(tmp_path):
    for case in ("one", "two_6views"):
        for name in ("truth", "6views", "10views", "10views_sart", "6views_deepsparse+sart"):
            save(chest(), tmp_path / case / f"{case}_{name}.nii.gz")
    save(chest(), tmp_path / "notes" / "scan.nii.gz")
    return tmp_path


def test_a_folder_as_the_evaluation_writes_it(folder):
    found = list_reconstructions(folder, "deepsparse")
    assert [(one.case, one.views, one.method) for one in found] == [
        *[("one", 6, "deepsparse"), ("one", 6, "deepsparse+sart"), ("one", 10, "deepsparse"), ("one", 10, "sart")],
        *[("two_6views", 6, "deepsparse"), ("two_6views", 6, "deepsparse+sart")],
        *[("two_6views", 10, "deepsparse"), ("two_6views", 10, "sart")],
    ]
    assert found[0].truth.name == "one_truth.nii.gz"
    assert found[0].keys["perturbation"] == "none"


def test_a_table_names_files_from_its_own_folder(folder):
    table = folder / "volumes.csv"
    table.write_text(
        "case,method,views,volume,truth,labels,perturbation,level,unit\n"
        "one,fdk,8,one/one_6views.nii.gz,one/one_truth.nii.gz,notes/scan.nii.gz,,,\n"
        "one,fdk,8,one/one_10views.nii.gz,one/one_truth.nii.gz,,noise,1e5,photons\n"
    )
    first, second = list_reconstructions(table, "deepsparse")
    assert (first.case, first.method, first.views) == ("one", "fdk", 8)
    assert first.labels == folder / "notes" / "scan.nii.gz"
    assert second.keys == {
        "case": "one",
        "method": "fdk",
        "views": 8,
        "perturbation": "noise",
        "level": 1e5,
        "unit": "photons",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,method\none,fdk\n", "line 2: lacks views, volume, truth"),
        ("case,method,views,volume,truth\none,fdk,six,a,b\n", "line 2: has views or a level that is no number"),
        ("case,method,views,volume,truth\none,fdk,6,nothing.nii.gz,b\n", "nothing.nii.gz: does not exist, but line 2"),
        ("", "has no reconstructions"),
        ("case,method,views,volume,truth\n../one,fdk,6,a,b\n", r"line 2: has the case '../one', which names no file"),
        ("case,method,views,volume,truth\none,a/b,6,a,b\n", r"has the method 'a/b', which names no file"),
        ("case,method,views,volume,truth\none,fdk,-6,a,b\n", "line 2: has views or a level that is no number"),
        ("case,method,views,volume,truth,level\none,fdk,6,a,b,2\n", "line 2: has a level but no perturbation"),
        (
            "case,method,views,volume,truth\none,fdk,6,one/one_6views.nii.gz,one/one_truth.nii.gz\n"
            "one,sart,6,one/one_6views.nii.gz,one/other.nii.gz\n",
            r"has several truths of case one: .*one_truth.nii.gz, .*other.nii.gz",
        ),
        (
            "case,method,views,volume,truth\n" + 2 * "one,fdk,6,one/one_6views.nii.gz,one/one_truth.nii.gz\n",
            "has none/one/one_6views_fdk twice",
        ),
    ],
)
def test_tables_that_are_refused(folder, text, message):
    save(chest(shift=1), folder / "one" / "other.nii.gz")
    (folder / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        list_reconstructions(folder / "bad.csv", "deepsparse")


def test_tables_from_spreadsheets_and_names_with_brackets(folder):
    save(chest(), folder / "p[1]" / "p[1]_truth.nii.gz")
    save(chest(), folder / "p[1]" / "p[1]_6views.nii.gz")
    assert [one.case for one in list_reconstructions(folder, "deepsparse")].count("p[1]") == 1
    row = "one,fdk,6,one/one_6views.nii.gz,one/one_truth.nii.gz"
    (folder / "excel.csv").write_text(f"case,method,views,volume,truth\n{row}\n", encoding="utf-8-sig")
    assert len(list_reconstructions(folder / "excel.csv", "deepsparse")) == 1
    (folder / "latin.csv").write_bytes(b"case,method\nM\xfcller,fdk\n")
    with pytest.raises(InputError, match=r"latin.csv: is no text in UTF-8"):
        list_reconstructions(folder / "latin.csv", "deepsparse")


def test_folders_that_are_refused(folder, tmp_path):
    (folder / "one" / "one_truth.nii.gz").unlink()
    with pytest.raises(InputError, match=r"one_truth.nii.gz: does not exist. Put the case's true volume there"):
        list_reconstructions(folder, "deepsparse")
    (folder / "one" / "one_truth.nii.gz").touch()
    (folder / "one" / "one_0views.nii.gz").touch()
    with pytest.raises(InputError, match=r"one_0views.nii.gz: is of 0 views"):
        list_reconstructions(folder, "deepsparse")
    with pytest.raises(InputError, match="neither a folder nor a CSV file"):
        list_reconstructions(folder / "missing", "deepsparse")
    with pytest.raises(InputError, match="has no reconstructions"):
        list_reconstructions(folder / "notes", "deepsparse")
