"""A few training steps of a stage, meant for a process of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.engines import IterationEvents
from torch.profiler import ProfilerActivity, profile

from bundle.errors import InputError
from bundle.presets import load_preset
from scripts.benchmarks.measuring import DEVICE, LONG_S, clock, peak_memory_mb, reset_memory_mb
from scripts.benchmarks.straightforward import Straightforward
from scripts.benchmarks.subject import phantom_projections

__all__ = ["SCOPES", "STAGES", "StageRun", "stage_parser", "train"]

_ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = {
    "pretraining": [],
    "dataset adaptation": ["finetune_step1.json"],
    "view adjustment": ["finetune_step2.json"],
}
"""Configurations on top of train.json."""

SCOPES = ("encoder", "back_projection", "quantiser", "decoder_3d", "points")
"""Names under which both networks record the parts of their forward pass."""


@dataclass(frozen=True)
class StageRun:
    """What to train.

    Args:
        stage: one of STAGES.
        case: folder of a prepared case, for every item of the batch.
        weights: state dict to start from.
        sizes: the network's sizes.
        size: pixels per side of the views, and voxels per side of the volume.
        batch: items of a step.
        points: points per item.
        repeats: steps after the first; none if that takes long, unless it was compiling.
        options: further entries of the configuration.
    """

    stage: str
    case: str
    weights: str
    sizes: dict[str, Any]
    size: int
    batch: int
    points: int
    repeats: int
    options: dict[str, Any] = field(default_factory=dict)


def stage_parser(stage: str, sizes: dict[str, Any], size: int) -> ConfigParser:
    """A stage's configuration: views simulated on the fly with noise and jitter, no handlers."""
    parser = ConfigParser()
    parser.read_config([str(_ROOT / "configs" / name) for name in ("train.json", *STAGES[stage])])
    denoise_blocks = parser["denoise_blocks"]
    noise = {"_target_": "bundle.physics.noise.DetectorNoise", "photons": [3e4, 3e5]}
    parser.update({"bundle_root": str(_ROOT), "detector_shape": [size] * 2, "volume_shape": [size] * 3})
    parser.update({**sizes, "denoise_blocks": denoise_blocks, "prepared_projections": False, "num_workers": 0})
    parser["own_voxels"] = True
    parser["jitter"] = {"_target_": "bundle.sampling.jitter.ScanJitter", "angle_deg": 1.0, "sod_mm": 10.0}
    parser["acquisition"] = {"_target_": "bundle.physics.acquisition.Acquisition", "noise": noise}
    parser["prepared"] = True
    parser["max_epochs"] = 1
    parser["train"]["handlers"] = []
    return parser


def train(run: StageRun, straightforward: bool) -> dict[str, Any]:
    """Trains with the stage's own trainer, data and loss; the straightforward network takes the place of the other.

    Returns:
        "seconds" of the parts of the fastest step, by name; "step_seconds" of all but loading and simulation;
        "loss" of the first step, "extra_memory_mb" beyond weights and batch, and "steps" that were made.

    Raises:
        InputError: when the configuration has no such option, or refuses it on this machine.
    """
    with TemporaryDirectory() as folder:
        return _train_in(folder, run, straightforward)


def _train_in(folder: str, run: StageRun, straightforward: bool) -> dict[str, Any]:
    parser = stage_parser(run.stage, run.sizes, run.size)
    for name in run.options:
        if name not in parser.config:
            raise InputError(name, "is no setting of configs/train.json.", "Measure without it.")
    parser.update({"batch_size": run.batch, "points_per_volume": run.points, **run.options})
    parser.update({"output_dir": folder, "models_dir": folder})
    case = {"image": run.case, "case": "phantom"}
    parser["train"]["dataset"]["data"] = [case] * (run.batch * (1 + run.repeats))
    weights = torch.load(run.weights, weights_only=True)
    parser.get_parsed_content("network_def").load_state_dict(weights)
    trainer = parser.get_parsed_content("train#trainer")
    if straightforward:
        sizes = {**run.sizes, "denoise_blocks": parser["denoise_blocks"]}
        trainer.network = Straightforward(weights, sizes, parser["freeze"]).to(DEVICE)
        trainer.optimizer = torch.optim.AdamW(
            trainer.network.parameters(), parser["learning_rate"], weight_decay=parser["weight_decay"]
        )
    phantom_projections(load_preset("abdomenatlas", (16, 16), (16, 16, 16)), [0.0, 1.0])  # compiles the projector
    watch = _Watch(trainer, compiled=run.options.get("compile", False))
    trainer.run()
    best = min(watch.steps, key=_step_seconds)
    return {
        "seconds": best,
        "step_seconds": _step_seconds(best),
        "loss": watch.loss,
        "extra_memory_mb": watch.extra_memory_mb,
        "steps": len(watch.steps),
    }


