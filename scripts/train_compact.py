"""Trains the network whose weights are shipped: pretraining and both steps of finetuning, for some minutes each.

    python scripts/real_cts.py --source FOLDER --output runs/real_cts
    python -m scripts.train_compact --dataset_dir runs/real_cts --minutes 60 20 20

The same command again trains the first stage further, from where it stopped, and the later ones anew from what that
gave; minutes of 0 leave a stage as it is. Writes the weights of every stage and what is needed to go on into the folder
of --models, and prints the command of each stage.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from bundle.errors import install_command_line_hook
from scripts.running import quieten, run

ROOT = Path(__file__).resolve().parent.parent
STAGES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "pretrain": ([], {}),
    "finetune_step1": (["configs/finetune_step1.json"], {"real_share": 0.8, "learning_rate": 5e-4}),
    "finetune_step2": (["configs/finetune_step2.json"], {"real_share": 0.8, "learning_rate": 5e-4}),
}
OVERLAYS = [f"configs/{name}.json" for name in ("generated", "kept_scans", "averaged", "compact", "compact_training")]


def main() -> None:
    """Trains."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True, help="real CTs for training and validation")
    parser.add_argument("--minutes", type=float, nargs=len(STAGES), required=True, metavar=tuple(STAGES))
    parser.add_argument("--kept_dir", default="runs/kept", help="folder that keeps the generated scans")
    parser.add_argument("--models", default="models", help="folder of the weights")
    parser.add_argument("--changes", type=json.loads, default={}, help="further settings, as JSON")
    options = parser.parse_args()
    os.chdir(ROOT)
    quieten()

    trained = False
    for (files, changes), minutes in zip(STAGES.values(), options.minutes):
        if minutes <= 0:
            continue
        settings = {
            "dataset_dir": options.dataset_dir,
            "real_dataset_dir": options.dataset_dir,
            "kept_dir": options.kept_dir,
            "models_dir": options.models,
            "slice_minutes": minutes,
            "max_epochs": 10_000,
            "resume": not trained,
            **changes,
            **options.changes,
        }
        configs = ["configs/train.json", *files, *OVERLAYS]
        told = " ".join(f"--{name} {value}" for name, value in settings.items())
        print(f'python -m monai.bundle run training --config_file "{configs}" {told}', flush=True)
        run(configs, "training", logged=True, **settings)
        trained = True


if __name__ == "__main__":
    main()
