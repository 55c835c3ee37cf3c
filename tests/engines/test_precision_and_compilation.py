"""Options that change how a step is computed, but not what is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events

from bundle.checkpoint import read_checkpoint
from tests.workflows import DEMO, STAGES, small, workflow

# The mean of the last ten of thirty losses is 0.0156 to 0.0197 with the seeds 0 to 3: a scatter of a tenth.
NOISE = 0.1


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads would wait for each other longer than so small a network computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def losses(folder: Path, **changes: Any) -> np.ndarray:
    """The loss of every step of a short training."""
    options = {"max_epochs": 5, "cases_repeated": 12, "val_interval": 100, "learning_rate": 0.01, **changes}
    prepared = workflow([*STAGES["pretrain"], DEMO], **small(folder, **options))
    found: list[float] = []
    prepared.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: found.append(engine.state.output[0]["terms"]["loss"])
    )
    prepared.run()
    prepared.finalize()
    return np.array(found)


def test_bfloat16_trains_to_the_same_loss(tmp_path):
    single, mixed = losses(tmp_path / "single"), losses(tmp_path / "mixed", amp=True)
    assert len(single) == 30
    assert single[-10:].mean() < 0.1 * single[0]
    assert np.abs(mixed - single).max() > 1e-5  # it does compute in another precision
    assert mixed[-10:].mean() == pytest.approx(single[-10:].mean(), rel=NOISE)


def test_the_loss_is_in_single_precision_and_the_weights_stay_so(tmp_path):
    prepared = workflow([*STAGES["pretrain"], DEMO], **small(tmp_path, amp=True))
    prepared.run()
    (output,) = prepared.trainer.state.output
    assert output["pred"]["points"].dtype == torch.bfloat16
    assert output["loss"].dtype == torch.float32
    network = prepared.trainer.dice
    assert {v.dtype for v in network.state_dict().values() if v.is_floating_point()} == {torch.float32}


def test_compiled_steps_are_the_same(tmp_path):
    """Losses, and a checkpoint under the same names, from which a run that is not compiled goes on.

    The graphs are captured and differentiated as always, but run operation by operation: generating code takes a
    minute, and needs a C++ compiler.
    """
    captured = {"compile": True, "compile_kwargs": {"backend": "aot_eager"}}
    shape = {
        "max_epochs": 1,
        "cases_repeated": 6,
        "encoder_channels": [4, 6],
        "decoder_blocks": 1,
        "point_channels": [8],
        "num_sparse": 6,
    }
    plain = losses(tmp_path / "plain", **shape)
    compiled = losses(tmp_path / "compiled", **captured, **shape)
    np.testing.assert_allclose(compiled, plain, rtol=3e-4)
    name = Path("models/checkpoints/pretrain/checkpoint_epoch=1.pt")
    first, second = (read_checkpoint(tmp_path / kind / name)["network"] for kind in ("plain", "compiled"))
    assert first.keys() == second.keys()
    assert len(losses(tmp_path / "compiled", **{**shape, "max_epochs": 2})) == 3  # steps of the second epoch alone
