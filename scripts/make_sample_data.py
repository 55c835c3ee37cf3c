"""Makes sample_data/ from the full chest CT and its TotalSegmentator labels.

Usage: python scripts/make_sample_data.py CT.nii.gz LABELS.nii.gz OUTPUT_DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

RIGHT_LOBES, LEFT_LOBES = (12, 13, 14), (10, 11)
SIZE = 128


def resample(values: np.ndarray, order: int) -> np.ndarray:
    """Resamples a volume to SIZE voxels a side over the same field of view, by voxel areas where it shrinks much."""
    if order > 0 and all(n % SIZE == 0 for n in values.shape[:2]):
        fx, fy = (n // SIZE for n in values.shape[:2])
        values = values.reshape(SIZE, fx, SIZE, fy, -1).mean(axis=(1, 3))
    factors = [SIZE / n for n in values.shape]
    return ndimage.zoom(values, factors, order=order, mode="nearest", grid_mode=True)


def main(ct_path: str, labels_path: str, output_dir: str) -> None:
    """Writes chest.nii.gz and chest_lungs.nii.gz, where 1 is the right lung and 2 the left."""
    ct, labels = nib.load(ct_path), nib.load(labels_path)
    scale = np.array(ct.shape) / SIZE
    affine = ct.affine @ np.diag([*scale, 1.0])
    affine[:3, 3] = (ct.affine @ np.array([*(scale / 2 - 0.5), 1.0]))[:3]  # voxel centres of the coarser grid
    hu = np.rint(resample(ct.get_fdata(), order=1)).astype(np.int16)
    classes = labels.get_fdata()
    lungs = resample(np.isin(classes, RIGHT_LOBES) + 2 * np.isin(classes, LEFT_LOBES).astype(np.uint8), order=0)
    for values, name in ((hu, "chest.nii.gz"), (lungs, "chest_lungs.nii.gz")):
        image = nib.Nifti1Image(values, affine)
        image.set_qform(affine, code=1)
        image.set_sform(affine, code=1)
        nib.save(image, Path(output_dir) / name)


if __name__ == "__main__":
    main(*sys.argv[1:])
