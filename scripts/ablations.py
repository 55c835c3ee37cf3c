"""Repeats the paper's ablations (its tables 5, 6 and 7) at a small scale, and tries changes of its recipe.

One of them is a single network for 6, 8 and 10 views instead of the paper's one for each.

    python scripts/real_cts.py --source FOLDER --output runs/real_limbs --group limb
    python -m scripts.ablations --dataset_dir runs/real_limbs

Pretraining is on generated anatomies, finetuning and training from scratch on the training cases of the data set, and
what is measured is its test cases, from 6 views where a table does not say otherwise. Every training has the same
number of steps at each stage. A run that was stopped goes on where it was. Writes results.csv into the output folder,
and prints the tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bundle.data.datalist import load_datalist
from bundle.errors import install_command_line_hook
from bundle.json_files import write_json
from bundle.tables import read_rows, write_rows
from scripts.running import quieten, run

ROOT = Path(__file__).resolve().parent.parent
TRAIN, GENERATED, ABLATION = "configs/train.json", "configs/generated.json", "configs/ablation.json"
AVERAGED = "configs/averaged.json"
OVERLAY = {
    "pretrain": [GENERATED],
    "finetune_step1": ["configs/finetune_step1.json"],
    "finetune_step2": ["configs/finetune_step2.json"],
    "scratch": ["configs/scratch.json"],
}
SHARES = {"all": 1.0, "half": 0.5, "a fifth": 0.2}


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        name: its folder.
        stage: one of OVERLAY.
        start: name of the training whose weights it starts from; random ones if None.
        changes: settings that differ from configs/ablation.json.
        share: share of the data set's training cases.
        overlays: further configuration files.
        view_counts: numbers of views to score it at.
    """

    name: str
    stage: str
    start: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    overlays: tuple[str, ...] = ()
    view_counts: tuple[int, ...] = (6,)


_PRIOR = {
    "prior": {
        "size": 64,
        "method": "tv",
        "options": {"weight": 0.01, "iterations": 60, "coarse_iterations": [60]},
        "channels": [8, 32],
    }
}
RECIPES = {
    "the paper's, learning rate 1e-3": Training("scratch", "scratch"),
    "learning rate 1e-4": Training("rate1e-4", "scratch", changes={"learning_rate": 1e-4}),
    "batch 4, half as many steps": Training("batch4", "scratch", changes={"batch_size": 4}),
    "averaged weights, warm-up": Training("averaged", "scratch", overlays=(AVERAGED,)),
    "classical prior": Training("prior", "scratch", changes=_PRIOR),
    "classical prior, averaged weights, warm-up": Training(
        "prior_averaged", "scratch", changes=_PRIOR, overlays=(AVERAGED,)
    ),
}


@dataclass(frozen=True)
class Row:
    """A row of a table: what it says, the paper's PSNR from 6 views on LUNA16, and the training that it measures."""

    table: str
    label: str
    paper_db: float | None
    training: str
    views: int = 6


Part = tuple[list[Training], list[Row]]


def plan() -> Part:
    """All trainings, each after the one that it starts from, and the rows of the tables."""
    trainings: list[Training] = []
    rows: list[Row] = []
    for part in (_design, _stages, _training_cases, _view_counts, _recipes):
        more, of_table = part()
        trainings += more
        rows += of_table
    return trainings, rows


def _design() -> Part:
    """The paper's table 5: scales of the features, and size of the low-resolution grid."""
    table = "design"
    trainings, rows = [Training("scratch", "scratch")], [Row(table, "4 scales, r 32", 29.69, "scratch")]
    channels = [8, 16, 32, 64, 128]
    for scales, paper_db in ((3, 28.95), (5, 29.70)):
        name = f"scales{scales}"
        trainings.append(Training(name, "scratch", changes={"encoder_channels": channels[:scales]}))
        rows.append(Row(table, f"{scales} scales, r 32", paper_db, name))
    for size, paper_db in ((24, 29.41), (40, 29.71)):
        trainings.append(Training(f"r{size}", "scratch", changes={"low_resolution": size}))
        rows.append(Row(table, f"4 scales, r {size}", paper_db, f"r{size}"))
    return trainings, rows


def _stages() -> Part:
    """The paper's table 6: what each stage gives."""
    table = "stages"
    trainings = [
        Training("pretrain", "pretrain"),
        Training("step1", "finetune_step1", "pretrain"),
        Training("step2", "finetune_step2", "step1"),
        Training("random_step1", "finetune_step1"),
        Training("random_step2", "finetune_step2", "random_step1"),
        Training("pretrain_step2", "finetune_step2", "pretrain"),
    ]
    rows = [
        Row(table, "from scratch", 29.69, "scratch"),
        Row(table, "steps 1 and 2, no pretraining", 29.73, "random_step2"),
        Row(table, "pretraining and step 2", 29.16, "pretrain_step2"),
        Row(table, "pretraining, steps 1 and 2", 30.22, "step2"),
    ]
    return trainings, rows


def _training_cases() -> Part:
    """The paper's table 7: number of training cases."""
    trainings, rows = [], []
    papers = {"all": (29.69, 30.22), "half": (29.61, 30.21), "a fifth": (28.43, 29.70)}
    for label, share in SHARES.items():
        names = ("scratch", "step2")
        if share < 1:
            names = (f"scratch_{share:g}", f"step2_{share:g}")
            trainings += [
                Training(names[0], "scratch", share=share),
                Training(f"step1_{share:g}", "finetune_step1", "pretrain", share=share),
                Training(names[1], "finetune_step2", f"step1_{share:g}", share=share),
            ]
        for how, name, paper_db in zip(("from scratch", "all stages"), names, papers[label]):
            rows.append(Row("training cases", f"{label}, {how}", paper_db, name))
    return trainings, rows


