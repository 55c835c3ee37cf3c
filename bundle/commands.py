"""The commands: thin wrappers that read a configuration and call the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bundle.atomic import check_apart, check_output
from bundle.checksums import file_sha256
from bundle.config_text import literal
from bundle.errors import InputError
from bundle.fetch_command import fetch_weights
from bundle.import_command import export_scan, import_scan
from bundle.inference_files import inference_files, inference_network
from bundle.inspect_command import inspect
from bundle.items_command import items
from bundle.nnunet_command import nnunet_export
from bundle.paths import ROOT
from bundle.prepare_command import prepare

if TYPE_CHECKING:
    import torch

    from bundle.classical.methods import Method
    from bundle.data.volume_output import VolumeOutput

__all__ = [
    "COMMANDS",
    "convert",
    "export_bundle",
    "export_network",
    "pack_training",
    "reconstruct",
    "simulate",
    "unpack_training",
]


def reconstruct(
    source: str,
    output: str,
    method: str = "deepsparse",
    checkpoint: str | None = None,
    config: str | Sequence[str] | None = None,
    preset: str | None = None,
    num_views: int | None = None,
    output_shape: Sequence[int] | None = None,
    engine: str | None = None,
    options: dict[str, Any] | None = None,
    refine: str | None = None,
    photons: float | None = None,
    residuals: str | None = None,
    device: str | None = None,
    output_format: str = "nifti",
    check_hu: bool = True,
    overwrite: bool = False,
) -> None:
    """Reconstructs a volume from a projection file, or from projections simulated of a CT.

    Args:
        source: projection file (.npz), or a CT volume (.nii.gz, .mha, .mhd, .nrrd or a DICOM folder).
        output: NIfTI file to write, or folder of a DICOM series, in HU and patient coordinates.
        method: deepsparse, or without a network: fdk, sart, cgls or tv.
        checkpoint: the network's weights; models/model.pt if not given. A configuration of the same name beside it
            (model.json, as convert writes it) is used, too.
        config: further configuration overlays, such as configs/demo.json.
        preset: scan of the network, or to simulate of a CT.
        num_views: number of views to use; all of a projection file, or 6 of a CT, if not given.
        output_shape: voxels, as "[256,256,256]"; the preset's, or for the other methods the file's, if not given.
        engine: of the methods without a network: own, or rtk for the Reconstruction Toolkit's.
        options: theirs, as "{iterations: 20}".
        refine: sart or cgls, to refine the network's volume towards the projections.
        photons: incident photons per pixel of the scan: refining stops at their noise, total variation smooths by as
            much as it asks for, and residuals are compared with it. A scan that is simulated of a CT gets that noise.
        residuals: CSV file to write, which says how well the volume explains each view.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if not given.
        output_format: nifti or dicom. A CT of a DICOM folder lends a DICOM series its patient and study.
        check_hu: refuse CT intensities that cannot be HU.
        overwrite: replace existing outputs.
    """
    from bundle.arguments import parse_device
    from bundle.classical import METHODS, make_method

    if method != "deepsparse" and method not in METHODS:
        raise InputError("method", f"is {method!r}.", f"Use deepsparse or one of {', '.join(METHODS)}.")
    learned = method == "deepsparse"
    unused = {"engine": engine, "options": options} if learned else {"checkpoint": checkpoint, "refine": refine}
    for name, value in unused.items():
        if value is not None:
            raise InputError(name, f"has no effect on {method}.", "Leave it out, or see reconstruct --help.")
    weighs_noise = method == "tv" and engine != "rtk"
    if photons is not None and refine is None and residuals is None and not weighs_noise:
        raise InputError("photons", "has no effect by itself.", "Give it with --refine, --residuals or --method tv.")
    files = inference_files(checkpoint if learned else None, config, learned)
    paths = {"source": source, "bundle_root": str(ROOT), "checkpoint": checkpoint, "preset": preset}
    changes: dict[str, Any] = {key: literal(value) for key, value in paths.items() if value is not None}
    changes["check_hu"] = check_hu
    if num_views is not None:
        changes["num_views"] = num_views
    noise = None if photons is None else {"_target_": "bundle.physics.noise.DetectorNoise", "photons": photons}
    if noise is not None and not source.lower().endswith(
        ".npz"
    ):  # a scan that is simulated has the noise that it is said to
        changes["acquisition"] = {"_target_": "bundle.physics.acquisition.Acquisition", "noise": noise}
    if not learned:
        from bundle.data.volume_output import VolumeOutput
        from bundle.physics.noise import DetectorNoise

        known = {"noise": DetectorNoise(photons)} if photons is not None and weighs_noise else {}
        chosen = make_method(method, engine or "own", **{**known, **(options or {})})
        target = VolumeOutput(output, output_format, overwrite, source)
        _reconstruct_classically(
            files, changes, source, target, method, chosen, output_shape, parse_device(device), residuals, photons
        )
        return
    changes.update(output=literal(output), output_format=output_format, overwrite=overwrite)
    changes["residuals"] = None if residuals is None else literal(residuals)
    changes["device"] = parse_device(device)
    if output_shape is not None:
        changes["output_shape"] = output_shape
    consistency = {"_target_": "bundle.classical.DataConsistency", "noise": noise, "hu_window": "$@scan.hu_window"}
    changes["residual_noise"] = None if noise is None else consistency
    if refine is not None:
        changes["refine"] = {**consistency, "method": refine}
    _run_inference(files, changes)


def _run_inference(files: list[str], changes: dict[str, Any]) -> None:
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(config_file=files, workflow_type="infer", **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _reconstruct_classically(
    files: list[str],
    changes: dict[str, Any],
    source: str,
    output: VolumeOutput,
    method: str,
    chosen: Method,
    output_shape: Sequence[int] | None,
    device: torch.device,
    residuals: str | None,
    photons: float | None,
) -> None:
    from monai.bundle import ConfigParser

    from bundle.physics.noise import DetectorNoise
    from bundle.reconstruction import reconstruct_projections

    output.check()
    if residuals is not None:
        check_output(residuals, output.overwrite, (".csv",), inputs=[source])
    parser = ConfigParser()
    parser.read_config(files)
    parser.update(changes)
    data = parser.get_parsed_content("reader").load(source)
    noise = None if photons is None else DetectorNoise(photons)
    reconstruct_projections(data, chosen, output, method, output_shape, device, residuals, noise)
    print(f"wrote {output.path}: {method} from {data.geometry.num_views} views")


def simulate(
    source: str,
    output: str,
    preset: str = "luna16",
    num_views: int = 6,
    photons: float | None = None,
    seed: int = 0,
    detector_shape: Sequence[int] | None = None,
    volume_shape: Sequence[int] | None = None,
    device: str | None = None,
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
        device: device to simulate on; CUDA where there is one if not given.
        check_hu: refuse CT intensities that cannot be HU.
        overwrite: replace an existing output.
    """
    from monai.bundle import ConfigParser

    from bundle.arguments import parse_device
    from bundle.data.projection_file import write_projections
    from bundle.data.reconstruction_input import project_ct
    from bundle.physics.acquisition import Acquisition
    from bundle.physics.noise import DetectorNoise

    path = check_output(output, overwrite, (".npz",), inputs=[source])
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    parser.update({"preset": literal(preset), "detector_shape": detector_shape, "volume_shape": volume_shape})
    parser["check_hu"] = check_hu
    scan = parser.get_parsed_content("scan")
    to_unit = parser.get_parsed_content("reader").ct_transforms
    acquisition = None if photons is None else Acquisition(noise=DetectorNoise(photons))
    data = project_ct(to_unit({"image": source}), scan, num_views, acquisition, seed, parse_device(device))
    write_projections(data, path)
    print(f"wrote {path}: {num_views} views of {scan.detector_shape[0]} x {scan.detector_shape[1]} pixels")


