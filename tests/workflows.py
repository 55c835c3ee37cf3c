"""Running the bundle's configurations at a size that tests can afford."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from bundle.errors import find_input_error
from tests.conftest import ROOT

TRAIN, DEMO = "configs/train.json", "configs/demo.json"
STAGES = {
    "pretrain": [TRAIN],
    "finetune_step1": [TRAIN, "configs/finetune_step1.json"],
    "finetune_step2": [TRAIN, "configs/finetune_step2.json"],
    "scratch": [TRAIN, "configs/scratch.json"],
}
SIZES = {
    "detector_shape": [16, 16],
    "volume_shape": [16, 16, 16],
    "encoder_channels": [4, 6],
    "decoder_channels": 8,
    "point_channels": [12, 8],
    "codes": 16,
    "low_resolution": 6,
    "points_per_volume": 200,
}


def small(folder: Path, **changes: Any) -> dict[str, Any]:
    """Overrides that make the demo configuration run in a second and write to a folder."""
    return {
        "bundle_root": str(ROOT),
        "output_dir": str(folder / "out"),
        "models_dir": str(folder / "models"),
        **SIZES,
        "cases_repeated": 4,
        "max_epochs": 1,
        "val_interval": 1,
        **changes,
    }


def workflow(files: list[str], run_id: str = "training", kind: str = "train", **changes: Any) -> ConfigWorkflow:
    """An initialised workflow of configuration files, with overrides."""
    prepared = ConfigWorkflow(
        config_file=[str(ROOT / f) for f in files],
        run_id=run_id,
        workflow_type=kind,
        logging_file=False,
        **changes,
    )
    prepared.initialize()
    return prepared


def run(files: list[str], run_id: str = "training", kind: str = "train", **changes: Any) -> ConfigWorkflow:
    """Runs configuration files with overrides and gives the workflow."""
    done = workflow(files, run_id, kind, **changes)
    done.run()
    done.finalize()
    return done


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """Expects an input error with the given message, as such or under MONAI's own exceptions."""
    try:
        yield
    except Exception as raised:
        error = find_input_error(raised)
        if error is None or not re.search(pattern, str(error)):
            raise
    else:
        pytest.fail(f"nothing was refused; expected {pattern!r}")


def command_line(overrides: dict[str, Any]) -> list[str]:
    """Overrides as arguments of ``python -m monai.bundle run``."""
    arguments = []
    for name, value in overrides.items():
        arguments += [f"--{name}", str(value)]
    return arguments


def torchrun(*arguments: str, launch: tuple[str, ...] = ("--standalone", "--nproc_per_node=2")) -> list[str]:
    """The command that runs ``monai.bundle run`` with arguments in several processes; in worker_env."""
    return [sys.executable, "-m", "torch.distributed.run", *launch, "-m", "monai.bundle", "run", *arguments]
