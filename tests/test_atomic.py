from __future__ import annotations

import errno
import os

import pytest

from bundle.atomic import atomic_path, check_output
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
        (
            RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed: file write failed"),
            "disk is",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_disk_errors_are_named(tmp_path, error, message):
    with pytest.raises(InputError, match=message), atomic_path(tmp_path / "out.txt"):
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_really_full_device(tmp_path):
    """A write that the kernel refuses for want of space."""

    def fill():
        with atomic_path(tmp_path / "out.bin") as temporary:
            temporary.symlink_to("/dev/full")
            with open(temporary, "wb", buffering=0) as file:
                file.write(b"x" * 4096)

    with pytest.raises(InputError, match="disk is full"):
        fill()
    assert not list(tmp_path.iterdir())


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
