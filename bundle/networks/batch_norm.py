"""Batch normalisation that stays exact when channels come last."""

# Annotations stay real types here (no ``from __future__ import annotations``) for TorchScript.
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from monai.networks.layers import Norm
from torch import nn

from bundle.networks.batch_norm_sums import gradient_sums, moments

__all__ = ["BATCH_NORM"]

BATCH_NORM = "channels_last_batch"
"""The name of this normalisation in MONAI's layer factory."""


class _Normalise(torch.autograd.Function):
    """Normalises every channel of [B, C, ...], channels last in memory, by its own mean and variance."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, variance = moments(_rows(x))
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        out = torch.empty_like(x)  # not a view of its rows, so that the next operation may work in place
        torch.addcmul(bias - mean * scale, _rows(x), scale, out=_rows(out))
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        rows, slopes = _rows(x), _rows(gradient)
        sums, products = gradient_sums(slopes, rows, mean)
        normalised_sums = products * inverse
        scale = weight * inverse
        factor = -scale * inverse * normalised_sums / len(rows)
        offset = -scale * sums / len(rows) - factor * mean
        out = torch.empty_like(x)
        torch.addcmul(offset, rows, factor, out=_rows(out)).addcmul_(slopes, scale)
        return out, normalised_sums, sums, None


def _rows(x: torch.Tensor) -> torch.Tensor:
    """[B, C, ...] as [rows, C]; a view where channels are last."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])


class _ChannelsLast(nn.modules.batchnorm._BatchNorm):
    """Overrides forward of PyTorch's batch normalisations.

    On a CPU these add up millions of channels-last values one after the other in single precision: the variance is
    then wrong in the fourth digit. Here sums are made of partial sums.
    """

    if TYPE_CHECKING:  # never None here
        running_mean: torch.Tensor
        running_var: torch.Tensor
        num_batches_tracked: torch.Tensor
        momentum: float

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, ...] to the same shape and order in memory."""
        if self.training:
            self.num_batches_tracked.add_(1)
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript would compile what follows an "and")
            if self.training and _sums_are_inexact(x):
                return self._normalise(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps
        )

    @torch.jit.unused
    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        out, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        return out


def _sums_are_inexact(x: torch.Tensor) -> bool:
    last = x.movedim(1, -1).is_contiguous() and not x.is_contiguous()
    single = x.dtype in (torch.float32, torch.float64)
    return x.device.type == "cpu" and last and single and not torch.compiler.is_compiling()


class _BatchNorm2d(_ChannelsLast, nn.BatchNorm2d):
    pass


class _BatchNorm3d(_ChannelsLast, nn.BatchNorm3d):
    pass


@Norm.factory_function(BATCH_NORM)
def _by_dimension(dims: int) -> type[nn.Module]:
    return {2: _BatchNorm2d, 3: _BatchNorm3d}[dims]
