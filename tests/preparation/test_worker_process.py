from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("itk", reason="the package itk is not installed")
_SPARED = "from bundle.preparation.worker_process import spare_process; spare_process(1); import itkConfig; "


@pytest.mark.parametrize(
    ("before", "loads_formats"),
    [("", "False"), ("import sys, types; sys.modules['itk'] = types.ModuleType('itk'); ", "True")],
)
def test_itk_is_spared_unless_it_is_in_use(before, loads_formats):
    code = before + _SPARED + "print(itkConfig.DefaultFactoryLoading)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loads_formats


def test_numba_in_use_is_limited_and_still_compiles():
    """Numba refuses another number in its variable once its threads run."""
    code = (
        "import numba; add = numba.njit(lambda a: a + 1); numba.set_num_threads(1); "
        + _SPARED
        + "print(add(2), numba.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "1"]
