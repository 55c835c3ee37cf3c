from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from monai.engines import IterationEvents, SupervisedTrainer

from bundle.engines import DatasetAdaptationTrainer, HyViPTrainer, SparseViewTrainer, ViewAdjustmentTrainer
from bundle.errors import InputError
from bundle.losses import StageLoss
from bundle.networks import DiCE, PointForward
from tests.networks.test_dice import TINY
from tests.workflows import DEMO, STAGES, refused, run, small, workflow


def batches(count: int, views: int, sparse: int, **changes: torch.Tensor) -> list[dict]:
    """Ready batches, so that no data pipeline is needed."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.linspace(0, 3, views).expand(2, -1)
    return [
        {
            "projections": torch.rand(2, views, 24, 32, generator=generator),
            "angles_rad": angles,
            "sparse_mask": (torch.arange(views) < sparse).expand(2, -1),
            "points": torch.rand(2, 30, 3, generator=generator),
            "values": torch.rand(2, 1, 30, generator=generator),
            **changes,
        }
        for _ in range(count)
    ]


def trainer(kind, scan, data, loss, denoise_blocks=0, freeze=(), lr=1e-3, **kwargs):
    from bundle.engines import PreparePoints

    network = DiCE(scan, denoise_blocks=denoise_blocks, **TINY)
    for batch in data:
        batch["matrices"] = network.circular_matrices(batch["angles_rad"]).detach()
    forward = PointForward(network, freeze)
    return kind(
        device="cpu",
        max_epochs=1,
        train_data_loader=data,
        network=forward,
        optimizer=torch.optim.AdamW(forward.parameters(), lr=lr),
        loss_function=loss,
        prepare_batch=PreparePoints(scan),
        **kwargs,
    )


@pytest.mark.parametrize("kind", [SparseViewTrainer, HyViPTrainer, DatasetAdaptationTrainer, ViewAdjustmentTrainer])
def test_every_stage_is_a_supervised_trainer(kind):
    assert issubclass(kind, SupervisedTrainer)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("pretrain", HyViPTrainer),
        ("finetune_step1", DatasetAdaptationTrainer),
        ("finetune_step2", ViewAdjustmentTrainer),
        ("scratch", SparseViewTrainer),
    ],
)
def test_configurations_build_their_trainer(tmp_path, stage, kind):
    built = workflow([*STAGES[stage], DEMO], **small(tmp_path)).trainer
    assert type(built) is kind
    assert isinstance(built, SupervisedTrainer)


def test_training_moves_every_trainable_tensor(scan):
    engine = trainer(HyViPTrainer, scan, batches(2, 6, 3), StageLoss(0.1, 0.0))
    before = {name: p.clone() for name, p in engine.dice.named_parameters() if p.requires_grad}
    engine.run()
    assert not [name for name, p in engine.dice.named_parameters() if name in before and torch.equal(p, before[name])]
    assert set(engine.state.output[0]["terms"]) == {"loss", "task", "quantisation"}


def test_view_adjustment_changes_no_frozen_tensor(scan):
    """Encoder and codebooks stay bit for bit, batch statistics and moving averages included; the rest is trained."""
    frozen = ("encoder.", "embedding.quantizers.")
    engine = trainer(
        ViewAdjustmentTrainer, scan, batches(3, 6, 3), StageLoss(0.0, 1.0), 2, ("encoder", "embedding.quantizers")
    )
    before = {name: value.clone() for name, value in engine.dice.state_dict().items()}
    engine.run()
    changed = {name for name, value in engine.dice.state_dict().items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith(frozen)]
    statistics = [name for name in before if "running_mean" in name and not name.startswith(frozen)]
    assert statistics
    assert set(statistics) < changed
    assert [name for name in changed if name.startswith("embedding.denoisers.")]


@pytest.mark.parametrize(
    ("kind", "loss", "options", "message"),
    [
        (HyViPTrainer, StageLoss(0.0, 0.0), {}, "quantisation_weight"),
        (HyViPTrainer, StageLoss(0.1, 1.0), {}, "denoising_weight"),
        (SparseViewTrainer, StageLoss(0.1, 0.0), {"denoise_blocks": 1}, "denoise_blocks"),
        (ViewAdjustmentTrainer, StageLoss(0.0, 1.0), {}, "denoise_blocks"),
        (ViewAdjustmentTrainer, StageLoss(0.0, 1.0), {"denoise_blocks": 1}, "freeze of encoder"),
        (HyViPTrainer, StageLoss(0.1, 0.0), {"amp": True, "amp_kwargs": {"dtype": torch.float16}}, "amp_kwargs#dtype"),
    ],
)
def test_wrong_stage_is_refused(scan, kind, loss, options, message):
    with pytest.raises(InputError, match=message):
        trainer(kind, scan, batches(1, 6, 3), loss, **options)


def test_loss_that_is_not_finite_is_refused_before_it_does_harm(tmp_path):
    """The message names the case and the epoch, and no weight has changed."""
    prepared = workflow([*STAGES["pretrain"], DEMO], **small(tmp_path))
    engine = prepared.trainer
    before = {name: p.clone() for name, p in engine.dice.named_parameters() if p.requires_grad}
    prepare = engine.prepare_batch

    def poisoned(*args, **kwargs):
        inputs, target, args, kwargs = prepare(*args, **kwargs)
        return inputs, target * torch.nan, args, kwargs

    engine.prepare_batch = poisoned
    with refused(r"case chest: gave a loss of nan.*epoch 1"):
        prepared.run()
    assert all(torch.equal(engine.dice.get_parameter(name), value) for name, value in before.items())


def test_scale_of_the_loss_is_resumed(scan):
    """It has adapted to the gradients; a resumed run must not skip other steps than the whole would."""
    engine, resumed, plain = (trainer(HyViPTrainer, scan, batches(1, 6, 3), StageLoss(0.1, 0.0)) for _ in range(3))
    for each in (engine, resumed, plain):
        each.run()
    engine.scaler, resumed.scaler = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in (8.0, 65536.0))
    state = engine.state_dict()
    resumed.load_state_dict(state)
    assert resumed.scaler.state_dict()["scale"] == engine.scaler.get_scale() == 8.0
    assert "scaler" not in plain.state_dict()
    plain.load_state_dict(state)
    resumed.load_state_dict(plain.state_dict())


def test_gradient_is_clipped(scan):
    engine = trainer(HyViPTrainer, scan, batches(1, 6, 3), StageLoss(0.1, 0.0), max_gradient_norm=1e-3)
    engine.run()
    gradients = [p.grad for p in engine.network.parameters() if p.grad is not None]
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(1e-3, rel=1e-3)


def test_gradients_of_several_batches_add_up_to_one_step(scan):
    """To their mean; they are clipped once, and an epoch's last batches are not lost."""
    data = batches(3, 6, 3)
    options = {"accumulation_steps": 2, "max_gradient_norm": 1e-3, "lr": 0.0}
    engine = trainer(HyViPTrainer, scan, data, StageLoss(0.1, 0.0), **options)
    for quantizer in engine.dice.embedding.quantizers:
        quantizer.started.fill_(1)  # or codes would be drawn at random
        quantizer.restart_below = 0.0
    by_hand = deepcopy(engine.network)
    seen = []

    def look(_) -> None:
        parameters = [p for p in engine.network.parameters() if p.grad is not None]
        seen.append(torch.cat([p.grad.flatten() for p in parameters]))
        steps.append(int(next(iter(engine.optimizer.state.values()), {"step": 0})["step"]))

    steps: list[int] = []
    engine.add_event_handler(IterationEvents.MODEL_COMPLETED, look)
    engine.run()
    assert steps == [0, 1, 2]
    assert float(seen[0].norm()) > 1e-2
    assert float(seen[1].norm()) == pytest.approx(1e-3, rel=1e-3)
    loss = StageLoss(0.1, 0.0)
    by_hand.train()
    for batch in data[:2]:
        inputs = [batch[key] for key in ("projections", "matrices", "points", "sparse_mask")]
        (loss(by_hand(*inputs), batch["values"]) / 2).backward()
    expected = torch.cat([p.grad.flatten() for p in by_hand.parameters() if p.grad is not None])
    torch.testing.assert_close(seen[1] / seen[1].norm(), expected / expected.norm(), atol=1e-4, rtol=0)


