"""Downloads as they go wrong: every fault becomes its case's problem and stops no other."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bundle.datasets import DATASETS, RawCase, describe_sources, find_cases, source_files
from bundle.errors import InputError
from tests.datasets.formats import reoriented, write_dicom, write_metaimage, write_nifti, write_nrrd
from tests.datasets.replicas import anatomy, make_replica

pytest.importorskip("itk", reason="MetaImage, NRRD and DICOM need itk")


def problems(cases: list[RawCase]) -> dict[str, str]:
    return {case.name: str(case.problem) for case in cases if case.problem}


def put_ct(path: Path) -> None:
    shown = anatomy(shape=(12, 10, 9), voxel_mm=(28.0, 30.5, 33.0))
    if path.name.endswith(".nii.gz"):
        write_nifti(path, shown.hu, shown.affine_ras)
    elif path.suffix in (".nrrd", ".nhdr"):
        write_nrrd(path, shown.hu, shown.affine_ras)
    else:
        write_metaimage(path, shown.hu, shown.affine_ras)


def read(dataset: str, case: RawCase) -> None:
    DATASETS[dataset].read(case, True)


def test_unknown_data_set(tmp_path):
    with pytest.raises(InputError, match=r"'luna'.*luna16, toothfairy"):
        find_cases("luna", tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_source_without_a_case(tmp_path, dataset):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("nothing")
    with pytest.raises(InputError) as raised:
        find_cases(dataset, tmp_path / "empty")
    assert DATASETS[dataset].layout in str(raised.value)
    for other in (tmp_path / "missing", tmp_path / "empty" / "readme.txt"):
        with pytest.raises(InputError, match="not a folder"):
            find_cases(dataset, other)


@pytest.mark.parametrize(
    ("stem", "fault"),
    [
        ("a\\b", "path separator"),
        ("a..b", "leads elsewhere"),
        (".hidden", "hidden"),
        ("a\nb", "control"),
        ("n" * 151, "longer than 150"),
        (os.fsdecode(b"\xff"), "control"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, stem, fault):
    put_ct(tmp_path / f"{stem}.nii.gz")
    put_ct(tmp_path / "good.nii.gz")
    cases = find_cases("folder", tmp_path)
    assert len(cases) == 2
    assert [stem] == list(problems(cases))
    assert fault in problems(cases)[stem]


def test_longest_name(tmp_path):
    put_ct(tmp_path / ("n" * 150 + ".nii.gz"))
    assert not problems(find_cases("folder", tmp_path))


def test_two_cases_of_one_name(tmp_path):
    put_ct(tmp_path / "a.nii.gz")
    put_ct(tmp_path / "a.mha")
    put_ct(tmp_path / "b.nrrd")
    cases = find_cases("folder", tmp_path)
    assert [case.name for case in cases] == ["a", "a", "b"]
    for case in cases[:2]:
        assert str(tmp_path / "a.nii.gz") in str(case.problem)
        assert str(tmp_path / "a.mha") in str(case.problem)
    assert cases[2].problem is None


def test_one_name_in_two_folders(tmp_path):
    """Told apart by their folders, files and series of slices alike."""
    for folder in ("left", "right"):
        put_ct(tmp_path / folder / "a.nii.gz")
        write_dicom(tmp_path / folder / "series", anatomy().hu, anatomy().affine_ras)
    cases = find_cases("folder", tmp_path)
    assert [case.name for case in cases] == ["left_a", "left_series", "right_a", "right_series"]
    assert not problems(cases)


def test_labels_beside_images_are_no_cases(tmp_path):
    shown = anatomy()
    for name in ("a_labels", "b_seg", "c_label", "d_labels", "d_seg", "lonely_seg"):
        write_nifti(tmp_path / f"{name}.nii.gz", shown.label, shown.affine_ras)
    for name in "abcd":
        write_metaimage(tmp_path / f"{name}.mha", *reoriented(shown.hu, shown.affine_ras, "RAS"))
    cases = {case.name: case for case in find_cases("folder", tmp_path)}
    assert list(cases) == ["a", "b", "c", "d", "lonely_seg"]
    assert [cases[name].label.path.name for name in "abc"] == ["a_labels.nii.gz", "b_seg.nii.gz", "c_label.nii.gz"]
    np.testing.assert_array_equal(DATASETS["folder"].read(cases["a"], True).label, shown.label)
    assert "several labels" in str(cases["d"].problem)
    assert not [case.problem for case in find_cases("folder", tmp_path, labels=False) if case.problem]
    assert len(source_files(cases["a"])) == 2


def test_slices_in_the_source_itself(tmp_path):
    """They are named by it, even where the names of other cases are told apart by their paths."""
    write_dicom(tmp_path / "scans", anatomy().hu, anatomy().affine_ras)
    for folder in ("x", "y"):
        put_ct(tmp_path / "scans" / folder / "a.nii.gz")
    cases = find_cases("folder", tmp_path / "scans")
    assert [case.name for case in cases] == ["scans", "x_a", "y_a"]
    assert not problems(cases)


def edit_header(path: Path, old: str, new: str) -> None:
    text = path.read_bytes()
    assert old.encode() in text
    path.write_bytes(text.replace(old.encode(), new.encode()))


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".nrrd"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.raw", r"names the data file gone\.raw, which does not exist"),
        ("../other/a.raw", "lies outside its folder"),
        ("/etc/passwd", "lies outside its folder"),
        ("..\\a.raw", "lies outside its folder"),
        ("LIST", "several files"),
        ("a%03d.raw 1 9 1", "several files"),
        ("", "names no file"),
    ],
)
def test_data_file_that_is_not_beside_its_header(tmp_path, suffix, name, message):
    path = tmp_path / "source" / f"a{suffix}"
    if suffix == ".nrrd":
        put_detached_nrrd(path)
    else:
        put_ct(path)
    put_ct(tmp_path / "source" / "good.mha")
    edit_header(path, "a.raw", name)
    cases = find_cases("folder", tmp_path / "source")
    assert list(problems(cases)) == ["a"]
    with pytest.raises(InputError, match=message):
        read("folder", cases[0])


def put_detached_nrrd(path: Path) -> None:
    """A header with the suffix of a whole file, and its voxels beside it."""
    put_ct(path.with_suffix(".nhdr"))
    path.with_suffix(".nhdr").rename(path)


@pytest.mark.parametrize("field", ["data file", "datafile", "Data File"])
def test_detached_data_of_a_nrrd_file(tmp_path, field):
    path = tmp_path / "a.nrrd"
    put_detached_nrrd(path)
    edit_header(path, "data file", field)
    case = find_cases("folder", tmp_path)[0]
    assert [entry["path"] for entry in describe_sources(case)] == [str(path), str(tmp_path / "a.raw")]
    read("folder", case)
    (tmp_path / "a.raw").write_bytes((tmp_path / "a.raw").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.nrrd"):
        read("folder", case)


@pytest.mark.parametrize(
    "hidden_by", ["content: x\r\r\n", " \n", "# " + "x" * 70000 + "\n"], ids=["cr", "space", "long"]
)
def test_data_file_outside_that_is_hidden_in_the_header(tmp_path, hidden_by):
    path = tmp_path / "source" / "a.nrrd"
    put_detached_nrrd(path)
    (tmp_path / "source" / "a.raw").rename(tmp_path / "a.raw")
    edit_header(path, "data file: a.raw", f"{hidden_by}data file: {tmp_path / 'a.raw'}")
    assert list(problems(find_cases("folder", tmp_path / "source"))) == ["a"]


def test_empty_line_in_a_metaimage_header(tmp_path):
    put_ct(tmp_path / "a.mhd")
    edit_header(tmp_path / "a.mhd", "NDims", "\nNDims")
    case = find_cases("folder", tmp_path)[0]
    read("folder", case)
    assert source_files(case) == [tmp_path / "a.mhd", tmp_path / "a.raw"]


def test_missing_data_in_luna16(tmp_path):
    source = make_replica("luna16", tmp_path)
    raw = sorted(source.rglob("*.raw"))[0]
    raw.unlink()
    found = problems(find_cases("luna16", source))
    assert list(found) == [raw.stem]
    assert raw.name in found[raw.stem]


@pytest.mark.parametrize("kind", ["raw", "zraw", "mha", "zmha", "nii", "nii.gz", "nrrd", "nhdr", "gz.nrrd", "npy"])
@pytest.mark.parametrize("left", [0.97, 0.4])
def test_truncated_files(tmp_path, kind, left):
    shown = anatomy()
    dataset = "toothfairy" if kind == "npy" else "folder"
    if kind == "npy":
        path = make_replica("toothfairy", tmp_path, cases=1) / "P1" / "data.npy"
        source = path.parent.parent
    else:
        source = tmp_path
        path = tmp_path / {"raw": "a.mhd", "zraw": "a.mhd", "zmha": "a.mha"}.get(kind, f"a.{kind}")
        if kind.startswith("nii"):
            write_nifti(path, shown.hu, shown.affine_ras)
        elif kind.endswith("nrrd") or kind == "nhdr":
            write_nrrd(path, shown.hu, shown.affine_ras, compressed=kind.startswith("gz"))
        else:
            write_metaimage(path, shown.hu, shown.affine_ras, compressed=kind.startswith("z"))
        path = {"raw": tmp_path / "a.raw", "zraw": tmp_path / "a.zraw", "nhdr": tmp_path / "a.raw"}.get(kind, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(InputError, match=path.stem):
        read(dataset, find_cases(dataset, source)[0])


@pytest.mark.parametrize("kind", ["zraw", "zmha"])
def test_truncated_compression_without_a_stated_size(tmp_path, kind):
    shown = anatomy()
    path = tmp_path / ("a.mhd" if kind == "zraw" else "a.mha")
    write_metaimage(path, shown.hu, shown.affine_ras, compressed=True)
    data = tmp_path / "a.zraw" if kind == "zraw" else path
    lines = [line for line in path.read_bytes().split(b"\n") if not line.startswith(b"CompressedDataSize")]
    path.write_bytes(b"\n".join(lines))
    data.write_bytes(data.read_bytes()[:-2000])
    with pytest.raises(InputError, match=rf"{data.name}: holds \d+ bytes of voxels where {path.name} announces 92160"):
        read("folder", find_cases("folder", tmp_path)[0])


@pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nrrd"])
def test_damaged_compression(tmp_path, suffix):
    """ITK gives what it has without complaint for some of them."""
    shown = anatomy()
    path = tmp_path / f"a{suffix}"
    if suffix == ".nrrd":
        write_nrrd(path, shown.hu, shown.affine_ras, compressed=True)
    else:
        write_metaimage(path, shown.hu, shown.affine_ras, compressed=True)
    read("folder", find_cases("folder", tmp_path)[0])
    data = tmp_path / "a.zraw" if suffix == ".mhd" else path
    content = bytearray(data.read_bytes())
    middle = len(content) * 3 // 4
    content[middle : middle + 60] = bytes(60)
    data.write_bytes(content)
    with pytest.raises(InputError, match=data.name):
        read("folder", find_cases("folder", tmp_path)[0])


def test_header_of_no_format(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"NRXX0004\nspacings: 1 1 1\n\n" + bytes(100))
    with pytest.raises(InputError, match=r"a\.nrrd: cannot be read \(it is no NRRD file"):
        read("folder", find_cases("folder", tmp_path)[0])


def test_empty_file(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(InputError, match=r"a\.nii\.gz: is empty"):
        read("folder", find_cases("folder", tmp_path)[0])


@pytest.mark.parametrize("spacing", ["0 9.0 10.25", "-8.5 9.0 10.25", "nan 9 10"])
def test_spacing_that_makes_no_sense(tmp_path, spacing):
    write_metaimage(tmp_path / "a.mhd", anatomy().hu, anatomy().affine_ras)
    edit_header(tmp_path / "a.mhd", "ElementSpacing = 8.5 9.0 10.25", f"ElementSpacing = {spacing}")
    with pytest.raises(InputError, match=r"a\.mhd.*spacing"):
        read("folder", find_cases("folder", tmp_path)[0])


def test_nifti_with_spacing_zero(tmp_path):
    path = tmp_path / "a.nii"
    write_nifti(path, anatomy().hu, anatomy().affine_ras)
    content = bytearray(path.read_bytes())
    content[80:84] = np.float32(0).tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii.*spacing"):
        read("folder", find_cases("folder", tmp_path)[0])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "cannot be read"),
        (np.zeros((4, 5), np.int16), "not a 3D volume"),
        (np.zeros((4, 5, 6, 7), np.int16), "not a 3D volume"),
        (np.zeros((4, 5, 6), np.complex64), "complex64"),
        (np.zeros((20, 21, 22), bool), "type bool"),
        (np.full((20, 21, 22), np.nan), "NaN"),
    ],
    ids=["pickle", "2D", "4D", "complex", "bool", "nan"],
)
def test_arrays_that_are_no_volume(tmp_path, array, message):
    (tmp_path / "P1").mkdir()
    np.save(tmp_path / "P1" / "data.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=rf"data\.npy.*{message}"):
        read("toothfairy", find_cases("toothfairy", tmp_path)[0])


@pytest.mark.parametrize("content", ["npz", "damaged"])
def test_archives_named_as_arrays(tmp_path, content):
    path = tmp_path / "P1" / "data.npy"
    path.parent.mkdir()
    if content == "npz":
        with open(path, "wb") as file:
            np.savez(file, a=np.zeros((20, 21, 22), np.int16))
    else:
        path.write_bytes(b"PK\x03\x04junk")
    with pytest.raises(InputError, match=r"data\.npy: cannot be read"):
        read("toothfairy", find_cases("toothfairy", tmp_path)[0])


def test_folder_without_its_file(tmp_path):
    for dataset, name in (("toothfairy", "P2"), ("abdomenatlas", "BDMAP_00000002")):
        source = make_replica(dataset, tmp_path)
        next(path for path in sorted((source / name).iterdir()) if path.name in ("data.npy", "ct.nii.gz")).unlink()
        assert list(problems(find_cases(dataset, source))) == [name]


def test_missing_labels(tmp_path):
    panorama, atlas = make_replica("panorama", tmp_path), make_replica("abdomenatlas", tmp_path)
    (panorama / "labels" / "100000_00002.nii.gz").unlink()
    assert "has no label" in problems(find_cases("panorama", panorama))["100000_00002"]
    (atlas / "BDMAP_00000002" / "combined_labels.nii.gz").unlink()
    case = find_cases("abdomenatlas", atlas)[1]
    assert case.problem is None
    assert DATASETS["abdomenatlas"].read(case, True).label is None


def test_panorama_names(tmp_path):
    """Labels may bear the image's whole name; two channels of one study are two cases of one name."""
    source = make_replica("panorama", tmp_path)
    labels, images = source / "labels", source / "images"
    (labels / "100000_00001.nii.gz").rename(labels / "100000_00001_0000.nii.gz")
    assert not problems(find_cases("panorama", source))
    shutil.copy(images / "100000_00002_0000.nii.gz", images / "100000_00002_0001.nii.gz")
    found = find_cases("panorama", source)
    assert [bool(case.problem) for case in found] == [False, True, True, False]
    assert "_0001.nii.gz" in str(found[1].problem)


