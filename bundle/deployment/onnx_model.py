"""ONNX, for onnxruntime and other engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from bundle.deployment.description import INPUT, METADATA, OUTPUT
from bundle.deployment.exported_program import trace
from bundle.networks import DiCE
from bundle.optional import require
from bundle.presets import ScanPreset

__all__ = ["PACKAGES", "SUFFIX", "load", "write"]

SUFFIX = ".onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_OPSET = 18  # the exporter's own; for 20 and later it names GridSample's mode as only 16 to 19 do


def write(network: DiCE, scan: ScanPreset, description: str, path: Path) -> None:
    """Writes the file; see bundle.deployment.export_network."""
    passes = require("onnx_ir.passes.common", "onnxscript", "an export to ONNX")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about the exporter's own code
        model = torch.onnx.export(  # type: ignore[union-attr]  # never None with dynamo
            trace(network, scan),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: "batch", 1: "views"}},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        ).model
    passes.ClearMetadataAndDocStringPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    model.metadata_props[METADATA] = description
    content = require("onnx_ir", "onnxscript", "an export to ONNX").to_proto(model).SerializeToString()
    path.write_bytes(content)


def load(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Reads the file back as a function of projections, computed by onnxruntime on the CPU."""
    onnxruntime = require("onnxruntime", "onnxruntime", "checking an export to ONNX")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(projections: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: projections.numpy()})[0])

    return run
