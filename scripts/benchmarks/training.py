"""Times a training step of every stage against the straightforward network, and compares loss and gradients."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bundle.errors import find_input_error
from scripts.benchmarks.loading import write_phantom
from scripts.benchmarks.measuring import in_new_process
from scripts.benchmarks.result import Check, Column, PartResult, Settings, Table, mb_text, seconds_text
from scripts.benchmarks.subject import PAPER, SMALL, make_network
from scripts.benchmarks.training_check import check_stages
from scripts.benchmarks.training_runs import SCOPES, STAGES, StageRun, stage_parser, train

__all__ = ["measure_training"]

STRAIGHTFORWARD, PACKAGE = "straightforward", "package"
_POINTS = 10_000
_LOSS_TOLERANCE = 1e-4
_PARTS = {
    # of a step, and their names in the table
    "loading": "loading",
    "simulation": "simulation",
    "encoder": "encoder",
    "back_projection": "back-projection",
    "quantiser": "quantiser",
    "decoder_3d": "3D decoder",
    "points": "points",
    "forward, other": "other forward",
    "loss": "loss",
    "backward": "backward",
    "optimiser": "optimiser",
}


def measure_training(settings: Settings) -> PartResult:
    """A step of every stage by both networks, each in a process of its own, on the same data."""
    checks = check_stages()
    sizes, points = (SMALL, 500) if settings.quick else (PAPER, _POINTS)
    variants: dict[str, dict[str, Any]] = {STRAIGHTFORWARD: {}, PACKAGE: {}}
    if settings.amp:
        variants[f"{PACKAGE}, mixed precision"] = {"amp": True}
    if settings.compiled:
        variants[f"{PACKAGE}, compiled"] = {"compile": True}
    rows, refused = [], []
    for stage in STAGES:
        with tempfile.TemporaryDirectory() as folder:
            run = _stage_run(stage, Path(folder), sizes, points, settings)
            for method, options in variants.items():
                try:
                    found = in_new_process(train, replace(run, options=options), method == STRAIGHTFORWARD)
                except Exception as error:
                    if find_input_error(error) is None:
                        raise
                    refused.append(f"{method}: {find_input_error(error)}")
                    continue
                rows.append({"stage": stage, "method": method, **found})
        checks.append(_same_loss(rows, stage))
    for row in rows:
        reference = next(r for r in rows if r["stage"] == row["stage"])
        row["speedup_ratio"] = reference["step_seconds"] / row["step_seconds"]
        row["memory_to_straightforward_ratio"] = row["extra_memory_mb"] / reference["extra_memory_mb"]
        row["samples_per_second"] = settings.batch / row["step_seconds"]
        whole = sum(row["seconds"].values())
        row["shares"] = {name: seconds / whole for name, seconds in row["seconds"].items()}
    used = {
        "batch": settings.batch,
        "views": 24,
        "size": settings.size,
        "points": points,
        "repeats": settings.repeats,
        "network": sizes,
    }
    return PartResult(
        used,
        {
            "steps": Table(rows, _step_columns(), " ".join([_note(used), *dict.fromkeys(refused)])),
            "shares": _shares(rows),
        },
        checks,
    )


def _stage_run(stage: str, folder: Path, sizes: dict[str, Any], points: int, settings: Settings) -> StageRun:
    parser = stage_parser(stage, sizes, settings.size)
    scan = parser.get_parsed_content("scan")
    network = make_network(scan, {**sizes, "denoise_blocks": parser["denoise_blocks"]}, seed=0)
    weights = folder / "weights.pt"
    torch.save(network.state_dict(), weights)
    return StageRun(
        stage=stage,
        case=write_phantom(folder / "case", scan),
        weights=str(weights),
        sizes=sizes,
        size=settings.size,
        batch=settings.batch,
        points=points,
        repeats=settings.repeats,
    )


def _same_loss(rows: list[dict[str, Any]], stage: str) -> Check:
    """Whether the first loss is the same, on data that is drawn from the same seeds."""
    loss = {row["method"]: row["loss"] for row in rows if row["stage"] == stage}
    difference = abs(loss[PACKAGE] / loss[STRAIGHTFORWARD] - 1)
    name = f"{stage}: the first loss of both networks, relative difference"
    return Check(name, difference <= _LOSS_TOLERANCE, difference, _LOSS_TOLERANCE)


def _step_columns() -> list[Column]:
    return [
        Column("stage", "stage"),
        Column("network", "method"),
        Column("step", "step_seconds", seconds_text),
        Column("samples / s", "samples_per_second", "{:.3g}".format),
        Column("times faster", "speedup_ratio", "{:.1f}".format),
        Column("extra memory", "extra_memory_mb", mb_text),
    ]


def _shares(rows: list[dict[str, Any]]) -> Table:
    shown = [{"stage": row["stage"], "method": row["method"], **row["shares"]} for row in rows]
    columns = [Column("stage", "stage"), Column("network", "method")]
    measured = {name: text for name, text in _PARTS.items() if any(name in row for row in shown)}
    columns += [Column(text, name, "{:.1%}".format) for name, text in measured.items()]
    missing = [row["method"] for row in shown if not any(scope in row for scope in SCOPES)]
    note = "Shares of a whole step; loading takes place in this process, where training leaves it to others."
    if missing:
        note += f" The parts of the forward pass are not told apart for: {', '.join(dict.fromkeys(missing))}."
    return Table(shown, columns, note)


def _note(used: dict[str, Any]) -> str:
    return (
        f"Batch {used['batch']}, {used['views']} views of {used['size']}², {used['points']:,} points; a step is "
        "forward, loss, backward and optimiser, without loading and simulation of the views; memory is the peak beyond "
        "weights and batch."
    )
