"""configs/annealed.json: the learning rate falls to zero over the planned epochs."""

from __future__ import annotations

import math

import pytest
from ignite.engine import Events

from tests.handlers.test_resume import assert_equal_checkpoints
from tests.workflows import DEMO, TRAIN, refused, run, small, workflow

FILES = [TRAIN, DEMO, "configs/annealed.json"]
STAGE = "models/checkpoints/pretrain"


def test_rate_follows_half_a_cosine_to_zero(tmp_path):
    rates: list[float] = []
    prepared = workflow(FILES, **small(tmp_path, max_epochs=3, learning_rate=0.01))
    optimizer = prepared.parser.get_parsed_content("optimizer")
    prepared.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: rates.append(optimizer.param_groups[0]["lr"])
    )
    prepared.run()
    steps = prepared.trainer.state.iteration
    assert rates == pytest.approx([0.005 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_goes_on_as_planned_and_not_with_another_plan(tmp_path):
    """A killed run resumes with its schedule; the end of a schedule cannot be moved."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run(FILES, **small(straight, max_epochs=3))
    run(FILES, **small(killed, max_epochs=3))
    (killed / STAGE / "checkpoint_epoch=3.pt").unlink()
    again = run(FILES, **small(killed, max_epochs=3))
    assert_equal_checkpoints(*(folder / STAGE / "checkpoint_epoch=3.pt" for folder in (straight, killed)))
    batches = again.trainer.state.iteration
    with refused(rf"other settings: annealed_over_batches {batches} .now {batches // 3 * 4}"):
        run(FILES, **small(killed, max_epochs=4))
    (killed / STAGE / "checkpoint_epoch=3.pt").unlink()
    with refused(rf"other settings: annealed_over_batches {batches} .now {batches // 2}"):  # as on two processes
        run(FILES, **small(killed, max_epochs=3, **{"train#dataloader#batch_size": 4}))
