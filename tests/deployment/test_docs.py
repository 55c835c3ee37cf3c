"""The examples of docs/deployment.md run as they are written."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(("example", "formats"), zip(EXAMPLES, (("torchscript", "pt2"), ("onnx",)), strict=True))
def test_example(monkeypatch, exported, example, formats):
    if "onnx" in formats:
        pytest.importorskip("onnxscript", reason="needs onnxscript")
        pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    for format in formats:
        monkeypatch.chdir(exported(format)[1].parent)
    found: dict = {}
    exec(example, found)
    assert found["volume"].shape == (1, 1, 7, 9, 11)
