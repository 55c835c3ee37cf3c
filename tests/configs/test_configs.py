"""The configurations: parsed, complete, and run the way the documentation runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.physics.attenuation import MU_WATER_PER_MM
from bundle.tables import read_rows
from tests.conftest import ROOT
from tests.workflows import DEMO, STAGES, TRAIN, command_line, refused, run, small, torchrun, workflow

CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.json"))
EVALUATE = [TRAIN, "configs/evaluate.json"]
INFERENCE = ["configs/inference.json"]


def read(name: str) -> dict:
    return json.loads((ROOT / "configs" / name).read_text())


@pytest.mark.parametrize("name", CONFIGS)
def test_valid_json(name):
    assert read(name)


@pytest.mark.parametrize("name", ["finetune_step1.json", "finetune_step2.json", "scratch.json", "demo.json"])
def test_overlays_change_only_what_exists(name):
    """A misspelt key in an overlay would otherwise be ignored in silence."""
    base = read("train.json")
    for key in read(name):
        node = base
        for part in key.split("#"):
            assert part in node, f"{name}: {key}"
            node = node[part]


def test_switches_are_off_by_the_word_false(tmp_path):
    """Which is what MONAI's command line makes of JSON's spelling."""
    switches = [name for name, value in read("train.json").items() if isinstance(value, bool)]
    parsed = workflow([TRAIN], **small(tmp_path, **dict.fromkeys(switches, "false"))).parser.get_parsed_content
    trainer = parsed("train#trainer")
    assert {
        "resume": parsed("train#handlers#4").enabled,
        "amp": trainer.amp or parsed("validate#evaluator").amp,
        "compile": trainer.compile,
        "cache_projections": parsed("simulated_projections").used,
        "prepared_projections": parsed("stored_projections").used or parsed("validate#open_prepared").projections,
        "check_hu": parsed("ct_transforms#0").check_hu,
        "own_voxels": parsed("ct_transforms#2").own_voxels or parsed("validate#open_prepared").own_voxels,
    } == dict.fromkeys(switches, False)
    evaluation = workflow(EVALUATE, "evaluating", **small(tmp_path, overwrite="false"))
    savers = [
        handler
        for handler in evaluation.parser.get_parsed_content("validate#handlers")
        if hasattr(handler, "overwrite")
    ]
    assert not any(saver.overwrite for saver in savers)


def test_refinement_knows_what_the_beam_makes_of_water(tmp_path):
    pytest.importorskip("spekpy", reason="needs spekpy")
    spectrum = {"_target_": "bundle.physics.spectrum.tube_spectrum", "kvp": 80.0, "aluminium_mm": 2.5}
    beam = {"_target_": "bundle.physics.beam_hardening.PolychromaticBeam", "spectrum": spectrum}
    acquisition = {"_target_": "bundle.physics.acquisition.Acquisition", "beam": beam}
    for given in (None, acquisition):
        parsed = workflow(EVALUATE, "evaluating", **small(tmp_path, acquisition=given)).parser.get_parsed_content
        expected = MU_WATER_PER_MM if given is None else parsed("acquisition").mu_water_per_mm
        assert parsed("refinements#deepsparse+sart").mu_water_per_mm == expected
    assert expected > 1.05 * MU_WATER_PER_MM


def test_compared_methods_can_be_left_out(tmp_path):
    changes = small(tmp_path, methods="$None", refinements="$None", denoise_blocks=0, checkpoint=None, view_counts=[4])
    run(EVALUATE, "evaluating", **changes)
    assert {row["method"] for row in read_rows(tmp_path / "out" / "metrics.csv")} == {"deepsparse"}


def test_train_and_inference_share_the_network_and_the_ct_transforms():
    train, inference = read("train.json"), read("inference.json")
    for key in ("network_def", "scan", "ct_transforms"):
        assert train[key] == inference[key]


def test_inference_has_the_network_whose_weights_are_shipped():
    inference = read("inference.json")
    assert read("compact.json").items() <= inference.items()
    assert {**inference, **read("paper.json")}.items() >= {
        key: value for key, value in read("train.json").items() if key in read("compact.json") and key != "preset"
    }.items()


def test_overlays_of_the_compact_training_exist():
    base = {**read("train.json"), **read("generated.json"), **read("kept_scans.json"), **read("averaged.json")}
    assert set(read("compact.json")) | set(read("compact_training.json")) <= set(base)


def test_paper_settings_are_the_defaults():
    train, one, two = (read(n) for n in ("train.json", "finetune_step1.json", "finetune_step2.json"))
    expected = {
        "preset": "abdomenatlas",
        "max_epochs": 1000,
        "batch_size": 16,
        "points_per_volume": 10000,
        "num_total": 24,
        "learning_rate": 1e-4,
        "weight_decay": 1e-3,
        "max_gradient_norm": 1.0,
        "quantisation_weight": 0.1,
        "low_resolution": 32,
        "codes": 512,
        "encoder_channels": [16, 32, 64, 128],
        "point_channels": [184, 128, 64, 16],
        "decoder_channels": 128,
        "detector_shape": None,
    }
    assert expected.items() <= train.items()
    assert {"max_epochs": 200, "batch_size": 2}.items() <= one.items()
    assert {
        "max_epochs": 200,
        "batch_size": 2,
        "denoising_weight": 1.0,
        "quantisation_weight": 0.0,
        "denoise_blocks": 2,
        "freeze": ["encoder", "embedding.quantizers"],
    }.items() <= two.items()


def test_properties_that_other_tools_ask_for(tmp_path):
    import bundle

    train = workflow([TRAIN, DEMO], **small(tmp_path))
    assert train.check_properties() == []
    infer = workflow([*INFERENCE, DEMO], "run", "infer", **small(tmp_path))
    assert infer.check_properties() == []
    assert infer.version == bundle.__version__


def test_metadata_agrees_with_the_package():
    import bundle

    metadata = read("metadata.json")
    assert metadata["version"] == bundle.__version__
    assert metadata["version"] in metadata["changelog"]
    assert f"## {metadata['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_stages_hand_over_to_evaluation_and_inference(tmp_path, in_root):
    """Pretraining, both finetuning steps, scratch, evaluation and inference, each from the last one's weights."""
    changes = small(tmp_path)
    for stage in STAGES.values():
        run([*stage, DEMO], **changes)
    models = {path.name for path in (tmp_path / "models").glob("*.pt")}
    assert models == {"pretrain.pt", "finetune_step1.pt", "model.pt", "scratch.pt"}
    # Step 2 leaves the encoder and the codebooks as step 1 made them.
    one, two = (read_checkpoint(tmp_path / "models" / name) for name in ("finetune_step1.pt", "model.pt"))
    frozen = [name for name in one if name.startswith(("encoder.", "embedding.quantizers."))]
    assert frozen
    assert all(torch.equal(one[name], two[name]) for name in frozen)

    run([*EVALUATE, DEMO], "evaluating", **changes, view_counts=[6, 8])
    rows = read_rows(tmp_path / "out" / "metrics.csv")
    methods = ["deepsparse", "fdk", "sart", "cgls", "tv", "deepsparse+sart"]
    assert [(row["method"], row["views"]) for row in rows] == [(m, v) for v in "68" for m in methods]
    residuals = read_rows(tmp_path / "out" / "residuals.csv")
    assert [int(row["view"]) for row in residuals] == [v for n in (6, 8) for _ in methods for v in range(n)]

    run([*INFERENCE, DEMO], "run", "infer", **changes, output_shape=[20, 24, 28], source="sample_data/chest.nii.gz")
    image = nib.load(tmp_path / "out" / "reconstruction.nii.gz")
    assert image.shape == (20, 24, 28)
    np.testing.assert_allclose(image.header.get_zooms(), 409.6 / np.array([20, 24, 28]), rtol=1e-5)
    assert image.get_data_dtype() == np.int16
    with refused("exists already"):
        run([*INFERENCE, DEMO], "run", "infer", **changes)


