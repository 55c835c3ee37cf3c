"""That the programs run, also in the processes that they spawn, is shown in test_chain.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.nnunet.toy import ROOT


def test_unknown_programs_are_refused():
    pytest.importorskip("nnunetv2")
    words = [sys.executable, "-m", "bundle.nnunet.programs", "nnUNetv2_pretend"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: program: is 'nnUNetv2_pretend'. Give one of ")
    assert "nnUNetv2_predict, " in done.stderr
    assert "Traceback" not in done.stderr
