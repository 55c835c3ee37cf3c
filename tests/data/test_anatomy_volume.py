from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, Orientationd, ScaleIntensityRanged

from bundle.data.anatomy.real.augmentation import Augmentation
from bundle.data.anatomy_volume import AnatomyVolumed
from bundle.data.fine_grid import averaged
from bundle.data.load_ct import LoadCTd
from bundle.errors import InputError
from tests.conftest import write_nifti

READ = [LoadCTd("image"), Orientationd("image", axcodes="LPS", labels=None)]


def test_procedural_items(scan):
    item = {"case": "chest-17", "source": "procedural", "anatomy": "chest", "seed": 17}
    make = AnatomyVolumed(scan)
    made = make(item)
    assert set(made) == {"case", "source", "seed", "image", "fine", "scanned_from"}
    assert made["fine"].shape == (1, *(2 * n for n in scan.volume_shape))
    assert made["scanned_from"] == "40x36x32 voxels; 2x2 rays a pixel"
    np.testing.assert_allclose(averaged(made["fine"].float(), scan.volume_shape), made["image"], atol=1e-3)
    assert made["image"].shape == (1, *scan.volume_shape)
    assert made["image"].dtype == torch.float32
    assert 0 <= made["image"].min() < 0.1  # lung, in a field that lies inside the chest
    assert 0 <= made["fine"].min() < 0.01  # air in the airways
    assert 0.4 < made["image"].max() <= 1
    assert torch.equal(make(item)["image"], made["image"])
    assert not torch.equal(make({**item, "seed": 18})["image"], made["image"])


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SLP"])
def test_real_items_are_turned_to_the_scans_axes(scan, phantom, tmp_path, axcodes):
    """Whatever the order on disk; without augmentation the volume is the file's."""
    path = tmp_path / "case.nii.gz"
    write_nifti(path, phantom, scan.voxel_mm, axcodes)
    make = AnatomyVolumed(scan, Compose(READ), Augmentation.none(), own_voxels=True)
    made = make({"case": "c", "source": "real", "image": str(path), "seed": 1})
    assert set(made) == {"case", "source", "seed", "image", "scanned_from"}
    np.testing.assert_allclose(made["image"][0], phantom, atol=6e-4)


def test_a_tilted_gantry_does_not_shear_the_body(scan, tmp_path):
    """An ellipsoid in slices that are shifted against each other has its own half-axes again, and so has its label."""
    tilt = np.tan(np.deg2rad(25.0))
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[1, 2] = 5.0 * tilt
    affine[:3, 3] = -affine[:3, :3] @ (np.full(3, 31.5))
    mm = nib.affines.apply_affine(affine, np.indices((64, 64, 64)).reshape(3, -1).T)
    inside = ((mm / (50.0, 50.0, 70.0)) ** 2).sum(axis=1).reshape(64, 64, 64) < 1
    nib.save(nib.Nifti1Image(np.where(inside, 40, -1000).astype(np.int16), affine), tmp_path / "ct.nii.gz")
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), tmp_path / "label.nii.gz")
    wide = scan.resized(volume_shape=(48, 48, 48))
    wide = replace(wide, voxel_mm=(5.0, 5.0, 5.0))
    make = AnatomyVolumed(wide, Compose(READ), Augmentation.none())
    item = {"case": "c", "source": "real", "image": str(tmp_path / "ct.nii.gz"), "seed": 1}
    body = make(item)["image"][0].numpy() > 0.25
    covariance = 25.0 * np.cov(np.argwhere(body).T)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), [500, 500, 980], rtol=0.04)
    _, labels, _ = make._base(item["image"], str(tmp_path / "label.nii.gz"))
    hu, _, _ = make._base(item["image"], None)
    assert labels.shape == hu.shape
    assert ((labels > 0) != (hu > -500)).float().mean() < 0.02


def test_labels_are_read_once_and_memory_is_bounded(scan, phantom, tmp_path, monkeypatch):
    paths = [tmp_path / f"{n}.nii.gz" for n in range(3)]
    for path in paths:
        write_nifti(path, phantom, scan.voxel_mm, "RAS")
    label = tmp_path / "label.nii.gz"
    write_nifti(label, (phantom > 0.5) * 0.001 + 0.5, scan.voxel_mm, "RAS")  # 2 where dense, else 0
    read = []
    make = AnatomyVolumed(scan, lambda d: (read.append(d["image"]), Compose(READ)(d))[1], memory_gb=0)
    item = {"case": "c", "source": "real", "image": str(paths[0]), "label": str(label), "seed": 1}
    first = make(item)
    assert torch.equal(make(item)["image"], first["image"])
    assert read == [str(paths[0])]
    assert not torch.equal(make({k: v for k, v in item.items() if k != "label"})["image"], first["image"])
    make({**item, "image": str(paths[1])})
    assert len(make._bases) == 1
    for other in (pickle.loads(pickle.dumps(AnatomyVolumed(scan, Compose(READ)))), copy.deepcopy(make)):
        assert torch.equal(other(item)["image"], first["image"])


def test_refusals(scan, phantom, tmp_path):
    path = tmp_path / "case.nii.gz"
    write_nifti(path, phantom, scan.voxel_mm, "RAS")
    item = {"case": "c", "source": "real", "image": str(path), "seed": 1}
    scaled = ScaleIntensityRanged("image", -1000, 1000, 0, 1, clip=True)
    with pytest.raises(InputError, match=r"case c: .*case\.nii\.gz .*before intensities are scaled"):
        AnatomyVolumed(scan, Compose([*READ, scaled]))(item)
    with pytest.raises(InputError, match="real_transform"):
        AnatomyVolumed(scan)(item)
    with pytest.raises(InputError, match="source"):
        AnatomyVolumed(scan)({**item, "source": "dream"})
    label = tmp_path / "label.nii.gz"
    write_nifti(label, phantom[:-1], scan.voxel_mm, "RAS")
    with pytest.raises(InputError, match="another grid"):
        AnatomyVolumed(scan, Compose(READ))({**item, "label": str(label)})
    nib.save(nib.Nifti1Image(np.full(scan.volume_shape, -3, np.int16), nib.load(path).affine), label)
    with pytest.raises(InputError, match="no labels"):
        AnatomyVolumed(scan, Compose(READ))({**item, "label": str(label)})
