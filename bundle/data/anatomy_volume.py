"""Dictionary transform that makes the volume of a generated item, painted from a seed or warped from a real CT."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing, Transform

from bundle.arguments import is_true
from bundle.data.anatomy.canvas import AIR_HU
from bundle.data.anatomy.generate import generate_anatomy
from bundle.data.anatomy.real.augmentation import Augmentation, warp_ct
from bundle.data.ct_volume import read_ct
from bundle.data.fine_grid import averaged, fine_shape
from bundle.errors import InputError, naming
from bundle.physics.attenuation import hu_to_unit
from bundle.presets import ScanPreset
from bundle.simulation import FINE, OWN_VOXELS, SCANNED_FROM, describe_scan

__all__ = ["AnatomyVolumed"]

Base = tuple[torch.Tensor, torch.Tensor | None, tuple[float, ...]]
_KEPT = ("case", "source", "seed")
_PERPENDICULAR = 1e-3  # cosines below it are a header's rounding


class AnatomyVolumed(Transform):
    """Replaces an item of :class:`bundle.data.anatomy_list.AnatomyItems` by one with its volume.

    The result has "fine" [1, 2X, 2Y, 2Z] float16 in [0, 1] over the scan's HU window, of which projections are to be
    simulated; "image" [1, X, Y, Z] float32, its averages on the scan's grid; "scanned_from", which says so; and "case",
    "source" and "seed". It follows from the item alone, so that it may be cached, and made again after a crash.

    A real CT is read by ``real_transform``, which stops before anything is resampled, cropped or clipped: the warp then
    brings it to the finer grid in one interpolation, from all that the CT shows, in HU. Its result stays in memory as
    int16 until others need the room. Procedural items are painted on the finer grid itself.

    Args:
        scan: gives grid and HU window.
        real_transform: from {"image": path} to {"image": [1, X, Y, Z] HU in LPS order, with its affine}; the reading
            and turning steps of a configuration's ``ct_transforms``. None refuses real items.
        augmentation: how real CTs are changed; as usual if None.
        device: where volumes are made.
        keep_on_device: leave them there; otherwise they return to the CPU, as data-loading workers need.
        memory_gb: most memory for real CTs that were read, at least one.
        own_voxels: make "image" alone, on the scan's grid; scans are then simulated of the voxels to be reconstructed.

    Raises:
        InputError: when called with an item that cannot be used.
    """

    def __init__(
        self,
        scan: ScanPreset,
        real_transform: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        augmentation: Augmentation | None = None,
        device: str | torch.device = "cpu",
        keep_on_device: bool = False,
        memory_gb: float = 2.0,
        own_voxels: bool = False,
    ) -> None:
        self.scan = scan
        self.own_voxels = is_true(own_voxels, "own_voxels")
        finer = fine_shape(scan.volume_shape, scan.volume_size_mm)
        self.grid = scan if self.own_voxels else scan.resized(volume_shape=finer)
        self.real_transform = real_transform
        self.augmentation = augmentation or Augmentation()
        self.device = torch.device(device)
        self.keep_on_device = keep_on_device
        self.memory_bytes = int(memory_gb * 2**30)
        self._bases: OrderedDict[tuple[str, str | None], Base] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read, which copies in other processes read for themselves."""
        return {**self.__dict__, "_bases": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transforms one item."""
        with naming(f"case {data.get('case', 'unknown')}"), torch.no_grad():
            makers = {"procedural": self._painted, "real": self._warped}
            if data.get("source") not in makers:
                raise InputError("source", f"is {data.get('source')!r}.", f"Let it be one of {', '.join(makers)}.")
            hu = makers[data["source"]](data)
        volume = hu_to_unit(hu, self.scan.hu_window)
        made = {"image": averaged(volume, self.scan.volume_shape)}
        if not self.own_voxels:
            made[FINE] = volume.half()
        kept: dict[Hashable, Any] = {key: data[key] for key in _KEPT if key in data}
        kept[SCANNED_FROM] = OWN_VOXELS if self.own_voxels else describe_scan(self.grid.volume_shape)
        return {**kept, **{key: made[key] if self.keep_on_device else made[key].cpu() for key in made}}

    def _painted(self, item: Mapping[Hashable, Any]) -> torch.Tensor:
        grid = self.grid
        return generate_anatomy(item["anatomy"], item["seed"], grid.volume_shape, grid.voxel_mm, self.device)[None]

    def _warped(self, item: Mapping[Hashable, Any]) -> torch.Tensor:
        hu, labels, voxel_mm = self._base(item["image"], item.get("label"))
        return warp_ct(
            hu.to(self.device),
            voxel_mm,
            item["seed"],
            None if labels is None else labels.to(self.device),
            self.grid.volume_shape,
            self.grid.voxel_mm,
            self.augmentation,
        )

    def _base(self, image: str, label: str | None) -> Base:
        """A real CT and its labels as they were read, from memory where they still are."""
        with self._lock:
            key = (image, label)
            if key not in self._bases:
                base = self._read(image, label)
                self._bases[key] = base
                while len(self._bases) > 1 and sum(map(_bytes, self._bases.values())) > self.memory_bytes:
                    self._bases.popitem(last=False)
            self._bases.move_to_end(key)
            return self._bases[key]

    def _read(self, image: str, label: str | None) -> Base:
        if self.real_transform is None:
            raise InputError("real_transform", "is not set.", "Give the steps that read a CT, or leave out real cases.")
        ct = self.real_transform({"image": image})["image"]
        hu = torch.as_tensor(ct)
        if not isinstance(ct, MetaTensor) or hu.ndim != 4 or float(hu.max()) <= 1:
            raise InputError(
                image,
                "is not in HU with an affine as the real_transform gives it.",
                "Let the real_transform end before intensities are scaled.",
            )
        affine = np.asarray(ct.affine, dtype=float)
        voxel_mm = tuple(float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
        # what lies outside of a scanner's circle is often marked by less than air has
        hu = _upright(ct, AIR_HU).as_subclass(torch.Tensor).round().clamp(-1024, 32767).to(torch.int16)
        if label is None:
            return hu, None, voxel_mm
        read = Orientation(axcodes="LPS", labels=None)(read_ct(label, check_hu=False))
        read_affine = read.affine  # type: ignore[attr-defined]  # Orientation keeps the MetaTensor
        if read.shape != ct.shape or not np.allclose(read_affine, affine, atol=0.1 * min(voxel_mm)):
            raise InputError(label, f"is on another grid than {image}.", "Resample the label map to its CT's grid.")
        labels = _upright(MetaTensor(read), 0.0, mode="nearest").as_subclass(torch.Tensor).round()
        if float(labels.min()) < 0 or float(labels.max()) > 32767:
            raise InputError(label, "has values that are no labels.", "Use whole numbers from 0 to 32767.")
        return hu, labels.to(torch.uint8 if float(labels.max()) < 256 else torch.int16), voxel_mm


def _upright(image: MetaTensor, outside: float, mode: str = "bilinear") -> MetaTensor:
    """A volume [1, X, Y, Z] on perpendicular axes of the same spacing, where a tilted gantry has sheared its own."""
    affine = np.asarray(image.affine, dtype=float)
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing_mm
    if np.allclose(directions.T @ directions, np.eye(3), atol=_PERPENDICULAR):
        return image
    spacing = Spacing(pixdim=spacing_mm, mode=mode, padding_mode="zeros", dtype=np.float32)
    return MetaTensor(spacing(image - outside) + outside)


def _bytes(base: Base) -> int:
    return sum(part.nbytes for part in base[:2] if part is not None)
