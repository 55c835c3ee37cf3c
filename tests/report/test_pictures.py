from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from bundle.errors import InputError
from bundle.report import Picture
from bundle.report import slices as slices_module
from bundle.report.pictures import DrawnPlane, draw_plane, structure_colour
from bundle.report.slices import PictureSlices, SliceReader
from tests.report.examples import asymmetric_volumes, make_picture, save_volumes


def read_slices(picture: Picture) -> list[PictureSlices]:
    return SliceReader()(picture)


def draw_picture(picture: Picture) -> list[DrawnPlane]:
    return [draw_plane(part, picture) for part in read_slices(picture)]


def labelled(paths: list[Path], *maps: np.ndarray) -> None:
    """Replaces both label maps."""
    for path, labels in zip(paths[2:], maps):
        nib.save(nib.Nifti1Image(labels.astype(np.uint8), nib.load(paths[0]).affine), path)


def decoded(uri: str) -> np.ndarray:
    """[rows, columns, 3] of a data URI."""
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")).astype(int)


def test_slices_are_those_that_radiologists_expect(tmp_path):
    axial, coronal, sagittal = read_slices(make_picture(save_volumes(tmp_path)))
    truth, _, reference, mask = asymmetric_volumes()
    # Structures in voxels 6..22, 5..27 and 4..16; the truth's is larger than the reconstruction's.
    x, y, z = (round(float(np.average(*centre))) for centre in _centres((reference > 0) | (mask > 0)))
    assert (axial.position, coronal.position, sagittal.position) == (z, y, x) == (10, 16, 14)
    assert (axial.count, coronal.count, sagittal.count) == (20, 32, 24)
    np.testing.assert_array_equal(axial.truth, truth[:, :, z].T)  # right at the left, front at the top
    np.testing.assert_array_equal(coronal.reference_mask, reference[:, y, ::-1].T)  # right at the left, head on top
    np.testing.assert_array_equal(sagittal.mask, mask[x, :, ::-1].T)  # front at the left, head on top
    # Spacings are 1.5 (left), 1 (back) and 2.5 mm (head).
    assert (axial.ratio, coronal.ratio, sagittal.ratio) == pytest.approx((1 / 1.5, 2.5 / 1.5, 2.5))


def _centres(structures):
    for axis in range(3):
        amount = structures.sum(axis=tuple({0, 1, 2} - {axis}))
        yield np.arange(len(amount)), 0, amount


@pytest.mark.parametrize("axes", ["RAS", "LAS", "SPR", "AIL"])
def test_stored_orientation_does_not_show(tmp_path, axes):
    wanted = draw_picture(make_picture(save_volumes(tmp_path / "lps")))
    assert draw_picture(make_picture(save_volumes(tmp_path / "other", axes))) == wanted


def test_slightly_oblique_volumes_are_shown_as_the_nearest(tmp_path):
    wanted = read_slices(make_picture(save_volumes(tmp_path / "lps")))
    found = read_slices(make_picture(save_volumes(tmp_path / "oblique", "RAS", oblique_deg=12.0)))
    for one, other in zip(found, wanted):
        np.testing.assert_array_equal(one.truth, other.truth)
        assert one.ratio == pytest.approx(other.ratio)