def _step_seconds(parts: dict[str, float]) -> float:
    return sum(seconds for name, seconds in parts.items() if name not in ("loading", "simulation"))


class _Watch:
    """Takes the time of a trainer's parts, at the trainer's own events."""

    def __init__(self, trainer: Engine, compiled: bool) -> None:
        self.compiled = compiled
        self.steps: list[dict[str, float]] = []
        self.extra_memory_mb = 0.0
        self.loss = float("nan")
        self._profile: profile | None = None
        self._prepare, trainer.prepare_batch = trainer.prepare_batch, self._prepare_and_profile
        for event, action in (
            (Events.GET_BATCH_STARTED, self._begin),
            (Events.GET_BATCH_COMPLETED, self._ends("loading")),
            (IterationEvents.FORWARD_COMPLETED, self._forward_ends),
            (IterationEvents.LOSS_COMPLETED, self._ends("loss")),
            (IterationEvents.BACKWARD_COMPLETED, self._ends("backward")),
            (IterationEvents.MODEL_COMPLETED, self._step_ends),
        ):
            trainer.add_event_handler(event, action)

    def _begin(self, trainer: Engine) -> None:
        self._parts: dict[str, float] = {}
        self._last = clock()

    def _ends(self, name: str) -> Callable[[Engine], None]:
        def action(trainer: Engine) -> None:
            now = clock()
            self._parts[name] = now - self._last
            self._last = now

        return action

    def _prepare_and_profile(self, *arguments: Any, **options: Any) -> Any:
        batch = self._prepare(*arguments, **options)
        self._ends("simulation")(None)
        self._before_mb = reset_memory_mb()
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (DEVICE.type == "cuda")
        self._profile = profile(activities=activities, acc_events=True)
        self._profile.__enter__()
        self._last = clock()
        return batch

    def _forward_ends(self, trainer: Engine) -> None:
        seconds = clock() - self._last
        self._profile.__exit__(None, None, None)
        parts = {} if self.compiled else scope_seconds(self._profile)  # compiling breaks the scopes up
        self._parts.update({**parts, "forward, other": seconds - sum(parts.values())})
        self._profile = None
        self._last = clock()

    def _step_ends(self, trainer: Engine) -> None:
        self._ends("optimiser")(trainer)
        self.extra_memory_mb = max(self.extra_memory_mb, peak_memory_mb() - self._before_mb)
        if not self.steps:
            self.loss = trainer.state.output["loss"].item()
        self.steps.append(self._parts)
        if _step_seconds(self._parts) > LONG_S and not self.compiled:
            trainer.terminate()


def scope_seconds(profiled: profile) -> dict[str, float]:
    """Seconds of each of SCOPES, without those within it; on a GPU its own time."""
    seconds: dict[str, float] = defaultdict(float)
    for event in profiled.events():
        if event.name in SCOPES and event.device_type == torch.autograd.DeviceType.CPU:
            taken = (event.device_time_total if DEVICE.type == "cuda" else event.cpu_time_total) / 1e6
            seconds[event.name] += taken
            outer = event.cpu_parent
            while outer is not None and outer.name not in SCOPES:
                outer = outer.cpu_parent
            if outer is not None:
                seconds[outer.name] -= taken
    return dict(seconds)
