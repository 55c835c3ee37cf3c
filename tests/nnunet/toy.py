"""A toy prepared set, and nnU-Net's real programs run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.data.datalist import PREPARED
from bundle.prepared.write import write_case
from bundle.presets import ScanPreset

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = ROOT / "tests" / "nnunet" / "external_trainers"

SCAN = ScanPreset(
    name="toy",
    sod_mm=500.0,
    sdd_mm=800.0,
    detector_shape=(24, 32),
    pixel_mm=(14.0, 12.0),
    volume_shape=(40, 32, 24),
    voxel_mm=(4.0, 3.5, 3.0),
    hu_window=(-1000.0, 1000.0),
    candidate_views=4,
)
BONE, BALL, ROD = 12, 13, 30  # values in the label maps
STRUCTURES = "{right bone: [12, 13], left_rod: 30}"
AFFINE_RAS = np.array([[-4.0, 0, 0, 75], [0, -3.5, 0, 50], [0, 0, 3.0, -120], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class NNUNetFolders:
    """nnU-Net's three folders, and what was made in them.

    Args:
        root: their parent.
        dataset: name of the data set.
        configuration: configuration that was trained.
    """

    root: Path
    dataset: str = "Dataset517_Toy"
    configuration: str = "3d_fullres"

    @property
    def raw(self) -> Path:
        return self.root / "raw" / self.dataset

    @property
    def preprocessed(self) -> Path:
        return self.root / "preprocessed" / self.dataset

    @property
    def model(self) -> Path:
        return self.root / "results" / self.dataset / f"ShortTrainer__nnUNetPlans__{self.configuration}"

    def run(self, program: str, *arguments: object, **environment: str) -> str:
        """Runs one of nnU-Net's programs as the documentation does, and gives what it prints."""
        folders = {f"nnUNet_{name}": str(self.root / name) for name in ("raw", "preprocessed", "results")}
        settings = {"nnUNet_extTrainer": str(TRAINERS), "nnUNet_def_n_proc": "1"}
        words = [sys.executable, "-m", "bundle.nnunet.programs", program, *map(str, arguments)]
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, **folders, **settings, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout


def toy_case(shift: Sequence[int] = (0, 0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """[40, 32, 24] volume in [0, 1] and its labels: a body with a bright hook, a bright ball and a dark rod.

    No flip or permutation of the axes maps the structures to themselves.
    """
    x, y, z = np.indices(SCAN.volume_shape) - np.reshape(shift, (3, 1, 1, 1))
    volume = np.where(((x - 20) / 17) ** 2 + ((y - 16) / 13) ** 2 + ((z - 12) / 10) ** 2 < 1, 0.45, 0.05)
    labels = np.zeros(SCAN.volume_shape, dtype=np.uint8)
    labels[(abs(x - 13) < 2) & (abs(y - 14) < 6) & (abs(z - 8) < 3)] = BONE
    labels[(abs(x - 17) < 4) & (abs(y - 10) < 2) & (abs(z - 8) < 3)] = BONE
    labels[(x - 12) ** 2 + (y - 15) ** 2 + (z - 15) ** 2 < 7] = BALL
    labels[(abs(x - 26) < 6) & (abs(y - 19) < 2) & (abs(z - 14) < 2)] = ROD
    volume[np.isin(labels, (BONE, BALL))] = 0.9
    volume[labels == ROD] = 0.2
    return volume.astype(np.float32), labels


def write_toy_set(folder: Path, sections: Mapping[str, Sequence[str]], **options) -> Path:
    """Writes a prepared set whose cases differ by shifts."""
    listing: dict = {"format": PREPARED}
    number = 0
    for section, names in sections.items():
        listing[section] = [{"image": f"cases/{name}", "case": name} for name in names]
        for name in names:
            volume, labels = toy_case((number, -number % 3, number % 2))
            write_toy_case(folder / "cases" / name, volume, **{"labels": labels, **options})
            number += 1
    (folder / "dataset.json").write_text(json.dumps(listing))
    return folder


def write_toy_case(folder: Path, volume: np.ndarray, affine_ras: np.ndarray = AFFINE_RAS, **options) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    geometry = SCAN.geometry([0.0])
    write_case(folder, folder.name, volume, affine_ras, SCAN.hu_window, geometry, **options)