def test_truth_is_left_and_right_is_at_the_left(tmp_path):
    paths = save_volumes(tmp_path)
    image = decoded(draw_picture(make_picture(paths))[0].uri)
    block = image.min(axis=2) > 200
    block[:40] = False  # title and letters
    height, width = block.shape
    rows, columns = np.nonzero(block[:, : width // 2])
    # Voxels 2..7 of 24 from the right, 3..9 of 32 from the front, below a title.
    assert columns.mean() / (width // 2) == pytest.approx(5 / 24, abs=0.03)
    assert (rows.mean() - 26) / (height - 26) == pytest.approx(6.5 / 32, abs=0.03)
    assert block[:, : width // 2].sum() > 1000
    assert block[:, width // 2 :].sum() < 200  # letters alone


def test_both_contours_are_drawn_over_both_and_told_apart_by_their_lines(tmp_path):
    image = decoded(draw_picture(make_picture(save_volumes(tmp_path)))[0].uri)
    half = image.shape[1] // 2
    voxel = half / 24
    for part in (image[:, :half], image[:, -half:]):
        coloured = part[..., 2] - part[..., 0] > 40  # sky blue
        # The right borders of the masks, before voxel 6 of the truth's and voxel 8 of the reconstruction's.
        solid = coloured[:, round(5 * voxel) : round(7 * voxel)].sum(axis=0).max() / (23 * voxel * 1 / 1.5)
        dashed = coloured[:, round(7.5 * voxel) : round(8.5 * voxel)].sum(axis=0).max() / (19 * voxel * 1 / 1.5)
        assert 0.95 < solid < 1.05
        assert 0.5 < dashed < 0.9


def test_swapped_structures_are_seen(tmp_path):
    paths = save_volumes(tmp_path)
    lungs = np.zeros((24, 32, 20))
    lungs[2:8, 5:20, 3:15] = 1
    lungs[15:22, 5:25, 3:15] = 2
    labelled(paths, lungs, lungs)
    right = draw_picture(make_picture(paths))[0]
    labelled(paths, lungs, np.where(lungs > 0, 3 - lungs, 0))
    swapped = draw_picture(make_picture(paths))[0]
    assert right.labels == swapped.labels == {1, 2}
    assert np.abs(decoded(right.uri) - decoded(swapped.uri)).max() > 100


def test_neighbouring_structures_have_different_colours():
    assert len({structure_colour(label) for label in range(1, 8)}) == 7


@pytest.mark.parametrize("shape", [(256, 256, 4), (4, 256, 256)])
def test_thin_volumes_leave_room_for_the_letters(tmp_path, shape):
    paths = save_volumes(tmp_path)
    values = np.zeros(shape, np.int16)
    for path in paths:
        nib.save(nib.Nifti1Image(values, np.diag([-0.7, -0.7, 1.0, 1.0])), path)
    for plane in draw_picture(make_picture(paths)):
        height, width, _ = decoded(plane.uri).shape
        assert 0.4 < height / (width / 2) < 1.6


def test_pictures_are_of_modest_size(tmp_path):
    paths = save_volumes(tmp_path)
    affine = nib.load(paths[0]).affine
    noise = np.random.default_rng(0).normal(0, 300, (256, 256, 6)).astype(np.int16)
    for path in paths[:2]:
        nib.save(nib.Nifti1Image(noise, affine), path)
    for path in paths[2:]:
        nib.save(nib.Nifti1Image((noise > 10000).astype(np.uint8), affine), path)
    assert max(len(plane.uri) for plane in draw_picture(make_picture(paths))) < 200_000


def test_structures_on_both_sides_of_the_centre_are_shown(tmp_path):
    paths = save_volumes(tmp_path)
    lungs = np.zeros((24, 32, 20), np.uint8)
    lungs[2:8, 5:20, 3:15] = 1
    lungs[15:22, 5:25, 3:15] = 2
    labelled(paths, lungs, lungs)
    sagittal = read_slices(make_picture(paths))[2]
    assert 15 <= sagittal.position < 22
    assert set(np.unique(sagittal.mask)) == {0, 2}


def test_empty_masks_show_the_centre(tmp_path):
    paths = save_volumes(tmp_path)
    labelled(paths, *2 * [np.zeros((24, 32, 20))])
    assert [part.position for part in read_slices(make_picture(paths))] == [10, 16, 12]


def test_what_the_reconstruction_alone_has_is_shown(tmp_path):
    paths = save_volumes(tmp_path)
    invented = np.zeros((24, 32, 20))
    invented[3:6, 20:23, 2:5] = 1
    labelled(paths, np.zeros((24, 32, 20)), invented)
    parts = read_slices(make_picture(paths))
    assert [part.position for part in parts] == [3, 21, 4]
    assert all(part.mask.any() and not part.reference_mask.any() for part in parts)


def test_what_pictures_share_is_read_once(tmp_path, monkeypatch):
    paths = save_volumes(tmp_path)
    read = []
    read_volume = slices_module.read_volume
    monkeypatch.setattr(slices_module, "read_volume", lambda path, **how: read.append(path) or read_volume(path, **how))
    reader = SliceReader()
    first, second = reader(make_picture(paths)), reader(make_picture(paths, method="sart"))
    np.testing.assert_array_equal(first[0].truth, second[0].truth)
    truth, volume, reference, mask = paths
    assert [read.count(path) for path in (truth, reference)] == [1, 1]
    assert [read.count(path) for path in (volume, mask)] == [2, 2]


@pytest.mark.parametrize("which", range(4))
def test_other_grids_are_refused(tmp_path, which):
    paths = save_volumes(tmp_path)
    image = nib.load(paths[which])
    shifted = image.affine.copy()
    shifted[0, 3] += 1.0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), paths[which])
    with pytest.raises(InputError, match=r"is on another grid than .*reference\.nii\.gz"):
        draw_picture(make_picture(paths))


@pytest.mark.parametrize("which", range(4))
def test_a_cube_stored_in_another_axis_order_is_refused(tmp_path, which):
    paths = save_volumes(tmp_path)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    values = np.zeros((24, 24, 24), np.uint8)
    values[2:8, 3:20, 8:18] = 1
    for path in paths:
        nib.save(nib.Nifti1Image(values, affine), path)
    draw_picture(make_picture(paths))
    nib.save(nib.Nifti1Image(values.transpose(1, 0, 2), affine[:, [1, 0, 2, 3]]), paths[which])
    with pytest.raises(InputError, match="is on another grid"):
        draw_picture(make_picture(paths))


def test_grids_that_are_scored_are_drawn(tmp_path):
    paths = save_volumes(tmp_path)
    image = nib.load(paths[1])
    shifted = image.affine.copy()
    shifted[1, 3] += 0.045  # of a voxel of 1 mm
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), paths[1])
    assert len(draw_picture(make_picture(paths))) == 3


def test_files_that_are_scored_are_drawn(tmp_path):
    itk = pytest.importorskip("itk", reason="needs itk")
    paths = save_volumes(tmp_path)
    wanted = draw_picture(make_picture(paths))
    truth = tmp_path / "truth.mha"
    itk.imwrite(itk.imread(str(paths[0])), str(truth))
    assert draw_picture(make_picture([truth, *paths[1:]])) == wanted


def test_damaged_files_are_named(tmp_path):
    paths = save_volumes(tmp_path)
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    with pytest.raises(InputError, match=r"mask\.nii\.gz"):
        draw_picture(replace(make_picture(paths), case="damaged"))
