"""The Python interface gives what the commands write."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bundle import ConeBeamGeometry, circular, reconstruct
from bundle.data.projection_file import read_projections
from bundle.errors import InputError
from bundle.physics.attenuation import normalised_to_attenuation
from tests.test_commands import call, simulate


@pytest.fixture
def scanned(tmp_path, monkeypatch, ct):
    """A simulated scan: its file, and its attenuation."""
    simulate(monkeypatch, ct, tmp_path / "scan.npz", "--num_views", 5)
    data = read_projections(tmp_path / "scan.npz")
    return tmp_path / "scan.npz", normalised_to_attenuation(data.projections, data.hu_window), data.geometry


def written(tmp_path, monkeypatch, source, *arguments) -> np.ndarray:
    """[x, y, z] HU of the command's file, to the left, back and head."""
    output = tmp_path / "out.nii.gz"
    call(monkeypatch, "reconstruct", "--source", source, "--output", output, "--device", "cpu", *arguments)
    image = nib.load(output)
    order = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS"))
    return image.as_reoriented(order).get_fdata()


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, ()),
        ({"output_shape": (12, 14, 10)}, ("--output_shape", "[12,14,10]")),
        ({"refine": "sart"}, ("--refine", "sart")),
        ({"refine": "cgls", "photons": 1e3}, ("--refine", "cgls", "--photons", 1e3)),
    ],
)
def test_network_as_the_command(tmp_path, monkeypatch, scanned, model, options, arguments):
    source, attenuation, geometry = scanned
    expected = written(tmp_path, monkeypatch, source, "--checkpoint", model, *arguments)
    found = reconstruct(attenuation, geometry, checkpoint=str(model), device="cpu", **options)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == options.get("output_shape", (20, 18, 16))
    np.testing.assert_allclose(found.clip(-1024, 3071), expected, atol=1.0)
    for axis in range(3):
        assert np.abs(np.flip(found, axis) - expected).max() > 10


def test_classical_as_the_command(tmp_path, monkeypatch, scanned):
    source, attenuation, geometry = scanned
    options = ("--method", "sart", "--options", "{iterations: 3}")
    expected = written(tmp_path, monkeypatch, source, *options)
    found = reconstruct(attenuation, geometry, "sart", options={"iterations": 3}, device="cpu")
    np.testing.assert_allclose(found, expected, atol=1.0)


def test_refusals(scanned, model):
    _, attenuation, geometry = scanned
    with pytest.raises(InputError, match="refine: has no effect on fdk"):
        reconstruct(attenuation, geometry, "fdk", refine="sart")
    with pytest.raises(InputError, match="photons: has no effect by itself"):
        reconstruct(attenuation, geometry, checkpoint=str(model), photons=1e5)
    with pytest.raises(InputError, match="options: has no effect on deepsparse"):
        reconstruct(attenuation, geometry, options={"iterations": 3})
    with pytest.raises(InputError, match="shape"):
        reconstruct(attenuation[:, :-1], geometry, checkpoint=str(model))
    with pytest.raises(InputError, match=r"finite|NaN"):
        reconstruct(attenuation * np.nan, geometry, checkpoint=str(model))


def test_a_volume_of_another_size_than_the_priors_is_refused(scanned):
    """Its attenuation would be wrong by the ratio of the sizes."""
    _, attenuation, geometry = scanned
    smaller = replace(geometry, voxel_mm=tuple(0.6 * side for side in geometry.voxel_mm))
    with pytest.raises(InputError, match=r"geometry: is to become a volume of .*volume_shape \[128,128,128\]"):
        reconstruct(attenuation, smaller)


def test_the_package_offers_what_it_names_and_starts_without_torch():
    assert circular([0.0], 500, 800, (4, 5), (1, 1), (4, 4, 4), (1, 1, 1)).num_views == 1
    assert ConeBeamGeometry.__module__ == "bundle.geometry"
    code = "import sys, bundle; assert 'torch' not in sys.modules; bundle.nothing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip().endswith("AttributeError: module 'bundle' has no attribute 'nothing'")
