from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.json_files import write_json
from bundle.prepared import checked_files
from bundle.prepared.checked_files import CheckedFiles
from bundle.prepared.load import OpenPreparedd
from tests.prepared.sets import write_set


@pytest.fixture
def case(tmp_path, scan) -> Path:
    """A prepared case with the record of its files."""
    folder = write_set(tmp_path / "set", scan, {"training": ["one"]}) / "cases" / "one"
    files = {
        f"cases/one/{file.name}": {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in folder.iterdir()
    }
    write_json({"case": "one", "items": [{"name": "one", "files": files}]}, tmp_path / "set" / "records" / "one.json")
    return folder


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["projections.npy", "volume.npy", "geometry.npy"])
def test_flipped_bits_are_found_before_a_case_is_used(case, scan, name):
    OpenPreparedd("image", scan)({"image": str(case)})
    flip(case / name)
    with pytest.raises(InputError, match=rf"{name}: is not what was prepared: its checksum is another"):
        OpenPreparedd("image", scan)({"image": str(case)})


def test_files_are_compared_once_a_run_by_all_its_processes(case, monkeypatch):
    read: list[str] = []
    monkeypatch.setattr(checked_files, "file_sha256", lambda path: read.append(path) or file_sha256(path))
    first = CheckedFiles()
    worker = pickle.loads(pickle.dumps(first))
    worker.check(str(case))
    count = len(read)
    assert count == len(list(case.iterdir()))
    for files in (worker, first):
        files.check(str(case))
    assert len(read) == count
    flip(case / "volume.npy")
    os.utime(case / "volume.npy", ns=(1, 1))
    with pytest.raises(InputError, match=r"volume\.npy"):
        first.check(str(case))
    assert len(read) == count + 1


def test_a_workers_end_leaves_the_marks(case):
    files = CheckedFiles()
    process = multiprocessing.get_context("fork").Process(target=files.check, args=(str(case),))
    process.start()
    process.join()
    assert len(os.listdir(files.folder)) == len(list(case.iterdir()))
    folder = files.folder
    del files
    assert not os.path.exists(folder)


def test_parts_of_a_case_share_its_record(case):
    part = case.rename(case.with_name("one_part1"))
    record = case.parent.parent / "records" / "one.json"
    record.write_text(
        record.read_text().replace("cases/one/", "cases/one_part1/").replace('"name": "one"', '"name": "one_part1"')
    )
    CheckedFiles().check(str(part))
    flip(part / "volume.npy")
    with pytest.raises(InputError, match=r"one_part1/volume\.npy"):
        CheckedFiles().check(str(part))


def test_sets_without_records_are_told_of(case, caplog):
    (case.parent.parent / "records" / "one.json").unlink()
    with caplog.at_level(logging.WARNING):
        CheckedFiles().check(str(case))
        CheckedFiles().check(str(case))
    assert [record.getMessage().split(" lacks")[0] for record in caplog.records] == [str(case.parent.parent)]


@pytest.mark.parametrize("precision", ["uint16", "float32"])
def test_volumes_beyond_0_to_1_are_refused(case, scan, tmp_path, precision):
    """As a scale that was edited, or floating numbers, make them."""
    from tests.prepared.sets import write_phantom

    folder = tmp_path / "other" / "two"
    write_phantom(folder, scan, precision=precision)
    if precision == "uint16":
        text = (folder / "case.json").read_text()
        scale = 1 / 65535
        assert str(scale) in text
        (folder / "case.json").write_text(text.replace(str(scale), str(2 * scale), 1))
    else:
        numbers = np.load(folder / "volume.npy")
        np.save(folder / "volume.npy", 2 * numbers + 1)
    with pytest.raises(InputError, match=r"volume\.npy: holds values from .* where a volume has 0 to 1"):
        OpenPreparedd("image", scan, whole=True)({"image": str(folder)})
