from __future__ import annotations

import sys

import pytest

from bundle.errors import InputError
from scripts import real_cts


def test_an_unknown_group_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["real_cts", "--source", str(tmp_path), "--group", "limbs"])
    with pytest.raises(InputError, match=r"group: is 'limbs'\. Choose one of .*limb"):
        real_cts.main()
    monkeypatch.setattr(sys, "argv", ["real_cts", "--source", str(tmp_path), "--group", "limb"])
    with pytest.raises(InputError, match="has none of the CTs"):
        real_cts.main()