def test_pengwin_unpacked_reads_as_packed(tmp_path):
    source = make_replica("pengwin", tmp_path)
    packed = [DATASETS["pengwin"].read(case, True) for case in find_cases("pengwin", source)]
    for archive in sorted(source.glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(source / archive.stem)
        archive.unlink()
    cases = find_cases("pengwin", source)
    assert [case.image.member for case in cases] == [None] * 3
    for case, volume in zip(cases, packed):
        again = DATASETS["pengwin"].read(case, True)
        np.testing.assert_array_equal(again.hu, volume.hu)
        np.testing.assert_array_equal(again.label, volume.label)


def test_pengwin_folders_inside_one_archive(tmp_path):
    source = make_replica("pengwin", tmp_path)
    with zipfile.ZipFile(source / "all.zip", "w") as whole:
        for archive in sorted(source.glob("PENGWIN*.zip")):
            with zipfile.ZipFile(archive) as opened:
                for name in opened.namelist():
                    whole.writestr(
                        f"train/{'labels' if 'labels' in archive.name else 'images'}/{name}", opened.read(name)
                    )
            archive.unlink()
        whole.writestr("__MACOSX/train/images/._001.mha", b"")
        whole.writestr("009.mha", b"?")
    cases = find_cases("pengwin", source)
    assert list(problems(cases)) == ["009"]
    assert [case.name for case in cases] == ["001", "002", "003", "009"]
    assert DATASETS["pengwin"].read(cases[0], True).label.max() == 2


def test_truncated_archive(tmp_path):
    source = make_replica("pengwin", tmp_path)
    archive = source / "PENGWIN_CT_train_images_part2.zip"
    archive.write_bytes(archive.read_bytes()[:-100])
    found = problems(find_cases("pengwin", source))
    assert list(found) == [archive.stem]
    assert "truncated" in found[archive.stem]
    assert [case.is_case for case in find_cases("pengwin", source)] == [
        case.name != archive.stem for case in find_cases("pengwin", source)
    ]


def test_sources_inside_archives(tmp_path):
    """A member is described by its own size and checksum, and by the size of its archive."""
    source = make_replica("pengwin", tmp_path, cases=1)
    described = describe_sources(find_cases("pengwin", source)[0])
    assert len(described) == 2
    for entry in described:
        with zipfile.ZipFile(entry["path"]) as archive:
            content = archive.read(entry["member"])
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["archive_bytes"] == Path(entry["path"]).stat().st_size != len(content)


def test_damaged_member(tmp_path):
    source = make_replica("pengwin", tmp_path)
    archive = source / "PENGWIN_CT_train_images_part2.zip"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    archive.write_bytes(content)
    case = find_cases("pengwin", source)[1]
    with pytest.raises(InputError, match=r"part2\.zip/002\.mha"):
        read("pengwin", case)


@pytest.mark.parametrize(
    "name", ["../escaped.mha", "/tmp/escaped.mha", "a/../../escaped.mha", "..\\escaped.mha", "C:/a.mha", "."]
)
def test_member_that_leads_out_of_the_archive(tmp_path, name):
    source = make_replica("pengwin", tmp_path)
    with zipfile.ZipFile(source / "more_images.zip", "w") as archive:
        archive.writestr(name, b"?")
        archive.writestr("004.mha", b"?")
    cases = find_cases("pengwin", source)
    assert [case.name for case in cases] == ["001", "002", "003", "more_images"]
    assert "leads out of it" in problems(cases)["more_images"]
    assert not list(tmp_path.rglob("escaped*"))


def test_error_inside_a_member_names_the_archive(tmp_path):
    source = make_replica("pengwin", tmp_path, cases=1)
    with zipfile.ZipFile(source / "PENGWIN_CT_train_images_part9.zip", "w") as archive:
        archive.writestr("x/077.mha", b"NDims = 3\nElementDataFile = LOCAL\n")
    with zipfile.ZipFile(source / "PENGWIN_CT_train_labels.zip", "a") as archive:
        archive.writestr("077.mha", b"?")
    with pytest.raises(InputError) as raised:
        read("pengwin", find_cases("pengwin", source)[1])
    assert raised.value.source.endswith("part9.zip/x/077.mha")


def test_knee_sides(tmp_path):
    """Groups told by folders or by names; other files are no knees; one name twice is refused."""
    shown = anatomy()
    for name in ("FL/12.mhd", "FR/12.mhd", "FR-012.mhd", "MR7.mhd", "sub/ML/case_3.mhd", "Flow.mhd"):
        write_metaimage(tmp_path / name, shown.hu, shown.affine_ras, unit_mm=1000.0)
    cases = find_cases("knee", tmp_path)
    assert {case.name: case.patient for case in cases} == {
        "FL_12": "F12",
        "FR_12": "F12",
        "FR-012": "F12",
        "MR7": "M7",
        "ML_case_3": "Mcase_3",
    }
    write_metaimage(tmp_path / "FL_12.mhd", shown.hu, shown.affine_ras, unit_mm=1000.0)
    assert [case.name for case in find_cases("knee", tmp_path) if case.problem] == ["FL_12", "FL_12"]
