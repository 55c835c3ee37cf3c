"""Ignite trainers, one for each stage of DeepSparse."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils import CommonKeys, ensure_tuple

from bundle.arguments import is_true
from bundle.engines.autocast import AutocastInferer
from bundle.errors import InputError
from bundle.handlers.epoch_seeder import EpochSeeder
from bundle.losses import StageLoss
from bundle.networks import DiCE, PointForward

__all__ = ["DatasetAdaptationTrainer", "HyViPTrainer", "SparseViewTrainer", "ViewAdjustmentTrainer", "loss_terms"]

FROZEN_IN_VIEW_ADJUSTMENT = ("encoder", "embedding.quantizers")


class SparseViewTrainer(SupervisedTrainer):
    """Trains DiCE at points; by itself, from scratch on sparse views alone.

    To what SupervisedTrainer does it adds gradient clipping, the loss and its terms as numbers in the output
    ("terms") for logging, and the refusal of a loss that is not finite, before it reaches the weights.

    Args:
        network: PointForward, bare or in a distributed wrapper.
        loss_function: the stage's loss.
        max_gradient_norm: clip the gradient to this norm; None never clips.
        seed: seed of everything random, see EpochSeeder; saved with the trainer, so that a resumed run keeps it.
        rank: rank of this process.
        amp: compute in the reduced precision that amp_kwargs names (dtype): torch.bfloat16 on any device,
            torch.float16 on CUDA. Loss, codebooks and coordinates stay in single precision.
        amp_kwargs: arguments of torch.autocast.
        kwargs: further arguments of SupervisedTrainer, such as accumulation_steps.

    Raises:
        InputError: when the network or the loss does not suit the stage, or amp is to be in float16 without CUDA.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        loss_function: StageLoss,
        max_gradient_norm: float | None = 1.0,
        seed: int = 0,
        rank: int = 0,
        amp: bool = False,
        amp_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        options = amp_kwargs or {}
        kwargs["compile"] = is_true(kwargs.get("compile", False), "compile")
        bfloat16 = amp and options.get("dtype") is torch.bfloat16
        # MONAI's own mixed precision is for CUDA alone, and scales the loss, which bfloat16 does not need.
        super().__init__(
            network=network,
            loss_function=loss_function,
            decollate=False,
            amp=amp and not bfloat16,
            amp_kwargs=options,
            **kwargs,
        )
        device = self.state.device.type
        if bfloat16:
            self.inferer = AutocastInferer(self.inferer, device, **options)
        elif self.amp and device != "cuda":
            raise InputError(
                "amp_kwargs#dtype", f"is not bfloat16 on the device {device}.", "Use $torch.bfloat16, or CUDA."
            )
        self.max_gradient_norm = max_gradient_norm
        self.state.seed = int(seed)
        self.state_dict_user_keys.append("seed")
        EpochSeeder(rank).attach(self)
        self.check_stage(self.dice, loss_function)
        if self.compile:
            self.dice.stay_out_of_graphs()
        self.add_event_handler(IterationEvents.LOSS_COMPLETED, self._fetch_loss)
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._check_loss)
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip_gradient)

    @property
    def dice(self) -> DiCE:
        """The network under its wrappers."""
        module: Any = self.network
        while not isinstance(module, DiCE):
            compiled = getattr(module, "_orig_mod", None)
            module = compiled or (module.network if isinstance(module, PointForward) else module.module)
        return module

    def state_dict(self) -> OrderedDict:
        """The engine's state, and with float16 the scale of the loss."""
        state = super().state_dict()
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping) -> None:
        """Takes up the state of an earlier part of the run."""
        super().load_state_dict(state_dict)
        if self.scaler is not None and "scaler" in state_dict:
            self.scaler.load_state_dict(state_dict["scaler"])

    def check_stage(self, network: DiCE, loss: StageLoss) -> None:
        """Refuses a network or loss of another stage."""
        _expect("network_def#denoise_blocks", network.embedding.denoises, False)
        _expect("loss#denoising_weight > 0", loss.denoising_weight > 0, False)

    def _iteration(  # type: ignore[override]  # MONAI's handlers take lists, too
        self, engine: SupervisedTrainer, batchdata: dict[str, torch.Tensor]
    ) -> list[dict[str, Any]]:
        """Gives the batch's output as the only item of a list, which MONAI's handlers take for a decollated batch."""
        return [super()._iteration(engine, batchdata)]

    def _fetch_loss(self, engine: Engine) -> None:
        """Starts copying the loss to the host; on a GPU the backward pass is queued meanwhile."""
        state: Any = engine.state  # ignite calls batch and output numbers
        loss: Any = self.loss_function
        values = {"loss": state.output[CommonKeys.LOSS].detach(), **loss.terms}
        self._fetched = list(values), torch.stack(list(values.values())).to("cpu", non_blocking=True)
        self._copied = None
        if self.state.device.type == "cuda":
            self._copied = torch.cuda.current_stream(self.state.device).record_event()

    def _check_loss(self, engine: Engine) -> None:
        """Refuses a loss that is not finite, before the optimiser's step."""
        names, values = self._fetched
        if self._copied is not None:
            self._copied.synchronize()
        state: Any = engine.state
        state.output["terms"] = terms = dict(zip(names, values.tolist()))
        if not math.isfinite(terms["loss"]):
            cases = ", ".join(sorted({str(name) for name in ensure_tuple(state.batch.get("case", "unknown"))}))
            parts = ", ".join(f"{name} {value:.4g}" for name, value in terms.items() if name != "loss")
            when = f"epoch {engine.state.epoch}, step {engine.state.iteration}"
            raise InputError(
                f"case {cases}",
                f"gave a loss of {terms['loss']:.4g} ({parts}) in {when}.",
                "Check its volume and projections; if they are sound, lower the learning rate.",
            )

    def is_step(self) -> bool:
        """Whether the optimiser moves after this batch, or gradients go on adding up."""
        done = (self.state.iteration - 1) % self.state.epoch_length + 1
        return done % self.accumulation_steps == 0 or done == self.state.epoch_length

    def _clip_gradient(self, engine: Engine) -> None:
        if self.max_gradient_norm is not None and self.is_step():
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            trained = [p for p in self.network.parameters() if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(trained, self.max_gradient_norm)


def loss_terms(output: list[dict[str, Any]]) -> dict[str, float]:
    """The loss and its terms as plain numbers, from a trainer's output; an output_transform for logging handlers.

    Args:
        output: of the trainer, with the batch's as its only item.
    """
    return output[0]["terms"]


class HyViPTrainer(SparseViewTrainer):
    """Hybrid view sampling pretraining: 2D features from few views, 3D features from all; everything is trained."""

    def check_stage(self, network: DiCE, loss: StageLoss) -> None:
        """Wants the quantisation loss and no denoising."""
        super().check_stage(network, loss)
        _expect("loss#quantisation_weight > 0", loss.quantisation_weight > 0, True)


class DatasetAdaptationTrainer(HyViPTrainer):
    """Step 1 of finetuning: as in pretraining, with the target's data and number of sparse views."""


class ViewAdjustmentTrainer(SparseViewTrainer):
    """Step 2 of finetuning: 3D features from the sparse views are denoised towards the dense views'.

    The 2D encoder and the codebooks with their convolutions are frozen, batch statistics included.
    """

    def check_stage(self, network: DiCE, loss: StageLoss) -> None:
        """Wants denoising layers, their loss, and the frozen parts."""
        _expect("network_def#denoise_blocks", network.embedding.denoises, True)
        _expect("loss#denoising_weight > 0", loss.denoising_weight > 0, True)
        for name in FROZEN_IN_VIEW_ADJUSTMENT:
            part = network.get_submodule(name)
            frozen = not part.training and not any(p.requires_grad for p in part.parameters())
            _expect(f"network#freeze of {name}", frozen, True)


def _expect(key: str, found: bool, wanted: bool) -> None:
    if found != wanted:
        raise InputError(
            key,
            f"is {'set' if found else 'not set'}, but this stage needs the opposite.",
            "Use the configuration of the stage.",
        )
