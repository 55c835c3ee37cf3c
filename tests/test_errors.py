from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch

from bundle.errors import InputError, find_input_error, naming


def test_message_names_source_problem_and_remedy():
    error = InputError("scan.npz", "is empty.", "Get another copy.")
    assert str(error) == "scan.npz: is empty. Get another copy."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


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


class Refusing(torch.utils.data.Dataset):
    """Every item is refused."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise InputError("/data/case.nii.gz", "has 3 NaN values.", "Replace them.")


def test_found_in_the_text_that_a_loading_worker_sends():
    """Workers of a data loader send the text of an exception, not the exception."""
    with pytest.raises(Exception, match="Caught InputError") as caught:
        next(iter(torch.utils.data.DataLoader(Refusing(), num_workers=1)))
    wrapped = RuntimeError("applying transform")
    wrapped.__cause__ = caught.value
    assert str(find_input_error(wrapped)) == "/data/case.nii.gz: has 3 NaN values. Replace them."


def test_files_are_named_once():
    with pytest.raises(InputError, match=r"^scan\.npz: geometry\.u_axis is long\. Mend it\.$"), naming("scan.npz"):
        raise InputError("geometry.u_axis", "is long.", "Mend it.")
    with pytest.raises(InputError, match=r"^/a/scan\.npz: is empty\. Mend it\.$"), naming("scan.npz"):
        raise InputError("/a/scan.npz", "is empty.", "Mend it.")
