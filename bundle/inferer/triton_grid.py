"""Grid decoding on a GPU by one fused Triton kernel, with reduced-precision products.

With the environment variable TRITON_INTERPRET=1, set before Triton is imported, the same kernel runs in Triton's
interpreter on the CPU: slowly, for tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F

from bundle.networks.folded_decoder import FoldedDecoder
from bundle.networks.grid_decoding import GridTask

__all__ = ["prepare", "unavailable"]

_BLOCK = 64  # points per program
_WARPS = 4  # what a Hopper GPU's products of 64 rows take
_SMALLEST_PIECE, _LARGEST_PIECE = 16, 64  # the least that products take; larger ones spill registers
_CAPABILITY = (8, 0)  # of the first GPUs that multiply bfloat16 numbers


def unavailable(device: torch.device) -> str | None:
    """Why it cannot run on a device, or None."""
    if device.type != "cuda" and not (device.type == "cpu" and _interpreted()):
        return "it runs on CUDA devices alone"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _CAPABILITY:
        return "the GPU is older than compute capability 8.0"
    return None if find_spec("triton") else "triton is not installed"


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def prepare(
    task: GridTask, points_at_once: int, operands: torch.dtype | None = None
) -> Callable[[int, int, torch.Tensor], None]:
    """Makes the function that decodes planes first to last into out [last - first, Y, Z].

    The host waits for the device once, here, to look at some numbers; decoding only queues work.

    Args:
        task: the grid.
        points_at_once: bounds the memory, to that of so many points' features; at least a plane is taken.
        operands: type of the 2D features and of the products' operands; sums are in float32. If None, float16, which
            has three bits more than bfloat16, unless a feature, weight or hidden value could leave its range.
    """
    from bundle.inferer import triton_kernels

    tilted, fits_half = torch.stack([task.matrices[:, 1:, 2].any(), _fits_half(task)]).tolist()
    level = not tilted
    operands = operands or (torch.float16 if fits_half else torch.bfloat16)
    rows, columns = zip(*(scale.shape[2:] for scale in task.maps))
    maps = tuple(_with_margin(scale, operands) for scale in task.maps)
    size_y, size_z = len(task.axes[1]), len(task.axes[2])
    blocks = -(-size_z // _BLOCK)
    zs = _padded(task.axes[2], 0, blocks * _BLOCK)
    along_z = _padded(_padded(task.weights[2], 0, len(zs)), 1)
    weights, last_weights = _packed_weights(task, operands)
    biases = _padded_layers(task.decoder, task.decoder.bias, 0)
    # [x, y, channels, z], so that a row of points finds its share in one place
    sums = _padded_layers(task.decoder, _padded(task.volume_sums.movedim(1, 2), 3), 2)
    constants = {
        **_pieces(task),
        "LEVEL": level,
        "CORNER": task.corner_aligned,
        "EMULATE": operands == torch.bfloat16 and _interpreted(),
        "BLOCK": _BLOCK,
    }
    planes_at_once = max(1, points_at_once * sum(task.decoder.maps.shape) // (size_y * sums[0, 0].numel()))

    def decode(first: int, last: int, out: torch.Tensor) -> None:
        for begin in range(first, last, planes_at_once):
            end = min(begin + planes_at_once, last)
            lines = _lines(task, begin, end, level)
            shares = _shares(task, sums, begin, end)
            hidden_shares, last_shares = shares[:, :, :-1].to(operands).contiguous(), shares[:, :, -1].contiguous()
            here = out[begin - first : end - first]
            with torch.cuda.device_of(here):
                triton_kernels.decode[blocks, size_y, end - begin](
                    maps, rows, columns, lines, zs, along_z, hidden_shares, last_shares, biases, weights, last_weights,
                    here, *here.stride(), len(task.matrices), size_z, *hidden_shares.shape[2:],
                    **constants, num_warps=_WARPS,
                )  # fmt: skip

    return decode


def _fits_half(task: GridTask) -> torch.Tensor:
    """Whether float16 can hold every feature, weight and hidden value, whatever the point.

    An interpolated feature is at most its channel's largest, which bounds the hidden layers one after another.
    """
    decoder = task.decoder
    features = torch.cat([torch.linalg.vector_norm(scale, torch.inf, dim=(0, 2, 3)) for scale in task.maps])
    sums = decoder.maps.abs() @ features + task.volume_sums.abs().amax(dim=(0, 2, 3)) + decoder.bias.abs()
    bounds, hidden = [features, decoder.maps.abs().flatten()], sums[:0]
    for i, part in enumerate(sums.split([*_widths(decoder), 1])[:-1]):
        hidden = part if i == 0 else part + decoder.hidden[i - 1].abs() @ hidden
        hidden = hidden * max(1.0, abs(decoder.slopes[i]))
        bounds += [hidden, decoder.hidden[i].abs().flatten()]
    return torch.cat(bounds).max() < torch.finfo(torch.float16).max


def _lines(task: GridTask, first: int, last: int, level: bool) -> torch.Tensor:
    """[planes, Y, views, 6] detector coordinates (v, u, w) at z = 0, and their slopes; divided by w where level."""
    matrices = task.matrices.double()
    xs, ys = task.axes[0][first:last, None, None, None], task.axes[1][:, None, None]
    starts = matrices[:, :, 0] * xs + matrices[:, :, 1] * ys + matrices[:, :, 3]
    lines = torch.cat([starts, matrices[:, :, 2].expand_as(starts)], dim=3)
    return (lines / starts[..., 2:] if level else lines).float()


def _shares(task: GridTask, sums: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """[planes, Y, S, r] the 3D features' share of all layers' sums, from their sums [r, r, S, r] on the voxels."""
    planes = task.weights[0][first:last] @ sums.flatten(1)
    rows = task.weights[1] @ planes.reshape(last - first, sums.shape[1], -1)
    return rows.unflatten(2, sums.shape[2:])


def _cut(size: int) -> tuple[int, ...]:
    """Pieces of the sizes that Triton's tensors have, which together hold a size."""
    pieces, rest = [], -(-size // _SMALLEST_PIECE) * _SMALLEST_PIECE
    while rest:
        pieces.append(min(_LARGEST_PIECE, 1 << (rest.bit_length() - 1)))
        rest -= pieces[-1]
    return tuple(pieces)


def _padded(values: torch.Tensor, axis: int, size: int | None = None) -> torch.Tensor:
    """Zeros put behind values along an axis, up to a size or else to what its pieces hold."""
    if size is None:
        size = sum(_cut(values.shape[axis]))
    zeros = values.new_zeros([size - n if i == axis else n for i, n in enumerate(values.shape)])
    return torch.cat([values, zeros], dim=axis)


def _padded_layers(decoder: FoldedDecoder, values: torch.Tensor, axis: int) -> torch.Tensor:
    """Pads each hidden layer's part of an axis over all layers; the last layer, of width 1, is left as it is."""
    *hidden, last = values.split([*_widths(decoder), 1], dim=axis)
    return torch.cat([*(_padded(part, axis) for part in hidden), last], dim=axis).contiguous()


def _widths(decoder: FoldedDecoder) -> list[int]:
    """Of the hidden layers."""
    return [weight.shape[1] for weight in decoder.hidden]


def _pieces(task: GridTask) -> dict[str, Any]:
    """The kernel's INPUTS, LAYERS, VOXELS and SLOPE."""
    inputs = []
    for scale, features in enumerate(task.maps):
        pieces = _cut(features.shape[1])
        starts = accumulate(pieces, initial=0)
        inputs += [(scale, sum(pieces), start, piece) for start, piece in zip(starts, pieces)]
    layers = []
    for width, slope in zip(_widths(task.decoder), task.decoder.slopes):
        *others, end = _cut(width)
        layers += [*((piece, slope, False) for piece in others), (end, slope, True)]
    return {
        "INPUTS": tuple(inputs),
        "LAYERS": tuple(layers),
        "VOXELS": _cut(task.volume_sums.shape[3]),
        "SLOPE": task.decoder.slopes[-1],
    }


def _packed_weights(task: GridTask, operands: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The hidden layers' weights as tiles [inputs, outputs] in the kernel's order of use, and the last layer's."""
    decoder, widths = task.decoder, _widths(task.decoder)
    scales = decoder.maps.split([scale.shape[1] for scale in task.maps], dim=1)
    layers = torch.cat([_padded(part, 1) for part in scales], dim=1).split([*widths, 1])
    inputs = [piece for scale in task.maps for piece in _cut(scale.shape[1])]
    tiles = [layers[-1].flatten()[:0]]
    for i, width in enumerate(widths):
        weight, sizes = layers[i], inputs
        if i > 0:
            weight = torch.cat([weight, _padded(decoder.hidden[i - 1], 1)], dim=1)
            sizes = [*inputs, *_cut(widths[i - 1])]
        for columns in _padded(weight, 0).t().split(_cut(width), dim=1):
            tiles += [tile.flatten() for tile in columns.split(sizes)]
    last = torch.cat([layers[-1], *(_padded(weight, 1) for weight in decoder.hidden[-1:])], dim=1)
    return torch.cat(tiles).to(operands), last.flatten().float()


def _with_margin(features: torch.Tensor, operands: torch.dtype) -> torch.Tensor:
    """[views, C, V, U] to [views, U + 2, V + 2, C in pieces]: neighbours along z are neighbours in memory."""
    return F.pad(_padded(features.to(operands).permute(0, 3, 2, 1), 3), (0, 0, 1, 1, 1, 1))
