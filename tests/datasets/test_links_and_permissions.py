"""Links and permissions: nothing outside the source is read, and nothing inside it is lost or counted twice."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundle.datasets import find_cases
from bundle.errors import InputError
from tests.datasets.formats import write_dicom
from tests.datasets.replicas import anatomy, make_replica
from tests.datasets.test_refusals import problems, put_ct

pytest.importorskip("itk", reason="MetaImage, NRRD and DICOM need itk")
pytest.importorskip("pydicom", reason="DICOM needs pydicom")


@pytest.mark.parametrize("link", ["file", "folder", "slice", "data", "label"])
def test_links_out_of_the_source(tmp_path, link):
    source, outside = tmp_path / "source", tmp_path / "outside"
    shown = anatomy(shape=(12, 10, 9), voxel_mm=(28.0, 30.5, 33.0))
    put_ct(source / "good.nii.gz")
    if link == "file":
        put_ct(outside / "a.nii.gz")
        (source / "a.nii.gz").symlink_to(outside / "a.nii.gz")
    elif link == "folder":
        put_ct(outside / "b.nii.gz")
        (source / "a").symlink_to(outside)
    elif link == "slice":
        files = write_dicom(source / "a", shown.hu, shown.affine_ras)
        shutil.move(files[4], tmp_path / "moved.dcm")
        files[4].symlink_to(tmp_path / "moved.dcm")
    elif link == "data":
        put_ct(source / "a.mhd")
        shutil.move(source / "a.raw", tmp_path / "a.raw")
        (source / "a.raw").symlink_to(tmp_path / "a.raw")
    else:
        put_ct(source / "a.nii.gz")
        put_ct(tmp_path / "label.nii.gz")
        (source / "a_seg.nii.gz").symlink_to(tmp_path / "label.nii.gz")
    found = problems(find_cases("folder", source))
    assert list(found) == ["a"]
    assert "leads out of the source" in found["a"]


@pytest.mark.parametrize("dataset", ["luna16", "panorama", "abdomenatlas", "toothfairy", "pengwin", "knee"])
def test_linked_folder_of_every_layout(tmp_path, dataset):
    """A part of the download that lies elsewhere is named, not read."""
    source = make_replica(dataset, tmp_path, cases=1)
    part = next(path for path in sorted(source.iterdir()))
    shutil.move(part, tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    cases = find_cases(dataset, source)
    assert cases
    assert all(case.problem for case in cases)
    assert any("leads out of the source" in str(case.problem) for case in cases)


def test_links_inside_the_source(tmp_path):
    """They are followed, loops of them once, and give no scan a second name."""
    put_ct(tmp_path / "real" / "b.nii.gz")
    put_ct(tmp_path / ".store" / "c.nii.gz")
    for link in ("a.nii.gz", "more/b.nii.gz"):
        (tmp_path / link).parent.mkdir(exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / "real" / "b.nii.gz")
    for link in ("one.nii.gz", "two.nii.gz"):
        (tmp_path / link).symlink_to(tmp_path / ".store" / "c.nii.gz")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    cases = find_cases("folder", tmp_path)
    assert [case.name for case in cases] == ["b", "one"]
    assert cases[0].image.path == tmp_path / "real" / "b.nii.gz"
    assert not problems(cases)


def test_links_do_not_take_the_names_of_folders(tmp_path):
    """Layouts tell cases by the names of folders, also where a link to one comes before it."""
    source = make_replica("luna16", tmp_path, cases=2)
    expected = [case.name for case in find_cases("luna16", source)]
    for folder in sorted(path for path in source.iterdir() if path.name.startswith("subset")):
        (source / f"fold{folder.name[-1]}").symlink_to(folder)
    assert [case.name for case in find_cases("luna16", source)] == expected


def test_a_label_that_nothing_needs_is_no_problem(tmp_path):
    put_ct(tmp_path / "source" / "a.nii.gz")
    put_ct(tmp_path / "label.nii.gz")
    (tmp_path / "source" / "a_seg.nii.gz").symlink_to(tmp_path / "label.nii.gz")
    assert problems(find_cases("folder", tmp_path / "source"))
    assert not problems(find_cases("folder", tmp_path / "source", labels=False))


def test_linked_folder_gives_no_second_case(tmp_path):
    source = make_replica("toothfairy", tmp_path, cases=1)
    (source / "P0").symlink_to(source / "P1")
    assert [case.name for case in find_cases("toothfairy", source)] == ["P1"]


@pytest.mark.parametrize(
    ("dataset", "link", "is_case"),
    [
        ("luna16", "subset7", False),
        ("luna16", "subset0/part.7", False),
        ("folder", "1.2.840.1", False),
        ("knee", "ML", False),
        ("pengwin", "images", False),
        ("panorama", "images/part2", False),
        ("abdomenatlas", "part2", False),
        ("abdomenatlas", "BDMAP_00000002", True),
        ("toothfairy", "P2", True),
    ],
)
@pytest.mark.parametrize("circular", [False, True])
def test_link_to_a_folder_that_is_gone(tmp_path, dataset, link, is_case, circular):
    source = make_replica(dataset, tmp_path, cases=1)
    path = source / link
    path.symlink_to(path if circular else tmp_path / "gone")
    cases = find_cases(dataset, source)
    assert list(problems(cases)) == [path.name]
    assert "which cannot be found" in problems(cases)[path.name]
    assert [case.is_case for case in cases if case.problem] == [is_case]
    assert len(cases) == 2


def test_panorama_images_that_are_gone(tmp_path):
    source = make_replica("panorama", tmp_path, cases=1)
    shutil.rmtree(source / "images")
    (source / "images").symlink_to(source / "gone")
    assert "which cannot be found" in problems(find_cases("panorama", source))["images"]


@pytest.mark.parametrize("name", ["b.nii.gz", "b.mhd", "b.nrrd", "series/9999.dcm"])
def test_link_to_a_file_that_is_gone(tmp_path, name):
    """Named as the case that it would be, once; a series does not go without its slice."""
    put_ct(tmp_path / "good.nii.gz")
    write_dicom(tmp_path / "series", anatomy().hu, anatomy().affine_ras)
    (tmp_path / name).symlink_to(tmp_path / name)
    case = "b" if name.startswith("b") else "series"
    cases = find_cases("folder", tmp_path)
    assert list(problems(cases)) == [case]
    assert str(tmp_path / name) in problems(cases)[case]
    assert sorted(each.name for each in cases) == sorted({"good", "series", case})
    assert all(each.is_case for each in cases)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, with all that leads there."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder).resolve()


@contextmanager
def another_user() -> Iterator[None]:
    """Whom permissions bind, as they do not bind the one who owns the machine."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("dataset", "locked", "is_case"),
    [
        ("luna16", "subset0", False),
        ("folder", "sub", False),
        ("panorama", "labels/sub", False),
        ("abdomenatlas", "part2", False),
        ("abdomenatlas", "BDMAP_00000001", True),
        ("toothfairy", "P1", True),
    ],
)
def test_folder_that_may_not_be_read(open_folder, dataset, locked, is_case):
    source = make_replica(dataset, open_folder, cases=2)
    folder = source / locked
    folder.mkdir(exist_ok=True)
    folder.chmod(0)
    try:
        with another_user():
            cases = find_cases(dataset, source)
    finally:
        folder.chmod(0o755)
    found = [case for case in cases if case.problem]
    assert [(case.name, case.is_case) for case in found] == [(folder.name, is_case)]
    assert str(found[0].problem).startswith(f"{folder}: cannot be read (Permission denied)")
    assert len(cases) > 1


