"""nnU-Net's whole chain, run once: prepared set, export, planning, a short training, a prediction."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from bundle.nnunet_command import nnunet_export
from tests.nnunet.toy import STRUCTURES, NNUNetFolders, write_toy_set

SECTIONS = {"training": ["one", "two"], "validation": ["three"], "test": ["four", "five"]}


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> NNUNetFolders:
    """A toy set as an nnU-Net raw data set."""
    root = tmp_path_factory.mktemp("nnunet")
    source = write_toy_set(root / "prepared", SECTIONS)
    nnunet_export(str(source), str(root / "raw"), dataset_id=517, name="Toy", structures=STRUCTURES)
    return NNUNetFolders(root)


@pytest.fixture(scope="session")
def trained(exported: NNUNetFolders) -> NNUNetFolders:
    """Checked by nnU-Net, planned, and trained for some steps on the prepared split."""
    pytest.importorskip("nnunetv2")
    check = ("-npfp", 1, "-np", 1, "--verify_dataset_integrity")
    told = exported.run("nnUNetv2_plan_and_preprocess", "-d", 517, "-c", "3d_fullres", *check)
    assert "verify_dataset_integrity Done" in told
    plans_file = exported.preprocessed / "nnUNetPlans.json"
    plans = json.loads(plans_file.read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    architecture["features_per_stage"] = [n // 8 for n in architecture["features_per_stage"]]  # to be quick
    plans_file.write_text(json.dumps(plans))
    exported.run(
        *("nnUNetv2_train", 517, "3d_fullres", 0, "-tr", "ShortTrainer", "-device", "cpu"), nnUNet_n_proc_DA="0"
    )
    return exported


@pytest.fixture(scope="session")
def drifting_model(trained: NNUNetFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model with weights that label what is bright as structure 1, a voxel to the right and back of it.

    So its labels tell how the image that it was given runs.
    """
    folder = tmp_path_factory.mktemp("drifting") / trained.model.name
    shutil.copytree(trained.model, folder)
    path = folder / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)  # written by the fixture above
    checkpoint["network_weights"] = _drifting_weights(checkpoint["network_weights"])
    torch.save(checkpoint, path)
    return folder


def _drifting_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights that carry the image in channel 0 through the first stage, its skip connection and the last stage."""
    made = {name: torch.zeros_like(value) for name, value in weights.items()}
    last = max(int(name.split(".")[2]) for name in weights if name.startswith("decoder.seg_layers."))
    width = len(weights["encoder.stages.0.0.convs.0.conv.weight"])
    first, second = "encoder.stages.0.0.convs.0", "encoder.stages.0.0.convs.1"
    joined = f"decoder.stages.{last}.convs.0"  # takes the upsampled channels and after them the skip connection's
    for layer in (first, second, joined, f"decoder.stages.{last}.convs.1"):
        tap = (2, 1, 0) if layer == second else (1, 1, 1)  # the network's axes are x, z, y
        for convolution, norm in (("conv", "norm"), ("all_modules.0", "all_modules.1")):  # two names of the same
            made[f"{layer}.{convolution}.weight"][(0, width if layer == joined else 0, *tap)] = 1.0
            made[f"{layer}.{norm}.weight"][0] = 1.0
            made[f"{layer}.{norm}.bias"][0] = -2.0 if layer == first else 0.0  # flattens what is not bright
    made.update({name: made[name.removeprefix("decoder.")] for name in made if name.startswith("decoder.encoder.")})
    made[f"decoder.seg_layers.{last}.weight"][1, 0] = 1.0
    made[f"decoder.seg_layers.{last}.bias"][:] = torch.tensor([0.0, -1.0, -50.0])
    return made
