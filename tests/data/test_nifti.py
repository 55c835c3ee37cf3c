from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bundle.data.nifti import write_nifti
from bundle.errors import InputError

AFFINE_RAS = np.array([[-4.0, 0, 0, 75], [0, -3.5, 0, 50], [0, 0, 3.0, -120], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint8, ".nii.gz"), (np.uint16, ".nii"), (np.int16, ".nii")])
def test_values_place_and_unit_come_back(tmp_path, dtype, suffix):
    values = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    write_nifti(values, AFFINE_RAS, tmp_path / f"image{suffix}")
    image = nib.load(tmp_path / f"image{suffix}")
    np.testing.assert_array_equal(np.asarray(image.dataobj), values)
    assert image.get_data_dtype() == dtype
    assert image.header.get_xyzt_units()[0] == "mm"
    for found, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(found, AFFINE_RAS, atol=1e-5)


def test_is_complete_or_absent(tmp_path):
    with pytest.raises(nib.spatialimages.HeaderDataError):
        write_nifti(np.zeros((2, 2, 2), dtype=bool), AFFINE_RAS, tmp_path / "image.nii")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not be written"):
        write_nifti(np.zeros((2, 2, 2), np.uint8), AFFINE_RAS, tmp_path / "file" / "image.nii")
