"""Grid decoding on a CPU that multiplies bfloat16 numbers: the point decoder's products by it, all else in single.

Sums within a product are in single precision; what leaves a hidden layer is rounded to bfloat16. The last layer, whose
rounding would be seen as such, stays in single precision.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from bundle.inferer import numba_grid
from bundle.networks.grid_decoding import GridTask, row_shares

__all__ = ["prepare", "unavailable"]


def unavailable(device: torch.device) -> str | None:
    """Why it cannot run on a device, or None."""
    reason = numba_grid.unavailable(device)
    if reason is None and not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        reason = "the processor does not multiply bfloat16 numbers"
    return reason


def prepare(task: GridTask, points_at_once: int) -> Callable[[int, int, torch.Tensor], None]:
    """Makes the function that decodes planes first to last into out [last - first, Y, Z]."""
    return numba_grid.prepare(task, points_at_once, _Decoder(task))


class _Decoder:
    """bundle.networks.grid_decoding.decode_rows with the hidden layers' products in bfloat16."""

    def __init__(self, task: GridTask) -> None:
        decoder = task.decoder
        self.maps, self.last_maps = decoder.maps[:-1].bfloat16(), decoder.maps[-1:]
        *hidden, self.last_hidden = decoder.hidden or [torch.empty(0)]
        self.hidden = [weight.bfloat16() for weight in hidden]
        self.first = len(self.maps) - sum(len(weight) for weight in hidden)

    def __call__(
        self, task: GridTask, plane: torch.Tensor, samples: torch.Tensor, first: int, last: int
    ) -> torch.Tensor:
        *slopes, last_slope = task.decoder.slopes
        rows, along_z = row_shares(task, plane, first, last)  # [S, rows, r + 1], [Z, r + 1]
        out = rows[-1] @ along_z.t()  # [rows, Z]
        points = samples.t()
        out += (points @ self.last_maps.t()).view_as(out)
        if slopes:
            shares = rows[:-1].movedim(0, 2).bfloat16()  # [rows, r + 1, S - 1]
            sums = (along_z.bfloat16() @ shares).flatten(0, 1)
            sums.addmm_(points.bfloat16(), self.maps.t())
            x = F.leaky_relu(sums[:, : self.first], slopes[0])
            begin = self.first
            for weight, slope in zip(self.hidden, slopes[1:]):
                x = F.leaky_relu(torch.addmm(sums[:, begin : begin + len(weight)], x, weight.t()), slope)
                begin += len(weight)
            out += (x.float() @ self.last_hidden.t()).view_as(out)
        return F.leaky_relu(out, last_slope)
