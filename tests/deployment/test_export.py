from __future__ import annotations

import sys

import pytest
import torch

from bundle.deployment.export import FORMATS, check_agreement, check_target, export_network
from bundle.errors import InputError
from tests.deployment.alone import SCAN, small_network


@pytest.mark.parametrize(
    ("format", "name", "message"),
    [
        ("tensorrt", "a.ts", "format: is 'tensorrt'. Use one of torchscript, onnx, pt2"),
        ("onnx", "a.ts", r"a\.ts: has a suffix .* end in \.onnx"),
        ("pt2", "there.pt2", r"there\.pt2: exists already"),
    ],
)
def test_refuses_before_any_work(tmp_path, format, name, message):
    (tmp_path / "there.pt2").touch()
    with pytest.raises(InputError, match=message):
        check_target(format, tmp_path / name)
    assert check_target("pt2", tmp_path / "there.pt2", overwrite=True).name == "there.pt2"


def test_names_the_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match="pip install onnxscript"):
        check_target("onnx", tmp_path / "a.onnx")


@pytest.mark.parametrize("change", [lambda v: v.flip(2), lambda v: v * 1.005, lambda v: v * torch.nan])
def test_disagreement_is_refused(change):
    network = small_network()
    with pytest.raises(InputError, match=r"model\.ts: was not written: .* of its voxels differ"):
        check_agreement(lambda projections: change(network(projections)), network, SCAN, "model.ts")


def test_a_code_that_falls_the_other_way_is_no_disagreement():
    network = small_network()

    def run(projections):
        volume = network(projections)
        volume[:, :, 2, 3:6, 1:9] += 0.1
        return volume

    assert check_agreement(run, network, SCAN, "model.ts") == pytest.approx(24 / (7 * 9 * 11))


def test_a_file_that_disagrees_does_not_appear(tmp_path):
    network = small_network()
    network.point_decoder.layers[-1][0].bias.data.fill_(torch.nan)
    with pytest.raises(InputError, match=r"a\.ts: was not written"):
        export_network(network, SCAN, tmp_path / "a.ts", "torchscript")
    assert not list(tmp_path.iterdir())


def test_leaves_the_network_as_it_was(tmp_path):
    network = small_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    wanted = {name: value.requires_grad for name, value in network.named_parameters()}
    assert export_network(network, SCAN, tmp_path / "a.ts", "torchscript") == 0.0
    assert network.training
    assert {name: value.requires_grad for name, value in network.named_parameters()} == wanted
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_every_format_has_a_suffix_of_its_own():
    assert len({module.SUFFIX for module in FORMATS.values()}) == len(FORMATS)
