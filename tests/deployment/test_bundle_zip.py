"""The bundle as a zip: complete, reproducible, and of use where nothing of this repository is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import nibabel as nib
import pytest

import bundle
from bundle.deployment.bundle_zip import BUNDLE_NAME, bundle_files, write_bundle
from bundle.errors import InputError
from tests.conftest import ROOT
from tests.test_commands import call
from tests.workflows import DEMO, TRAIN, command_line, small

NAME = f"{BUNDLE_NAME}_v{bundle.__version__}"

# As where nothing was installed from this repository: neither by path nor by the finder of an editable install.
_ALONE = """
import sys
root = sys.argv.pop(1)
sys.path[:] = [path for path in sys.path if path != root]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
import runpy
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
import bundle
print("imported from", bundle.__file__)
"""


@pytest.fixture
def root(tmp_path):
    """A small folder that looks like a bundle's root."""
    contents = {
        "LICENSE": "a",
        "configs/metadata.json": "{}",
        "configs/presets/one.json": "{}",
        "docs/README.md": "b",
        "models/model.pt": "c",
        "models/checkpoints/pretrain/checkpoint_epoch=1.pt": "not to be taken",
        "models/.partial-1-model.pt": "not to be taken",
        "bundle/__init__.py": "d",
        "bundle/report/style.css": "e",
        "bundle/__pycache__/x.pyc": "not to be taken",
        "runs/x.json": "not to be taken",
    }
    for name, text in contents.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


def test_takes_what_belongs_to_it(root, tmp_path):
    (tmp_path / "secret.txt").write_text("not to be taken")
    (root / "docs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    found = [path.as_posix() for path in bundle_files(root)]
    assert found == [
        "LICENSE",
        "bundle/__init__.py",
        "bundle/report/style.css",
        "configs/metadata.json",
        "configs/presets/one.json",
        "docs/README.md",
        "models/model.pt",
    ]


def test_equal_files_make_an_equal_zip(root, tmp_path):
    first = write_bundle(root, tmp_path / "a", "1.2.3")
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    second = write_bundle(root, tmp_path / "b", "1.2.3")
    assert first.name == f"{BUNDLE_NAME}_v1.2.3.zip"
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as file:
        assert {name.split("/")[0] for name in file.namelist()} == {f"{BUNDLE_NAME}_v1.2.3"}
    with pytest.raises(InputError, match="exists already"):
        write_bundle(root, tmp_path / "a", "1.2.3")


def test_refuses_what_the_zoo_would_not_take(root, tmp_path):
    with open(root / "models" / "pretrain.pt", "wb") as file:
        file.truncate(26 * 2**20)
    with pytest.raises(InputError, match=r"pretrain\.pt: has 26 MB, more than 25\. List it in large_files\.yml"):
        write_bundle(root, tmp_path, "1")
    (root / "models" / "pretrain.pt").unlink()
    (root / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"lacks models/model\.pt"):
        write_bundle(root, tmp_path, "1")
    assert not list(tmp_path.glob("*.zip"))


def test_unzipped_elsewhere_it_trains_and_infers(tmp_path, monkeypatch, capsys, child_env):
    call(monkeypatch, "export", "--output", tmp_path)
    assert "SHA-256" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / f"{NAME}.zip") as file:
        assert max(entry.file_size for entry in file.infolist()) < 25 * 2**20
        file.extractall(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / NAME
    changes = {key: value for key, value in small(tmp_path).items() if key != "bundle_root"}
    runs = {
        "training": ["run", "training", "--config_file", str([TRAIN, DEMO]), *command_line(changes)],
        "inference": ["run", "--config_file", "configs/inference.json", "--output_shape", "[32,32,32]"],
    }
    environment = {name: value for name, value in child_env.items() if name != "PYTHONPATH"}
    for arguments in runs.values():
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, str(ROOT), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert f"imported from {folder / 'bundle'}" in done.stdout
    assert (tmp_path / "models" / "pretrain.pt").is_file()
    assert nib.load(folder / "runs" / "inference" / "reconstruction.nii.gz").shape == (32, 32, 32)
    assert json.loads((folder / "configs" / "metadata.json").read_text())["version"] == bundle.__version__
