from __future__ import annotations

import pytest
import torch
from monai.engines import IterationEvents

from bundle.checkpoint import read_checkpoint
from bundle.handlers import WeightAverage
from tests.handlers.test_resume import assert_equal_checkpoints
from tests.workflows import DEMO, TRAIN, refused, run, small, workflow

FILES = [TRAIN, DEMO, "configs/averaged.json"]
STAGE = "models/checkpoints/pretrain"


def test_average_of_weights_and_buffers():
    """As written out: a growing window first, then the decay; counts are copied."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    average = WeightAverage(network, decay=0.3)
    wanted: dict[str, torch.Tensor] = {}
    for step in range(6):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.add_(1) if not value.is_floating_point() else value.copy_(torch.randn(value.shape))
        average()
        keep = 0.0 if step == 0 else min(0.3, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                wanted[name] = value.clone() if step == 0 else keep * wanted[name] + (1 - keep) * value
            else:
                wanted[name] = value.clone()
    found = average.network.state_dict()
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
    assert not any(p.requires_grad for p in average.network.parameters())


def test_steps_are_counted_not_batches(tmp_path):
    """Of gradients that add up: the average takes steps in, and the rate rises over steps."""
    changes = small(tmp_path, accumulation_steps=2, warm_up_steps=2, cases_repeated=10, learning_rate=0.01)
    prepared = workflow(FILES, **changes)
    optimizer = prepared.parser.get_parsed_content("optimizer")
    rates: list[float] = []

    def look(engine) -> None:
        if engine.is_step():
            rates.append(optimizer.param_groups[0]["lr"])

    prepared.trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, look)
    prepared.run()
    assert prepared.trainer.state.iteration == 5
    assert len(rates) == 3
    assert rates[-1] == pytest.approx(0.01)
    average = prepared.parser.get_parsed_content("weight_average").average
    assert int(average.n_averaged) == 3


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_refuses(decay):
    with refused("average_decay: is"):
        WeightAverage(torch.nn.Linear(1, 1), decay)


def test_slices_average_as_the_whole(tmp_path):
    straight, sliced = tmp_path / "straight", tmp_path / "sliced"
    run(FILES, **small(straight, max_epochs=3, warm_up_steps=4))
    for epochs in (2, 3):
        done = run(FILES, **small(sliced, max_epochs=epochs, warm_up_steps=4))
    assert_equal_checkpoints(*(folder / STAGE / "checkpoint_epoch=3.pt" for folder in (straight, sliced)))
    assert done.parser.get_parsed_content("optimizer").param_groups[0]["lr"] == pytest.approx(0.002)


def test_average_is_scored_and_kept(tmp_path):
    done = run(FILES, **small(tmp_path))
    assert done.parser.get_parsed_content("validate#evaluator").network is not done.parser.get_parsed_content(
        "network_def"
    )
    state = read_checkpoint(tmp_path / STAGE / "checkpoint_epoch=1.pt")
    written = read_checkpoint(tmp_path / "models" / "pretrain.pt")
    average = {name.removeprefix("module."): value for name, value in state["weight_average"].items()}
    assert int(average.pop("n_averaged")) == done.trainer.state.iteration
    assert set(average) == set(written)
    assert all(torch.equal(average[name], written[name]) for name in written)
    assert any(not torch.equal(state["network"][name], written[name]) for name in written)


def test_evaluation_scores_the_loaded_weights(tmp_path):
    """With the training's overlays in its list; the average belongs to trainings alone."""
    run(FILES, **small(tmp_path))
    settings = small(tmp_path, checkpoint=str(tmp_path / "models" / "pretrain.pt"), methods={}, refinements={})
    settings.update(denoise_blocks=0, view_counts=[6])
    done = run([*FILES[:1], *FILES[2:], "configs/evaluate.json", DEMO], "evaluating", **settings)
    evaluator = done.parser.get_parsed_content("validate#evaluator")
    assert evaluator.network is done.parser.get_parsed_content("network_def")
    assert evaluator.state.metrics["val_psnr"] > 0
    with refused(r"validate#evaluator#network: .* Put configs/evaluate.json after"):
        run(["configs/train.json", "configs/evaluate.json", *FILES[1:]], "evaluating", **settings, overwrite=True)


def test_rate_rises_from_the_first_step(tmp_path):
    done = run(FILES, **small(tmp_path, warm_up_steps=100))
    rate = done.parser.get_parsed_content("optimizer").param_groups[0]["lr"]
    assert rate == pytest.approx(0.002 * (0.01 + 0.99 * done.trainer.state.iteration / 100))
