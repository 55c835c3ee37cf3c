"""Repeats the paper's ablations (its tables 5, 6 and 7) at a small scale, and tries changes of its recipe.

One of them is a single network for 6, 8 and 10 views instead of the paper's one for each.

    python scripts/real_cts.py --source FOLDER --output runs/real_limbs --group limb
    python -m scripts.ablations --dataset_dir runs/real_limbs --seeds 0 1

Pretraining is on generated anatomies, finetuning and training from scratch on the training cases of the data set, and
what is measured is its test cases, from 6 views where a table does not say otherwise. Every training sees the same
number of items at each stage, while its learning rate falls to zero. A run that was stopped goes on where it was, and
the same command started twice shares the trainings: on a few cores two processes of one thread each (OMP_NUM_THREADS=1)
are faster than one of two. Writes results.csv into the output folder, and prints the tables in Markdown; --results
prints those of such files.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from bundle.data.datalist import load_datalist
from bundle.errors import InputError, install_command_line_hook
from bundle.json_files import read_json_object, write_json
from bundle.optional import require
from bundle.tables import read_rows, write_rows
from scripts.ablation_plan import TABLES, Training, part_of, plan, tables
from scripts.running import quieten, run

ROOT = Path(__file__).resolve().parent.parent
TRAIN, GENERATED, ABLATION = "configs/train.json", "configs/generated.json", "configs/ablation.json"
OVERLAY = {
    "pretrain": [GENERATED],
    "finetune_step1": ["configs/finetune_step1.json"],
    "finetune_step2": ["configs/finetune_step2.json"],
    "scratch": ["configs/scratch.json"],
}


def share_of(dataset_dir: str, share: float, folder: Path) -> str:
    """The data set, or one with the first part of its training cases."""
    if share >= 1:
        return dataset_dir
    sections = {name: load_datalist(dataset_dir, name) for name in ("training", "validation", "test")}
    count = max(1, round(share * len(sections["training"])))
    sections["training"] = sections["training"][:count]
    for cases in sections.values():
        for case in cases:
            case["image"] = os.path.abspath(case["image"])
    write_json({"name": f"{share:g} of {dataset_dir}", **sections}, folder / "dataset.json")
    return str(folder)


def train(training: Training, seed: int, output: Path, dataset_dir: str, changes: dict[str, Any]) -> None:
    """Runs one training, or what is left of it."""
    folder = output / f"seed{seed}" / training.name
    start = None if training.start is None else str(output / f"seed{seed}" / training.start / "weights.pt")
    settings = {
        "dataset_dir": share_of(dataset_dir, training.share, folder),
        "models_dir": str(folder),
        "output_dir": str(folder),
        "model_file": "weights.pt",
        "initial_weights": start,
        "seed": seed,
        **changes,
        **training.changes,  # what a table varies goes before what all have in common
    }
    if training.stage != "pretrain":
        # As many steps whatever the number of cases.
        cases = len(load_datalist(settings["dataset_dir"], "training"))
        settings["cases_repeated"] = max(1, round(settings.pop("items_per_epoch") / cases))
    else:
        settings["cached_items"] = settings.pop("items_per_epoch")
        settings.update(cases_repeated=1, replaced_per_epoch=settings["cached_items"] // 8)
    run([TRAIN, *OVERLAY[training.stage], *training.overlays, ABLATION], "training", **settings)


def evaluate(training: Training, seed: int, output: Path, dataset_dir: str, changes: dict[str, Any]) -> None:
    """Scores one training's weights on the test cases at every number of views."""
    folder = output / f"seed{seed}" / training.name
    (folder / "test" / "metrics.csv").unlink(missing_ok=True)  # it keeps other weights' rows
    blocks = {} if training.stage == "finetune_step2" else {"denoise_blocks": 0}
    settings = {
        **{key: value for key, value in changes.items() if key not in ("items_per_epoch", "max_epochs")},
        **{key: value for key, value in training.changes.items() if key != "num_sparse"},
        **blocks,
        "dataset_dir": dataset_dir,
        "output_dir": str(folder / "test"),
        "checkpoint": str(folder / "weights.pt"),
        "view_counts": list(training.view_counts),
        "num_total": None,
        "val_interval": 1,
        "methods": {},
        "refinements": {},
        "overwrite": True,
    }
    run([TRAIN, "configs/evaluate.json", ABLATION], "evaluating", **settings)


