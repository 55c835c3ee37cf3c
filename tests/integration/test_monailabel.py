"""The bundle in a real MONAI Label server, spoken to through its REST interface."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

import bundle
from bundle.checkpoint import read_checkpoint
from bundle.commands import reconstruct, simulate
from bundle.data.projection_file import read_projections, write_projections
from bundle.deployment.bundle_zip import BUNDLE_NAME, write_bundle
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.presets import load_preset
from tests.conftest import ROOT, write_nifti

pytestmark = pytest.mark.integration

ENVIRONMENT = Path(os.environ.get("MONAILABEL_ENVIRONMENT", ROOT / ".venv-monailabel"))
TRAINING = ("train", "finetune_step2", "compact", "monailabel")
MINUTES = 60.0
# Two decoders, two versions of NumPy, and int16 on our side.
TOLERANCE_HU = 1.0


@dataclass
class Server:
    """A running server, its folders and a client."""

    app: Path
    studies: Path
    client: httpx.Client
    log: Path

    @property
    def model(self) -> Path:
        return self.app / "model" / BUNDLE_NAME

    def infer(self, settings: dict, **options: object) -> nib.Nifti1Image:
        """What it reconstructs, as a client gets it."""
        answer = self.client.post(
            f"/infer/{BUNDLE_NAME}", data={"params": json.dumps(settings)}, **options, timeout=10 * MINUTES
        )
        assert answer.status_code == 200, (answer.text, self.log.read_text()[-3000:])
        path = self.studies.parent / f"answer{len(list(self.studies.parent.glob('answer*')))}.nii.gz"
        path.write_bytes(answer.content)
        return nib.load(path)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two asymmetric CTs, stored along different axes."""
    folder = tmp_path_factory.mktemp("monailabel") / "studies"
    folder.mkdir()
    scan = load_preset("abdomenatlas", (128, 128), (40, 44, 48))
    for name, axcodes in (("one", "RAS"), ("two", "PIR")):
        geometry = scan.geometry([0.0])
        values = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1)
        write_nifti(folder / f"{name}.nii.gz", values, scan.voxel_mm, axcodes)
    return folder


@pytest.fixture(scope="module")
def server(studies: Path) -> Iterator[Server]:
    """The server of MONAI Label's own bundle application, with this bundle's zip in its folder."""
    programs = ENVIRONMENT / "bin"
    if not (programs / "monailabel").exists():
        pytest.skip(f"MONAI Label is not installed in {ENVIRONMENT}: run make test-integration")
    root = studies.parent
    # Nothing of this repository but what is in the zip.
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["PATH"] = f"{programs}:{env['PATH']}"
    # Its clients' uploads are temporary files.
    env["TMPDIR"] = str(root / "uploads")
    (root / "uploads").mkdir()
    env["DEEPSPARSE_FOLDERS"] = os.pathsep.join([str(studies), env["TMPDIR"]])
    env["PYTHONPATH"] = str(_start_up(root / "start_up"))
    apps = ["monailabel", "apps", "--download", "--name", "monaibundle", "--output", str(root)]
    subprocess.run(apps, check=True, env=env, cwd=root, capture_output=True, timeout=300)
    app = root / "monaibundle"
    packed = write_bundle(ROOT, root, bundle.__version__)
    with zipfile.ZipFile(packed) as file:
        file.extractall(root)
    model = app / "model" / BUNDLE_NAME
    model.parent.mkdir(exist_ok=True)
    shutil.move(packed.with_suffix(""), model)
    training = ConfigParser()
    training.read_config([str(model / "configs" / f"{name}.json") for name in TRAINING])
    ConfigParser.export_config_file(training.config, str(model / "configs" / "train.json"), indent=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = ["monailabel", "start_server", "--app", str(app), "--studies", str(studies), "--host", "127.0.0.1"]
    start += ["--port", str(port)]
    # Any zoo but the default, which is asked for its list even if the bundle is there; and no download of SAM 2.
    for name, value in (("models", BUNDLE_NAME), ("zoo_source", "ngc"), ("sam2", "false")):
        start += ["--conf", name, value]
    log = root / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            start, env=env, cwd=root, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Connection": "close"}, trust_env=False
        ) as client:
            _wait(client, process, log)
            yield Server(app, studies, client, log)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start_up(folder: Path) -> Path:
    """What its Python runs first: torchvision for CUDA beside a PyTorch for CPUs becomes importable."""
    folder.mkdir()
    shutil.copy(ROOT / "bundle" / "torchvision_operators.py", folder)
    ensure = "from torchvision_operators import ensure_torchvision\nensure_torchvision()\n"
    (folder / "sitecustomize.py").write_text(ensure)
    return folder


