"""How much to do at once, so that inference stays within a given memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bundle.errors import InputError
from bundle.networks import DiCE

__all__ = ["MemoryPlan", "plan_memory"]

_FLOAT = 4  # bytes
_FIXED = 64e6  # bytes: what libraries take for themselves


class MemoryPlan(NamedTuple):
    """How much to do at once.

    Args:
        views: views to encode, of all cases together.
        points: points to decode.
    """

    views: int
    points: int


def plan_memory(
    network: DiCE, projections_shape: Sequence[int], output_shape: Sequence[int], limit_gb: float, stacked: bool
) -> MemoryPlan:
    """Plans inference within a limit of memory.

    Three steps follow each other: encoding, which leaves the 2D features; the 3D part, which leaves its features; and
    decoding into the volume. Each must fit. The factors are those of the tensors that live at the same time.

    Args:
        network: the network.
        projections_shape: batch, views, rows and columns.
        output_shape: output voxels (x, y, z).
        limit_gb: the limit in 10^9 bytes, beyond the weights and the projections; the volume counts.
        stacked: whether the samples of all views are stacked, as in the point-wise path.

    Raises:
        InputError: when even the least at once needs more than the limit.
    """
    batch, views, rows, columns = projections_shape
    channels = [quantizer.pre.in_channels for quantizer in network.embedding.quantizers][::-1]
    inputs = network.point_decoder.layers[0][0].in_channels
    widths = sum(layer[0].out_channels for layer in network.point_decoder.layers)
    codebook = network.embedding.quantizers[0].codebook
    decoded = inputs - sum(channels)
    width = network.decoder_channels

    pixels, voxels = rows * columns, network.low_resolution**3
    resolution = network.volume_resolution
    fine_voxels = resolution**3
    maps = batch * views * pixels * sum(c / 4**k for k, c in enumerate(channels))
    view = 6 * channels[0] * pixels  # the first convolution, its normalisation and activation, and the next level
    back_projection = 5 * max(channels) + 8 * views
    embedding = batch * voxels * (5 * sum(channels) + 10 * width + back_projection) + 2 * codebook.products_at_once
    if fine_voxels > voxels:  # the prior and its features, whose finest need most
        embedding += batch * fine_voxels * 8 * decoded
    volume = batch * math.prod(output_shape)
    # Channels-last copies of one case's maps, and its 3D features' share of every layer: of all their voxels,
    # of 8 planes, and, in two precisions, of a plane's rows.
    shares = fine_voxels + 8 * resolution**2 + 1.5 * output_shape[1] * resolution
    grid = maps / batch + widths * shares + batch * decoded * fine_voxels
    if stacked:
        point = batch * (2 * views * (max(channels) + 8) + 4 * inputs)
    else:
        point = 2 * sum(channels) + 2 * max(channels) + 2 * widths + 10 * views

    limit = limit_gb * 1e9 / _FLOAT - _FIXED / _FLOAT
    least = max(2 * maps + view, maps + embedding, maps + grid + volume + output_shape[2] * point)
    if limit < least:
        needed = (least + _FIXED / _FLOAT) * _FLOAT / 1e9
        raise InputError(
            "memory_gb",
            f"is {limit_gb:g}, but {list(output_shape)} voxels from {views} views of {rows} x {columns} need at least "
            f"{needed:.2f}.",
            f"Set it to {math.ceil(10 * needed) / 10:g} or more, or reconstruct fewer voxels.",
        )
    return MemoryPlan(
        views=min(batch * views, int((limit - 2 * maps) // view)),
        points=min(batch * math.prod(output_shape), int((limit - maps - grid - volume) // point)),
    )
