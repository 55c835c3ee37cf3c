from __future__ import annotations

import pytest

from bundle.handlers import TimeSlice
from bundle.handlers.resume import latest_checkpoint
from tests.handlers.test_resume import assert_equal_checkpoints
from tests.workflows import DEMO, TRAIN, refused, run, small

STAGE = "models/checkpoints/pretrain"


def test_slices_add_up_to_an_uninterrupted_run(tmp_path):
    straight, sliced = tmp_path / "straight", tmp_path / "sliced"
    run([TRAIN, DEMO], **small(straight, max_epochs=3))
    for epoch in (1, 2, 3):
        run([TRAIN, DEMO], **small(sliced, max_epochs=3, slice_minutes=1e-6))
        assert latest_checkpoint(sliced / STAGE).name == f"checkpoint_epoch={epoch}.pt"
    assert_equal_checkpoints(*(folder / STAGE / "checkpoint_epoch=3.pt" for folder in (straight, sliced)))


def test_slices_between_two_saves_are_not_lost(tmp_path):
    """The epoch that ends a run is saved, whatever the interval."""
    straight, sliced = tmp_path / "straight", tmp_path / "sliced"
    run([TRAIN, DEMO], **small(straight, max_epochs=3, save_interval=2))
    for epoch in (1, 2, 3):
        run([TRAIN, DEMO], **small(sliced, max_epochs=3, save_interval=2, slice_minutes=1e-6))
        assert latest_checkpoint(sliced / STAGE).name == f"checkpoint_epoch={epoch}.pt"
    assert sorted(path.name for path in (straight / STAGE).iterdir()) == [f"checkpoint_epoch={n}.pt" for n in (2, 3)]
    assert_equal_checkpoints(*(folder / STAGE / "checkpoint_epoch=3.pt" for folder in (straight, sliced)))


def test_a_slice_that_ends_before_its_validation_leaves_weights(tmp_path):
    run([TRAIN, DEMO], **small(tmp_path, max_epochs=3, val_interval=3, slice_minutes=1e-6))
    assert (tmp_path / "models/pretrain.pt").is_file()


def test_time_enough_ends_nothing(tmp_path):
    done = run([TRAIN, DEMO], **small(tmp_path, max_epochs=2, slice_minutes=60))
    assert done.trainer.state.epoch == 2


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_refuses(minutes):
    with refused("slice_minutes: is"):
        TimeSlice(minutes)
