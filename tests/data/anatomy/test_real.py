from __future__ import annotations

import dataclasses
import threading

import pytest
import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.real.augmentation import Augmentation, warp_ct
from bundle.data.anatomy.real.inserts import add_inserts, places_in
from bundle.data.anatomy.variation import Draw
from bundle.errors import InputError


@pytest.fixture
def body():
    """[1, X, Y, Z] int16: a body of muscle in air, with a lung on its left and a bone on its right."""
    x, y = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 36), indexing="ij")
    slices = torch.where(x**2 + 1.5 * y**2 < 0.7, 45, -1000)
    slices[(x - 0.35) ** 2 + y**2 < 0.06] = -850
    slices[(x + 0.45) ** 2 + y**2 < 0.02] = 900
    return slices[None, :, :, None].expand(-1, -1, -1, 30).contiguous().to(torch.int16)


VOXEL_MM = (8.0, 7.0, 6.0)


def test_same_seed_same_volume(body):
    labels = (body > -900).to(torch.uint8)
    made = [warp_ct(body, VOXEL_MM, seed, labels, (32, 30, 28), (9.0, 9.0, 9.0)) for seed in (7, 7, 8)]
    assert made[0].shape == (1, 32, 30, 28)
    assert made[0].dtype == torch.float32
    assert torch.isfinite(made[0]).all()
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_global_generators_play_no_part(body):
    state = torch.get_rng_state()
    first = warp_ct(body, VOXEL_MM, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(first, warp_ct(body, VOXEL_MM, 3))


def test_another_thread_makes_the_same(body):
    made = []
    thread = threading.Thread(target=lambda: made.append(warp_ct(body, VOXEL_MM, 4, (body > -900).to(torch.uint8))))
    thread.start()
    thread.join()
    assert torch.equal(made[0], warp_ct(body, VOXEL_MM, 4, (body > -900).to(torch.uint8)))


def test_no_augmentation_is_the_identity(body):
    made = warp_ct(body, VOXEL_MM, 5, augmentation=Augmentation.none())
    torch.testing.assert_close(made, body.float(), atol=0.1, rtol=0)


def test_geometry_alone_keeps_hu(body):
    """Nothing but interpolation between what was there; flat regions keep their HU."""
    still = dataclasses.replace(Augmentation.none(), warp=dataclasses.replace(Augmentation().warp, mirror=1.0))
    made = warp_ct(body, VOXEL_MM, 11, augmentation=still)
    assert -1000 <= made.min() < -999
    assert made.max() <= 901
    for value in (-1000.0, -850.0, 45.0):
        assert ((made - value).abs() < 0.5).sum() > 0.3 * (body == value).sum()
    # the lung has come to the right
    x = torch.linspace(-1, 1, 40)[:, None, None]
    lung = ((made[0] > -900) & (made[0] < -800)).float()
    assert (lung * x).sum() < 0


def test_cut_fields_are_air(body):
    cut = dataclasses.replace(Augmentation.none(), cuts=1.0)
    shares = [(warp_ct(body, VOXEL_MM, seed, augmentation=cut) > -500).float().mean() for seed in range(6)]
    whole = (body > -500).float().mean()
    assert min(shares) < 0.85 * whole
    assert max(shares) <= whole + 1e-3


def test_inserts_change_little_and_are_seen(body):
    extra = dataclasses.replace(Augmentation.none(), inserts=10.0)  # all of them
    made = warp_ct(body, VOXEL_MM, 2, augmentation=extra)
    share = ((made - body.float()).abs() > 20).float().mean()
    assert 0.001 < share < 0.4
    assert made.max() > 1000
    canvas = Canvas((8, 8, 8), (4.0, 4.0, 4.0))
    add_inserts(canvas, Draw(0, "test"), 10.0)  # nothing but air: no place for any
    assert (canvas.hu == -1000).all()


def test_places_lie_where_their_hu_are(body):
    canvas = Canvas(body.shape[1:], VOXEL_MM)
    canvas.hu = body[0].float()
    found = places_in(canvas, (-900, -800), 20, Draw(1, "test"), depth_mm=7.0)
    assert len(found) == 20
    for x, y, _ in found:
        assert 0 < x < 0.7 * 160  # the left is positive
        i, j = round(x / 8.0 + 19.5), round(y / 7.0 + 17.5)
        assert (body[0, i - 1 : i + 2, j, 0] == -850).all()


def test_wrong_shapes_are_refused(body):
    with pytest.raises(InputError, match="one channel"):
        warp_ct(body[0], VOXEL_MM, 0)
    with pytest.raises(InputError, match=r"labels: have shape .*label map of this CT"):
        warp_ct(body, VOXEL_MM, 0, body[:, 1:])
