"""Makes the weights that a release ships, and the record of how they were trained.

    python -m scripts.ship_weights --trained FOLDER

FOLDER holds what the three stages wrote: weights (pretrain.pt, and model.pt of step 2) and states (checkpoints/STAGE).
Writes models/pretrain.pt and models/model.pt in half precision, once they are shown to fit the network of
configs/inference.json, and their checksums into configs/metadata.json; docs/training.json with settings, steps and
curves of every stage, and checksums; and draws the curves into docs/training.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import bundle
from bundle.atomic import atomic_path
from bundle.checkpoint import load_network, read_checkpoint, save_checkpoint
from bundle.checksums import file_sha256
from bundle.errors import InputError, install_command_line_hook
from bundle.half_precision import halved
from bundle.handlers.resume import latest_checkpoint
from bundle.json_files import write_json
from bundle.shipped_weights import WEIGHTS as SHIPPED
from bundle.shipped_weights import describe_weights

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("pretrain", "finetune_step1", "finetune_step2")
WEIGHTS = {"pretrain.pt": {"denoise_blocks": 0}, "model.pt": {}}
LARGEST_MB = 16


def curves(folder: Path, steps_per_epoch: int) -> dict[str, list[float]]:
    """Mean training loss of every epoch, and the validation PSNR with the epochs it is of."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    found = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    epochs: dict[int, list[float]] = {}
    for step, value in found.get("task", {}).items():
        epochs.setdefault((step - 1) // steps_per_epoch, []).append(value)
    validated = sorted(found.get("val_psnr", {}).items())
    return {
        "training_mse": [float(f"{mean(epochs[epoch]):.4g}") for epoch in sorted(epochs)],
        "validated_epochs": [epoch for epoch, _ in validated],
        "validation_psnr_db": [round(value, 3) for _, value in validated],
    }


def stage_record(models: Path, runs: Path, stage: str) -> dict[str, Any]:
    """Settings, steps and curves of one stage."""
    path = latest_checkpoint(models / "checkpoints" / stage)
    if path is None:
        raise InputError(models / "checkpoints" / stage, "has no training checkpoint.", "Train the stage first.")
    state = read_checkpoint(path)
    length, steps = (int(state["trainer"][key]) for key in ("epoch_length", "iteration"))
    done = {"epochs": steps // length, "steps": steps}
    return {**done, "settings": state["settings"], "curves": curves(runs / stage / "tensorboard" / stage, length)}


def draw(record: dict[str, Any], path: Path) -> None:
    """Draws the curves of all stages, one after the other."""
    figure = Figure(figsize=(9, 3.2), dpi=120, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    begin = 0
    for stage in record["stages"]:
        found, epochs = record["stages"][stage]["curves"], record["stages"][stage]["epochs"]
        left.plot(range(begin + 1, begin + 1 + len(found["training_mse"])), found["training_mse"], label=stage)
        right.plot(
            [begin + epoch for epoch in found["validated_epochs"]], found["validation_psnr_db"], marker=".", label=stage
        )
        begin += epochs
    left.set(xlabel="epoch", ylabel="mean squared error, training", yscale="log")
    right.set(xlabel="epoch", ylabel="PSNR in dB, validation")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        canvas.print_png(file)


def ship(trained: Path, output: Path, **settings: Any) -> dict[str, Any]:
    """Writes weights in half precision.

    Args:
        trained: weights as training wrote them.
        output: the file.
        settings: of the inference configuration's network.

    Returns:
        What the record says of the file.

    Raises:
        InputError: when they do not fit the network, or the file is too large for the repository.
    """
    state = {name: halved(value) for name, value in read_checkpoint(trained).items()}
    parser = ConfigParser({**ConfigParser.load_config_file(ROOT / "configs" / "inference.json"), **settings})
    with atomic_path(output) as temporary:
        save_checkpoint(state, temporary)
        network = load_network(parser.get_parsed_content("network_def"), temporary)
        size = temporary.stat().st_size
        if size > LARGEST_MB * 2**20:
            raise InputError(output, f"would have {size / 2**20:.1f} MB.", "Ship it through large_files.yml.")
    parameters = sum(value.numel() for value in network.parameters())
    return {**describe_weights(output), "parameters": parameters}


def tell_shipped(weights: dict[str, dict[str, Any]], metadata: Path) -> None:
    """Puts sizes and checksums of the shipped weights into the bundle's metadata, with which readers compare them."""
    content = json.loads(metadata.read_text(encoding="utf-8"))
    content[SHIPPED] = {
        f"models/{name}": {key: about[key] for key in ("bytes", "sha256")} for name, about in weights.items()
    }
    with atomic_path(metadata) as temporary:
        temporary.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Writes the weights and their record."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", type=Path, required=True, help="models_dir of the training")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the stages' output folders are")
    parser.add_argument("--output", type=Path, default=ROOT / "models", help="folder of the weights to write")
    parser.add_argument("--record", type=Path, default=ROOT / "docs" / "training.json", help="record to write")
    options = parser.parse_args()

    stages = {stage: stage_record(options.trained, options.runs, stage) for stage in STAGES}
    weights = {
        name: ship(options.trained / name, options.output / name, **settings) for name, settings in WEIGHTS.items()
    }
    if options.output.resolve() == ROOT / "models":
        tell_shipped(weights, ROOT / "configs" / "metadata.json")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    record = {
        "weights": weights,
        "version": bundle.__version__,
        "commit": commit,
        "real_cts": {"listing": "docs/real_cts.json", "sha256": file_sha256(ROOT / "docs" / "real_cts.json")},
        "stages": stages,
    }
    write_json(record, options.record)
    draw(record, options.record.with_suffix(".png"))
    print(f"wrote {', '.join(str(options.output / name) for name in weights)}, and their record {options.record}")


if __name__ == "__main__":
    main()