def _wait(client: httpx.Client, process: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if client.get("/info/", timeout=30).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(1)
    pytest.fail(f"the server does not answer: {log.read_text()[-3000:]}")


def assert_same(answer: nib.Nifti1Image, path: Path) -> None:
    """The same voxels in the same places."""
    ours = nib.load(path)
    assert answer.shape == ours.shape == (128, 128, 128)
    np.testing.assert_allclose(answer.affine, ours.affine, atol=1e-3)
    values = ours.get_fdata()
    np.testing.assert_allclose(answer.get_fdata(), values, atol=TOLERANCE_HU)
    assert values.max() > 0 > values.min()
    assert all(np.abs(values - np.flip(values, axis)).max() > 300 for axis in range(3))


def test_the_server_offers_the_bundle(server):
    model = server.client.get("/info/").json()["models"][BUNDLE_NAME]
    assert model["version"] == bundle.__version__
    assert model["config"]["model_filename"][0] == "model.pt"
    assert model["config"]["num_views"] == 0


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_ct_of_the_study_to_simulate_from(server, tmp_path, name):
    answer = server.infer({"num_views": 8}, params={"image": name, "output": "image"})
    reconstruct(str(server.studies / f"{name}.nii.gz"), str(tmp_path / "ours.nii.gz"), num_views=8, device="cpu")
    assert_same(answer, tmp_path / "ours.nii.gz")


def test_uploaded_projections(server, tmp_path):
    """A stack with angles of its own, which the server must not take for the default scan's."""
    scan, turned = tmp_path / "scan.npz", tmp_path / "turned.npz"
    simulate(str(server.studies / "one.nii.gz"), str(scan), preset="abdomenatlas", num_views=12)
    data, keep = read_projections(scan), [0, 1, 3, 4, 6, 9, 11]
    chosen = replace(data, projections=data.projections[keep], geometry=data.geometry.select(keep))
    write_projections(chosen, turned)
    with turned.open("rb") as file:
        answer = server.infer({}, params={"output": "image"}, files={"file": ("scan.npz", file)})
    reconstruct(str(turned), str(tmp_path / "ours.nii.gz"), device="cpu")
    assert_same(answer, tmp_path / "ours.nii.gz")


def test_uploaded_ct(server, tmp_path):
    with (server.studies / "two.nii.gz").open("rb") as file:
        done = server.client.put("/datastore/", params={"image": "three"}, files={"file": ("three.nii.gz", file)})
    assert done.status_code == 200
    assert (server.studies / "three.nii.gz").is_file()
    answer = server.infer({}, params={"image": "three", "output": "image"})
    reconstruct(str(server.studies / "two.nii.gz"), str(tmp_path / "ours.nii.gz"), device="cpu")
    assert_same(answer, tmp_path / "ours.nii.gz")


def test_requests_stay_in_the_studies(server):
    (server.studies.parent / "secret.nii.gz").write_bytes((server.studies / "one.nii.gz").read_bytes())
    for image in ("../secret", "../secret.nii.gz", str(server.studies.parent / "secret.nii.gz")):
        answer = server.client.post(f"/infer/{BUNDLE_NAME}", params={"image": image, "output": "image"})
        assert answer.status_code >= 400, image


def test_code_in_a_checkpoint_is_not_run(server):
    """A pickle that would make a file, among the models that a request may choose."""
    marker = server.studies.parent / "executed"

    class Hostile:
        def __reduce__(self):
            return (marker.touch, ())

    hostile = server.model / "models" / "hostile.pt"
    torch.save({"model": Hostile()}, hostile)
    try:
        params = {"params": json.dumps({"model_filename": "hostile.pt"})}
        answer = server.client.post(f"/infer/{BUNDLE_NAME}", params={"image": "one"}, data=params, timeout=MINUTES * 5)
        assert answer.status_code >= 400
    finally:
        hostile.unlink()
    assert not marker.exists()


def test_training_goes_on_from_the_shipped_weights(server):
    """Overrides of the request are kept: the studies' CTs, the weights, the device and the epochs."""
    for name in ("one", "two"):
        with (server.studies / f"{name}.nii.gz").open("rb") as file:
            label = {"label": (f"{name}.nii.gz", file)}
            assert server.client.put("/datastore/label", params={"image": name}, files=label).status_code == 200
    weights = server.model / "models" / "model.pt"
    before = read_checkpoint(weights)
    request = {"max_epochs": 1, "val_split": 0.5, "device": "cpu", "model_filename": "model.pt", "run_id": "training"}
    answer = server.client.post(f"/train/{BUNDLE_NAME}", params={"run_sync": True}, json=request, timeout=20 * MINUTES)
    assert answer.status_code == 200, answer.text
    after = read_checkpoint(weights)
    assert set(after) == set(before)
    moved = [name for name in before if not torch.equal(before[name].float(), after[name].float())]
    assert moved, server.log.read_text()[-3000:]
    # Two steps away from the shipped weights, not from random ones.
    for name in moved:
        if before[name].is_floating_point() and "running" not in name:
            assert (before[name].float() - after[name].float()).abs().max() < 0.05, name
    assert "Epoch[1] Complete" in server.log.read_text()
