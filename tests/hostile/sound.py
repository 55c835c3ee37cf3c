"""A folder of small sound input of every kind, and the commands that read it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from bundle.checkpoint import save_checkpoint
from bundle.data.projection_file import ProjectionSet, write_projections
from bundle.networks import DiCE
from bundle.phantoms import asymmetric_phantom, voxelise
from bundle.physics.attenuation import normalised_to_attenuation
from bundle.presets import load_preset
from bundle.scanners.geometry_json import write_geometry_json
from bundle.scanners.geometry_rtk import write_geometry_rtk
from bundle.simulation import project_own_voxels
from tests.conftest import DATA, ROOT
from tests.datasets.formats import write_dicom, write_metaimage, write_nifti, write_nrrd
from tests.inspection.sets import write_recorded_set
from tests.scanners.vendor_files import write_mha_stack

__all__ = ["COMMANDS", "CTS", "make_sound"]

GRID = {"in/geometry.xml": ["--volume_shape", "[24,24,24]", "--voxel_mm", "[17,17,17]"]}
SIZE = ["--volume_shape", "[24,24,24]", "--detector_shape", "[24,24]"]
NETWORK = {
    "encoder_channels": [4, 6],
    "encoder_blocks": 2,
    "decoder_channels": 8,
    "decoder_blocks": 2,
    "point_channels": [8],
    "low_resolution": 6,
    "denoise_blocks": 0,
    "codes": 16,
    "prior": None,
    "preset": "luna16",
    "detector_shape": [24, 24],
    "volume_shape": [24, 24, 24],
}
CTS = ("ct.nii", "ct.nii.gz", "ct.mha", "ctz.mha", "ct.mhd", "ct.nrrd", "ctz.nrrd", "dicom")
YAML = (
    "DSD: 1200\nDSO: 800\nnDetector: [24,24]\ndDetector: [25.6,25.6]\nnVoxel: [24,24,24]\ndVoxel: [17.0,17.0,17.0]\n"
    "totalAngle: 360\nstartAngle: 0\nnumTrain: 8\nmode: cone\n"
)


def simulate(source: str) -> list[str]:
    """Simulates a scan of a CT."""
    return ["bundle", "simulate", "--source", source, "--output", "out/scan.npz", "--num_views", "4", *SIZE]


def bring(geometry: str) -> list[str]:
    """Imports line integrals with a geometry."""
    command = ["bundle", "import", "--projections", "in/stack.mha", "--geometry", geometry, "--quantity", "attenuation"]
    return [*command, "--output", "out/scan.npz", *GRID.get(geometry, [])]


def prepare(*more: str) -> list[str]:
    """Prepares a folder of CTs."""
    command = ["bundle", "prepare", "--dataset", "folder", "--source", "in/cts", "--output", "out/set", *SIZE]
    return [*command, "--workers", "1", *more]


def evaluate(method: str = "fdk") -> list[str]:
    """Segments and compares volumes that a list names."""
    command = ["monai.bundle", "run", "evaluating", "--config_file", str(ROOT / "configs/evaluate_segmentation.json")]
    more = ["--volumes", "in/volumes.csv", "--output_dir", "out/evaluation", "--method", method]
    return [*command, "--bundle_root", str(ROOT), *more, "--hu_window", "[-1000,1000]"]


def train() -> list[str]:
    """Trains a step on a data set."""
    files = [str(ROOT / "configs" / name) for name in ("train.json", "demo.json")]
    command = ["monai.bundle", "run", "training", "--config_file", str(files), "--bundle_root", str(ROOT)]
    options = {"dataset_dir": "in/set", "models_dir": "out/models", "output_dir": "out/run", "max_epochs": "1"}
    options |= {"cases_repeated": "1", "points_per_volume": "100", "num_workers": "0", "device": "cpu", "codes": "16"}
    for name in ("encoder_channels", "decoder_channels", "point_channels", "low_resolution"):
        options[name] = str(NETWORK[name])
    return [*command, *(word for name, value in options.items() for word in (f"--{name}", value)), *SIZE]


COMMANDS: Mapping[str, list[str]] = {
    **{name: simulate(f"in/{name}") for name in CTS},
    "scan.npz": ["bundle", "reconstruct", "--source", "in/scan.npz", "--output", "out/v.nii.gz", "--method", "fdk"],
    "stack.mha": bring("in/geometry.xml"),
    **{f"geometry.{kind}": bring(f"in/geometry.{kind}") for kind in ("xml", "json", "yaml")},
    "model.pt": [
        *("bundle", "reconstruct", "--source", "in/scan.npz", "--output", "out/v.nii.gz"),
        *("--checkpoint", "in/model.pt", "--output_shape", "[16,16,16]"),
    ],
    "published.pth": ["bundle", "convert", "--source", "in/published.pth", "--output", "out/m.pt"],
    "published.zip": ["bundle", "fetch-weights", "--source", "in/published.zip", "--output", "out/m.pt"],
    "set": ["bundle", "inspect", "in/set", "--output", "out/pictures"],
    "training": train(),
    "split.json": prepare("--split", "in/split.json"),
    "patients.csv": prepare("--patients", "in/patients.csv"),
    "volumes.csv": evaluate(),
}
"""The command for each kind of input, in a folder with "in" and an empty "out"."""


def make_sound(folder: Path) -> None:
    """Writes the sound input."""
    folder.mkdir(parents=True)
    preset = load_preset("luna16", (24, 24), (24, 24, 24))
    geometry = preset.geometry(np.arange(8) * np.pi / 8)
    unit = voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry).clip(0, 1)
    hu = np.rint(unit * 2000 - 1000).astype(np.int16)[:, 2:22, 3:21]
    affine = np.array([[-12.0, 0, 0, 70], [0, -13.0, 0, 65], [0, 0, 14.0, -130], [0, 0, 0, 1.0]])
    for name in CTS:
        write_ct(folder / name, hu, affine)
    for n in range(5):
        write_nifti(folder / "cts" / f"case{n}.nii.gz", hu, affine)
    for name in ("truth", "volume"):
        write_nifti(folder / f"{name}.nii.gz", hu, affine)
    projected = project_own_voxels(torch.from_numpy(unit)[None, None].float(), geometry, preset.hu_window)[0]
    attenuation = normalised_to_attenuation(projected, preset.hu_window).numpy()
    write_projections(ProjectionSet(projections=attenuation, geometry=geometry), folder / "scan.npz")
    write_mha_stack(folder / "stack.mha", attenuation, ElementSpacing="25.6 25.6 1", Offset="-294.4 -294.4 0")
    write_geometry_json(geometry, folder / "geometry.json")
    write_geometry_rtk(geometry, folder / "geometry.xml")
    (folder / "geometry.yaml").write_text(YAML)
    write_weights(folder)
    write_recorded_set(folder / "set", preset, {"training": ["a", "b"], "validation": ["c"], "test": ["d"]})
    sections = {"training": ["case0", "case1", "case2"], "validation": ["case3"], "test": ["case4"]}
    (folder / "split.json").write_text(json.dumps(sections))
    (folder / "patients.csv").write_text("case,patient\n" + "".join(f"case{n},p{n // 2}\n" for n in range(5)))
    (folder / "volumes.csv").write_text("case,method,views,volume,truth\na,fdk,6,volume.nii.gz,truth.nii.gz\n")


def write_ct(path: Path, hu: np.ndarray, affine_ras: np.ndarray) -> None:
    """Writes a CT [x, y, z] in HU in the format that its name tells."""
    if path.suffix in (".mha", ".mhd"):
        write_metaimage(path, hu, affine_ras, compressed=path.stem == "ctz")
    elif path.suffix == ".nrrd":
        write_nrrd(path, hu, affine_ras, compressed=path.stem == "ctz")
    elif path.suffix in (".nii", ".gz"):
        write_nifti(path, hu, affine_ras)
    else:
        write_dicom(path, hu, affine_ras)


def write_weights(folder: Path) -> None:
    """Writes weights of this package with their settings, and published ones alone and in a zip."""
    torch.manual_seed(0)
    names = ("encoder_channels", "encoder_blocks", "decoder_channels", "decoder_blocks", "point_channels")
    options = {name: NETWORK[name] for name in (*names, "low_resolution")}
    network = DiCE(load_preset("luna16", (24, 24), (24, 24, 24)), **options, quantizer={"codes": 16})
    save_checkpoint(network.state_dict(), folder / "model.pt")
    (folder / "model.json").write_text(json.dumps(NETWORK))
    golden = np.load(DATA / "tiny_finetune.npz")
    state = {k.removeprefix("state/"): torch.from_numpy(golden[k]) for k in golden.files if k.startswith("state/")}
    save_checkpoint(state, folder / "published.pth")
    with zipfile.ZipFile(folder / "published.zip", "w") as archive:
        archive.write(folder / "published.pth", "weights/published.pth")
