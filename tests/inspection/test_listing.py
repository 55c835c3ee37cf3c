from __future__ import annotations

import json

import pytest

from bundle.errors import InputError
from bundle.inspection.listing import check_files, list_cases, recorded_files
from tests.inspection.sets import write_recorded_set


@pytest.fixture
def prepared(tmp_path, scan):
    return write_recorded_set(tmp_path / "set", scan, {"training": ["b", "a"], "validation": [], "test": ["c"]})


def test_cases_come_in_the_order_of_the_listing(prepared):
    listed = list_cases(prepared)
    assert [(case.name, case.section) for case in listed] == [("b", "training"), ("a", "training"), ("c", "test")]
    assert listed[2].folder == prepared / "cases" / "c"
    assert [case.name for case in list_cases(prepared, ["c", "b"])] == ["b", "c"]


def test_patients_and_other_metadata_are_told_apart(prepared):
    listing = {"name": "luna16", "split": {"checksum": "x"}, "test": [{"image": "cases/c", "patient": "p7"}]}
    (prepared / "dataset.json").write_text(json.dumps(listing))
    (case,) = list_cases(prepared)
    assert (case.name, case.section, case.patient) == ("c", "test", "p7")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is damaged"),
        ("[]", "is not a JSON object"),
        ('{"training": []}', "lists no cases"),
        ('{"training": [{"label": "a"}]}', "without an image in training"),
    ],
)
def test_listings_that_make_no_sense_are_refused(prepared, content, told):
    (prepared / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=told):
        list_cases(prepared)


def test_other_folders_and_cases_are_refused(prepared, tmp_path):
    with pytest.raises(InputError, match="no prepared data set"):
        list_cases(tmp_path)
    with pytest.raises(InputError, match="cases: d are not in"):
        list_cases(prepared, ["a", "d"])


def test_damage_is_found_by_size_and_checksum(prepared):
    files = recorded_files(prepared)
    assert set(files) == {"a", "b", "c"}
    assert check_files(prepared, files["a"]) == ""
    volume, projections = (prepared / "cases" / "a" / f"{name}.npy" for name in ("volume", "projections"))
    content = bytearray(volume.read_bytes())
    content[-1] ^= 1
    volume.write_bytes(content)
    size = projections.stat().st_size
    projections.write_bytes(projections.read_bytes()[:-3])
    (prepared / "cases" / "a" / "case.json").unlink()
    assert set(check_files(prepared, files["a"]).split(", ")) == {
        "volume.npy does not match its checksum",
        f"projections.npy has {size - 3} bytes instead of {size}",
        "case.json is missing",
    }
    assert check_files(prepared, files["b"]) == ""


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"items": [{"name": "a"}]}', '{"items": [{"name": "a", "files": []}]}']
)
def test_damaged_records_count_as_missing(prepared, content):
    (prepared / "records" / "a.json").write_text(content)
    assert set(recorded_files(prepared)) == {"b", "c"}
