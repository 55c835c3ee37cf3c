"""The trainings of the ablations, and the tables that come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

__all__ = ["TABLES", "Row", "Training", "part_of", "plan", "tables"]

ANNEALED, AVERAGED = "configs/annealed.json", "configs/averaged.json"
SHARES = {"all": 1.0, "half": 0.5, "a fifth": 0.2}


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        name: its folder.
        stage: of training: pretrain, finetune_step1, finetune_step2 or scratch.
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
    overlays: tuple[str, ...] = (ANNEALED,)
    view_counts: tuple[int, ...] = (6,)


def _prior(method: str, **options: Any) -> dict[str, Any]:
    return {"prior": {"size": 64, "method": method, "options": options, "channels": [8, 32]}}


_TV = _prior("tv", weight_mm=0.01, coarse_iterations=[40])
# What a random network adds to its prior differs from seed to seed.
_SILENCED = ["$@network_def.point_decoder.layers[-1][0].weight.data.zero_()", "$@train#trainer.run()"]


def _scratch(name: str, overlays: tuple[str, ...] = (ANNEALED,), **changes: Any) -> Training:
    return Training(name, "scratch", changes=changes, overlays=overlays)


RECIPES = {
    "as in the other tables: 3e-3, annealed": _scratch("scratch"),
    "constant 1e-3": _scratch("constant1e-3", (), learning_rate=1e-3),
    "constant 1e-4, the paper's": _scratch("constant1e-4", (), learning_rate=1e-4),
    "constant 1e-3, warm-up, averaged weights": _scratch("averaged", (AVERAGED,), learning_rate=1e-3),
    "batch 4, half as many steps": _scratch("batch4", batch_size=4),
    "16,000 points a volume instead of 4,000": _scratch("points16000", points_per_volume=16000),
    "loss on gradients, too, of weight 1": _scratch("gradient", gradient_weight=1.0),
    "codebooks of random start, no restarts": _scratch(
        "codebooks", **{"network_def#quantizer": {"codes": "@codes", "data_start": False, "restart_below": 0.0}}
    ),
    "prior by FDK": _scratch("prior_fdk", **_prior("fdk")),
    "prior by total variation": _scratch("prior", **_TV),
    "prior by total variation, and nothing else": _scratch(
        "prior_alone", learning_rate=0.0, max_epochs=1, training=_SILENCED, **_TV
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
    for table, part in _PARTS.items():
        more, of_table = part(table)
        trainings += more
        rows += of_table
    return trainings, rows


def part_of(trainings: list[Training], rows: list[Row], tables: Sequence[str]) -> Part:
    """What some of the tables need, with the trainings that theirs start from."""
    rows = [row for row in rows if row.table in tables]
    needed = {row.training for row in rows}
    for training in reversed(trainings):
        if training.name in needed and training.start:
            needed.add(training.start)
    return [training for training in trainings if training.name in needed], rows


def _design(table: str) -> Part:
    """The paper's table 5: scales of the features, and size of the low-resolution grid."""
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


def _stages(table: str) -> Part:
    """The paper's table 6: what each stage gives."""
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
        Row(table, "pretraining", None, "pretrain"),
        Row(table, "pretraining and step 1", None, "step1"),
        Row(table, "steps 1 and 2, no pretraining", 29.73, "random_step2"),
        Row(table, "pretraining and step 2", 29.16, "pretrain_step2"),
        Row(table, "pretraining, steps 1 and 2", 30.22, "step2"),
    ]
    return trainings, rows


def _training_cases(table: str) -> Part:
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
            rows.append(Row(table, f"{label}, {how}", paper_db, name))
    return trainings, rows


def _view_counts(table: str) -> Part:
    """One network for 6, 8 and 10 views, against one for each."""
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


def _recipes(table: str) -> Part:
    """Changes of the paper's recipe."""
    trainings = [training for training in RECIPES.values() if training.name != "scratch"]
    return trainings, [Row(table, label, None, each.name) for label, each in RECIPES.items()]


_PARTS: dict[str, Callable[[str], Part]] = {
    "design": _design,
    "stages": _stages,
    "training cases": _training_cases,
    "one network or three": _view_counts,
    "recipe, from scratch": _recipes,
}
TABLES = tuple(_PARTS)


def tables(rows: Iterable[Row], results: list[dict[str, Any]]) -> str:
    """The tables in Markdown; of several seeds the mean and the standard deviation."""
    lines = []
    last = None
    for row in rows:
        found = [each for each in results if (each["training"], int(each["views"])) == (row.training, row.views)]
        if row.table != last:
            lines += ["", f"| {row.table} | PSNR dB | SSIM | paper, PSNR dB |", "|---|---|---|---|"]
            last = row.table
        cells = []
        for name, digits in (("psnr_db", 2), ("ssim_3d", 3)):
            values = [float(result[name]) for result in found]
            spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.{digits}f}{spread}" if values else "not run")
        paper = "" if row.paper_db is None else f"{row.paper_db:.2f}"
        lines.append(f"| {row.label} | {cells[0]} | {cells[1]} | {paper} |")
    return "\n".join(lines[1:])
