"""A training step of every stage against the same network written plainly, in double precision.

In single precision a rounding error may turn a LeakyReLU's sign or a code, and with it a gradient's fourth digit; in
double precision nothing but the same function agrees.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bundle.networks import DiCE, PointForward
from bundle.networks.feature_sampling import detector_coordinates, grid_points
from tests.networks.test_dice import TINY

FROZEN = ("encoder", "embedding.quantizers")


def plain_maximum(maps, matrices, points, mask):
    """Every view's samples stacked, and the largest of those that the mask keeps."""
    views = matrices.shape[1] if mask is None else mask.shape[1]
    samples = [
        F.grid_sample(
            maps[:, v], detector_coordinates(matrices[:, v : v + 1], points).flip(-1), align_corners=False
        ).squeeze(2)
        for v in range(views)
    ]
    stack = torch.stack(samples, dim=1)
    if mask is not None:
        stack = stack.masked_fill(~mask[:, :, None, None], -torch.inf)
    return stack.amax(dim=1)


def plain_quantise(quantizer, volume):
    """Distances to all codes, and one-hot statistics."""
    book = quantizer.codebook
    latent = quantizer.pre(volume)
    vectors = latent.movedim(1, -1).flatten(0, -2)
    one_hot = F.one_hot(torch.cdist(vectors, book.embedding.weight).argmin(1), book.num_embeddings).double()
    codes = (one_hot @ book.embedding.weight).unflatten(0, latent.movedim(1, -1).shape[:-1]).movedim(-1, 1)
    if quantizer.training:
        with torch.no_grad():
            book.ema_cluster_size.lerp_(one_hot.sum(0), 1 - book.decay)
            book.ema_w.lerp_(one_hot.T @ vectors, 1 - book.decay)
            total = book.ema_cluster_size.sum()
            size = (book.ema_cluster_size + book.epsilon) / (total + book.num_embeddings * book.epsilon) * total
            book.embedding.weight.copy_(book.ema_w / size[:, None])
    return quantizer.post(latent + (codes - latent).detach()), latent, codes


def plain_stack(stack, x):
    """A residual stack in contiguous memory, where batch normalisation is PyTorch's own."""
    x = stack.pre_conv(x.contiguous())
    for block in stack.layers:
        x = F.leaky_relu(block.conv(x) + x, 0.01)
    return x


def plain_forward(network, projections, matrices, points, mask):
    """What PointForward gives."""
    batch, views = projections.shape[:2]
    x = network.encoder.stem(projections.reshape(batch * views, 1, *projections.shape[2:]).contiguous())
    maps = [x]
    for strided, stack in network.encoder.levels:
        x = plain_stack(stack, strided(x.contiguous()))
        maps.append(x)
    maps = [m.unflatten(0, (batch, views)) for m in maps]
    r, parts = network.low_resolution, network.embedding
    voxels = grid_points([r] * 3, 0, r**3, False, points).expand(batch, -1, -1)

    def quantised(keep):
        volumes = [plain_maximum(m, matrices, voxels, keep).unflatten(2, (r, r, r)) for m in maps[::-1]]
        return list(zip(*map(plain_quantise, parts.quantizers, volumes)))

    denoised, dense = [], []
    features, latents, codes = quantised(mask if parts.denoises else None)
    if parts.denoises:
        features = denoised = [plain_stack(d, f) for d, f in zip(parts.denoisers, features)]
        dense = quantised(None)[0]
    for k, decoder in enumerate(parts.decoders):
        x = plain_stack(decoder, features[k] if k == 0 else torch.cat([features[k], x], dim=1))
    grid = (2 * points - 1).flip(-1)[:, None, None]
    inputs = [plain_maximum(m, matrices, points, mask) for m in maps]
    inputs.append(F.grid_sample(x, grid, padding_mode="border", align_corners=False).flatten(2))
    inputs = torch.cat(inputs, dim=1)
    for i, layer in enumerate(network.point_decoder.layers):
        x = layer(inputs if i == 0 else torch.cat([x, inputs], dim=1))
    return {"points": x, "latents": latents, "codes": codes, "denoised": denoised, "dense": dense}


def loss_of(out, target, stage):
    loss = F.mse_loss(out["points"], target)
    pairs = zip(out["denoised"], out["dense"]) if stage == "step 2" else zip(out["latents"], out["codes"])
    distance = F.l1_loss if stage == "step 2" else F.mse_loss
    return loss + 0.3 * sum(distance(a, b.detach()) for a, b in pairs)


@pytest.mark.parametrize("stage", ["pretraining and step 1", "step 2"])
def test_a_step_is_that_of_the_plain_network(scan, stage):
    network = DiCE(scan, denoise_blocks=1 if stage == "step 2" else 0, **TINY).double()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    for quantizer in network.embedding.quantizers:
        quantizer.restart_below = 0.0
        quantizer.codebook.embedding.weight.mul_(0.2)  # to where the features are, so that they choose several
    forward = PointForward(network, FROZEN if stage == "step 2" else ()).train()
    plain = copy.deepcopy(network)
    plain.train()
    geometry = scan.geometry([0.1, 0.6, 1.3, 1.9, 2.8])
    matrices = torch.from_numpy(geometry.unit_matrices())[None].expand(2, -1, -1, -1)
    projections, points = torch.rand(2, 5, 24, 32).double(), torch.rand(2, 40, 3).double()
    mask, target = torch.tensor([[True, True, True], [True, False, True]]), torch.rand(2, 1, 40).double()

    out = forward(projections, matrices, points, mask)
    loss = loss_of(out, target, stage)
    loss.backward()
    expected = loss_of(plain_forward(plain, projections, matrices, points, mask), target, stage)
    expected.backward()

    assert float(loss) == pytest.approx(float(expected), rel=1e-12)
    if stage != "step 2":  # where codes are frozen as they were drawn, and may all lie on one side of the features
        assert all(codes[0].flatten(1).unique(dim=1).shape[1] > 1 for codes in out["codes"])
    trained = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    plainly = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    assert trained.keys() == plainly.keys()
    assert any(name.startswith("encoder") for name in trained) == (stage != "step 2")
    for name, gradient in trained.items():
        torch.testing.assert_close(gradient, plainly[name], atol=1e-11, rtol=1e-9, msg=name)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, atol=1e-11, rtol=1e-9, msg=name)
