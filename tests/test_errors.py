from __future__ import annotations

import pickle
import subprocess
import sys

from bundle.errors import InputError, find_input_error


def test_message_names_source_problem_and_remedy():
    error = InputError("scan.npz", "is empty.", "Get another copy.")
    assert str(error) == "scan.npz: is empty. Get another copy."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # as a data-loading worker sends it


def test_found_under_other_exceptions():
    outer = RuntimeError("applying transform")
    outer.__cause__ = KeyError("k")
    outer.__cause__.__context__ = InputError("a", "b", "c")
    assert find_input_error(outer) is outer.__cause__.__context__
    assert find_input_error(RuntimeError("x")) is None


def test_hook_only_in_monai_bundle_programs(in_root):
    """Importing the package elsewhere leaves the process's exception hook alone."""
    code = "import sys; before = sys.excepthook; import bundle; print(sys.excepthook is before)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "True"
