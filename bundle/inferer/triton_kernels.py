"""Grid decoding as one Triton kernel for GPUs; imported only where Triton is installed.

A program takes a block of points along z through everything: samples of every scale, the largest over the views, all
layers, one number per point. Nothing of the size points x channels leaves registers and shared memory. The cost of a
point is that of views x channels interpolated values, four reads of two bytes and about a dozen instructions each,
where neighbours along z and y read the same pixels from the caches; of the decoder's products, on tensor cores; and of
its share of the weights, all of which every program reads from the cache once.

Tensors have powers of two as sizes, so channels and widths are taken in pieces, and the layers are unrolled.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["decode"]


@triton.jit
def _pixels(coordinate, size, CORNER: tl.constexpr):  # noqa: N803
    """Pixels below coordinates and the way to the next ones, as indices of a map with a margin of one zero.

    Coordinates -1 and 1 are the detector's edges or, corner aligned, the outer pixels' centres. All places beyond the
    pixels' reach become the margin.
    """
    index = coordinate * (0.5 * (size - 1) if CORNER else 0.5 * size) + 0.5 * (size - 1)
    index = tl.where((index > -1.0) & (index < size), index, -1.0)
    below = tl.floor(index)
    return below.to(tl.int32) + 1, index - below


@triton.jit
def _largest_sample(
    features, lines, zs, views, rows, columns,
    CHANNELS: tl.constexpr, FIRST: tl.constexpr, PIECE: tl.constexpr,  # noqa: N803
    LEVEL: tl.constexpr, CORNER: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Largest bilinear sample over the views of PIECE channels from FIRST on at places zs, [places, PIECE]."""
    down, across = CHANNELS, (rows + 2) * CHANNELS
    largest = tl.full([zs.shape[0], PIECE], float("-inf"), tl.float32)
    for _ in range(views):
        v, u = tl.load(lines) + tl.load(lines + 3) * zs, tl.load(lines + 1)
        if not LEVEL:
            nearer = 1.0 / (tl.load(lines + 2) + tl.load(lines + 5) * zs)
            v, u = v * nearer, (u + tl.load(lines + 4) * zs) * nearer
        row, part_v = _pixels(v, rows, CORNER)
        column, part_u = _pixels(u, columns, CORNER)
        rest_v, rest_u = 1.0 - part_v, 1.0 - part_u
        corner = features + (column * across + row * down)[:, None] + FIRST + tl.arange(0, PIECE)[None, :]
        value = tl.load(corner).to(tl.float32) * (rest_v * rest_u)[:, None]
        value += tl.load(corner + down).to(tl.float32) * (part_v * rest_u)[:, None]
        value += tl.load(corner + across).to(tl.float32) * (rest_v * part_u)[:, None]
        value += tl.load(corner + across + down).to(tl.float32) * (part_v * part_u)[:, None]
        largest = tl.maximum(largest, value)
        lines += 6
        features += (columns + 2) * across
    return largest


@triton.jit
def _operands(parts, kind: tl.constexpr, EMULATE: tl.constexpr):  # noqa: N803
    """Parts as operands of products; with EMULATE as float32 numbers that are rounded to bfloat16."""
    rounded = ()
    for k in tl.static_range(len(parts)):
        if EMULATE:
            bits = parts[k].to(tl.int32, bitcast=True)
            bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000
            rounded = rounded + (bits.to(tl.float32, bitcast=True),)
        else:
            rounded = rounded + (parts[k].to(kind),)
    return rounded


@triton.jit
def _add_product(sums, left, weights):
    """Adds to sums [points, outputs] the product of left [points, inputs] with a tile of weights [inputs, outputs]."""
    row, column = tl.arange(0, left.shape[1]), tl.arange(0, sums.shape[1])
    tile = tl.load(weights + row[:, None] * sums.shape[1] + column[None, :])
    return tl.dot(left, tile.to(left.dtype), sums)


@triton.jit
def _activate(values, SLOPE: tl.constexpr):  # noqa: N803
    if SLOPE != 1.0:
        values = tl.where(values > 0.0, values, SLOPE * values)
    return values


@triton.jit
def _add_shares(sums, voxel_weights, shares, voxels):
    """Adds to sums [points, outputs] the interpolation of shares [outputs, voxels] along z."""
    first = 0
    for k in tl.static_range(len(voxel_weights)):
        voxel, column = first + tl.arange(0, voxel_weights[k].shape[1]), tl.arange(0, sums.shape[1])
        tile = tl.load(shares + column[None, :] * voxels + voxel[:, None])
        sums = tl.dot(voxel_weights[k], tile.to(voxel_weights[k].dtype), sums)
        first += voxel_weights[k].shape[1]
    return sums


