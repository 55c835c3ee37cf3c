"""Generated volumes and real CTs on common grids, for the scripts that draw and compare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, Orientationd

from bundle.data.anatomy.generate import ANATOMIES, generate_anatomy
from bundle.data.anatomy.real.augmentation import Augmentation
from bundle.data.anatomy_volume import AnatomyVolumed
from bundle.data.ct_formats import CT_SUFFIXES, case_name
from bundle.data.datalist import LISTING, load_datalist
from bundle.data.load_ct import LoadCTd
from bundle.errors import InputError
from bundle.physics.attenuation import unit_to_hu
from bundle.presets import ScanPreset, load_preset

__all__ = ["FIELDS_MM", "GROUPS", "generated", "grid_of", "real_cases", "real_reader"]

FIELDS_MM = {"chest": 409.6, "abdomen": 409.6, "pelvis": 409.6, "head": 256.0, "knee": 204.8}
"""Field of view of each anatomy; 409.6 mm for others."""

GROUPS = {
    "chest": ("chest", "thorax"),
    "abdomen": ("abdomen", "trunk"),
    "pelvis": ("pelvis",),
    "head": ("head", "headneck"),
    "knee": ("knee", "limb"),
}
"""Groups of real CTs that each anatomy is compared with."""

_HU_WINDOW = (-1024.0, 3071.0)


def grid_of(anatomy: str, size: int) -> ScanPreset:
    """A scan with the chest preset's geometry, scaled to an anatomy's field; its volume has ``size`` voxels a side."""
    scan = load_preset("luna16", (size, size), (size,) * 3)
    field = FIELDS_MM.get(anatomy, 409.6)
    scale = field / 409.6
    return replace(
        scan,
        voxel_mm=(field / size,) * 3,
        pixel_mm=tuple(scale * v for v in scan.pixel_mm),
        sod_mm=max(scan.sod_mm * scale, 400.0),
        sdd_mm=max(scan.sod_mm * scale, 400.0) * scan.sdd_mm / scan.sod_mm,
        hu_window=_HU_WINDOW,
    )


def generated(anatomy: str, seed: int, size: int, device: str = "cpu") -> torch.Tensor:
    """[X, Y, Z] HU of a procedural sample on the anatomy's grid."""
    if anatomy not in ANATOMIES:
        raise InputError("anatomy", f"is {anatomy!r}.", f"Choose among {', '.join(ANATOMIES)}.")
    scan = grid_of(anatomy, size)
    return generate_anatomy(anatomy, seed, scan.volume_shape, scan.voxel_mm, device).cpu()


def real_cases(folder: str | Path) -> list[dict[str, Any]]:
    """The real CTs of a folder: those of its dataset.json, or all CT files in it and in the folders in it.

    Without a dataset.json ``X_labels`` is the label map of ``X``, and what a name begins with before its first ``_`` is
    its group.

    Raises:
        InputError: when there are none.
    """
    folder = Path(folder)
    if (folder / LISTING).is_file():
        return load_datalist(folder, "training")
    files = sorted(p for pattern in ("*", "*/*") for p in folder.glob(pattern) if p.name.lower().endswith(CT_SUFFIXES))
    labels = {case_name(p).removesuffix("_labels"): str(p) for p in files if case_name(p).endswith("_labels")}
    cases = []
    for path in files:
        name = case_name(path)
        if not name.endswith("_labels"):
            label = {"label": labels[name]} if name in labels else {}
            cases.append({"case": name, "image": str(path), "group": name.split("_")[0], **label})
    if not cases:
        raise InputError(folder, "holds no CTs.", "Give a folder of CT files, or leave --real out.")
    return cases


def real_reader(anatomy: str, size: int, augmentation: Augmentation | None = None) -> Callable[..., torch.Tensor]:
    """A function from a real case with a seed to its [X, Y, Z] HU on an anatomy's grid."""
    transform = Compose([LoadCTd("image", check_hu=False), Orientationd("image", axcodes="LPS", labels=None)])
    scan = grid_of(anatomy, size)
    volumes = AnatomyVolumed(scan, transform, augmentation)

    def read(case: dict[str, Any], seed: int = 0) -> torch.Tensor:
        unit = volumes({**case, "source": "real", "seed": seed})["image"][0]
        return unit_to_hu(unit, _HU_WINDOW)

    return read
