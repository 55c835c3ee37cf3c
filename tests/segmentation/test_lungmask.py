"""The real package with crafted weights, by which dark and bright voxels are labelled, so that frames show."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.segmentation.lungmask import LungMask
from bundle.segmentation.segmenter import Segmenter
from tests.datasets.formats import reoriented
from tests.segmentation.volumes import boxes, lps_affine

pytest.importorskip("lungmask")
from lungmask.resunet import UNet

AFFINE = lps_affine((3.0, 2.5, 7.0))
DARK, BRIGHT = (slice(10, 25), slice(14, 40), slice(1, 3)), (slice(36, 52), slice(18, 30), slice(0, 2))


def crafted(classes: int, dark_class: int, bright_class: int) -> dict[str, torch.Tensor]:
    """Weights that pass the intensity through the topmost skip connection to the last layer.

    The package maps -1024..600 HU to 0..1; below -600 HU one class wins, above 300 HU another.
    """
    network = UNet(n_classes=classes, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
    state = network.state_dict()
    for name, values in state.items():
        if name.endswith(("running_mean", "bias")) or ("weight" in name and values.ndim == 4):
            values.zero_()
    state["down_path.0.block.0.weight"][0, 0, 1, 1] = 1
    state["down_path.0.block.3.weight"][0, 0, 1, 1] = 1
    state["up_path.3.conv_block.block.0.weight"][0, 64, 1, 1] = 1  # the skip comes after 64 channels from below
    state["up_path.3.conv_block.block.3.weight"][0, 0, 1, 1] = 1
    for wins, sign, threshold_hu in ((dark_class, -1, -600), (bright_class, 1, 300)):
        state["last.weight"][wins, 0] = 100 * sign
        state["last.bias"][wins] = -100 * sign * (threshold_hu + 1024) / 1624
    return state


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lungmask") / "lungs.pth"
    torch.save(crafted(3, 1, 2), path)
    return path


@pytest.fixture(scope="session")
def lobe_weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lungmask") / "lobes.pth"
    torch.save(crafted(6, 4, 2), path)
    return path


@pytest.fixture(scope="session")
def segmenter(weights) -> LungMask:
    return LungMask(weights=str(weights), device="cpu", batch_size=4)


class Anything:
    """What only loading with pickle could bring back."""


def body() -> np.ndarray:
    """[x, y, z] a block of tissue off the middle of the slice, with a dark and a bright part."""
    return boxes((64, 50, 3), ((slice(5, 60), slice(8, 46), slice(None)), 40.0), (DARK, -850.0), (BRIGHT, 500.0))


def expected() -> np.ndarray:
    return boxes((64, 50, 3), (DARK, 1), (BRIGHT, 2), background=0).astype(np.uint8)


def test_labels_come_out_in_the_frame_of_the_volume(segmenter, capsys):
    found = segmenter(body(), AFFINE)
    assert found.dtype == np.uint8
    assert isinstance(segmenter, Segmenter)
    for label in (1, 2):
        overlap = ((found == label) & (expected() == label)).sum()
        assert 2 * overlap / ((found == label).sum() + (expected() == label).sum()) > 0.93
    for axcodes in ("RAS", "SAL"):
        hu, affine = reoriented(body(), AFFINE, axcodes)
        assert np.array_equal(segmenter(hu, affine), reoriented(found, AFFINE, axcodes)[0])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""  # neither progress bars nor messages


def test_a_fill_model_fills_what_the_first_leaves_out(tmp_path, weights, lobe_weights):
    state = crafted(6, 4, 2)
    state["last.bias"][4] = 100 * (-800 + 1024) / 1624  # lobes only where it is darker still
    torch.save(state, tmp_path / "strict.pth")
    hu = body()[:, :, 1:]
    hu[DARK[0], DARK[1], 1] = -700.0
    options = {"model": "LTRCLobes", "weights": str(tmp_path / "strict.pth"), "device": "cpu", "batch_size": 4}
    alone = LungMask(**options)(hu, AFFINE)
    segmenter = LungMask(**options, fill_model="R231", fill_weights=str(weights))
    filled = segmenter(hu, AFFINE)
    assert alone[17, 25].tolist() == [4, 0]
    assert filled[17, 25].tolist() == [4, 4]
    assert segmenter.structures[4] == "right middle lobe"
    assert segmenter.describe()["fill_model"] == "R231"
    assert segmenter.describe()["fill_weights_sha256"] == file_sha256(weights)


def test_describes_its_weights(segmenter, weights):
    told = segmenter.describe()
    assert (told["model"], told["weights"]) == ("R231", "lungs.pth")
    assert told["weights_sha256"] == file_sha256(weights)
    assert segmenter.structures == {1: "right lung", 2: "left lung"}


def test_nothing_found_is_an_empty_mask(segmenter):
    hu = boxes((64, 50, 2), ((slice(5, 60), slice(8, 46), slice(None)), 40.0), background=-500.0)
    found = segmenter(hu, AFFINE)
    assert found.shape == hu.shape
    assert not found.any()


def test_the_release_in_the_cache_needs_no_network(monkeypatch, tmp_path, weights):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "unet_r231covid-0de78a7e.pth"
    cached.parent.mkdir()
    cached.symlink_to(weights)
    assert LungMask("R231CovidWeb", device="cpu").describe()["weights"] == cached.name


def test_says_where_missing_weights_are_to_be_had(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pth.*https://.*unet_r231-.*segmenter_options\.weights"):
        LungMask(weights=str(tmp_path / "nowhere.pth"))

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(InputError, match=r"unet_ltrclobes-3a07043d\.pth.*no route to host.*segmenter_options\.weights"):
        LungMask("LTRCLobes")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_refuses_other_weights(tmp_path, lobe_weights):
    torch.save(Anything(), tmp_path / "object.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    torch.save({"last.bias": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not found")
    for name, problem in (
        ("object", "damaged or holds code"),
        ("text", "damaged or holds code"),
        ("list", "no state dict"),
        ("other", "does not fit"),
    ):
        with pytest.raises(InputError, match=rf"{name}\.pth: .*{problem}.*segmenter_options\.weights"):
            LungMask(weights=str(tmp_path / f"{name}.pth"))
    with pytest.raises(InputError, match="has 3 classes"):
        LungMask("R231", weights=str(lobe_weights))


def test_refuses_weights_in_another_order(tmp_path, weights):
    state = torch.load(weights, weights_only=True)
    torch.save(dict(reversed(state.items())), tmp_path / "reversed.pth")
    with pytest.raises(InputError, match=r"reversed\.pth: lists its entries in another order"):
        LungMask(weights=str(tmp_path / "reversed.pth"))


def test_finds_weights_in_the_home_folder(monkeypatch, weights):
    monkeypatch.setenv("HOME", str(weights.parent))
    assert LungMask(weights=f"~/{weights.name}", device="cpu").describe()["weights"] == weights.name


def test_refuses_unknown_models_and_options_that_do_not_belong():
    with pytest.raises(InputError, match="Use one of R231, LTRCLobes, R231CovidWeb"):
        LungMask("R232")
    with pytest.raises(InputError, match="fill_model: is 'lungs'"):
        LungMask(fill_model="lungs")
    with pytest.raises(InputError, match="no fill_model"):
        LungMask(fill_weights="here.pth")
    with pytest.raises(InputError, match="batch_size"):
        LungMask(batch_size=0)


def test_refuses_what_is_no_hu(segmenter):
    with pytest.raises(InputError, match="not HU"):
        segmenter((body() + 1000) / 2000, AFFINE)