def _view_counts() -> Part:
    """One network for 6, 8 and 10 views, against one for each."""
    table = "one network or three"
    trainings = []
    own, one = {6: "step2"}, {}
    for label, counts, names in (("8", (8,), own), ("10", (10,), own), ("mixed", (6, 8, 10), one)):
        step1, step2 = f"step1_views_{label}", f"step2_views_{label}"
        views = {"num_sparse": list(counts) if len(counts) > 1 else counts[0]}
        trainings += [
            Training(step1, "finetune_step1", "pretrain", changes=views),
            Training(step2, "finetune_step2", step1, changes=views, view_counts=counts),
        ]
        names.update(dict.fromkeys(counts, step2))
    rows = []
    for count in own:
        rows.append(Row(table, f"{count} views, a network for {count}", None, own[count], count))
        rows.append(Row(table, f"{count} views, one for all", None, one[count], count))
    return trainings, rows


def _recipes() -> Part:
    """Changes of the paper's recipe."""
    trainings = [training for training in RECIPES.values() if training.name != "scratch"]
    return trainings, [Row("recipe, from scratch", label, None, each.name) for label, each in RECIPES.items()]


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
        **training.changes,
        **changes,
    }
    if training.stage != "pretrain":
        # As many steps whatever the number of cases.
        cases = len(load_datalist(settings["dataset_dir"], "training"))
        settings["cases_repeated"] = max(1, round(settings.pop("items_per_epoch") / cases))
    else:
        settings["cached_items"] = settings.pop("items_per_epoch")
        settings.update(cases_repeated=1, replaced_per_epoch=settings["cached_items"] // 8)
    run([TRAIN, *OVERLAY[training.stage], *training.overlays, ABLATION], "training", **settings)


def evaluate(
    training: Training, seed: int, output: Path, dataset_dir: str, changes: dict[str, Any]
) -> list[dict[str, Any]]:
    """Scores one training's weights on the test cases at every number of views, or reads its earlier scores."""
    folder = output / f"seed{seed}" / training.name
    table = folder / "test" / "metrics.csv"
    if not table.is_file():
        blocks = {} if training.stage == "finetune_step2" else {"denoise_blocks": 0}
        run(
            [TRAIN, "configs/evaluate.json", ABLATION],
            "evaluating",
            **{key: value for key, value in changes.items() if key not in ("items_per_epoch", "max_epochs")},
            **{key: value for key, value in training.changes.items() if key != "num_sparse"},
            **blocks,
            dataset_dir=dataset_dir,
            output_dir=str(folder / "test"),
            checkpoint=str(folder / "weights.pt"),
            view_counts=list(training.view_counts),
            num_total=None,
            val_interval=1,
            methods={},
            refinements={},
            overwrite=True,
        )
    scores = []
    for views in training.view_counts:
        rows = [row for row in read_rows(table) if int(row["views"]) == views]
        means = {name: round(mean(float(row[name]) for row in rows), 4) for name in ("psnr_db", "ssim_3d")}
        scores.append({"training": training.name, "seed": seed, "views": views, "cases": len(rows), **means})
    return scores


def tables(rows: Iterable[Row], results: list[dict[str, Any]]) -> str:
    """The tables in Markdown; of several seeds the mean and the standard deviation."""
    lines = []
    last = None
    for row in rows:
        found = [result for result in results if (result["training"], result["views"]) == (row.training, row.views)]
        if row.table != last:
            lines += ["", f"| {row.table} | PSNR dB | SSIM | paper, PSNR dB |", "|---|---|---|---|"]
            last = row.table
        cells = []
        for name, digits in (("psnr_db", 2), ("ssim_3d", 3)):
            values = [float(result[name]) for result in found]
            spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.{digits}f}{spread}")
        paper = "" if row.paper_db is None else f"{row.paper_db:.2f}"
        lines.append(f"| {row.label} | {cells[0]} | {cells[1]} | {paper} |")
    return "\n".join(lines[1:])


def main() -> None:
    """Trains, scores and prints."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True, help="data set with training, validation and test cases")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "ablations", help="folder to write to")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each stage")
    parser.add_argument("--items", type=int, default=96, help="training items in an epoch")
    parser.add_argument("--changes", type=json.loads, default={}, help="further settings, as JSON")
    options = parser.parse_args()
    dataset_dir, output = os.path.abspath(options.dataset_dir), options.output.absolute()
    os.chdir(ROOT)
    quieten()
    for section in ("training", "validation", "test"):
        load_datalist(dataset_dir, section)  # refuses a set that lacks it before hours of training
    trainings, rows = plan()
    settings = {"max_epochs": options.epochs, "items_per_epoch": options.items, **options.changes}
    results = []
    for seed in options.seeds:
        for training in trainings:
            print(f"seed {seed}: {training.name}", file=sys.stderr, flush=True)
            train(training, seed, output, dataset_dir, settings)
            results += evaluate(training, seed, output, dataset_dir, settings)
            write_rows(results, output / "results.csv")
    print(tables(rows, results))


if __name__ == "__main__":
    main()
