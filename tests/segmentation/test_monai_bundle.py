from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.segmentation.monai_bundle import MonaiBundleSegmenter
from bundle.segmentation.segmenter import Segmenter
from tests.segmentation.volumes import FRAMES, boxes, lps_affine, turned
from tests.segmentation.zoo_bundle import configuration, metadata, write_bundle

SHAPE = (40, 34, 22)
AFFINE = lps_affine((3.0, 2.5, 4.0))
DARK, BRIGHT = (slice(6, 19), slice(8, 28), slice(5, 17)), (slice(25, 34), slice(12, 22), slice(3, 9))


def volume() -> np.ndarray:
    return boxes(SHAPE, (DARK, -850.0), (BRIGHT, 600.0), background=40.0)


def expected() -> np.ndarray:
    return boxes(SHAPE, (DARK, 1), (BRIGHT, 2), background=0).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "toy_ct_segmentation")


def segmenter(folder: Path, **options) -> MonaiBundleSegmenter:
    return MonaiBundleSegmenter(str(folder), device="cpu", **options)


def changed(folder: Path, change) -> Path:
    config = configuration()
    change(config)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("axcodes", FRAMES)
def test_labels_come_back_in_the_frame_of_the_volume(folder, axcodes, capsys):
    made = segmenter(folder)
    hu, affine = turned(volume(), AFFINE, axcodes)
    found = made(hu, affine)
    truth, _ = turned(expected(), AFFINE, axcodes)
    assert isinstance(made, Segmenter)
    assert found.dtype == np.uint8
    assert found.shape == hu.shape
    for label in (1, 2):  # the bundle works on another grid, so that edges move by less than a voxel
        overlap = ((found == label) & (truth == label)).sum()
        assert 2 * overlap / ((found == label).sum() + (truth == label).sum()) > 0.93
    assert "error" not in capsys.readouterr().err.lower()
    assert not (folder / "eval").exists()


def test_says_what_it_is(folder):
    made = segmenter(folder, overrides={"inferer#overlap": 0.5})
    assert made.structures == {1: "dark part left", 2: "bright part"}
    told = made.describe()
    assert (told["bundle"], told["bundle_version"]) == ("toy_ct_segmentation", "0.3.1")
    assert told["weights_sha256"] == file_sha256(folder / "models" / "model.pt")
    assert told["overrides"] == "inferer#overlap=0.5"


def test_yaml_older_run_names_and_one_channel_for_each_label(folder):
    def as_before(config):
        config["evaluating"] = config.pop("run")
        loader = config.pop("checkpointloader")
        config["handlers"].insert(0, loader)
        config["initialize"].pop()
        config["postprocessing"]["transforms"][2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}

    config = configuration()
    as_before(config)
    (folder / "configs" / "inference.json").unlink()
    ConfigParser.export_config_file(config, str(folder / "configs" / "inference.yaml"), fmt="yaml")
    found = segmenter(folder)(volume(), AFFINE)
    assert found[12, 18, 10] == 1
    assert found[29, 17, 6] == 2
    assert found[2, 2, 2] == 0


def test_leaves_no_trace(folder):
    scripts = folder / "scripts"
    scripts.mkdir()
    (scripts / "__init__.py").write_text("")
    (scripts / "step.py").write_text("def unchanged(data):\n    return data\n")
    changed(
        folder,
        lambda config: config["preprocessing"]["transforms"].insert(
            1, {"_target_": "Lambdad", "keys": "image", "func": "$unchanged"}
        ),
    )
    config = json.loads((folder / "configs" / "inference.json").read_text())
    config["imports"].append("$from scripts.step import unchanged")
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    before = list(sys.path), set(sys.modules), torch.backends.cudnn.deterministic
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    assert segmenter(folder)(volume(), AFFINE)[12, 18, 10] == 1
    assert (random.random(), np.random.rand(), torch.rand(1)) == drawn
    assert list(sys.path) == before[0]
    assert not [name for name in set(sys.modules) - before[1] if name.startswith("scripts")]
    assert torch.backends.cudnn.deterministic == before[2]


def test_refuses_what_is_no_bundle(tmp_path, folder):
    with pytest.raises(InputError, match=r"is no folder.*download --name lungs_ct"):
        segmenter(tmp_path / "lungs_ct")
    with pytest.raises(InputError, match=r"configs/inference\.json"):
        segmenter(tmp_path)
    (folder / "configs" / "metadata.json").unlink()
    with pytest.raises(InputError, match=r"metadata\.json: is missing"):
        segmenter(folder)


def test_says_how_to_get_missing_weights(folder):
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"models/model\.pt.*monai\.bundle download --name toy_ct_segmentation"):
        segmenter(folder)


def test_refuses_configurations_it_cannot_run(folder):
    with pytest.raises(InputError, match="no entry evaluator"):
        segmenter(changed(folder, lambda config: config.pop("evaluator")))
    with pytest.raises(InputError, match="no entry run"):
        segmenter(changed(folder, lambda config: config.pop("run")))
    (folder / "configs" / "inference.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        segmenter(folder)


def test_refuses_metadata_that_do_not_name_the_labels(folder):
    def told(change):
        record = metadata()
        change(record["network_data_format"])
        (folder / "configs" / "metadata.json").write_text(json.dumps(record))
        return folder

    with pytest.raises(InputError, match=r"does not name each label.*segmenter_options\.structures"):
        segmenter(told(lambda formats: formats["outputs"]["pred"].pop("channel_def")))
    assert segmenter(folder, structures={"1": "a", "2": "b"}).structures == {1: "a", 2: "b"}
    with pytest.raises(InputError, match="'tumour' where the background should be"):
        segmenter(told(lambda formats: formats["outputs"]["pred"].update(channel_def={"0": "tumour", "1": "lung"})))
    with pytest.raises(InputError, match="more than one CT image"):
        segmenter(told(lambda formats: formats["inputs"]["image"].update(num_channels=4)))


def test_names_missing_packages(folder):
    changed(folder, lambda config: config["imports"].append("$import no_such_package"))
    changed(folder, lambda config: config["network_def"].update(_target_="no_such_package.Network"))
    with pytest.raises(InputError, match=r"toy_ct_segmentation.*no_such_package"):
        segmenter(folder)(volume(), AFFINE)


def test_refuses_weights_of_another_network(folder):
    torch.save({"weight": torch.zeros(1)}, folder / "models" / "model.pt")
    with pytest.raises(InputError, match="toy_ct_segmentation: failed"):
        segmenter(folder)(volume(), AFFINE)


def test_refuses_labels_on_another_grid_and_unknown_ones(folder):
    made = segmenter(folder, structures={1: "dark part"})
    with pytest.raises(InputError, match="unknown classes 2"):
        made(volume(), AFFINE)
    changed(folder, lambda config: config["postprocessing"]["transforms"].pop(1))
    with pytest.raises(InputError, match=r"not on the volume's grid \(40, 34, 22\).*Invertd"):
        segmenter(folder)(volume(), AFFINE)


def test_refuses_what_is_no_hu(folder):
    with pytest.raises(InputError, match="not HU"):
        segmenter(folder)(volume() / 1000, AFFINE)