def test_source_that_may_not_be_read(open_folder):
    source = make_replica("luna16", open_folder, cases=1)
    source.chmod(0)
    try:
        with another_user(), pytest.raises(InputError, match="source: cannot be read"):
            find_cases("luna16", source)
    finally:
        source.chmod(0o755)


def test_file_that_may_not_be_read(open_folder):
    """Without a suffix it may be a slice: an entry of its own, and a fault of the series that it lies in."""
    source = open_folder / "source"
    put_ct(source / "good.nii.gz")
    slices = write_dicom(source / "series", anatomy().hu, anatomy().affine_ras, suffix="")
    locked = [source / "notes", min(slices)]
    locked[0].write_bytes(bytes(200))
    for path in locked:
        path.chmod(0)
    with another_user():
        cases = find_cases("folder", source)
    assert {case.name: case.is_case for case in cases} == {"good": True, "notes": False, "series": True}
    assert "may be a DICOM slice" in problems(cases)["notes"]
    assert str(locked[1]) in problems(cases)["series"]


def test_entry_that_is_no_case_has_no_namesakes(tmp_path):
    put_ct(tmp_path / "a.nii.gz")
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    cases = find_cases("folder", tmp_path)
    assert sorted((case.is_case, case.problem is None) for case in cases) == [(False, False), (True, True)]


def test_source_may_be_a_link(tmp_path):
    put_ct(tmp_path / "real" / "a.nii.gz")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert not problems(find_cases("folder", tmp_path / "link"))
