from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.nnunet.segmenter import NNUNetSegmenter
from bundle.segmentation.segmenter import Segmenter
from tests.nnunet.toy import AFFINE_RAS, TRAINERS, toy_case

CHECKPOINT = "fold_0/checkpoint_final.pth"


@pytest.fixture(autouse=True)
def _external_trainers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(TRAINERS))


@pytest.fixture
def model(trained, tmp_path: Path) -> Path:
    """A copy of the trained model, to be damaged."""
    return shutil.copytree(trained.model, tmp_path / "model", ignore=shutil.ignore_patterns("validation", "*best*"))


def make(model: Path, **options) -> NNUNetSegmenter:
    return NNUNetSegmenter(str(model), device="cpu", **options)


def change(path: Path, **entries) -> None:
    content = json.loads(path.read_text())
    content.update(entries)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def change_checkpoint(path: Path, **entries) -> None:
    content = torch.load(path, weights_only=False)  # written by the fixture
    torch.save({key: value for key, value in {**content, **entries}.items() if value is not None}, path)


def test_description_says_where_the_labels_come_from(trained):
    segmenter = make(trained.model)
    assert isinstance(segmenter, Segmenter)
    assert segmenter.structures == {1: "right bone", 2: "left rod"}
    told = segmenter.describe()
    assert told["weights_sha256"] == file_sha256(trained.model / CHECKPOINT)
    assert told["version"].startswith("nnunetv2 2.")
    expected = {
        "segmenter": "nnunet",
        "dataset": "Dataset517_Toy",
        "trainer": "ShortTrainer",
        "configuration": "3d_fullres",
        "folds": "0",
        "weights": CHECKPOINT,
        "orientation": "LPS",
        "mirroring": "true",
    }
    assert expected.items() <= told.items()
    assert all(isinstance(value, str) for value in told.values())


def test_neither_console_nor_environment_is_touched(trained, capfd, monkeypatch):
    monkeypatch.setenv("nnUNet_compile", "t")
    before = dict(os.environ)
    make(trained.model, mirroring=False)(toy_case()[0] * 2000 - 1000, AFFINE_RAS)
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def test_folds_are_averaged(model):
    weights = torch.load(model / CHECKPOINT, weights_only=False)["network_weights"]
    shutil.copytree(model / "fold_0", model / "fold_1")
    head = max(name for name in weights if name.startswith("decoder.seg_layers.") and name.endswith(".bias"))
    certain = weights[head] + torch.tensor([0.0, 0.0, 1000.0])
    change_checkpoint(model / "fold_1" / "checkpoint_final.pth", network_weights={**weights, head: certain})
    hu = toy_case()[0] * 2000 - 1000
    assert make(model).describe()["folds"] == "0, 1"
    assert (make(model, mirroring=False)(hu, AFFINE_RAS) == 2).all()
    assert not (make(model, folds=0, mirroring=False)(hu, AFFINE_RAS) == 2).all()
    assert make(model, folds=[1]).describe()["folds"] == "1"


def test_fold_all_serves_where_no_other_was_trained(model):
    (model / "fold_0").rename(model / "fold_all")
    assert make(model).describe()["weights"] == "fold_all/checkpoint_final.pth"
    assert make(model, folds="all").describe()["folds"] == "all"


def test_readers_that_turn_images_need_no_orientation(model):
    change(model / "dataset.json", orientation=None)
    change(model / "plans.json", image_reader_writer="NibabelIOWithReorient")
    assert make(model).describe()["orientation"] == "RAS"
    with pytest.raises(InputError, match="is 'LPS', but the model's images run RAS"):
        make(model, orientation="LPS")


def test_unknown_orientation_is_refused(model):
    change(model / "dataset.json", orientation=None)
    with pytest.raises(InputError, match=r"^segmenter_options.orientation: is not given.*such as \"LPS\""):
        make(model)


@pytest.mark.parametrize("codes", ["LP", "LRS", "XYZ", "LPSS"])
def test_orientations_that_are_none_are_refused(model, codes):
    change(model / "dataset.json", orientation=None)
    with pytest.raises(InputError, match=f"segmenter_options.orientation: is '{codes}'"):
        make(model, orientation=codes)


def test_contradicting_orientations_are_refused(trained):
    with pytest.raises(InputError, match=r"segmenter_options.orientation: is 'RAS', but the model's images run LPS"):
        make(trained.model, orientation="RAS")


@pytest.mark.parametrize("name", ["dataset.json", "plans.json"])
def test_missing_descriptions_are_named(model, name):
    (model / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: does not exist.*segmenter_options.model"):
        make(model)


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"segmenter_options.model .*nowhere: is no folder"):
        make(tmp_path / "nowhere")


def test_missing_checkpoints_are_named(model):
    with pytest.raises(InputError, match=r"fold_3/checkpoint_final.pth: does not exist.*segmenter_options.folds"):
        make(model, folds=3)
    with pytest.raises(InputError, match=r"fold_\*/checkpoint_x.pth: does not exist.*segmenter_options.checkpoint"):
        make(model, checkpoint="checkpoint_x.pth")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"channel_names": {"0": "CT", "1": "PET"}}, "has the channels .*PET"),
        (
            {"labels": {"background": 0, "whole": [1, 2], "core": [2]}},
            r"has overlapping regions, such as whole \[1, 2\]",
        ),
        ({"labels": {"background": 0, "bone": "x"}}, "has the label bone: 'x'"),
    ],
)
def test_other_data_sets_are_refused(model, entries, told):
    change(model / "dataset.json", **entries)
    with pytest.raises(InputError, match=rf"dataset\.json: {told}"):
        make(model)


