from __future__ import annotations

import hashlib

import numpy as np

from bundle.scanners.provenance import describe_files
from tests.scanners.vendor_files import write_mha_stack


def test_pixels_in_a_file_of_their_own_are_described_too(tmp_path):
    """A header alone says nothing about the pixels that go with it."""
    write_mha_stack(tmp_path / "a.mhd", np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    write_mha_stack(tmp_path / "b.mha", np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    (tmp_path / "c.xml").write_text("<a/>")
    found = describe_files([tmp_path / "a.mhd", tmp_path / "b.mha", tmp_path / "c.xml"])
    assert [file["name"] for file in found] == ["a.mhd", "a.raw", "b.mha", "c.xml"]
    for file in found:
        assert file["sha256"] == hashlib.sha256((tmp_path / file["name"]).read_bytes()).hexdigest()
