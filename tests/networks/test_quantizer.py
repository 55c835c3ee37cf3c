from __future__ import annotations

import pytest
import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer
from torch._subclasses.fake_tensor import FakeTensorMode

from bundle.networks.quantizer import FeatureQuantizer


def test_shapes_and_straight_through_gradient():
    quantizer = FeatureQuantizer(4, codes=16, data_start=False)
    x = torch.randn(2, 4, 3, 5, 6, requires_grad=True)
    out, latent, codes, indices = quantizer.eval()(x)
    assert out.shape == latent.shape == codes.shape == (2, 4, 3, 5, 6)
    assert indices.shape == (2, 3, 5, 6)
    nearest = quantizer.codebook.embedding.weight[indices].movedim(-1, 1)
    torch.testing.assert_close(codes, nearest)
    codes.sum().backward()
    assert float(x.grad.abs().sum()) > 0


def test_codes_are_the_nearest():
    quantizer = FeatureQuantizer(4, codes=16, data_start=False).eval()
    _, latent, _, indices = quantizer(torch.randn(1, 4, 3, 3, 3))
    vectors = latent.movedim(1, -1).reshape(-1, 4)
    assert torch.equal(torch.cdist(vectors, quantizer.codebook.embedding.weight).argmin(1), indices.flatten())


def test_moving_averages_follow_the_formula():
    quantizer = FeatureQuantizer(4, codes=8, data_start=False, restart_below=0.0).train()
    book = quantizer.codebook
    size, total = book.ema_cluster_size.clone(), book.ema_w.clone()
    _, latent, _, indices = quantizer(torch.randn(2, 4, 3, 3, 3))
    vectors, index = latent.detach().movedim(1, -1).reshape(-1, 4), indices.flatten()
    counts = torch.bincount(index, minlength=8).float()
    sums = torch.zeros(8, 4).index_add(0, index, vectors)
    size, total = 0.99 * size + 0.01 * counts, 0.99 * total + 0.01 * sums
    smoothed = (size + 1e-5) / (size.sum() + 8e-5) * size.sum()
    torch.testing.assert_close(book.ema_cluster_size, size)
    torch.testing.assert_close(book.embedding.weight.data, total / smoothed[:, None])


def test_starts_from_data_once():
    quantizer = FeatureQuantizer(4, codes=8, restart_below=0.0).train()
    x = 50 + torch.randn(2, 4, 4, 4, 4)  # far from the initial codes
    _, latent, codes, _ = quantizer(x)
    spread = latent.std()
    assert bool(quantizer.started)
    assert float((codes - latent).abs().mean()) < float(spread)
    before = quantizer.codebook.embedding.weight.clone()
    quantizer(x)
    assert float((quantizer.codebook.embedding.weight - before).abs().max()) < float(spread)


def test_dead_codes_restart():
    quantizer = FeatureQuantizer(4, codes=8, data_start=False, restart_below=0.5).train()
    quantizer.codebook.embedding.weight.data[0] = 1e6  # never the nearest
    quantizer.codebook.ema_cluster_size[:] = 10.0
    quantizer.codebook.ema_cluster_size[0] = 0.4
    quantizer(torch.randn(2, 4, 4, 4, 4))
    assert float(quantizer.codebook.embedding.weight[0].abs().max()) < 100


@pytest.mark.parametrize("freeze", [True, False])
def test_eval_mode_changes_nothing(freeze):
    quantizer = FeatureQuantizer(4, codes=8).train(not freeze)
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(2, 4, 4, 4, 4))
    same = all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())
    assert same == freeze


def test_scripts():
    quantizer = FeatureQuantizer(4, codes=8).eval()
    x = torch.randn(1, 4, 3, 3, 3)
    torch.testing.assert_close(torch.jit.script(quantizer)(x)[0], quantizer(x)[0])


def test_mixed_precision_leaves_the_codebook_in_float32():
    """The moving sums are those of full precision, although the convolutions before them are not."""
    x = 30 + torch.randn(2, 4, 8, 8, 8)
    books = []
    for mixed in (False, True):
        torch.manual_seed(0)
        quantizer = FeatureQuantizer(4, codes=8, data_start=False, restart_below=0.0).train()
        quantizer.pre = torch.nn.Identity()  # the same input to both codebooks
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            quantizer(x)
        books.append(quantizer.codebook)
    assert books[1].ema_w.dtype == torch.float32
    torch.testing.assert_close(books[1].ema_w, books[0].ema_w)
    torch.testing.assert_close(books[1].embedding.weight, books[0].embedding.weight)


def test_training_is_that_of_monai():
    """Codes, indices, gradient and moving averages after some steps, without one-hot rows; searched part by part."""
    quantizer = FeatureQuantizer(5, codes=12, data_start=False, restart_below=0.0).train()
    quantizer.codebook.products_at_once = 12 * 7
    reference = EMAQuantizer(3, 12, 5, commitment_cost=1.0, decay=0.99, epsilon=1e-5).train()
    reference.load_state_dict(quantizer.codebook.state_dict())
    for _ in range(3):
        x = torch.randn(2, 5, 3, 4, 6)
        _, latent, codes, indices = quantizer(x)
        vectors = latent.detach().requires_grad_()
        expected, _, expected_indices = reference(vectors)
        torch.testing.assert_close(codes, expected, atol=1e-6, rtol=0)
        assert torch.equal(indices, expected_indices)
        weights = torch.randn_like(codes)
        latent.retain_grad()
        codes.backward(weights)
        expected.backward(weights)
        assert torch.equal(latent.grad, vectors.grad)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(quantizer.codebook.state_dict()[name], value, atol=1e-6, rtol=1e-6, msg=name)


def test_loaded_codebooks_that_have_not_started_start():
    quantizer, fresh = FeatureQuantizer(4, codes=8), FeatureQuantizer(4, codes=8).state_dict()
    quantizer.train()(torch.randn(1, 4, 3, 3, 3))
    quantizer.load_state_dict(fresh)
    _, latent, codes, _ = quantizer(50 + torch.randn(1, 4, 3, 3, 3))
    assert float((codes - latent).abs().mean()) < float(latent.std())


def test_a_step_asks_the_device_for_nothing():
    """Fake tensors have no values: a step that looked at one, and would wait for a GPU, fails with them."""
    quantizer = FeatureQuantizer(4, codes=8).train()
    quantizer(torch.randn(1, 4, 3, 3, 3))  # the first step may look
    with FakeTensorMode(allow_non_fake_inputs=True):
        out = quantizer(torch.randn(1, 4, 3, 3, 3))[0]
    assert out.shape == (1, 4, 3, 3, 3)
