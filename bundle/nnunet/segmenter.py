"""A trained nnU-Net as a segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bundle.arguments import parse_device
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.nnunet.predictor import make_predictor, quiet
from bundle.nnunet.trained_model import MODEL_OPTION, TrainedModel, open_model
from bundle.segmentation.frame import check_volume, in_orientation

__all__ = ["NNUNetSegmenter"]

_AS_STORED = ("SimpleITKIO", "NibabelIO")
_TURNED_TO_RAS = ("SimpleITKIOWithReorient", "NibabelIOWithReorient")
_OPTION = "segmenter_options.orientation"


class NNUNetSegmenter:
    """A trained nnU-Net model; its labels are those of nnUNetv2_predict on the same image.

    nnU-Net takes images as they are stored, so that a model knows one orientation, that of its training images. The
    volume is turned to it and the labels back. No code of the model's is run: its checkpoints are read as weights
    alone.

    Args:
        model: folder with dataset.json, plans.json and fold_..., such as
            nnUNet_results/DatasetXXX_Name/nnUNetTrainer__nnUNetPlans__3d_fullres.
        orientation: where the axes of the training images lead, such as "LPS" for left, back and head; the one that
            dataset.json states, as of data sets that nnunet-export wrote, if None.
        folds: those whose predictions are averaged, such as 0, "all" or [0, 1]; all numbered ones that were trained, or
            else fold_all, if None.
        checkpoint: name of the checkpoint in a fold's folder.
        device: such as "cpu" or "cuda:0"; CUDA where there is one if None.
        mirroring: average over mirrored images, as nnUNetv2_predict does; without it eight times as fast in 3D, as
            with --disable_tta.
        step_size: of the sliding window, in patches.
        check_hu: refuse volumes whose values cannot be HU.

    Raises:
        InputError: when a file of the model is missing, damaged or does more than hold weights, the orientation is not
            known, or the model is of a kind that cannot be used.
        ImportError: when nnU-Net is missing.
    """

    def __init__(
        self,
        model: str,
        orientation: str | None = None,
        folds: int | str | Sequence[int | str] | None = None,
        checkpoint: str = "checkpoint_final.pth",
        device: str | None = None,
        mirroring: bool = True,
        step_size: float = 0.5,
        check_hu: bool = True,
    ) -> None:
        if not 0 < step_size <= 1:
            raise InputError("segmenter_options.step_size", f"is {step_size}.", "Give more than 0, and 1 at most.")
        self._device = parse_device(device)
        self._model = open_model(Path(model), folds, checkpoint)
        self.structures: Mapping[int, str] = self._model.structures
        self.orientation = _orientation(self._model, orientation)
        self._mirroring, self._step_size, self._check_hu = mirroring, step_size, check_hu
        self._predictor = make_predictor(self._model, self._device, mirroring, step_size)

    def __call__(self, hu: np.ndarray, affine_ras: np.ndarray) -> np.ndarray:
        """Segments one volume.

        Args:
            hu: [X, Y, Z] Hounsfield units.
            affine_ras: [4, 4] map from voxel index to RAS millimetres.

        Returns:
            [X, Y, Z] uint8, or uint16 where there are more labels, on the same grid.

        Raises:
            InputError: when the volume is not HU, or lies oblique to the patient's axes.
        """
        check_volume(hu, affine_ras, self._check_hu)
        turned = in_orientation(hu, affine_ras, self.orientation)
        image = np.ascontiguousarray(turned.values.T, dtype=np.float32)[None]  # nnU-Net's arrays are [channel, z, y, x]
        with quiet():
            labels = self._predictor.predict_single_npy_array(image, {"spacing": list(turned.spacing_mm[::-1])})
        return turned.restore(labels.T)

    def describe(self) -> dict[str, str]:
        """Where the labels come from."""
        model = self._model
        return {
            "segmenter": "nnunet",
            "version": f"nnunetv2 {version('nnunetv2')}",
            "model": model.folder.name,
            "plans_sha256": file_sha256(model.folder / "plans.json"),
            "dataset": str(model.plans.get("dataset_name", "")),
            "trainer": model.trainer,
            "configuration": model.configuration,
            "folds": ", ".join(model.checkpoints),
            "weights": ", ".join(f"fold_{fold}/{path.name}" for fold, path in model.checkpoints.items()),
            "weights_sha256": ", ".join(file_sha256(path) for path in model.checkpoints.values()),
            "orientation": self.orientation,
            "mirroring": str(self._mirroring).lower(),
            "step_size": f"{self._step_size:g}",
        }


def _orientation(model: TrainedModel, given: str | None) -> str:
    """The orientation in which the network takes images."""
    reader = model.plans.get("image_reader_writer")
    if reader in _TURNED_TO_RAS:  # its own reader turns every image, so that this is certain
        stated: str | None = "RAS"
    elif reader in _AS_STORED:
        stated = model.dataset.get("orientation")
    else:
        raise InputError(
            f"{MODEL_OPTION} {model.folder}", f"reads images by {reader}, not as CT volumes.", "Give a model for CT."
        )
    if given is None and stated is None:
        raise InputError(
            _OPTION,
            f"is not given, and {model.folder / 'dataset.json'} does not state how the training images run.",
            'Give where their axes lead, such as "LPS" for left, back and head.',
        )
    if given is not None and stated is not None and str(given).upper() != str(stated).upper():
        raise InputError(_OPTION, f"is {given!r}, but the model's images run {stated}.", "Leave it out.")
    codes = str(given or stated).upper()
    if len(codes) != 3 or not all(set(pair) & set(codes) for pair in ("LR", "AP", "IS")):
        raise InputError(_OPTION, f"is {codes!r}.", 'Give three letters of L or R, A or P, I or S, such as "LPS".')
    return codes
