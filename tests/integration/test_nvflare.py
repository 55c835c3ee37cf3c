"""A federation of two hospitals in NVIDIA FLARE's simulator, against the same done by hand in one process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject

from bundle.checkpoint import load_network, read_checkpoint, save_checkpoint
from bundle.json_files import write_json
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.presets import load_preset
from scripts.federated import simulation
from tests.conftest import ROOT, write_nifti
from tests.workflows import DEMO, SIZES, TRAIN

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:.*provisioned:UserWarning")]
ENVIRONMENT = Path(os.environ.get("NVFLARE_ENVIRONMENT", ROOT / ".venv-nvflare"))
CHANGES = {**SIZES, "cases_repeated": 4, "max_epochs": 1, "val_interval": 1, "denoise_blocks": 0}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample's folder, and one with two other cases to train on, so that its steps are twice as many."""
    folder = tmp_path_factory.mktemp("south")
    scan = load_preset("luna16", (24, 32), (30, 34, 38))
    geometry = scan.geometry([0.0])
    values = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1)
    for name, axcodes in (("one", "RAS"), ("two", "PIR")):
        write_nifti(folder / f"{name}.nii.gz", values, scan.voxel_mm, axcodes)
    one, two = ({"image": f"{name}.nii.gz"} for name in ("one", "two"))
    write_json({"training": [one, two], "validation": [one], "test": [two]}, folder / "dataset.json")
    return {"north": ROOT / "sample_data", "south": folder}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to begin with, above zero, where the metric can tell one network from another."""
    path = tmp_path_factory.mktemp("start") / "start.pt"
    network = _network()
    network.point_decoder.layers[-1][0].bias.data.fill_(0.3)
    save_checkpoint(network.state_dict(), path)
    return path


def _network() -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config([str(ROOT / file) for file in (TRAIN, DEMO)])
    parser.update(pairs={**CHANGES, "bundle_root": str(ROOT)})
    torch.manual_seed(0)
    return parser.get_parsed_content("network_def")


def _by_hand(folder: Path, hospitals: dict[str, Path], start: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The mean of what the sites make of the start, by their steps, and their scores of the start."""
    total, sums, scores = 0, {}, []
    for name, data in hospitals.items():
        changes = {**CHANGES, "dataset_dir": str(data), "output_dir": str(folder / name), "models_dir": str(folder)}
        extra = {"section": "validation", "view_counts": [6], "methods": {}, "refinements": {}}
        algorithm = MonaiAlgo(
            bundle_root=ROOT.name,
            send_weight_diff=False,
            config_train_filename=[TRAIN, DEMO, simulation.FEDERATED],
            train_kwargs=dict(changes),
            config_evaluate_filename=[TRAIN, "configs/evaluate.json", DEMO, simulation.FEDERATED],
            eval_kwargs={**changes, **extra},
        )
        algorithm.initialize({ExtraItems.CLIENT_NAME: name, ExtraItems.APP_ROOT: str(ROOT.parent)})
        shared = ExchangeObject(weights={key: value.numpy() for key, value in read_checkpoint(start).items()})
        scores.append(algorithm.evaluate(shared).metrics["val_psnr"])
        algorithm.train(shared)
        sent = algorithm.get_weights()
        steps = sent.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS]
        total += steps
        for key, value in sent.weights.items():
            sums[key] = sums.get(key, 0) + steps * torch.as_tensor(value).double()
        algorithm.finalize()
    return {key: value / total for key, value in sums.items()}, scores


def test_one_round_is_the_mean_of_what_the_sites_made_of_the_start(tmp_path, hospitals, start):
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        pytest.skip(f"NVIDIA FLARE is not installed in {ENVIRONMENT}: run make test-integration")
    output = tmp_path / "federated"
    command = [str(python), "-m", "scripts.federated.simulation", "--rounds", "1", "--weights", str(start)]
    command += ["--sites", *(f"{name}={folder}" for name, folder in hospitals.items())]
    command += ["--config_files", TRAIN, DEMO, "--changes", json.dumps(CHANGES), "--output", str(output)]
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"wrote {output / 'model.pt'}" in done.stdout

    again = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert again.returncode != 0
    assert "has an earlier federation" in again.stderr
    assert "Traceback" not in again.stderr

    made, began = read_checkpoint(output / "model.pt"), read_checkpoint(start)
    load_network(_network(), output / "model.pt")
    expected, scores = _by_hand(tmp_path / "hand", hospitals, start)
    assert {key: value.dtype for key, value in made.items()} == {key: value.dtype for key, value in began.items()}
    kinds = [key for key, value in began.items() if value.is_floating_point()]  # counts of batches are rounded
    moved, apart = (
        sum(float((made[key].double() - other[key].double()).square().sum()) for key in kinds) ** 0.5
        for other in (began, expected)
    )
    print(f"the weights moved by {moved:.3g}, and are {apart:.3g} from those made by hand")
    assert apart < 1e-3 * moved
    told = {round(float(text), 2) for text in re.findall(r"val_psnr: ([0-9]+\.[0-9]+)", done.stdout + done.stderr)}
    assert {round(score, 2) for score in scores} <= told


@pytest.mark.parametrize(
    ("site", "output", "message"),
    [
        ("north=tests", "new", "is not NAME=FOLDER with a dataset.json in the folder"),
        ("north=sample_data", "a space", "a space: has a space in it"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, site, output, message):
    command = [sys.executable, "-m", "scripts.federated.simulation", "--sites", site, "--output", tmp_path / output]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
