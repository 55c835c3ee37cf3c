"""Any segmentation bundle of MONAI's model zoo, run by its own inference configuration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from bundle.arguments import parse_device
from bundle.checkpoint import read_checkpoint
from bundle.checksums import file_sha256
from bundle.data.ct_volume import write_hu
from bundle.errors import InputError, error_chain, find_input_error
from bundle.segmentation.foreign_code import contained
from bundle.segmentation.frame import check_labels, check_volume
from bundle.segmentation.monai_bundle_config import open_config, read_overrides
from bundle.segmentation.monai_bundle_files import find_bundle, label_names

__all__ = ["MonaiBundleSegmenter"]


class MonaiBundleSegmenter:
    """A bundle that reads the volume, prepares it, predicts and turns the labels back, all as its configuration says.

    Its configuration is code and runs with the user's rights: use bundles from sources that you trust only. What it
    imports, its random seed and the files that it would save do not outlast the call.

    Args:
        folder: the bundle's folder, with configs/inference.json or .yaml, configs/metadata.json and models/model.pt.
        overrides: entries of its configuration to replace by their ids, as JSON text or as a mapping of plain values,
            such as '{"displayable_configs#highres": false}'. Give text where another configuration holds the options:
            it would read entries with "_target_", "@" or "$" as its own.
        structures: names by label, such as {1: spleen}; what its metadata say if None.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if None.
        check_hu: refuse volumes whose values cannot be HU.

    Raises:
        InputError: when the folder is no segmentation bundle of one CT image, an override leads nowhere, its
            configuration cannot be read, packages that it needs are missing, or its weights are missing, damaged or
            another network's.
    """

    def __init__(
        self,
        folder: str,
        overrides: str | Mapping[str, Any] | None = None,
        structures: Mapping[Any, Any] | None = None,
        device: str | None = None,
        check_hu: bool = True,
    ) -> None:
        self._device = parse_device(device)
        self._files = find_bundle(folder)
        self.structures: Mapping[int, str] = label_names(self._files, structures)
        self.check_hu = check_hu
        self._image_key = next(iter(self._files.metadata["network_data_format"]["inputs"]))
        self._given = read_overrides(overrides)
        with contained(self._files.folder):
            with self._told("cannot be read"):
                self._config = open_config(self._files, self._given, self._device)
            with self._told("cannot be used"):
                self._check_run()

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
        """The bundle's name and version, SHA-256 of its weights and of all its files, and what was replaced."""
        told = {
            "segmenter": "monai_bundle",
            "bundle": self._files.name,
            "bundle_version": str(self._files.metadata.get("version", "")),
            "version": monai.__version__,
            "bundle_sha256": self._files.checksum(),
        }
        for number, path in enumerate(self._config.weights):
            ending = f"_{number + 1}" if number else ""
            told |= {f"weights{ending}": path.name, f"weights_sha256{ending}": file_sha256(path)}
        if self._given:
            told["overrides"] = json.dumps(self._given)
        return told

    def _check_run(self) -> None:
        """Makes everything that a run needs, and loads the weights, without an image."""
        for path in self._config.weights:
            read_checkpoint(path)
        with tempfile.TemporaryDirectory(prefix="segment-") as place:
            workflow = self._workflow([], Path(place))
            workflow.initialize()
            evaluator = workflow.parser.get_parsed_content("evaluator")
            for name in self._config.loaders:  # some load only when the evaluator starts
                loader = workflow.parser.get_parsed_content(name)
                if loader is not None:
                    loader(evaluator)
            workflow.finalize()

    def _predict(self, image: Path) -> Any:
        """Runs the bundle on one file; gives its post-processed output."""
        workflow = self._workflow([{self._image_key: str(image)}], image.parent)
        workflow.initialize()
        evaluator = workflow.parser.get_parsed_content("evaluator")
        workflow.run()
        output = evaluator.state.output
        workflow.finalize()
        return (output[0] if isinstance(output, list) else output)["pred"]

    def _workflow(self, data: list[dict[str, str]], output_dir: Path) -> ConfigWorkflow:
        """The bundle's inference of given data."""
        return ConfigWorkflow(
            config_file=str(self._files.config),
            meta_file=str(self._files.metadata_path),
            logging_file=False,
            run_id=self._config.run_id,
            workflow_type="infer",
            **{**self._config.changes, "dataset#data": data, "output_dir": str(output_dir)},
        )

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
            reason = " ".join(str(chain[-1]).split())[:300] or type(chain[-1]).__name__
            remedy = "Try it by itself: python -m monai.bundle run, as its docs/README.md says."
            if any(isinstance(part, ImportError) for part in chain):
                remedy = f"Install what it needs; its metadata say: {self._files.packages}."
            raise InputError(self._files.folder, f"{what} ({reason}).", remedy) from error
