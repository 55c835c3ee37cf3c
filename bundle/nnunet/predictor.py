"""nnU-Net's own predictor, made from a trained model that was read without running code."""

from __future__ import annotations

import copy
import inspect
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bundle.checkpoint import match_report
from bundle.errors import InputError
from bundle.nnunet.plan_names import check_architecture, check_named_code
from bundle.nnunet.plan_values import check_mirror_axes, check_plans
from bundle.nnunet.trained_model import MODEL_OPTION, TrainedModel
from bundle.optional import require, requiring
from bundle.torchvision_operators import ensure_torchvision

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

__all__ = ["make_predictor", "quiet"]

_PURPOSE = "The segmenter nnunet"
_AGAIN = "Give the folder as nnUNetv2_train wrote it."


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps nnU-Net from the console, and from compiling its network."""
    name = "nnUNet_compile"
    before = os.environ.get(name)
    os.environ[name] = "f"
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def make_predictor(model: TrainedModel, device: torch.device, mirroring: bool, step_size: float) -> nnUNetPredictor:
    """Makes the predictor.

    Args:
        model: the trained model.
        device: where the network runs.
        mirroring: average over mirrored images, where training mirrored, too.
        step_size: of the sliding window, in patches.

    Raises:
        InputError: when the plans are damaged, name code that is not nnU-Net's own, or describe a network that needs
            another network's prediction; when its trainer is not found, or the weights are another network's.
        ImportError: when nnU-Net is missing.
    """
    ensure_torchvision()
    prediction = require("nnunetv2.inference.predict_from_raw_data", "nnunetv2", _PURPOSE)
    with quiet():
        plans, configuration = _open_plans(model)
        network = _build_network(model, plans, configuration)
        for path, weights in zip(model.checkpoints.values(), model.weights):
            misfits = match_report(network.state_dict(), weights)
            if misfits:
                raise InputError(
                    path,
                    f"has weights that do not fit plans.json: {'; '.join(misfits[:3])}.",
                    _AGAIN,
                )
        predictor = prediction.nnUNetPredictor(
            tile_step_size=step_size,
            use_mirroring=mirroring,
            perform_everything_on_device=device.type == "cuda",
            device=device,
            allow_tqdm=False,
        )
        predictor.manual_initialization(
            network,
            plans,
            configuration,
            list(model.weights),
            dict(model.dataset),
            model.trainer,
            model.mirror_axes,
        )
    return predictor


def _open_plans(model: TrainedModel) -> tuple[PlansManager, ConfigurationManager]:
    """nnU-Net's own view of plans and configuration, which name nothing but nnU-Net's code from then on."""
    handler = require("nnunetv2.utilities.plans_handling.plans_handler", "nnunetv2", _PURPOSE)
    source = model.folder / "plans.json"
    with _told(source):
        plans = handler.PlansManager(copy.deepcopy(dict(model.plans)))
        configuration = plans.get_configuration(model.configuration)
        if configuration.previous_stage_name is not None:
            raise InputError(
                f"{MODEL_OPTION} {model.folder}",
                f"refines predictions of {configuration.previous_stage_name}.",
                "Give a model that works by itself, such as 3d_fullres.",
            )
        entries = configuration.configuration
        check_plans(plans.plans, entries, source)
        check_named_code(plans.plans, entries, source)
        first = next(iter(model.checkpoints.values()))  # whose axes are used
        check_mirror_axes(model.mirror_axes, len(configuration.patch_size), first)
        entries["architecture"] = check_architecture(entries.get("architecture"), source)
    return plans, configuration


def _build_network(model: TrainedModel, plans: PlansManager, configuration: ConfigurationManager) -> torch.nn.Module:
    """The trainer's network, as nnU-Net builds it for prediction."""
    objects = require("nnunetv2.utilities.find_objects", "nnunetv2", _PURPOSE)
    label_handling = require("nnunetv2.utilities.label_handling.label_handling", "nnunetv2", _PURPOSE)
    try:
        with requiring("nnunetv2", _PURPOSE):  # the search imports all of its trainers
            trainer = objects.recursive_find_trainer_class_by_name(model.trainer)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise InputError(
            f"{MODEL_OPTION} {model.folder}",
            f"was trained by {model.trainer}, which nnU-Net does not have.",
            "Let the environment variable nnUNet_extTrainer name the folder of the trainer's module.",
        ) from error
    with _told(model.folder / "plans.json"):
        heads = plans.get_label_manager(model.dataset).num_segmentation_heads
        channels = label_handling.determine_num_input_channels(plans, configuration, model.dataset)
        build = trainer.build_network_architecture
        if "plans_manager" in inspect.signature(build).parameters:
            return build(plans, configuration, channels, heads, enable_deep_supervision=False)
        return build(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            channels,
            heads,
            enable_deep_supervision=False,
        )


@contextmanager
def _told(source: Path) -> Iterator[None]:
    """Names plans.json in whatever nnU-Net raises about its entries."""
    try:
        yield
    except (InputError, ImportError):
        raise
    except Exception as error:  # of networks and trainers of every kind
        reason = " ".join(str(error).split()) or "no reason given"
        raise InputError(source, f"cannot be used ({type(error).__name__}: {reason[:300]}).", _AGAIN) from error