def test_cascades_are_refused(model):
    configurations = json.loads((model / "plans.json").read_text())["configurations"]
    configurations["3d_fullres"]["previous_stage"] = "3d_lowres"
    change(model / "plans.json", configurations=configurations)
    with pytest.raises(InputError, match="refines predictions of 3d_lowres"):
        make(model)


def change_architecture(model: Path, **arguments) -> None:
    configurations = json.loads((model / "plans.json").read_text())["configurations"]
    configurations["3d_fullres"]["architecture"]["arch_kwargs"].update(arguments)
    change(model / "plans.json", configurations=configurations)


@pytest.mark.parametrize(
    "chain",
    [
        "torch.nn.functional.torch.os.system",
        "dynamic_network_architectures.building_blocks.helper.torch.os.system",
    ],
)
def test_plans_cannot_run_commands(model, tmp_path, chain):
    made = tmp_path / "made by the plans"
    change_architecture(model, nonlin=chain, nonlin_kwargs={"command": f"touch '{made}'"})
    with pytest.raises(InputError, match=rf"plans\.json: names {re.escape(chain)}, which is not nnU-Net's"):
        make(model)
    assert not made.exists()


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("architecture", {}, "describes no network"),
        ("spacing", None, "has the spacing None"),
        ("resampling_fn_data", "nope", "has the resampling_fn_data 'nope'"),
    ],
)
def test_damaged_plans_are_refused(model, entry, value, told):
    configurations = json.loads((model / "plans.json").read_text())["configurations"]
    configurations["3d_fullres"][entry] = value
    change(model / "plans.json", configurations=configurations)
    with pytest.raises(InputError, match=rf"plans\.json: {told}"):
        make(model)


def test_networks_that_cannot_be_built_are_refused(model):
    change_architecture(model, n_stages=3)
    with pytest.raises(InputError, match=r"plans\.json: cannot be used \(AssertionError: .*resolution stages"):
        make(model)
    change(model / "plans.json", configurations={"3d_fullres": None})
    with pytest.raises(InputError, match=r"plans\.json: cannot be used"):
        make(model)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"network_weights": [1]}, "has no weights of a network"),
        ({"init_args": 3}, "is no checkpoint of nnU-Net"),
        ({"inference_allowed_mirroring_axes": (0, 1, 7)}, r"mirrors the axes \(0, 1, 7\)"),
        ({"network_weights": {"a": torch.full((2,), float("nan"))}}, "has weights that are not finite"),
    ],
)
def test_damaged_checkpoints_are_refused(model, entries, told):
    change_checkpoint(model / CHECKPOINT, **entries)
    with pytest.raises(InputError, match=rf"checkpoint_final\.pth: {told}"):
        make(model)


@pytest.mark.parametrize("folds", [[], [0, 0], "0/../fold_0"])
def test_folds_that_are_none_are_refused(trained, folds):
    with pytest.raises(InputError, match=r"segmenter_options\.folds: is "):
        make(trained.model, folds=folds)


def test_the_identity_does_not_depend_on_where_the_model_lies(trained, model, monkeypatch):
    there = make(trained.model).describe()
    moved = model.parent / "elsewhere" / trained.model.name
    shutil.copytree(model, moved)
    assert make(moved).describe() == there
    monkeypatch.setenv("HOME", str(moved.parent))
    assert make(Path("~") / moved.name).describe() == there
    change(moved / "plans.json", plans_name="another")
    assert make(moved).describe() != there


def test_readers_of_other_images_are_refused(model):
    change(model / "plans.json", image_reader_writer="NaturalImage2DIO")
    with pytest.raises(InputError, match="reads images by NaturalImage2DIO"):
        make(model)


def test_trainers_that_are_not_found_are_named(model, monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer")
    with pytest.raises(InputError, match=r"trained by ShortTrainer.*nnUNet_extTrainer"):
        make(model)


def test_trainers_for_earlier_versions_are_understood(model):
    hu = toy_case()[0] * 2000 - 1000
    expected = make(model, mirroring=False)(hu, AFFINE_RAS)
    change_checkpoint(model / CHECKPOINT, trainer_name="OlderTrainer")
    segmenter = make(model, mirroring=False)
    assert segmenter.describe()["trainer"] == "OlderTrainer"
    assert (segmenter(hu, AFFINE_RAS) == expected).all()


class _Command:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_checkpoints_with_code_are_refused_and_nothing_is_run(model, tmp_path):
    change_checkpoint(model / CHECKPOINT, logging=_Command(tmp_path / "made by the checkpoint"))
    with pytest.raises(InputError, match=r"checkpoint_final.pth: is not a checkpoint of plain tensors"):
        make(model)
    assert not (tmp_path / "made by the checkpoint").exists()


def test_other_files_are_refused(model):
    change_checkpoint(model / CHECKPOINT, trainer_name=None)
    with pytest.raises(
        InputError, match=r"checkpoint_final.pth: is no checkpoint of nnU-Net \(it lacks 'trainer_name'"
    ):
        make(model)
    (model / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"checkpoint_final.pth: "):
        make(model)


def test_weights_of_another_network_are_refused(model):
    weights = torch.load(model / CHECKPOINT, weights_only=False)["network_weights"]
    first = next(iter(weights))
    change_checkpoint(model / CHECKPOINT, network_weights={**weights, first: weights[first][:2]})
    with pytest.raises(InputError, match=f"weights that do not fit plans.json: misshapen {first}"):
        make(model)


@pytest.mark.parametrize("step_size", [0, 1.5])
def test_step_sizes_out_of_range_are_refused(trained, step_size):
    with pytest.raises(InputError, match=r"segmenter_options\.step_size"):
        make(trained.model, step_size=step_size)


def test_what_is_no_ct_is_refused(trained):
    with pytest.raises(InputError, match=r"not HU|no air"):
        make(trained.model)(toy_case()[0], AFFINE_RAS)
