"""Federated training by MONAI's client, in one process: two hospitals, weights averaged between them."""

from __future__ import annotations

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from tests.conftest import ROOT
from tests.workflows import small

pytestmark = pytest.mark.filterwarnings("ignore:.*provisioned:UserWarning")
FILES = ["configs/train.json", "configs/demo.json", "configs/federated.json"]


def client(folder, name: str, files: list[str] = FILES, **options) -> MonaiAlgo:
    """An initialised client whose application is the repository."""
    changes = {key: value for key, value in small(folder / name).items() if key not in ("bundle_root", "max_epochs")}
    made = MonaiAlgo(
        bundle_root=ROOT.name,
        config_train_filename=files,
        train_kwargs=changes,
        config_evaluate_filename=[*FILES[:1], "configs/evaluate.json", *FILES[1:]],
        eval_kwargs={**changes, "denoise_blocks": 0, "view_counts": [6], "methods": {}, "refinements": {}},
        best_model_filepath=str(folder / name / "models" / "pretrain.pt"),
        **options,
    )
    made.initialize({ExtraItems.CLIENT_NAME: name, ExtraItems.APP_ROOT: str(ROOT.parent)})
    return made


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another working directory than the bundle's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_clients_train_and_evaluate_what_they_share(elsewhere):
    clients = [client(elsewhere, name, send_weight_diff=False) for name in ("north", "south")]
    shared = clients[0].get_weights().weights
    # Untrained, all of the volume may be below zero, where the metric cannot tell one network from another.
    shared["point_decoder.layers.2.0.bias"] = torch.full((1,), 0.3)
    psnr = []
    for _ in range(2):
        gathered = []
        for each in clients:
            each.train(ExchangeObject(weights=shared), {})
            sent = each.get_weights()
            assert sent.weight_type == WeightType.WEIGHTS
            assert sent.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] == 2
            gathered.append(sent.weights)
        before = shared
        shared = {
            key: sum(weights[key] for weights in gathered) / 2 if value.is_floating_point() else gathered[0][key]
            for key, value in before.items()
        }
        assert any(not torch.equal(before[key], value) for key, value in shared.items())
        reported = [each.evaluate(ExchangeObject(weights=shared), {}).metrics["val_psnr"] for each in clients]
        assert reported[0] == pytest.approx(reported[1])
        psnr.append(reported[0])
    assert psnr[0] != psnr[1]
    for each in clients:
        best = each.get_weights({ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}).weights
        assert set(best) == set(shared)
        each.finalize()


def test_a_client_sends_what_it_changed(elsewhere):
    algorithm = client(elsewhere, "north")
    shared = {key: value.clone() for key, value in algorithm.trainer.network.state_dict().items()}
    algorithm.train(ExchangeObject(weights=shared), {})
    sent = algorithm.get_weights()
    assert sent.weight_type == WeightType.WEIGHT_DIFF
    now = algorithm.trainer.network.state_dict()
    for key, change in sent.weights.items():
        torch.testing.assert_close(torch.as_tensor(change), now[key] - shared[key])
    algorithm.finalize()


def test_finetuning_starts_from_the_weights_that_are_sent(elsewhere):
    """A site has none of the stage before."""
    files = [FILES[0], "configs/finetune_step2.json", *FILES[1:]]
    algorithm = client(elsewhere, "north", files)
    shared = {key: value.clone() for key, value in algorithm.trainer.network.state_dict().items()}
    algorithm.train(ExchangeObject(weights=shared), {})
    assert algorithm.get_weights().statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] == 2
    algorithm.finalize()
