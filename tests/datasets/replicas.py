"""Miniatures of the public data sets, in exactly their layouts and formats, made from the sample CT."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.conftest import ROOT
from tests.datasets.formats import (
    oblique,
    reoriented,
    write_dicom,
    write_metaimage,
    write_nifti,
    write_nrrd,
)

__all__ = ["Anatomy", "anatomy", "make_replica", "replica_anatomy"]


@dataclass(frozen=True)
class Anatomy:
    """What a replica's case shows.

    Args:
        hu: [x, y, z] int16, towards the patient's right, front and head; no flip or permutation maps it to itself.
        affine_ras: [4, 4] map from voxel index to RAS millimetres.
        label: [x, y, z] uint8 of two structures off the centre.
    """

    hu: np.ndarray
    affine_ras: np.ndarray
    label: np.ndarray


@lru_cache(maxsize=1)
def _sample() -> np.ndarray:
    """[x, y, z] int16 HU towards R, A and S."""
    image = nib.as_closest_canonical(nib.load(ROOT / "sample_data" / "chest.nii.gz"))
    return np.asarray(image.dataobj)


def anatomy(
    index: int = 0,
    shape: tuple[int, int, int] = (40, 36, 32),
    voxel_mm: tuple[float, float, float] = (8.5, 9.0, 10.25),
) -> Anatomy:
    """The sample's chest with a bright and a dark block off every axis.

    Args:
        index: cases of another index are cropped elsewhere and brighter by some HU.
        shape: voxels (x, y, z).
        voxel_mm: voxel size (x, y, z).
    """
    sample = _sample()
    picks = [np.linspace(2 * (index % 4), n - 1, count).round().astype(int) for n, count in zip(sample.shape, shape)]
    hu = np.clip(sample[np.ix_(*picks)], -1024, 1500)
    hu = np.where(hu > -900, hu + 5 * index, hu).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    for value, low, high, mark in (
        (1, (0.62, 0.55, 0.34), (0.74, 0.7, 0.44), 2400),
        (2, (0.3, 0.4, 0.6), (0.4, 0.5, 0.72), -700),
    ):
        box = tuple(slice(round(a * n), round(b * n)) for a, b, n in zip(low, high, shape))
        label[box], hu[box] = value, mark + index
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = (-140.0 - index, -170.0 + 2 * index, 35.0 + 4 * index)
    return Anatomy(hu, affine, label)


def replica_anatomy(dataset: str, index: int) -> Anatomy:
    """What case number index of a data set's replica shows, where the replica puts it."""
    if dataset == "toothfairy":
        shown = anatomy(index, (190, 170, 90), (0.3, 0.3, 0.3))
        # Stored without a position: the first voxel is the most right, most frontal and lowest one.
        shown.affine_ras[:3, 3] = (-189 * 0.3, -169 * 0.3, 0.0)
        return shown
    if dataset == "knee":
        return anatomy(index, voxel_mm=(4.5, 4.75, 5.25))
    if dataset == "abdomenatlas":  # the longer ones are cut into sub-volumes
        return anatomy(index, voxel_mm=(8.5, 9.0, 10.25 + 4.5 * index))
    shown = anatomy(index)
    if dataset == "luna16" and index % 4 == 3:
        return Anatomy(shown.hu, oblique(shown.affine_ras), shown.label)
    return shown


def make_replica(dataset: str, folder: Path, cases: int = 3) -> Path:
    """Makes a miniature of a data set.

    Args:
        dataset: name of the data set.
        folder: where to make it; it need not exist.
        cases: number of cases.

    Returns:
        The source folder.
    """
    source = folder / f"{dataset}_source"
    source.mkdir(parents=True)
    write = globals()[f"_{dataset}"]
    for index in range(cases):
        write(source, index, replica_anatomy(dataset, index))
    return source


def _luna16(source: Path, index: int, shown: Anatomy) -> None:
    name = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{100225287222365663678666836860 + index}"
    axes = ("LPS", "LPS", "RPS", "LPS")[index % 4]
    stored = reoriented(shown.hu, shown.affine_ras, axes)
    write_metaimage(source / f"subset{index % 10}" / f"{name}.mhd", *stored, compressed=index % 4 == 1)


def _toothfairy(source: Path, index: int, shown: Anatomy) -> None:
    (source / f"P{index + 1}").mkdir()
    array, _ = reoriented(shown.hu, shown.affine_ras, "SPL")
    np.save(source / f"P{index + 1}" / "data.npy", array)


def _panorama(source: Path, index: int, shown: Anatomy) -> None:
    name = f"{100000 + index // 2}_{index + 1:05d}"
    axes = ("LPS", "LAS", "RAS")[index % 3]
    scaling = (1.0, -1024.0) if index % 3 == 1 else (1.0, 0.0)
    write_nifti(source / "images" / f"{name}_0000.nii.gz", *reoriented(shown.hu, shown.affine_ras, axes), *scaling)
    write_nifti(source / "labels" / f"{name}.nii.gz", *reoriented(shown.label, shown.affine_ras, axes))


def _pengwin(source: Path, index: int, shown: Anatomy) -> None:
    part = index % 2 + 1
    for kind, values in ((f"images_part{part}", shown.hu), ("labels", shown.label)):
        path = source / f"{index + 1:03d}.mha"
        write_metaimage(path, *reoriented(values, shown.affine_ras, "LPS"), compressed=True)
        with zipfile.ZipFile(source / f"PENGWIN_CT_train_{kind}.zip", "a") as archive:
            archive.write(path, path.name)
        path.unlink()


def _knee(source: Path, index: int, shown: Anatomy) -> None:
    group = ("FL", "FR", "ML", "MR")[index % 4]
    path = source / group / f"{group}_{index // 4 + 1:03d}.mhd"
    write_metaimage(path, *reoriented(shown.hu, shown.affine_ras, "LPS"), unit_mm=1000.0)


def _abdomenatlas(source: Path, index: int, shown: Anatomy) -> None:
    folder = source / f"BDMAP_{index + 1:08d}"
    axes = ("LPS", "RAS", "LAS")[index % 3]
    write_nifti(folder / "ct.nii.gz", *reoriented(shown.hu, shown.affine_ras, axes))
    label = reoriented(shown.label, shown.affine_ras, axes)
    write_nifti(folder / "combined_labels.nii.gz", *label)
    write_nifti(folder / "segmentations" / "liver.nii.gz", (label[0] == 1).astype(np.uint8), label[1])


def _folder(source: Path, index: int, shown: Anatomy) -> None:
    stored = reoriented(shown.hu, shown.affine_ras, "LPS")
    kind = ("nii.gz", "dicom", "mha", "nrrd", "mhd", "nhdr")[index % 6]
    path = source / f"case{index}.{kind}"
    if kind == "nii.gz":
        write_nifti(path, *stored, slope=1.0, intercept=-1024.0)
        write_nifti(source / f"case{index}_labels.nii.gz", *reoriented(shown.label, shown.affine_ras, "LPS"))
    elif kind == "dicom":
        write_dicom(source / f"case{index}", *stored, patient=f"patient{index}")
    elif kind in ("mha", "mhd"):
        write_metaimage(path, *stored, compressed=kind == "mha")
    else:
        write_nrrd(path, *stored)