def test_missing_weights_are_named(tmp_path):
    with refused(r"pretrain\.pt: does not exist"):
        run([*STAGES["finetune_step1"], DEMO], **small(tmp_path))


@pytest.mark.parametrize("arguments", [["run", "training"], ["run"]])
def test_command_line_with_an_argument_file(tmp_path, child_env, arguments):
    """``python -m monai.bundle run [training] --args_file configs/args.json`` in the root of the bundle."""
    command = [sys.executable, "-m", "monai.bundle", *arguments, "--args_file", "configs/args.json"]
    changes = small(tmp_path, preset="luna16", batch_size=2, num_workers=0, num_sparse=[4], cases_repeated=2)
    done = subprocess.run(
        command + command_line(changes), cwd=ROOT, env=child_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "models" / "pretrain.pt").is_file()
    assert list((tmp_path / "out" / "tensorboard" / "pretrain").glob("events*"))


def test_command_line_refuses_with_one_message(tmp_path, child_env):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"['{INFERENCE[0]}','{DEMO}']"]
    changes = small(tmp_path, source=str(tmp_path / "none.nii.gz"), output=str(tmp_path / "out.nii.gz"))
    prepared = workflow([*INFERENCE, DEMO], "run", "infer", **changes)
    save_checkpoint(prepared.network_def.state_dict(), tmp_path / "models" / "model.pt")
    done = subprocess.run(
        command + command_line(changes), cwd=ROOT, env=child_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("none.nii.gz: does not exist. Check the path.")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.nii.gz").exists()


def test_two_processes_share_codebooks_and_weights(tmp_path, worker_env):
    """torchrun with gloo: both ranks see different cases and views, and end with equal codebooks."""
    dump = tmp_path / "dump.json"
    dump.write_text(
        json.dumps(
            {
                "finalize": [
                    "$torch.save(@network_def.state_dict(), @output_dir + '/rank' + str(@rank) + '.pt')",
                    "$leave_processes()",
                ]
            }
        )
    )
    (tmp_path / "out").mkdir()
    files = [TRAIN, "configs/multi_gpu_train.json", DEMO, str(dump)]
    # Before a validation all would get the first one's batch statistics.
    changes = small(tmp_path, max_epochs=2, cases_repeated=8, val_interval=3)
    command = torchrun("training", "--config_file", str(files), *command_line(changes))
    done = subprocess.run(command, cwd=ROOT, env=worker_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    first, second = (read_checkpoint(tmp_path / "out" / f"rank{rank}.pt") for rank in range(2))
    codebooks = [name for name in first if ".codebook." in name]
    assert len(codebooks) == 2 * 3
    unequal = [name for name in first if not torch.equal(first[name], second[name])]
    assert not [name for name in unequal if "running_" not in name]
    assert [name for name in unequal if "running_" in name]  # the ranks really saw different data
    sizes = first["embedding.quantizers.0.codebook.ema_cluster_size"]
    assert float(sizes.sum()) > 0
    checkpoints = list((tmp_path / "models" / "checkpoints" / "pretrain").iterdir())
    assert len(checkpoints) == 2


@pytest.mark.parametrize(
    ("stage", "views"), [("pretrain", 24), ("finetune_step1", 24), ("finetune_step2", 24), ("scratch", 6)]
)
def test_one_step_of_the_papers_settings(tmp_path, stage, views):
    """Full detector, volume, network and points, at batch 1 on the CPU."""
    done = run(
        STAGES[stage],
        bundle_root=str(ROOT),
        output_dir=str(tmp_path / "out"),
        models_dir=str(tmp_path / "models"),
        initial_weights=None,
        own_voxels=True,
        batch_size=1,
        max_epochs=1,
        val_interval=2,
        num_workers=0,
        device=torch.device("cpu"),
    )
    trainer = done.trainer
    assert trainer.state.iteration == 1
    assert trainer.state.output[0]["image"].shape == (1, views, 256, 256)
    assert trainer.state.output[0]["pred"]["points"].shape == (1, 1, 10_000)
    if stage == "pretrain":  # 2 fewer than published: no BN on the output
        assert sum(p.numel() for p in trainer.dice.parameters() if p.requires_grad) == 5_793_611 - 2
    assert os.listdir(tmp_path / "models" / "checkpoints" / stage) == ["checkpoint_epoch=1.pt"]


def test_bad_input_in_a_loading_worker_is_named(tmp_path):
    """The default of four workers must not turn one message into a traceback."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "broken.nii.gz").write_bytes(b"")
    changes = small(tmp_path, dataset_dir=str(tmp_path / "data"), num_workers=1, cache_rate=0.0)
    with refused(r"broken\.nii\.gz: is empty"):
        run([TRAIN, DEMO], **changes)


def test_stated_versions_are_the_tested_ones():
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines() if "==" in line
    )
    metadata = read("metadata.json")
    stated = {**metadata["required_packages_version"], **metadata["optional_packages_version"]}
    stated |= {
        name: metadata[f"{key}_version"] for name, key in (("monai", "monai"), ("torch", "pytorch"), ("numpy", "numpy"))
    }
    assert {name: pins.get(name) for name in stated} == stated


def test_large_files_are_fetched_by_monai():
    """None are listed yet; the list is one that MONAI reads."""
    from monai.bundle import download_large_files

    download_large_files(bundle_path=str(ROOT))
