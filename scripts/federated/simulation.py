"""Trains the bundle over several data sets that never meet, on one machine: NVIDIA FLARE's simulator.

    python -m scripts.federated.simulation --sites north=DATA1 south=DATA2 --rounds 5 --output runs/federated

Every site is a process of its own with a data set of its own (a folder with dataset.json); the server averages their
weights by their numbers of steps. It starts from the shipped weights, and writes model.pt, the weights of the last
round, and best.pt, those with the highest mean validation PSNR, to the output folder. Needs nvflare.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch

from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.errors import InputError, install_command_line_hook
from bundle.json_files import write_json
from bundle.optional import require

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ["configs/train.json", "configs/finetune_step2.json", "configs/compact.json"]
FEDERATED = "configs/federated.json"
RESULTS = {"FL_global_model.pt": "model.pt", "best_FL_global_model.pt": "best.pt"}


def site(text: str) -> tuple[str, str]:
    """A name and the absolute path of its data set, from NAME=FOLDER."""
    name, equals, folder = text.partition("=")
    if not (name and equals and (Path(folder) / "dataset.json").is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER with a dataset.json in the folder")
    return name, os.path.abspath(folder)


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the clients have to know, as plain values."""
    train = options.config_files
    return {
        "local_epochs": options.local_epochs,
        "train": [*train, FEDERATED],
        "evaluate": [train[0], "configs/evaluate.json", *train[1:], FEDERATED],
        "changes": options.changes,
        "evaluation": {"section": "validation", "view_counts": [6], "methods": {}, "refinements": {}},
        "sites": {
            name: {
                "dataset_dir": folder,
                "output_dir": str(options.output / "sites" / name),
                "models_dir": str(options.output / "sites" / name / "models"),
            }
            for name, folder in options.sites
        },
    }


def federate(options: argparse.Namespace) -> list[Path]:
    """Runs the federation; returns the weights that it wrote.

    Raises:
        ImportError: when nvflare is missing.
        InputError: when the output folder cannot be used, or the federation ended without weights.
    """
    workspace = options.output / "flare"
    if workspace.exists():
        raise InputError(options.output, "has an earlier federation.", "Give another --output, or remove it.")
    for path in (ROOT, options.output):
        if len(str(path).split()) != 1:
            raise InputError(path, "has a space in it, where FLARE would cut it.", "Use a folder without.")
    require("nvflare", "nvflare", "federated training")
    from nvflare.app_opt.pt.file_model_persistor import PTFileModelPersistor
    from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
    from nvflare.recipe import SimEnv

    told = options.output / "settings.json"
    write_json(settings(options), told)
    start = options.output / "start.pt"
    weights = read_checkpoint(options.weights)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    save_checkpoint(weights, start)
    recipe = FedAvgRecipe(
        name="deepsparse",
        min_clients=len(options.sites),
        num_rounds=options.rounds,
        model_persistor=PTFileModelPersistor(source_ckpt_file_full_name=str(start)),
        train_script=str(Path(__file__).with_name("client.py")),
        train_args=f"--bundle_root {ROOT} --settings {told}",
        key_metric="val_psnr",
    )
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    names = [name for name, _ in options.sites]
    run = recipe.execute(SimEnv(clients=names, workspace_root=str(workspace)))
    found = Path(run.get_result() or options.output)
    made = []
    for source, target in RESULTS.items():
        for path in found.rglob(source):
            state = read_checkpoint(path)["model"]  # means, counts too
            state = {name: torch.as_tensor(state[name]).to(value.dtype) for name, value in weights.items()}
            save_checkpoint(state, options.output / target)
            made.append(options.output / target)
    if not made:
        raise InputError(found, "has no weights.", f"Read the logs in {workspace}.")
    return made


def main() -> None:
    """Federates, and says where the weights are."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=site, nargs="+", required=True, help="NAME=FOLDER of every site's data set")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--local_epochs", type=int, default=1, help="epochs of a site in a round")
    parser.add_argument("--weights", type=Path, default=ROOT / "models" / "model.pt", help="weights to start from")
    parser.add_argument("--config_files", nargs="+", default=TRAIN, help="of the training, train.json first")
    parser.add_argument("--changes", type=json.loads, default={}, help="further settings of all sites, as JSON")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "federated", help="folder to write to")
    options = parser.parse_args()
    options.output = options.output.absolute()
    options.output.mkdir(parents=True, exist_ok=True)
    for path in federate(options):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
