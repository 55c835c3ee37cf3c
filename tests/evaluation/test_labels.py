from __future__ import annotations

import json

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.evaluation.labels import LabelStructures, read_labels
from tests.evaluation.volumes import AFFINE_RAS, SHAPE, chest, labels, save
from tests.prepared.sets import write_phantom

LOBES = {"right lung": [12, 13, 14], "left lung": [10, 11]}


def test_values_become_structures():
    values = np.array([0, 10, 11, 12, 14, 5]).reshape(1, 2, 3)
    for given in (LOBES, "{right_lung: [12, 13, 14], left_lung: [10, 11]}"):
        structures = LabelStructures(given, others=[5])
        assert structures.names == {1: "right lung", 2: "left lung"}
        np.testing.assert_array_equal(structures.group(values, "map").ravel(), [0, 2, 2, 1, 1, 0])


def test_classes_that_nothing_names_are_refused():
    with pytest.raises(InputError, match=r"map: has classes \[5, 99\] that belong to no structure. Name them"):
        LabelStructures(LOBES).group(np.array([0, 5, 10, 99]), "map")


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        ({"a": []}, r"label_structures a: has the values \[\]"),
        ({"a": True}, "label_structures a: has the values True"),
        ({"a": [1, 2], "b": [2]}, "label_structures b: has the value 2, as a has"),
        ("{a: 1, a: 2}", "label_structures: has the name 'a' twice"),
    ],
)
def test_structures_that_are_refused(structures, message):
    with pytest.raises(InputError, match=message):
        LabelStructures(structures)


def test_a_data_set_says_what_its_labels_mean(tmp_path):
    listing = {"labels": {"0": "background", "10": "upper", "11": "lower", "7": "spine"}, "test": []}
    (tmp_path / "dataset.json").write_text(json.dumps(listing))
    found = LabelStructures.of(tmp_path, None)
    assert set(found.names.values()) == {"upper", "lower", "spine"}
    # Given structures replace them; the values that they leave out remain known.
    grouped = LabelStructures.of(tmp_path, {"left lung": [10, 11]}).group(np.array([7, 10, 11]), "map")
    np.testing.assert_array_equal(grouped, [0, 1, 1])
    assert LabelStructures.of(tmp_path / "elsewhere", None) is None
    (tmp_path / "dataset.json").write_text('{"labels": {"10": "lung", "11": "lung", "7": "spine"}}')
    assert LabelStructures.of(tmp_path, None).values == {10: "lung", 11: "lung", 7: "spine"}
    (tmp_path / "dataset.json").write_text('{"labels": {"10": ""}}')
    with pytest.raises(InputError, match=r"dataset\.json labels: has the name ''"):
        LabelStructures.of(tmp_path, None)
    (tmp_path / "dataset.json").write_text('{"labels": {"lung": 1}}')
    with pytest.raises(InputError, match="has labels"):
        LabelStructures.of(tmp_path, None)


@pytest.mark.parametrize("axcodes", ["LPS", "RAS", "SRA"])
def test_label_files_are_read_in_the_patients_frame(tmp_path, axcodes):
    wanted = labels(chest())
    assert set(np.unique(wanted)) == {0, 1, 2}
    path = save(wanted, tmp_path / "labels.nii.gz", axcodes)
    structures = LabelStructures({"left lung": [2], "right lung": [1]})
    found = read_labels(path, structures, (np.zeros(SHAPE), AFFINE_RAS))
    np.testing.assert_array_equal(found, np.array([0, 2, 1])[wanted])  # numbered as they are named


def test_labels_of_prepared_cases(tmp_path, scan):
    values = np.zeros(scan.volume_shape, np.uint8)
    values[3:6, 2:9, 1:4] = 3
    volume = write_phantom(tmp_path / "with", scan, labels=values)
    write_phantom(tmp_path / "without", scan)
    from tests.prepared.sets import AFFINE_RAS as PREPARED_AFFINE

    structures = LabelStructures({"box": [3]})
    np.testing.assert_array_equal(read_labels(tmp_path / "with", structures, (volume, PREPARED_AFFINE)), values == 3)
    with pytest.raises(InputError, match=r"without: has no labels. Prepare the data set with --keep_labels true"):
        read_labels(tmp_path / "without", structures, (volume, PREPARED_AFFINE))


def test_files_that_are_no_label_maps(tmp_path):
    structures, grid = LabelStructures({"box": [3]}), (np.zeros(SHAPE), AFFINE_RAS)
    with pytest.raises(InputError, match="does not exist"):
        read_labels(tmp_path / "none.nii.gz", structures, grid)
    import nibabel as nib

    image = nib.Nifti1Image(np.full(SHAPE, 0.5, np.float32), AFFINE_RAS)
    nib.save(image, tmp_path / "half.nii.gz")
    with pytest.raises(InputError, match="is not a 3D map of whole numbers"):
        read_labels(tmp_path / "half.nii.gz", structures, grid)
    (tmp_path / "torn.nii.gz").write_bytes((tmp_path / "half.nii.gz").read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "torn.nii.gz", structures, grid)


def test_labels_at_the_border_of_a_grid_stay(tmp_path):
    """The volume's header rounds its affine; a structure that reaches the last slice is not cut off."""
    everywhere = np.ones(SHAPE, np.uint8)
    path = save(everywhere, tmp_path / "map.nii.gz")
    rounded = AFFINE_RAS.copy()
    rounded[:3, 3] += (1e-5, -1e-5, 1e-6)
    found = read_labels(path, LabelStructures({"all": 1}), (chest(), rounded))
    np.testing.assert_array_equal(found, everywhere)


def test_more_structures_than_a_byte_holds():
    structures = LabelStructures({f"structure {value}": value for value in range(1, 301)})
    grouped = structures.group(np.array([0, 255, 256, 300]), "map")
    np.testing.assert_array_equal(grouped, [0, 255, 256, 300])
    assert LabelStructures({"one": 7}).group(np.array([0, 7]), "map").dtype == np.uint8
