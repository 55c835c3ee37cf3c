from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from bundle.data.datalist import (
    PREPARED,
    case_names,
    is_prepared,
    load_datalist,
    split_checksum,
    with_view_counts,
)
from bundle.errors import InputError
from tests.conftest import ROOT


def test_sample_data():
    cases = load_datalist(ROOT / "sample_data", "test")
    assert [case["image"].endswith("chest.nii.gz") for case in cases] == [True]


def test_sections_and_repeats(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": "a.nii.gz", "projections": "a.npz"}]}))
    cases = load_datalist(tmp_path, "training", repeats=3)
    assert len(cases) == 3
    assert cases[0]["image"] == str(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="training"):
        load_datalist(tmp_path, "validation")


def test_plain_folder_warns(tmp_path, caplog):
    for name in ("b.nii.gz", "a.mha", "notes.txt"):
        (tmp_path / name).write_text("")
    with caplog.at_level(logging.WARNING):
        cases = load_datalist(tmp_path, "validation")
    assert [case["image"].rsplit("/", 1)[1] for case in cases] == ["a.mha", "b.nii.gz"]
    assert "no dataset.json" in caplog.text


def test_missing_folder_empty_folder_broken_list(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        load_datalist(tmp_path / "none", "training")
    with pytest.raises(InputError, match="no training cases"):
        load_datalist(tmp_path, "training")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        load_datalist(tmp_path, "training")


def test_view_counts():
    items = with_view_counts([{"image": "a"}, {"image": "b"}], [6, 8])
    assert [(i["image"], i["num_sparse"]) for i in items] == [("a", 6), ("a", 8), ("b", 6), ("b", 8)]


def test_case_names_are_unique(tmp_path):
    """Data sets with one folder per case use the same file name in all of them."""
    listing = {"training": [{"image": "BDMAP_1/ct.nii.gz"}, {"image": "BDMAP_2/ct.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listing))
    assert [case["case"] for case in load_datalist(tmp_path, "training")] == ["BDMAP_1_ct", "BDMAP_2_ct"]
    listing["training"].append({"image": "BDMAP_1/ct.nii.gz"})
    (tmp_path / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(InputError, match="more than once"):
        load_datalist(tmp_path, "training")


@pytest.mark.parametrize("images", [("p/ct.nii.gz", "p/ct.mha"), ("1_2/3/ct.nii.gz", "1/2_3/ct.nii.gz")])
def test_cases_that_would_share_a_name_are_refused(tmp_path, images):
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": image} for image in images]}))
    with pytest.raises(InputError, match=r"cases of one name: .*Rename all but one"):
        load_datalist(tmp_path, "training")


def test_projections_of_all_cases_or_of_none(tmp_path):
    listing = {"training": [{"image": "a.nii.gz"}, {"image": "b.nii.gz", "projections": "b.npz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(InputError, match="with and without projections"):
        load_datalist(tmp_path, "training")


def test_the_splits_checksum_tells_splits_apart_and_nothing_else(tmp_path):
    def checksum(listing: dict, name: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(json.dumps(listing))
        return split_checksum(tmp_path / name)

    split = {"training": [{"image": "a.nii.gz"}, {"image": "b.nii.gz"}], "test": [{"image": "c.nii.gz"}]}
    same = {"name": "chests", "test": ["./c.nii.gz"], "training": split["training"][::-1], "validation": []}
    moved = {"training": [{"image": "a.nii.gz"}], "test": [{"image": "c.nii.gz"}, {"image": "b.nii.gz"}]}
    assert checksum(split, "one") == checksum(same, "two")
    assert checksum(split, "one more") != checksum(moved, "three")
    assert len(split_checksum(tmp_path / "one")) == 16
    names_alike = [
        {
            "training": [{"image": "p1/ct.nii.gz"}, {"image": f"{one}/ct.nii.gz"}],
            "test": [{"image": f"{two}/ct.nii.gz"}],
        }
        for one, two in (("p2", "p3"), ("p3", "p2"))
    ]
    assert checksum(names_alike[0], "four") != checksum(names_alike[1], "five")
    assert split_checksum(tmp_path) == ""


def test_prepared_sets_say_so(tmp_path):
    assert not is_prepared(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"training": []}))
    assert not is_prepared(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"format": PREPARED}))
    assert is_prepared(tmp_path)


def test_decathlon_lists(tmp_path):
    """Tests are paths alone there, and other entries may be lists, too."""
    (tmp_path / "dataset.json").write_text(
        json.dumps({"authors": ["me"], "training": [{"image": "./a.nii.gz"}], "test": ["./t.nii.gz"]})
    )
    assert load_datalist(tmp_path, "training")[0]["case"] == "a"
    assert load_datalist(tmp_path, "test")[0]["image"].endswith("t.nii.gz")
    assert split_checksum(tmp_path)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("[]", "has no sections"),
        ('{"training": [{"label": "a.nii.gz"}]}', "has an entry without an image in training"),
        ('{"training": ["a.nii.gz"]}', "has an entry without an image in training"),
        ('{"training": []}', "has no training cases. Add some to its dataset.json"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, listing, message):
    (tmp_path / "dataset.json").write_text(listing)
    with pytest.raises(InputError, match=message):
        load_datalist(tmp_path, "training")


def test_a_folder_without_listing_has_volumes_alone(tmp_path):
    """No files that macOS or a killed run left, and no label maps of the volumes."""
    for name in ("a.nii.gz", "._a.nii.gz", ".partial-1-b.nii.gz", "a_labels.nii.gz", "b_seg.nii.gz"):
        (tmp_path / name).touch()
    assert [case["case"] for case in load_datalist(tmp_path, "test")] == ["a", "b_seg"]


def test_names_of_files_elsewhere_are_not_hidden():
    """They become names of folders."""
    for elsewhere, names in (("/data", ["data_one_ct", "data_two_ct"]), ("/sets", ["one_ct", "two_ct"])):
        paths = [f"{elsewhere}/{folder}/ct.nii.gz" for folder in ("one", "two")]
        assert case_names(paths, Path("/sets/mine")) == names
