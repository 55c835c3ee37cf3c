"""The commands: thin wrappers that read a configuration and call the library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.atomic import check_output
from bundle.errors import InputError

__all__ = ["COMMANDS", "convert", "reconstruct", "simulate"]

_ROOT = Path(__file__).resolve().parent.parent
_INFERENCE = _ROOT / "configs" / "inference.json"


def reconstruct(
    source: str,
    output: str,
    checkpoint: str | None = None,
    config: str | Sequence[str] | None = None,
    preset: str | None = None,
    num_views: int | None = None,
    output_shape: Sequence[int] | None = None,
    device: str | None = None,
    check_hu: bool = True,
    overwrite: bool = False,
) -> None:
    """Reconstructs a volume from a projection file, or from projections simulated of a CT.

    Args:
        source: projection file (.npz), or a CT volume (.nii.gz, .mha, .mhd, .nrrd or a DICOM folder).
        output: NIfTI file to write, in HU and patient coordinates.
        checkpoint: weights; models/model.pt if not given. A configuration of the same name beside it (model.json,
            as convert writes it) is used, too.
        config: further configuration overlays, such as configs/demo.json.
        preset: scan of the network.
        num_views: number of views to use; all of a projection file, or 6 of a CT, if not given.
        output_shape: voxels, as "[256,256,256]"; the preset's if not given.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if not given.
        check_hu: refuse CT intensities that cannot be HU.
        overwrite: replace an existing output.
    """
    import torch
    from monai.bundle import ConfigWorkflow

    files = [str(_INFERENCE)]
    beside = Path(checkpoint or _ROOT / "models" / "model.pt").with_suffix(".json")
    if beside.is_file():
        files.append(str(beside))
    files += [config] if isinstance(config, str) else list(config or [])
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"config {file}", "does not exist.", "Check the path.")
    changes: dict[str, Any] = {"source": source, "output": output, "overwrite": overwrite}
    changes["bundle_root"] = str(_ROOT)
    changes["check_hu"] = check_hu
    optional = {"checkpoint": checkpoint, "preset": preset, "num_views": num_views, "output_shape": output_shape}
    changes.update({key: value for key, value in optional.items() if value is not None})
    if device is not None:
        changes["device"] = torch.device(device)
    workflow = ConfigWorkflow(config_file=files, workflow_type="infer", **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def simulate(
    source: str,
    output: str,
    preset: str = "luna16",
    num_views: int = 6,
    photons: float | None = None,
    seed: int = 0,
    detector_shape: Sequence[int] | None = None,
    volume_shape: Sequence[int] | None = None,
    device: str = "cpu",
    check_hu: bool = True,
    overwrite: bool = False,
) -> None:
    """Simulates the projections of a CT volume and writes a projection file.

    Args:
        source: CT volume (.nii.gz, .mha, .mhd, .nrrd or a DICOM folder).
        output: projection file to write (.npz).
        preset: scan, one of configs/presets.
        num_views: number of equally spaced views.
        photons: incident photons per pixel of quantum noise, such as 1e5; no noise if not given.
        seed: seed of the noise.
        detector_shape: rows and columns, as "[128,128]"; the preset's if not given.
        volume_shape: voxels, as "[128,128,128]"; the preset's if not given.
        device: device to simulate on.
        check_hu: refuse CT intensities that cannot be HU.
        overwrite: replace an existing output.
    """
    from monai.bundle import ConfigParser

    from bundle.data.projection_file import write_projections
    from bundle.data.reconstruction_input import project_ct
    from bundle.physics.noise import DetectorNoise

    path = check_output(output, overwrite, (".npz",))
    parser = ConfigParser()
    parser.read_config(str(_INFERENCE))
    parser.update({"preset": preset, "detector_shape": detector_shape, "volume_shape": volume_shape})
    parser["check_hu"] = check_hu
    scan = parser.get_parsed_content("scan")
    to_unit = parser.get_parsed_content("preprocessing").ct_transforms
    noise = None if photons is None else DetectorNoise(photons)
    data = project_ct(to_unit({"image": source})["image"], scan, num_views, noise, seed, device)
    write_projections(data, path)
    print(f"wrote {path}: {num_views} views of {scan.detector_shape[0]} x {scan.detector_shape[1]} pixels")


def convert(
    source: str, output: str, preset: str = "luna16", low_resolution: int = 32, overwrite: bool = False
) -> None:
    """Converts published DeepSparse weights, and writes the configuration that they need beside them.

    Args:
        source: published .pth state dict.
        output: weights to write, such as models/model.pt; the configuration goes to models/model.json.
        preset: scan that the weights were trained with.
        low_resolution: voxels per side of the 3D features.
        overwrite: replace existing outputs.
    """
    from bundle.convert import convert as convert_file

    overlay = convert_file(source, output, preset, low_resolution, overwrite)
    print(f"wrote {output} and {overlay}")


COMMANDS = {"reconstruct": reconstruct, "simulate": simulate, "convert": convert}
