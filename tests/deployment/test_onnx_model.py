from __future__ import annotations

import pytest

from tests.deployment.alone import check_alone, check_description

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
pytest.importorskip("onnxscript", reason="needs onnxscript")


def test_runs_where_only_onnxruntime_is(exported):
    session = "(lambda session: lambda x: session.run(['volume'], {'projections': x})[0])"
    check_alone(*exported("onnx"), "onnxruntime", f"{session}(onnxruntime.InferenceSession(model))", 1e-4)


def test_says_what_it_is(exported):
    session = onnxruntime.InferenceSession(exported("onnx")[1])
    check_description(session.get_modelmeta().custom_metadata_map["metadata.json"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("projections", ["batch", "views", 24, 32])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("volume", ["batch", 1, 7, 9, 11])]


def test_is_standard_and_small(exported):
    """Loops stay loops, and no operator is outside of the standard: GridSample has 4 dimensions at this opset."""
    model = onnx.load(exported("onnx")[1])
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert [n.op_type for n in model.graph.node].count("Scan") == 1
    assert b"loop_network.py" not in exported("onnx")[1].read_bytes()
