from __future__ import annotations

import pytest
import torch

from tests.deployment.alone import SCAN, check_alone, check_description


def test_runs_where_only_torch_is(exported):
    check_alone(*exported("pt2"), "torch", "torch.export.load(model).module()", 1e-5)


def test_says_what_it_is(exported):
    files = {"metadata.json": ""}
    program = torch.export.load(exported("pt2")[1], extra_files=files)
    check_description(files["metadata.json"])
    with pytest.raises(AssertionError, match="Guard failed"):
        program.module()(torch.rand(1, 6, SCAN.detector_shape[0], 16))


def test_does_not_tell_where_it_was_made(exported):
    assert b"loop_network.py" not in exported("pt2")[1].read_bytes()
