"""A sample of the hostile inputs; ``make test-hostile`` runs all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("itk", reason="reads the formats")
pytest.importorskip("pydicom", reason="reads the formats")


def test_a_sample_is_refused_with_one_message_or_read_soundly(in_root, child_env):
    """In a process of its own: the sandbox copies its process, and pytest's has threads."""
    command = [sys.executable, "-m", "tests.hostile", "--every", "29"]
    run = subprocess.run(command, cwd=in_root, env=child_env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
