"""The worked example of docs/own-scanner.md, with fewer views."""

from __future__ import annotations

import pytest

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)
pytest.importorskip("scipy", reason="needs scipy")

from scripts import own_scanner_example  # noqa: E402


def test_counts_become_the_sample_cts_hu(tmp_path, in_root, capsys):
    parts = own_scanner_example.main(tmp_path, views=72)
    truth = {name: ct for name, (ct, _) in parts.items()}
    assert truth == pytest.approx({"lungs": -845, "fat": -105, "soft tissue": 65, "bone": 455}, abs=1.0)
    for name, (ct, found) in parts.items():
        assert found == pytest.approx(ct, abs=25.0 if name == "bone" else 8.0), name
    printed = capsys.readouterr().out
    assert "bad pixels filled in: 16" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("water phantom"))
    assert float(line.split()[3]) == pytest.approx(own_scanner_example.BEAM_MU_WATER_PER_MM, rel=0.003)
