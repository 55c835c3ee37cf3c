from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_can_be_imported_afterwards():
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    ensure = "from bundle.torchvision_operators import ensure_torchvision; ensure_torchvision(); ensure_torchvision()"
    told = python(f"{ensure}; import torchvision, torch; print(torchvision.__version__)")
    assert told


def test_nothing_happens_without_torchvision():
    code = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torchvision' else find(name, *rest)\n"
        "from bundle.torchvision_operators import _declared, ensure_torchvision\n"
        "ensure_torchvision()\n"
        "import sys\n"
        "print('torchvision' in sys.modules, len(_declared))"
    )
    assert python(code) == "False 0"
