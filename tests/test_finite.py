from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from bundle.errors import InputError
from bundle.finite import check_reconstruction
from bundle.handlers import CheckpointSaver, FiniteVolumes


def test_volumes_that_are_no_numbers_are_named():
    check_reconstruction(torch.zeros(1, 2, 2, 2), "fdk", "chest")
    volume = torch.zeros(1, 2, 2, 2)
    volume[0, 0, 1, 0], volume[0, 1, 1, 0] = float("nan"), float("inf")
    with pytest.raises(InputError, match=r"^fdk of chest: gave 2 of 8 voxels that are NaN or infinite"):
        check_reconstruction(volume, "fdk", "chest")


def test_the_networks_volume_stops_a_run_before_other_handlers_see_it():
    seen: list[int] = []
    engine = Engine(lambda engine, batch: None)
    FiniteVolumes().attach(engine)
    engine.add_event_handler("ITERATION_COMPLETED", lambda engine: seen.append(engine.state.iteration))
    engine.state.batch = [{"case": "chest"}]
    engine._process_function = lambda engine, batch: [{"pred": torch.full((1, 2, 2, 2), float("nan"))}]
    with pytest.raises(InputError, match="deepsparse of chest: gave 8 of 8 voxels"):
        engine.run([[{"case": "chest"}]])
    assert not seen


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, value):
    network = torch.nn.Linear(2, 2)

    def train(engine, batch):
        with torch.no_grad():
            network.weight[0, 1] = batch

    engine = Engine(train)
    CheckpointSaver(str(tmp_path), {"network": network}, save_interval=1).attach(engine)
    engine.run([1.0])
    (saved,) = tmp_path.iterdir()
    before = saved.read_bytes()
    with pytest.raises(InputError, match="the network: holds NaN or infinite weights: weight"):
        engine.run([value])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
