from __future__ import annotations

import json

import pytest

from bundle.errors import InputError
from bundle.preparation.split_files import read_patients, read_split

PATIENTS = {"a": "1", "b": "2", "c": "3", "d": "3", "e": "4"}


def written(tmp_path, content, name="split.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_names(tmp_path):
    path = written(tmp_path, {"training": ["c", "d"], "test": ["b"], "validation": ["a"], "name": "mine"})
    split = read_split(path, PATIENTS)
    assert split.sections == {"training": ("c", "d"), "validation": ("a",), "test": ("b",)}
    assert split.rule == "as in split.json"


def test_parts_stand_for_their_case(tmp_path):
    """As in a prepared set's dataset.json, unless a case has such a name."""
    listed = {
        "training": [{"image": f"cases/c_part{n}", "case": f"c_part{n}"} for n in (1, 2)],
        "test": ["e_part2", "b_part1"],
        "split": {"rule": "a rule"},
    }
    split = read_split(written(tmp_path, listed), {**PATIENTS, "b_part1": "9"})
    assert split.sections == {"training": ("c",), "validation": (), "test": ("b_part1", "e")}


def test_table_of_a_spreadsheet(tmp_path):
    path = written(tmp_path, "\ufeffcase,note,split\r\nd,x,training\r\n b ,,test\r\nc,,training\r\n", "split.csv")
    assert read_split(path, PATIENTS).sections == {"training": ("c", "d"), "validation": (), "test": ("b",)}


@pytest.mark.parametrize(
    ("image", "case"),
    [
        ("subset0/1.2.840.77.mhd", "1.2.840.77"),
        ("images/100000_00001_0000.nii.gz", "100000_00001"),
        ("P12/data.npy", "P12"),
        ("BDMAP_00000007/ct.nii.gz", "BDMAP_00000007"),
        ("left/scan.nrrd", "left_scan"),
        ("cases/a", "a"),
    ],
)
def test_images_of_all_layouts(tmp_path, image, case):
    found = {name: name for name in ("1.2.840.77", "100000_00001", "P12", "BDMAP_00000007", "left_scan", "a")}
    split = read_split(written(tmp_path, {"test": [{"image": image, "fold": 1}]}), found)
    assert split.sections["test"] == (case,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ["a"]}, "section 'train'.*Use training, validation, test"),
        ({"training": ["a"], "test": ["a"]}, "the case a twice"),
        ({"training": ["a", {"image": "a.mha"}]}, "the case a twice"),
        ({"training": ["a", "z", "y"]}, "2 cases that were not found, such as y, z"),
        ({"training": ["c"], "test": ["d"]}, "patient 3 in two sections: c in training and d in test"),
        ({"training": []}, "lists no case"),
        ({"training": [7]}, "entry 7"),
        ({"training": {"a": 1}, "test": ["b"]}, "section training that is no list"),
        ({"training": ["a_part1", "a_part1"]}, "the case a twice"),
        ({"training": ["a_part1"], "test": ["a_part2"]}, "the case a twice"),
        ({"training": ["z_part1"]}, "not found, such as z_part1"),
        (["a"], "no sections"),
        ("{", "no valid JSON"),
    ],
)
def test_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as raised:
        read_split(written(tmp_path, content), PATIENTS)
    assert "split.json" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("case,section\na,test\n", "no column split"),
        ("case,split\na\n", "line 2: has no case or no split"),
        ("case,split\na,val\n", "section 'val'"),
        ("", "no column case or split"),
    ],
)
def test_refused_tables(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_split(written(tmp_path, content, "split.csv"), PATIENTS)


def test_unreadable(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_split(tmp_path / "none.json", PATIENTS)
    (tmp_path / "latin.csv").write_bytes("case,split\nä,test\n".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_split(tmp_path / "latin.csv", PATIENTS)


def test_patients(tmp_path):
    path = written(tmp_path, "case,patient\na,Q\nb,Q\n", "patients.csv")
    assert read_patients(path) == {"a": "Q", "b": "Q"}
    with pytest.raises(InputError, match="the case a twice"):
        read_patients(written(tmp_path, "case,patient\na,Q\na,R\n", "patients.csv"))
    with pytest.raises(InputError, match="no column patient"):
        read_patients(written(tmp_path, "case,who\na,Q\n", "patients.csv"))
