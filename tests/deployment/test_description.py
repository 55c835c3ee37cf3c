from __future__ import annotations

import json

import numpy as np
import pytest

from bundle.checkpoint import weights_hash
from bundle.deployment.description import describe
from tests.deployment.alone import SCAN, small_network


@pytest.fixture(scope="module")
def description():
    network = small_network()
    return json.loads(describe(network, SCAN, {"weights_sha256": "overridden", "hash": weights_hash(network)}))


def test_geometry_can_be_rebuilt_from_the_text(description):
    """As a reader would: the formulas say where source and detector are, and where a voxel is seen."""
    said, out = description["scan"], description["output"]
    views, view = 7, 3
    angle = np.deg2rad(view * said["arc_deg"] / views)
    names = {"sod_mm": said["sod_mm"], "sdd_mm": said["sdd_mm"], "cos_a": np.cos(angle), "sin_a": np.sin(angle)}

    def vector(text):
        factor, _, triple = text.split(", to which")[0].rpartition("*")
        triple = triple.replace("cos a", "cos_a").replace("sin a", "sin_a")
        return eval(factor or "1", names) * np.array(eval(triple, names))

    geometry = SCAN.geometry(np.arange(views) * SCAN.arc_rad / views)
    np.testing.assert_allclose(vector(said["source"]), geometry.source_mm[view], atol=1e-9)
    np.testing.assert_allclose(vector(said["detector_centre"]), geometry.detector_centre_mm[view], atol=1e-9)
    np.testing.assert_allclose(vector(said["u_axis"]), geometry.u_axis[view], atol=1e-9)
    np.testing.assert_allclose(vector(said["v_axis"]), geometry.v_axis[view], atol=1e-9)
    assert tuple(said["pixel_mm"]) == tuple(geometry.pixel_mm)
    last = np.array(out["first_voxel_centre_mm"]) + np.array(out["voxel_mm"]) * (np.array(out["shape"][2:]) - 1)
    np.testing.assert_allclose(last, (geometry.volume_affine @ [6, 8, 10, 1])[:3])


def test_weights_and_scales_are_told(description):
    assert description["weights_sha256"] == description["hash"]
    assert description["input"]["normalisation_m"] == 0.2
    assert description["input"]["hu_window"] == [-1000.0, 1500.0]