def scores_of(training: Training, seed: int, output: Path, cases: int) -> list[dict[str, Any]]:
    """Mean scores of a training over so many cases, at every number of views; none if it is not finished."""
    scores = []
    of_cases = read_rows(output / f"seed{seed}" / training.name / "test" / "metrics.csv")
    for views in training.view_counts:
        rows = [row for row in of_cases if int(row["views"]) == views]
        if len(rows) < cases:  # the table grows with every case
            return []
        means = {name: round(mean(float(row[name]) for row in rows), 4) for name in ("psnr_db", "ssim_3d")}
        scores.append({"training": training.name, "seed": seed, "views": views, "cases": cases, **means})
    return scores


def keep_settings(settings: dict[str, Any], output: Path) -> None:
    """Notes what the folder's trainings have in common.

    Raises:
        InputError: if earlier trainings had other settings.
    """
    earlier = read_json_object(output / "settings.json")
    if earlier is None:
        write_json(settings, output / "settings.json")
    elif earlier != settings:
        raise InputError(output / "settings.json", f"has other settings than {settings}.", "Choose another --output.")


def work(
    trainings: list[Training], seeds: list[int], output: Path, dataset_dir: str, cases: int, changes: dict[str, Any]
) -> None:
    """Trains and scores what is left and no other process is at; returns when all of it is finished."""
    filelock = require("filelock", "filelock", "sharing trainings among processes")
    left = list(product(seeds, trainings))
    finished: set[tuple[int, str | None]] = {(seed, None) for seed in seeds}
    while left:
        for seed, training in left:
            if scores_of(training, seed, output, cases):
                break
            if (seed, training.start) not in finished:
                continue
            lock = filelock.FileLock(output / ".locks" / f"seed{seed}-{training.name}.lock", timeout=0)
            try:
                with lock:
                    if scores_of(training, seed, output, cases):
                        break  # finished since
                    print(f"seed {seed}: {training.name}", file=sys.stderr, flush=True)
                    train(training, seed, output, dataset_dir, changes)
                    evaluate(training, seed, output, dataset_dir, changes)
                break
            except filelock.Timeout:
                continue
        else:
            time.sleep(5)  # another process is at all that could be begun
            continue
        left.remove((seed, training))
        finished.add((seed, training.name))


def main() -> None:
    """Trains, scores and prints."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset_dir", help="data set with training, validation and test cases")
    what.add_argument("--results", nargs="+", help="train nothing, print the tables of these results.csv")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES, help="which tables; all if not given")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "ablations", help="folder to write to")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each stage")
    parser.add_argument("--items", type=int, default=96, help="training items in an epoch")
    parser.add_argument("--changes", type=json.loads, default={}, help="further settings, as JSON")
    options = parser.parse_args()
    trainings, rows = part_of(*plan(), options.tables)
    if options.results:
        print(tables(rows, [row for file in options.results for row in read_rows(file)]))
        return
    dataset_dir, output = os.path.abspath(options.dataset_dir), options.output.absolute()
    os.chdir(ROOT)
    quieten()
    for section in ("training", "validation"):
        load_datalist(dataset_dir, section)  # refuses a set that lacks it before hours of training
    cases = len(load_datalist(dataset_dir, "test"))
    settings = {"max_epochs": options.epochs, "items_per_epoch": options.items, **options.changes}
    (output / ".locks").mkdir(parents=True, exist_ok=True)
    keep_settings({"dataset_dir": dataset_dir, **settings}, output)
    work(trainings, options.seeds, output, dataset_dir, cases, settings)
    results = [score for seed in options.seeds for each in trainings for score in scores_of(each, seed, output, cases)]
    write_rows(results, output / "results.csv")
    print(tables(rows, results))


if __name__ == "__main__":
    main()
