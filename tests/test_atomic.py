from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

import bundle.atomic
from bundle.atomic import atomic_folder, atomic_path, check_output, remove_partial
from bundle.checkpoint import save_checkpoint
from bundle.data.ct_volume import write_hu
from bundle.data.projection_file import ProjectionSet, write_projections
from bundle.errors import InputError


def test_complete_or_absent(tmp_path):
    target = tmp_path / "sub" / "out.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.name.endswith(".txt")
    assert target.read_text() == "half"
    assert [p.name for p in target.parent.iterdir()] == ["out.txt"]


def test_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_disk_errors_are_named(tmp_path, error, message):
    with pytest.raises(InputError, match=message), atomic_path(tmp_path / "out.txt"):
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["checkpoint", "nifti", "projections"])
def test_really_full_disk(tmp_path, monkeypatch, scan, kind):
    """The real writers, on a device whose every write the kernel refuses for want of space."""

    def full(path):
        temporary = path.with_name(".partial-1-" + path.name)
        temporary.symlink_to("/dev/full")
        return temporary

    monkeypatch.setattr(bundle.atomic, "partial_name", full)

    def write():
        if kind == "checkpoint":
            save_checkpoint({"weight": torch.zeros(100_000)}, tmp_path / "model.pt")
        elif kind == "nifti":
            write_hu(np.random.RandomState(0).normal(0, 500, (60, 60, 60)), np.eye(4), tmp_path / "out.nii.gz")
        else:
            data = ProjectionSet(np.eye(24, 32, dtype=np.float32)[None], scan.geometry([0.0]))
            write_projections(data, tmp_path / "scan.npz")

    with pytest.raises(InputError, match="disk is full"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_a_killed_process_left_is_no_part_of_the_next_one(tmp_path):
    target = tmp_path / "series"
    left = bundle.atomic.partial_name(target)
    left.mkdir()
    (left / "0001.dcm").write_text("stale")
    with atomic_folder(target) as temporary:
        (temporary / "0002.dcm").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["series"]
    assert [path.name for path in target.iterdir()] == ["0002.dcm"]


def test_a_folder_is_no_file_to_replace(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    assert check_output(tmp_path, overwrite=True, folder=True) == tmp_path


def test_existing_output(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(InputError, match="exists already"):
        check_output(target, overwrite=False)
    assert check_output(target, overwrite=True) == target


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        check_output(tmp_path / "file" / "sub" / "out.txt", overwrite=False)
    with pytest.raises(InputError, match="could not be written"), atomic_path(tmp_path / "file" / "out.txt"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="not writable"):
        check_output(tmp_path / "out.txt", overwrite=False)


def test_left_overs_of_killed_runs_are_removed(tmp_path):
    for name in (".partial-7-checkpoint_epoch=3.pt", ".partial-8-model.pt", "checkpoint_epoch=2.pt"):
        (tmp_path / name).write_text("")
    remove_partial(tmp_path, "checkpoint*.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".partial-8-model.pt", "checkpoint_epoch=2.pt"]
