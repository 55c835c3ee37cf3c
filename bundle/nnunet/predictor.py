"""nnU-Net's own predictor, made from a trained model that was read without running code."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import torch

from bundle.checkpoint import match_report
from bundle.errors import InputError
from bundle.nnunet.trained_model import MODEL_OPTION, TrainedModel
from bundle.optional import require
from bundle.torchvision_operators import ensure_torchvision

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

__all__ = ["make_predictor", "quiet"]

_OWN_NETWORKS = ("dynamic_network_architectures.", "torch.nn.")


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
        InputError: when the network is not nnU-Net's own, needs another network's prediction, its trainer is not
            found, or the weights are another network's.
        ImportError: when nnU-Net is missing.
    """
    ensure_torchvision()
    purpose = "The segmenter nnunet"
    prediction = require("nnunetv2.inference.predict_from_raw_data", "nnunetv2", purpose)
    plans_handler = require("nnunetv2.utilities.plans_handling.plans_handler", "nnunetv2", purpose)
    with quiet():
        plans = plans_handler.PlansManager(dict(model.plans))
        configuration = plans.get_configuration(model.configuration)
        _check_configuration(model, configuration)
        network = _build_network(model, plans, configuration)
        for path, weights in zip(model.checkpoints.values(), model.weights):
            misfits = match_report(network.state_dict(), weights)
            if misfits:
                raise InputError(
                    path,
                    f"has weights that do not fit plans.json: {'; '.join(misfits[:3])}.",
                    "Give the folder as nnUNetv2_train wrote it.",
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


def _check_configuration(model: TrainedModel, configuration: Any) -> None:
    """Refuses cascades, and plans that would have other code imported than nnU-Net's."""
    if configuration.previous_stage_name is not None:
        raise InputError(
            f"{MODEL_OPTION} {model.folder}",
            f"refines predictions of {configuration.previous_stage_name}.",
            "Give a model that works by itself, such as 3d_fullres.",
        )
    arguments = configuration.network_arch_init_kwargs
    imported = [arguments.get(name) for name in configuration.network_arch_init_kwargs_req_import]
    for name in (configuration.network_arch_class_name, *imported):
        if name is not None and not str(name).startswith(_OWN_NETWORKS):
            raise InputError(
                model.folder / "plans.json",
                f"names {name}, which is not nnU-Net's.",
                "Give a model with one of nnU-Net's own networks.",
            )


def _build_network(model: TrainedModel, plans: Any, configuration: Any) -> torch.nn.Module:
    """The trainer's network, as nnU-Net builds it for prediction."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    try:
        trainer = recursive_find_trainer_class_by_name(model.trainer)
    except RuntimeError as error:
        raise InputError(
            f"{MODEL_OPTION} {model.folder}",
            f"was trained by {model.trainer}, which nnU-Net does not have.",
            "Let the environment variable nnUNet_extTrainer name the folder of the trainer's module.",
        ) from error
    heads = plans.get_label_manager(model.dataset).num_segmentation_heads
    channels = determine_num_input_channels(plans, configuration, model.dataset)
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
