"""Any segmentation bundle of MONAI's model zoo, run by its own inference configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from bundle.arguments import parse_device
from bundle.checksums import file_sha256
from bundle.data.ct_volume import write_hu
from bundle.errors import InputError, error_chain, find_input_error
from bundle.segmentation.foreign_code import contained
from bundle.segmentation.frame import check_labels, check_volume
from bundle.segmentation.monai_bundle_files import find_bundle, label_names

__all__ = ["MonaiBundleSegmenter"]

_RUNS = ("run", "evaluating")  # newer bundles, older ones
_SAVERS = ("SaveImage", "SaveImaged", "SegmentationSaver")


class MonaiBundleSegmenter:
    """A bundle that reads the volume, prepares it, predicts and turns the labels back, all as its configuration says.

    Its configuration is code and runs with the user's rights: use bundles from sources that you trust only. What it
    imports, its random seed and the files that it would save do not outlast the call.

    Args:
        folder: the bundle's folder, with configs/inference.json or .yaml, configs/metadata.json and models/model.pt.
        overrides: entries of its configuration to replace by their ids, such as {"displayable_configs#highres": false}.
        structures: names by label; what its metadata say if None.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if None.
        check_hu: refuse volumes whose values cannot be HU.

    Raises:
        InputError: when the folder is no segmentation bundle of one CT image, its configuration cannot be read, or its
            weights are missing.
    """

    def __init__(
        self,
        folder: str,
        overrides: Mapping[str, Any] | None = None,
        structures: Mapping[Any, str] | None = None,
        device: str | None = None,
        check_hu: bool = True,
    ) -> None:
        self._device = parse_device(device)
        self._files = find_bundle(folder)
        self.structures: Mapping[int, str] = label_names(self._files, structures)
        self.check_hu = check_hu
        self._image_key = next(iter(self._files.metadata["network_data_format"]["inputs"]))
        self._given = dict(overrides or {})
        with contained(self._files.folder), self._told("cannot be read"):
            parser = ConfigParser.load_config_file(str(self._files.config))
            self._overrides = self._given | self._fixed(parser)
            self._run_id = self._check_entries(parser)
            self._weights = self._find_weights()

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        """Segments one volume.

        Args:
            hu: [X, Y, Z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.

        Returns:
            [X, Y, Z] uint8, or uint16 where there are more than 255 labels.

        Raises:
            InputError: when the volume is not HU, the bundle fails, or what it gives is not on the volume's grid.
        """
        check_volume(hu, affine_ras, self.check_hu)
        with tempfile.TemporaryDirectory(prefix="segment-") as place:
            image = Path(place) / "image.nii"
            write_hu(hu, affine_ras, image)
            with contained(self._files.folder), self._told("failed"):
                predicted = self._predict(image)
        return self._labels(predicted, hu.shape, np.asarray(affine_ras, dtype=float))

    def describe(self) -> dict[str, str]:
        """The bundle's name and version, its weights and configuration with their SHA-256, and what was replaced."""
        told = {
            "segmenter": "monai_bundle",
            "bundle": self._files.name,
            "bundle_version": str(self._files.metadata.get("version", "")),
            "version": monai.__version__,
            "config_sha256": file_sha256(self._files.config),
        }
        for number, path in enumerate(self._weights):
            ending = f"_{number + 1}" if number else ""
            told |= {f"weights{ending}": path.name, f"weights_sha256{ending}": file_sha256(path)}
        if self._given:
            told["overrides"] = "; ".join(f"{key}={value}" for key, value in self._given.items())
        return told

    def _fixed(self, config: dict[str, Any]) -> dict[str, Any]:
        """What is replaced in every bundle's configuration, so that it neither saves nor starts processes."""
        device = str(self._device)
        fixed: dict[str, Any] = {
            "bundle_root": str(self._files.folder),
            "device": f"$torch.device('{device}')",
            "dataloader#num_workers": 0,
        }
        present = {"inferer#device": fixed["device"], "dataloader#persistent_workers": False}
        if self._device.type == "cpu":
            present["evaluator#amp"] = False
        fixed |= {key: value for key, value in present.items() if key.split("#")[1] in _entry(config, key)}
        for name, item in _components(config):
            if _target(item) in _SAVERS and name.rsplit("#", 1)[-1].isdigit():
                fixed[f"{name}#_disabled_"] = True
        return fixed

    def _check_entries(self, config: dict[str, Any]) -> str:
        """Refuses a configuration without what is replaced and read; returns the id of what runs it."""
        missing = [name for name in ("dataset", "dataloader", "evaluator") if not isinstance(config.get(name), dict)]
        run_id = next((name for name in _RUNS if name in config), None)
        if missing or run_id is None:
            raise InputError(
                self._files.config,
                f"has no entry {', '.join(missing or _RUNS[:1])}.",
                "Choose a bundle whose inference configuration has the zoo's usual entries.",
            )
        return run_id

    def _find_weights(self) -> list[Path]:
        """The files that the configuration loads, or the usual one where it does not say so."""
        parser = ConfigParser()
        parser.read_config(str(self._files.config))
        parser.update(self._overrides)
        loaders = [name for name, item in _components(parser.get()) if _target(item) == "CheckpointLoader"]
        files = [Path(parser.get_parsed_content(f"{name}#load_path")) for name in loaders]
        files = files or [self._files.folder / "models" / "model.pt"]
        for path in files:
            if not path.is_file():
                raise InputError(path, "is missing, so the bundle has no weights.", self._files.download + ".")
        return files

    def _predict(self, image: Path) -> Any:
        """Runs the bundle on one file; gives its post-processed output."""
        overrides = self._overrides | {"dataset#data": [{self._image_key: str(image)}]}
        overrides["output_dir"] = str(image.parent)
        workflow = ConfigWorkflow(
            config_file=str(self._files.config),
            meta_file=str(self._files.metadata_path),
            logging_file=False,
            run_id=self._run_id,
            workflow_type="infer",
            **overrides,
        )
        workflow.initialize()
        evaluator = workflow.parser.get_parsed_content("evaluator")
        workflow.run()
        output = evaluator.state.output
        workflow.finalize()
        return (output[0] if isinstance(output, list) else output)["pred"]

    def _labels(self, predicted: Any, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
        """Labels on the volume's grid, from one channel of them or one channel for each."""
        values = torch.as_tensor(predicted).detach().cpu().numpy()
        found = np.asarray(getattr(predicted, "affine", np.full((4, 4), np.nan)), dtype=float)
        if values.ndim != 4 or values.shape[1:] != shape or not np.allclose(found, affine, rtol=0, atol=1e-2):
            raise InputError(
                self._files.folder,
                f"gave labels of shape {tuple(values.shape)} that are not on the volume's grid {tuple(shape)}.",
                "Use a bundle whose postprocessing ends in Invertd of its preprocessing.",
            )
        labels = values.argmax(axis=0) if values.shape[0] > 1 else values[0]
        check_labels(labels, self.structures, self._files.folder)
        return labels.astype(np.uint8 if max(self.structures) < 256 else np.uint16)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Names the bundle in whatever its own code raises."""
        try:
            yield
        except Exception as error:  # of configurations and code that others wrote
            known = find_input_error(error)
            if known is not None:
                raise known from error
            chain = list(error_chain(error))
            reason = (str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__])[0]
            remedy = "Try it by itself: python -m monai.bundle run, as its docs/README.md says."
            if any(isinstance(part, ImportError) for part in chain):
                remedy = f"Install what it needs; its metadata say: {self._files.packages}."
            raise InputError(self._files.folder, f"{what} ({reason}).", remedy) from error


def _components(config: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and contents of everything in a configuration that is made of a class."""
    parts = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    if isinstance(config, dict) and "_target_" in config:
        yield name, config
    for key, part in parts:
        yield from _components(part, f"{name}#{key}" if name else str(key))


def _target(component: dict[str, Any]) -> str:
    """Name of a component's class, without its modules."""
    return str(component["_target_"]).rsplit(".", 1)[-1]


def _entry(config: dict[str, Any], key: str) -> dict[str, Any]:
    """The top-level entry that an id leads into; empty where there is none."""
    found = config.get(key.split("#")[0])
    return found if isinstance(found, dict) else {}
