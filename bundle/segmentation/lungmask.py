"""Lungs and lobes by the package lungmask (Hofmanninger et al. 2020, https://doi.org/10.1186/s41747-020-00173-2)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from types import ModuleType

import numpy as np
import torch

from bundle.arguments import parse_device
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.optional import require
from bundle.segmentation.frame import check_volume, in_orientation
from bundle.segmentation.lungmask_weights import find_weights

__all__ = ["LungMask"]

_LUNGS = {1: "right lung", 2: "left lung"}
_LOBES = {
    1: "left upper lobe",
    2: "left lower lobe",
    3: "right upper lobe",
    4: "right middle lobe",
    5: "right lower lobe",
}
_STRUCTURES = {"R231": _LUNGS, "LTRCLobes": _LOBES, "R231CovidWeb": _LUNGS}


class LungMask:
    """A trained U-Net that labels axial slices, and the package's own clean-up of its labels.

    Args:
        model: "R231" or "R231CovidWeb" for the two lungs, "LTRCLobes" for the five lobes.
        weights: file of the model's weights; the package's release from PyTorch's cache, or else from its page, if
            None.
        fill_model: model whose lungs fill what the first one leaves out, such as "R231" with "LTRCLobes".
        fill_weights: file of that model's weights, found like ``weights`` if None.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if None.
        batch_size: slices that are segmented at once; 8 take about 1.5 GB.
        check_hu: refuse volumes whose values cannot be HU.

    Raises:
        InputError: when there is no such model or device, or weights are missing, damaged or another network's.
        ImportError: when the package is missing.
    """

    def __init__(
        self,
        model: str = "R231",
        weights: str | None = None,
        fill_model: str | None = None,
        fill_weights: str | None = None,
        device: str | None = None,
        batch_size: int = 8,
        check_hu: bool = True,
    ) -> None:
        for name, given in (("model", model), ("fill_model", fill_model)):
            if given not in _STRUCTURES and not (name == "fill_model" and given is None):
                raise InputError(name, f"is {given!r}.", f"Use one of {', '.join(_STRUCTURES)}.")
        if fill_model is None and fill_weights is not None:
            raise InputError("fill_weights", "has no fill_model to belong to.", "Name fill_model, or leave it out.")
        if batch_size < 1:
            raise InputError("batch_size", f"is {batch_size}.", "Give 1 or more.")
        place = parse_device(device)
        package = _quiet_package()
        self.structures: Mapping[int, str] = _STRUCTURES[model]
        self.check_hu = check_hu
        self._models = [model, *([fill_model] if fill_model else [])]
        self._files = [find_weights(model, weights, "weights", package.MODEL_URLS)]
        if fill_model:
            self._files.append(find_weights(fill_model, fill_weights, "fill_weights", package.MODEL_URLS))
        self._inferer = package.LMInferer(
            modelname=model,
            modelpath=str(self._files[0]),
            fillmodel=fill_model,
            fillmodel_path=str(self._files[1]) if fill_model else None,
            force_cpu=True,
            batch_size=batch_size,
            tqdm_disable=True,
        )
        self._move_to(place)

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        """Segments one volume.

        Args:
            hu: [X, Y, Z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.

        Returns:
            [X, Y, Z] uint8 labels; all 0 where the model finds nothing.

        Raises:
            InputError: when the volume is not HU, or lies oblique to the patient's axes.
        """
        check_volume(hu, affine_ras, self.check_hu)
        volume = in_orientation(hu, affine_ras, "LPS")  # the package's own: slices from foot to head, rows to the back
        found = self._inferer.apply(np.ascontiguousarray(volume.values.T, dtype=np.float32))
        return volume.restore(np.asarray(found, dtype=np.uint8).T)

    def describe(self) -> dict[str, str]:
        """Models, version of the package, and weights with their SHA-256."""
        told = {"segmenter": "lungmask", "version": version("lungmask")}
        for prefix, model, path in zip(("", "fill_"), self._models, self._files):
            told |= {
                f"{prefix}model": model,
                f"{prefix}weights": path.name,
                f"{prefix}weights_sha256": file_sha256(path),
            }
        return told

    def _move_to(self, device: torch.device) -> None:
        """The package itself knows only the first GPU or none."""
        self._inferer.device = device
        self._inferer.model.to(device)
        if self._inferer.fillmodelm is not None:
            self._inferer.fillmodelm.to(device)


def _quiet_package() -> ModuleType:
    """The package, without its messages on standard output and without its filter that hides all user warnings."""
    with warnings.catch_warnings():
        package = require("lungmask.mask", "lungmask", "The segmenter lungmask")
    logging.getLogger("lungmask").setLevel(logging.WARNING)
    return package
