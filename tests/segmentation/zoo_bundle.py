"""A small bundle laid out like those of MONAI's model zoo, with real weights that threshold the intensity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

DARK_HU, BRIGHT_HU = -600.0, 300.0
"""Voxels below the first are label 1, above the second label 2."""


def configuration() -> dict[str, Any]:
    def step(name: str, **options: Any) -> dict[str, Any]:
        return {"_target_": name, **options}

    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/workspace/data",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": step("torch.nn.Conv3d", in_channels=1, out_channels=3, kernel_size=1),
        "network": "$@network_def.to(@device)",
        "preprocessing": step(
            "Compose",
            transforms=[
                step("LoadImaged", keys="image"),
                step("EnsureChannelFirstd", keys="image"),
                step("Orientationd", keys="image", axcodes="RAS"),
                step("Spacingd", keys="image", pixdim=[2.0, 2.0, 3.0], mode="bilinear"),
                step("ScaleIntensityRanged", keys="image", a_min=-1000, a_max=1000, b_min=0.0, b_max=1.0, clip=True),
                step("EnsureTyped", keys="image"),
            ],
        ),
        "dataset": step("Dataset", data="$[{'image': i} for i in @datalist]", transform="@preprocessing"),
        "dataloader": step("DataLoader", dataset="@dataset", batch_size=1, shuffle=False, num_workers=4),
        "inferer": step("SlidingWindowInferer", roi_size=[32, 32, 32], sw_batch_size=2, overlap=0.25),
        "postprocessing": step(
            "Compose",
            transforms=[
                step("Activationsd", keys="pred", softmax=True),
                step(
                    "Invertd",
                    keys="pred",
                    transform="@preprocessing",
                    orig_keys="image",
                    nearest_interp=False,
                    to_tensor=True,
                ),
                step("AsDiscreted", keys="pred", argmax=True),
                step("SaveImaged", keys="pred", output_dir="@output_dir"),
            ],
        ),
        "handlers": [step("StatsHandler", iteration_log=False)],
        "evaluator": step(
            "SupervisedEvaluator",
            device="@device",
            val_data_loader="@dataloader",
            network="@network",
            inferer="@inferer",
            postprocessing="@postprocessing",
            val_handlers="@handlers",
            amp=True,
        ),
        "checkpointloader": step(
            "CheckpointLoader", load_path="$@bundle_root + '/models/model.pt'", load_dict={"model": "@network"}
        ),
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }


def metadata() -> dict[str, Any]:
    image = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "channel_def": {"0": "image"},
    }
    labels = {"0": "background", "1": "dark_part_left", "2": "bright_part"}
    return {
        "version": "0.3.1",
        "monai_version": "1.4.0",
        "required_packages_version": {"nibabel": "5.2.1"},
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 3, "channel_def": labels}},
        },
    }


def write_bundle(folder: Path, config: dict[str, Any] | None = None, meta: dict[str, Any] | None = None) -> Path:
    """Writes configs and models; returns the folder."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(config or configuration()))
    (folder / "configs" / "metadata.json").write_text(json.dumps(meta or metadata()))
    network = torch.nn.Conv3d(1, 3, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        for label, sign, threshold_hu in ((1, -1, DARK_HU), (2, 1, BRIGHT_HU)):
            network.weight[label] = 400.0 * sign
            network.bias[label] = -400.0 * sign * (threshold_hu + 1000) / 2000
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