def test_stored_and_simulated_projections_train_alike(tmp_path):
    """On-the-fly simulation gives the same first epoch as cached candidate projections."""
    losses = []
    for cached in (True, False):
        done = run([*STAGES["pretrain"], DEMO], **small(tmp_path / str(cached), cache_projections=cached, num_sparse=6))
        losses.append(float(done.trainer.state.output[0]["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_tensorboard_holds_the_loss_its_terms_and_the_validation(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2))
    values, pictures = {}, []
    for path in (tmp_path / "out" / "tensorboard" / "pretrain").glob("events*"):
        events = EventAccumulator(str(path))
        events.Reload()
        pictures += [image for tag in events.Tags()["images"] for image in events.Images(tag)]
        values.update({tag: [e.value for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]})
    assert {tag: len(v) for tag, v in values.items()} == {"loss": 4, "task": 4, "quantisation": 4, "val_psnr": 2}
    assert values["loss"][-1] == pytest.approx(float(done.trainer.state.output[0]["loss"]))
    assert values["loss"][0] == pytest.approx(values["task"][0] + 0.1 * values["quantisation"][0], rel=1e-5)
    # Truth above prediction, three planes of 16 x 16 each, once per validation.
    assert [(picture.step, picture.height, picture.width) for picture in pictures] == [(1, 32, 48), (2, 32, 48)]


def test_mlflow_holds_the_loss_and_the_validation(tmp_path):
    """As ``python -m monai.bundle run training --tracking mlflow`` does, into a local store."""
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    pytest.importorskip("sqlalchemy", reason="mlflow needs sqlalchemy for its local store")
    done = run([*STAGES["pretrain"], DEMO], **small(tmp_path, max_epochs=2), tracking="mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'out' / 'mlruns.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'monai_experiment'")
    (tracked,) = client.search_runs([experiment.experiment_id])
    history = {name: client.get_metric_history(tracked.info.run_id, name) for name in ("train_loss", "val_psnr")}
    assert [metric.step for metric in history["train_loss"]] == [1, 2, 3, 4]
    assert [metric.step for metric in history["val_psnr"]] == [1, 2]
    assert history["train_loss"][-1].value == pytest.approx(float(done.trainer.state.output[0]["loss"]))
    assert tracked.info.status == "FINISHED"


def test_noise_can_be_switched_on_from_the_configuration(tmp_path):
    """Noisy projections, on the fly and cached, differ from clean ones and train all the same."""
    noise = {"_target_": "bundle.physics.noise.DetectorNoise", "photons": [5e3, 2e4]}
    acquisition = {"_target_": "bundle.physics.acquisition.Acquisition", "noise": noise}
    for cached in (True, False):
        changes = {"cache_projections": cached, "num_sparse": 6, "max_epochs": 1}
        images = []
        for name, value in (("clean", None), ("noisy", acquisition)):
            folder = tmp_path / f"{name}{cached}"
            done = run([*STAGES["pretrain"], DEMO], **small(folder, acquisition=value, **changes))
            images.append(done.trainer.state.output[0]["image"])
        assert 0 < float((images[1] - images[0]).abs().mean()) < 0.1