@triton.jit
def decode(
    maps, rows, columns, lines, zs, along_z, shares, last_shares, biases, weights, last_weights, out,
    stride_x, stride_y, stride_z, views, size_z, width, voxels,
    INPUTS: tl.constexpr, LAYERS: tl.constexpr, VOXELS: tl.constexpr, SLOPE: tl.constexpr,  # noqa: N803
    LEVEL: tl.constexpr, CORNER: tl.constexpr, EMULATE: tl.constexpr, BLOCK: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Decodes planes into out [planes, Y, Z]; the grid is (blocks along z, Y, planes).

    Args:
        maps: per scale [views, columns + 2, rows + 2, channels] features with a margin of zeros.
        rows: detector rows of each scale.
        columns: detector columns of each scale.
        lines: [planes, Y, views, 6] homogeneous detector coordinates (v, u, w) at z = 0, and their slopes along z;
            with LEVEL divided by w.
        zs: [Z in whole blocks] places along z.
        along_z: [Z in whole blocks, voxels] linear interpolation along z.
        shares: [planes, Y, width, voxels] the 3D features' share of the hidden layers' sums.
        last_shares: [planes, Y, voxels] that of the last layer.
        biases: [width + 1].
        weights: tiles [channels of an input's piece, channels of a layer's piece], in the order of use.
        last_weights: [2D features and last hidden layer, in pieces] of the last layer.
        out: where to write.
        stride_x: stride of out along planes.
        stride_y: stride of out along Y.
        stride_z: stride of out along Z.
        views: number of views.
        size_z: Z.
        width: channels of all hidden layers.
        voxels: low-resolution voxels along z.
        INPUTS: pieces of the 2D features: (scale, its channels, first channel, channels).
        LAYERS: pieces of the hidden layers: (channels, the activation's negative slope, whether it ends the layer).
        VOXELS: pieces of the low-resolution voxels along z.
        SLOPE: negative slope of the last layer's activation; 1 is none.
        LEVEL: whether u and w do not change along z.
        CORNER: whether the maps are sampled corner aligned.
        EMULATE: multiply bfloat16 numbers as float32, since Triton's interpreter cannot multiply them as such.
        BLOCK: points per program.
    """
    points = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)).to(tl.int64)
    places = tl.load(zs + points)
    last = tl.zeros([BLOCK], tl.float32) + tl.load(biases + width)

    voxel_weights = ()
    first = 0
    for k in tl.static_range(len(VOXELS)):
        voxel = first + tl.arange(0, VOXELS[k])
        part = tl.load(along_z + points[:, None] * voxels + voxel[None, :])
        last += tl.sum(part * tl.load(last_shares + row * voxels + voxel)[None, :], 1)
        voxel_weights = voxel_weights + _operands((part,), weights.dtype.element_ty, EMULATE)
        first += VOXELS[k]

    inputs = ()
    for k in tl.static_range(len(INPUTS)):
        sample = _largest_sample(
            maps[INPUTS[k][0]], lines + row * (views * 6), places, views, rows[INPUTS[k][0]], columns[INPUTS[k][0]],
            INPUTS[k][1], INPUTS[k][2], INPUTS[k][3], LEVEL, CORNER,
        )  # fmt: skip
        last += tl.sum(sample * tl.load(last_weights + tl.arange(0, INPUTS[k][3]))[None, :], 1)
        last_weights += INPUTS[k][3]
        inputs = inputs + _operands((sample,), weights.dtype.element_ty, EMULATE)

    shares += row * (width * voxels)
    hidden, outputs = (), ()
    for n in tl.static_range(len(LAYERS)):
        sums = tl.zeros([BLOCK, 1], tl.float32) + tl.load(biases + tl.arange(0, LAYERS[n][0]))[None, :]
        sums = _add_shares(sums, voxel_weights, shares, voxels)
        for k in tl.static_range(len(inputs)):
            sums = _add_product(sums, inputs[k], weights)
            weights += inputs[k].shape[1] * LAYERS[n][0]
        for k in tl.static_range(len(hidden)):
            sums = _add_product(sums, hidden[k], weights)
            weights += hidden[k].shape[1] * LAYERS[n][0]
        outputs = outputs + (_activate(sums, LAYERS[n][1]),)
        shares += LAYERS[n][0] * voxels
        biases += LAYERS[n][0]
        if LAYERS[n][2]:
            if n == len(LAYERS) - 1:
                hidden = outputs
            else:
                hidden = _operands(outputs, weights.dtype.element_ty, EMULATE)
            outputs = ()

    for k in tl.static_range(len(hidden)):
        last += tl.sum(hidden[k] * tl.load(last_weights + tl.arange(0, hidden[k].shape[1]))[None, :], 1)
        last_weights += hidden[k].shape[1]

    last = _activate(last, SLOPE)
    here = out + tl.program_id(2).to(tl.int64) * stride_x + tl.program_id(1) * stride_y + points * stride_z
    tl.store(here, last, mask=points < size_z)
