"""What MONAI's model zoo checks of a bundle, without a network connection."""

from __future__ import annotations

import json
import subprocess

import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, verify_metadata, verify_net_in_out

from bundle.checkpoint import load_network, read_checkpoint
from bundle.tables import read_rows
from tests.conftest import DATA, ROOT
from tests.workflows import DEMO, STAGES, TRAIN, small, torchrun, workflow

METADATA = str(ROOT / "configs" / "metadata.json")
INFERENCE = str(ROOT / "configs" / "inference.json")
# As published by Project MONAI (Apache 2.0) at the address that the metadata names.
SCHEMA = DATA / "meta_schema_20240725.json"
WEIGHTS = ROOT / "models" / "model.pt"


@pytest.fixture(scope="module")
def shipped() -> torch.nn.Module:
    """The network of the inference configuration with the shipped weights."""
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    return load_network(parser.get_parsed_content("network_def"), WEIGHTS).eval()


def test_licence_and_metadata():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    assert {"lungmask", "nnunetv2"} <= set(metadata["optional_packages_version"])
    assert not {"lungmask", "nnunetv2"} & set(metadata["required_packages_version"])
    data = metadata["network_data_format"]
    assert list(data["inputs"]) == ["image"]
    assert list(data["outputs"]) == ["pred"]


def test_metadata_keeps_to_the_published_schema(tmp_path):
    """MONAI takes the file that is there instead of downloading it."""
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    assert metadata["schema"].endswith("/" + SCHEMA.name)
    verify_metadata(METADATA, str(SCHEMA))
    del metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    lacking = tmp_path / "metadata.json"
    lacking.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(str(lacking), str(SCHEMA))


def test_metadata_describes_the_network(shipped):
    """Shapes and channels of input and output are the default scan's."""
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())["network_data_format"]
    image, pred = metadata["inputs"]["image"], metadata["outputs"]["pred"]
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    scan = parser.get_parsed_content("scan")
    assert image["spatial_shape"] == list(scan.detector_shape)
    assert pred["spatial_shape"] == list(scan.volume_shape)
    assert (image["num_channels"], pred["num_channels"]) == (6, 1)


def test_weights_load_as_plain_tensors(shipped):
    state = read_checkpoint(WEIGHTS)
    assert set(state) == set(shipped.state_dict())
    assert WEIGHTS.stat().st_size < 16 * 2**20
    assert {value.dtype for value in state.values() if value.numel() > 2000} <= {torch.float16, torch.bfloat16}


def test_network_takes_one_tensor_and_gives_one(in_root):
    verify_net_in_out(
        net_id="network_def", meta_file=METADATA, config_file=INFERENCE, bundle_root=str(ROOT), device="cpu"
    )


def test_torchscript_export_and_reload(tmp_path, in_root, shipped):
    """As the zoo calls it; the file gives the network's volume."""
    path = tmp_path / "model.ts"
    ckpt_export(
        net_id="network_def",
        filepath=str(path),
        ckpt_file=str(WEIGHTS),
        meta_file=METADATA,
        config_file=INFERENCE,
        bundle_root=str(ROOT),
    )
    network = torch.jit.load(path).eval()
    projections = torch.rand(1, 2, 128, 128)
    network.volume_shape = [16, 16, 16]
    shipped.volume_shape = [16, 16, 16]
    with torch.no_grad():
        torch.testing.assert_close(network(projections), shipped(projections), atol=1e-4, rtol=0)


@pytest.mark.parametrize("stage", STAGES)
def test_every_training_runs_for_an_epoch(tmp_path, stage):
    """The configurations without the demo's overlay, by overrides alone, as the zoo's unit tests run them."""
    changes = small(tmp_path, cases_repeated=2, num_workers=0, decoder_blocks=1, num_sparse=3, num_total=6)
    prepared = workflow(STAGES[stage], "training", "train", **changes, val_num_sparse=3, initial_weights=None)
    assert prepared.check_properties() == []
    prepared.run()
    prepared.finalize()
    assert prepared.trainer.state.epoch == 1
    assert list((tmp_path / "models").glob("*.pt"))


def test_evaluation_runs_over_the_training_configuration(tmp_path):
    """A list of train.json and evaluate.json."""
    changes = small(tmp_path, num_workers=0, decoder_blocks=1, denoise_blocks=0, checkpoint=None, view_counts=[3])
    del changes["max_epochs"]
    prepared = workflow([TRAIN, "configs/evaluate.json"], "evaluating", "train", **changes, methods={}, refinements={})
    prepared.run()
    prepared.finalize()
    assert [row["views"] for row in read_rows(tmp_path / "out" / "metrics.csv")] == ["3"]


def test_inference_runs(tmp_path):
    prepared = workflow(
        ["configs/inference.json"],
        "run",
        "infer",
        bundle_root=str(ROOT),
        output=str(tmp_path / "v.nii.gz"),
        output_shape=[16, 18, 20],
    )
    assert prepared.check_properties() == []
    prepared.run()
    prepared.finalize()
    assert nib.load(tmp_path / "v.nii.gz").shape == (16, 18, 20)


@pytest.mark.parametrize(
    ("files", "kind"),
    [([TRAIN], "train"), (["configs/inference.json"], "infer")],
)
def test_properties(tmp_path, files, kind):
    """The configurations by themselves, as the zoo's unit tests look at them."""
    prepared = workflow(files, "run", kind, bundle_root=str(ROOT), output_dir=str(tmp_path))
    assert prepared.check_properties() == []


def test_several_processes_by_an_exported_configuration(tmp_path, worker_env):
    """Overrides, one file of everything, torchrun, and the bundle on PYTHONPATH."""
    parser = ConfigParser()
    parser.read_config([str(ROOT / file) for file in (TRAIN, "configs/multi_gpu_train.json", DEMO)])
    parser.update(pairs=small(tmp_path, cases_repeated=8))
    exported = tmp_path / "exported.json"
    ConfigParser.export_config_file(parser.config, str(exported), indent=4)
    files = ["--config_file", str(exported), "--meta_file", METADATA]
    files += ["--logging_file", str(ROOT / "configs" / "logging.conf")]
    launch = ("--standalone", "--nnodes=1", "--nproc_per_node=2")
    command = torchrun(*files, launch=launch)
    done = subprocess.run(command, cwd=ROOT, env=worker_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "models" / "pretrain.pt").is_file()