def convert(
    source: str, output: str, preset: str = "luna16", low_resolution: int = 32, overwrite: bool = False
) -> None:
    """Converts published DeepSparse weights, and writes the configuration that they need beside them.

    Args:
        source: published .pth state dict.
        output: weights to write, such as models/published.pt; the configuration goes to models/published.json.
        preset: scan that the weights were trained with.
        low_resolution: voxels per side of the 3D features.
        overwrite: replace existing outputs.
    """
    from bundle.convert import convert as convert_file

    overlay = convert_file(source, output, preset, low_resolution, overwrite)
    print(f"wrote {output} and {overlay}")


def export_network(
    output: str,
    format: str = "torchscript",
    checkpoint: str | None = None,
    config: str | Sequence[str] | None = None,
    preset: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the network as one file that runs without this package; docs/deployment.md tells how to use it.

    Args:
        output: file to write: .ts, .onnx or .pt2.
        format: torchscript, onnx or pt2.
        checkpoint: the network's weights; models/model.pt if not given. A configuration of the same name beside it
            (model.json, as convert writes it) is used, too.
        config: further configuration overlays, such as configs/demo.json.
        preset: scan of the network.
        overwrite: replace an existing output.
    """
    from monai.bundle import ConfigParser

    from bundle.deployment import export

    path = export.check_target(format, output, overwrite)
    check_apart(path, [checkpoint])
    network, scan = inference_network(checkpoint, config, preset)
    metadata = ConfigParser.load_config_file(ROOT / "configs" / "metadata.json")
    about = {key: metadata[key] for key in ("name", "version", "intended_use", "references")}
    different = export.export_network(network, scan, path, format, about, overwrite)
    print(f"wrote {path}: read back, {different:.1%} of its voxels differ from the network's")


def export_bundle(output: str, overwrite: bool = False) -> None:
    """Writes the bundle as one zip, for MONAI's model zoo and for machines that have nothing of this repository.

    Args:
        output: folder to write to.
        overwrite: replace an existing file.
    """
    from bundle import __version__
    from bundle.deployment.bundle_zip import write_bundle

    path = write_bundle(ROOT, output, __version__, overwrite)
    print(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}")


def pack_training(source: str, output: str, largest_mb: float = 15.0) -> None:
    """Packs the latest training checkpoint into small files of half precision, to train on elsewhere.

    Args:
        source: folder of the stage's checkpoints, such as models/checkpoints/pretrain.
        output: folder to write to; a state that is there is replaced.
        largest_mb: most of a file, in 10^6 bytes.
    """
    from bundle.training_state import pack_state

    check_apart(output, [source])
    files = pack_state(source, output, largest_mb)
    print(f"wrote {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, to {output}")


def unpack_training(source: str, output: str) -> None:
    """Writes the checkpoint of a packed training state; the stage's training command then goes on from it.

    Args:
        source: folder that pack-training wrote.
        output: folder of the stage's checkpoints, such as models/checkpoints/pretrain.
    """
    from bundle.training_state import unpack_state

    check_apart(output, [source])
    print(f"wrote {unpack_state(source, output)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "reconstruct": reconstruct,
    "simulate": simulate,
    "convert": convert,
    "fetch-weights": fetch_weights,
    "import": import_scan,
    "export": export_bundle,
    "export-scan": export_scan,
    "export-network": export_network,
    "pack-training": pack_training,
    "unpack-training": unpack_training,
    "prepare": prepare,
    "items": items,
    "inspect": inspect,
    "nnunet-export": nnunet_export,
}
